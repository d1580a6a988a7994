//! How much may be used at once: a bucket that holds the burst and refills at the limit's average rate. It smooths only;
//! the promise is kept by the window.
//!
//! It remembers what is missing, in units that no resize changes the meaning of.

use super::{Nanos, Rate};

/// Parts of one token (or request): refilling in steps of a nanosecond loses less than one part a take.
const PARTS: u128 = 1 << 20;

/// What is missing of the burst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// In parts, as of `since`.
    missing: u64,
    since: Nanos,
}

// === impl Pace ===

impl Pace {
    /// In parts.
    fn missing(&self, now: Nanos, rate: &Rate) -> u64 {
        if self.missing == 0 {
            return 0;
        }
        self.missing.saturating_sub(refilled(now.saturating_sub(self.since), rate))
    }

    pub(super) fn room(&self, now: Nanos, rate: &Rate) -> u64 {
        let Some(burst) = rate.burst else { return u64::MAX };
        let missing = u128::from(self.missing(now, rate)).div_ceil(PARTS);
        burst.saturating_sub(u64::try_from(missing).unwrap_or(u64::MAX))
    }

    pub(super) fn take(&mut self, now: Nanos, rate: &Rate, amount: u64) {
        if rate.burst.is_some() {
            *self = Self { missing: self.missing(now, rate).saturating_add(parts(amount)), since: now };
        }
    }

    /// Gives back `amount` of what was `taken` at `since`. What has refilled meanwhile is there already and does not come
    /// twice: somebody else may have taken it.
    pub(super) fn give_back(&mut self, now: Nanos, rate: &Rate, since: Nanos, taken: u64, amount: u64) {
        if rate.burst.is_some() {
            let left = parts(taken).saturating_sub(refilled(now.saturating_sub(since), rate));
            let missing = self.missing(now, rate).saturating_sub(parts(amount).min(left));
            *self = Self { missing, since: now };
        }
    }

    pub(super) fn ready_at(&self, now: Nanos, rate: &Rate, amount: u64) -> Nanos {
        let Some(burst) = rate.burst else { return now };
        let wanted = u128::from(self.missing(now, rate)) + u128::from(amount) * PARTS;
        now.saturating_add(refill_time(wanted.saturating_sub(u128::from(burst) * PARTS), rate))
    }

    pub(super) fn full_at(&self, now: Nanos, rate: &Rate) -> Nanos {
        if rate.burst.is_none() {
            return now;
        }
        now.saturating_add(refill_time(u128::from(self.missing(now, rate)), rate))
    }
}

fn parts(amount: u64) -> u64 {
    u64::try_from(u128::from(amount) * PARTS).unwrap_or(u64::MAX)
}

/// What becomes free in a time, in parts, rounded down.
fn refilled(elapsed: Nanos, rate: &Rate) -> u64 {
    let window = rate.window.max(1);
    let per_window = u128::from(rate.limit) * PARTS;
    // A division of 128 bits takes several times as long, and is needed by none but the largest limits.
    let short = u64::try_from(per_window).ok().and_then(|parts| elapsed.checked_mul(parts)).map(|all| all / window);
    let long = || u64::try_from(u128::from(elapsed) * per_window / u128::from(window)).unwrap_or(u64::MAX);
    short.unwrap_or_else(long)
}

fn refill_time(parts: u128, rate: &Rate) -> Nanos {
    let nanos = parts.saturating_mul(u128::from(rate.window)).div_ceil(u128::from(rate.limit.max(1)) * PARTS);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const RATE: Rate = Rate { limit: 60, window: 60 * SECOND, burst: Some(10) };

    #[test]
    fn a_burst_comes_back_at_the_average_rate() {
        let mut pace = Pace::default();
        pace.take(0, &RATE, 10);
        let rows = [(0, 0, 1), (1, 1, 1), (5, 5, 5), (10, 10, 10), (60, 10, 60)];
        for (seconds, room, one_more_at) in rows {
            let now = seconds * SECOND;
            assert_eq!(pace.room(now, &RATE), room, "at {seconds}");
            assert_eq!(pace.ready_at(now, &RATE, 1), one_more_at * SECOND, "at {seconds}");
        }
        assert_eq!(pace.full_at(SECOND, &RATE), 10 * SECOND);
    }

    #[test]
    fn what_is_given_back_never_exceeds_the_burst() {
        let mut pace = Pace::default();
        pace.take(0, &RATE, 3);
        pace.give_back(SECOND, &RATE, 0, 3, 3);
        assert_eq!(pace.room(SECOND, &RATE), 10);
    }

    #[test]
    fn what_has_refilled_does_not_come_back_a_second_time() {
        // Ten are taken at once, and ten more as soon as they are there; then the first ones are given back.
        let rows = [(0, 0, 10, 10), (5, 5, 10, 5), (10, 10, 10, 0), (10, 10, 3, 0), (5, 5, 2, 2)];
        for (at, more, given, room) in rows {
            let (mut pace, now) = (Pace::default(), at * SECOND);
            pace.take(0, &RATE, 10);
            pace.take(now, &RATE, more);
            pace.give_back(now, &RATE, 0, 10, given);
            assert_eq!(pace.room(now, &RATE), room, "{given} at {at}");
        }
    }

    #[test]
    fn looking_often_does_not_stop_the_refill() {
        let slow = Rate { limit: 1, window: 31 * 86_400 * SECOND, burst: Some(1) };
        let mut pace = Pace::default();
        pace.take(0, &slow, 1);
        for ms in 0..1_000 {
            assert_eq!(pace.room(ms * 1_000_000, &slow), 0);
        }
        assert_eq!(pace.room(slow.window, &slow), 1);
    }

    #[test]
    fn a_smaller_burst_or_rate_keeps_what_is_missing() {
        let mut pace = Pace::default();
        pace.take(0, &RATE, 4);
        assert_eq!(pace.room(0, &Rate { burst: Some(5), ..RATE }), 1);
        assert_eq!(pace.room(0, &Rate { burst: Some(3), ..RATE }), 0);
        assert_eq!(pace.ready_at(0, &Rate { limit: 30, burst: Some(4), ..RATE }, 1), 2 * SECOND);
        assert_eq!(pace.room(0, &Rate { burst: None, ..RATE }), u64::MAX);
    }
}
