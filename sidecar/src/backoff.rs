//! How long to wait before the next try, so that a fleet that lost the operator does not come back as one.

use std::time::Duration;

/// A rolling upgrade of the operator should cost nobody a noticeable gap.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(15);

/// Doubles a bound with each failure; the wait is anywhere below it ("full jitter").
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `roll` is uniformly random.
    pub fn next(&mut self, roll: u64) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        Duration::from_nanos(roll % (u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX) + 1))
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_fifteen_seconds_and_a_success_resets_it() {
        let mut backoff = Backoff::default();
        let bounds_ms = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 15_000, 15_000];
        for (failure, bound) in bounds_ms.into_iter().enumerate() {
            let bound = Duration::from_millis(bound);
            let widest = backoff.next(u64::try_from(bound.as_nanos()).unwrap());
            assert_eq!(widest, bound, "failure {failure}");
        }
        for roll in [0, 7, u64::MAX] {
            assert!(backoff.next(roll) <= LONGEST, "roll {roll}");
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX) <= FIRST);
    }
}
