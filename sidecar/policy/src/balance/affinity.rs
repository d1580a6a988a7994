//! Which backend a session stays with: rendezvous hashing. Every pair of session and backend has a score, and the best
//! backend that can serve has the session. Nothing is remembered, so it holds across restarts and in every pod, and when a
//! backend goes out only its own sessions move.

/// A session's backends, its own first. `weight` is the share of the sessions a backend should have, relative to the
/// others'; 0 comes last.
pub fn by_affinity<'a>(
    order: &mut [usize],
    session: &[u8],
    name: impl Fn(usize) -> &'a str,
    weight: impl Fn(usize) -> u32,
) {
    let session = hash(0xcbf2_9ce4_8422_2325, session);
    order.sort_by_cached_key(|index| {
        // For a hash that is a random number u in (0, 1), the backend with the smallest -log(u) / weight wins with a
        // probability that is its share of the weights.
        let drawn = super::mix(hash(session, name(*index).as_bytes()), 0);
        let weight = weight(*index);
        let score = (u128::from(minus_log2(drawn)) << 32) / u128::from(weight.max(1));
        (weight == 0, score)
    });
}

/// FNV-1a: a fixed function, because two versions and two pods must agree.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// -log2 of a number between 0 and 1, given as its share of 2^64. In 2^-32; the integer part is the count of leading zeros,
/// and every squaring of the rest gives one more bit of the fraction.
fn minus_log2(share: u64) -> u64 {
    const FRACTION_BITS: u32 = 32;
    let share = share.max(1);
    let zeros = share.leading_zeros();
    // Between 1 and 2, as 1.63 fixed point.
    let mut rest = share << zeros;
    let mut fraction = 0u64;
    for _ in 0..FRACTION_BITS {
        let square = u128::from(rest) * u128::from(rest);
        fraction <<= 1;
        if square >> 127 == 1 {
            fraction |= 1;
            rest = u64::try_from(square >> 64).unwrap_or(u64::MAX);
        } else {
            rest = u64::try_from(square >> 63).unwrap_or(u64::MAX);
        }
    }
    (u64::from(zeros + 1) << FRACTION_BITS) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["mini", "haiku", "big", "own", "far"];

    fn first(session: u32, usable: &[usize], weights: [u32; 5]) -> usize {
        let mut order = usable.to_vec();
        by_affinity(&mut order, session.to_string().as_bytes(), |index| NAMES[index], |index| weights[index]);
        order[0]
    }

    #[test]
    fn a_logarithm_is_right_to_a_millionth() {
        for share in [1u64, 2, 3, 12_345, u64::MAX / 3, 1 << 63, u64::MAX - 1, u64::MAX] {
            #[expect(clippy::cast_precision_loss, reason = "compared with floats")]
            let (ours, want) = (minus_log2(share) as f64 / (1u64 << 32) as f64, 64.0 - (share as f64).log2());
            assert!((ours - want).abs() < 1e-6, "{share}: {ours} is not {want}");
        }
    }

    #[test]
    fn sessions_are_spread_by_weight() {
        for weights in [[1; 5], [70, 20, 10, 0, 0]] {
            let mut sessions = [0u32; 5];
            for session in 0..20_000 {
                sessions[first(session, &[0, 1, 2, 3, 4], weights)] += 1;
            }
            let all: u32 = weights.iter().sum();
            for (index, count) in sessions.into_iter().enumerate() {
                let want = 20_000 * weights[index] / all;
                assert!(count.abs_diff(want) <= 400, "{weights:?}: {index} has {count} sessions, not {want}");
            }
        }
    }

    #[test]
    fn only_the_sessions_of_a_lost_backend_move_and_they_come_back() {
        for weights in [[1; 5], [70, 20, 10, 5, 0]] {
            for lost in 0..5 {
                let left: Vec<usize> = (0..5).filter(|index| *index != lost).collect();
                for session in 0..2_000 {
                    let (before, after) = (first(session, &[0, 1, 2, 3, 4], weights), first(session, &left, weights));
                    assert!(before == lost || after == before, "session {session} left {before} for {after}");
                }
            }
        }
    }

    #[test]
    fn the_order_backends_are_listed_in_does_not_matter_and_versions_agree() {
        let found: Vec<usize> = (0..12).map(|session| first(session, &[0, 1, 2, 3, 4], [1; 5])).collect();
        let turned: Vec<usize> = (0..12).map(|session| first(session, &[4, 2, 0, 3, 1], [1; 5])).collect();
        assert_eq!(found, turned);
        assert_eq!(
            found,
            [2, 0, 1, 2, 4, 0, 2, 2, 2, 1, 3, 4],
            "a change of this table moves every session of every user"
        );
    }
}
