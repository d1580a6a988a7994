//! Taking turns by weight: after any number of requests, every backend has had its share of them, give or take one.
//!
//! What is known as smooth weighted round robin sends each request to whoever is furthest behind its share. With many
//! backends that alone lets one fall behind by more than a whole request. So here the choice is the one of fair
//! schedulers: of those that are not ahead of their share, the one that would first be a whole request behind.

/// Where one backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// 0: only asked when nobody with a weight can be.
    pub weight: u32,
    /// How far it is behind its share, in requests × the sum of all weights; negative when ahead. Starts at 0 and is
    /// kept from one request to the next.
    pub behind: i64,
}

// === impl Turn ===

impl Turn {
    /// Sorts lower the sooner it should be asked. `all` is the sum of the weights.
    fn rank(self, all: i64) -> (bool, bool, i64, i64) {
        let weight = i64::from(self.weight);
        let behind = self.behind.clamp(-all, all).saturating_add(weight);
        // In how many requests it would be a whole one behind.
        let due = (all - behind).div_euclid(weight.max(1));
        (weight == 0, behind <= 0, due, -behind)
    }
}

/// Whose turn it is, then the others as they would come if that one were not there.
pub fn by_turn(order: &mut [usize], turn: impl Fn(usize) -> Turn) {
    let all = order.iter().map(|index| i64::from(turn(*index).weight)).sum();
    order.sort_by_cached_key(|index| turn(*index).rank(all));
}

/// The first of `order`, which is what could have been asked, had its turn. Gives each backend's new [`Turn::behind`].
pub fn take_turn(order: &[usize], turn: impl Fn(usize) -> Turn, mut moved: impl FnMut(usize, i64)) {
    let all: i64 = order.iter().map(|index| i64::from(turn(*index).weight)).sum();
    for (position, index) in order.iter().enumerate() {
        let Turn { weight, behind } = turn(*index);
        let served = if position == 0 && weight > 0 { all } else { 0 };
        // A change of weights, or of who can be asked, leaves numbers behind that mean less or more than before; within
        // these bounds they fade in a few turns.
        moved(*index, (behind.clamp(-all, all) + i64::from(weight) - served).clamp(-all, all));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Serves `count` requests; how many each backend got, and in which order.
    fn serve(turns: &mut [Turn], out: &[usize], count: usize) -> (Vec<u32>, Vec<usize>) {
        let (mut served, mut sequence) = (vec![0; turns.len()], Vec::new());
        for _ in 0..count {
            let mut order: Vec<usize> = (0..turns.len()).filter(|index| !out.contains(index)).collect();
            by_turn(&mut order, |index| turns[index]);
            let before = turns.to_vec();
            take_turn(&order, |index| before[index], |index, behind| turns[index].behind = behind);
            served[order[0]] += 1;
            sequence.push(order[0]);
        }
        (served, sequence)
    }

    fn turns(weights: &[u32]) -> Vec<Turn> {
        weights.iter().map(|weight| Turn { weight: *weight, behind: 0 }).collect()
    }

    #[test]
    fn shares_are_exact_and_no_backend_gets_its_share_in_one_go() {
        let rows: [(&[u32], usize, &[u32]); 5] = [
            (&[90, 10], 100, &[90, 10]),
            (&[1, 1, 1], 9, &[3, 3, 3]),
            (&[5, 1, 1], 7, &[5, 1, 1]),
            (&[1, 0], 10, &[10, 0]),
            (&[0, 0], 10, &[10, 0]),
        ];
        for (weights, count, want) in rows {
            assert_eq!(serve(&mut turns(weights), &[], count).0, want, "{weights:?}");
        }
        assert_eq!(serve(&mut turns(&[5, 1, 1]), &[], 7).1, [0, 0, 0, 1, 0, 2, 0], "a share is spread");
    }

    #[test]
    fn a_weight_of_nothing_serves_when_nobody_else_can() {
        assert_eq!(serve(&mut turns(&[3, 0]), &[0], 4).0, [0, 4]);
    }

    #[test]
    fn who_was_out_gets_its_share_again_and_no_more() {
        let mut turns = turns(&[1, 1]);
        assert_eq!(serve(&mut turns, &[1], 1_000).0, [1_000, 0]);
        let (after, _) = serve(&mut turns, &[], 100);
        assert!((49..=51).contains(&after[1]), "{after:?}");
    }

    #[test]
    fn other_weights_hold_soon_after_they_are_set() {
        let mut turns = turns(&[1_000, 1]);
        serve(&mut turns, &[], 700);
        turns[0].weight = 1;
        let (after, _) = serve(&mut turns, &[], 100);
        assert!((49..=51).contains(&after[1]), "{after:?}");
    }

    proptest! {
        #[test]
        fn after_every_request_everyone_is_less_than_one_off_its_share(
            weights in proptest::collection::vec(0u32..1_000, 1..16), count in 1usize..400,
        ) {
            let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            prop_assume!(all > 0);
            let (_, sequence) = serve(&mut turns(&weights), &[], count);
            let mut served = vec![0u64; weights.len()];
            for (before, index) in sequence.into_iter().enumerate() {
                served[index] += 1;
                for (weight, served) in weights.iter().zip(&served) {
                    let off = (before as u64 + 1) * u64::from(*weight);
                    prop_assert!(off.abs_diff(served * all) < all, "{weights:?} after {}: {served:?}", before + 1);
                }
            }
        }

        #[test]
        fn numbers_stay_small_whatever_changes(
            steps in proptest::collection::vec((proptest::collection::vec(0u32..=1_000_000, 4), 0usize..5), 1..200),
        ) {
            let mut turns = turns(&[1, 1, 1, 1]);
            for (weights, out) in steps {
                for (turn, weight) in turns.iter_mut().zip(weights) {
                    turn.weight = weight;
                }
                serve(&mut turns, &[out], 1);
                prop_assert!(turns.iter().all(|turn| turn.behind.abs() <= 4_000_000));
            }
        }
    }
}
