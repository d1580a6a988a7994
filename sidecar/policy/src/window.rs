//! Counts over the last while: a ring of buckets, each of which is forgotten as a whole.
//!
//! Two counters a bucket, because what is asked of a window is always a share: failures of attempts, repeats of requests.
//! The sums are made when they are asked for: ten additions are cheaper than a total that has to be kept right.

use std::time::{Duration, Instant};

/// A window reaches back between nine and ten tenths of its length.
const BUCKETS: usize = 10;
/// Nobody needs less, and a bucket must have some length.
const SHORTEST_BUCKET: Duration = Duration::from_millis(1);

/// Two counts over the last while.
#[derive(Clone, Debug, Default)]
pub struct Window {
    bucket: Duration,
    start: Option<Instant>,
    /// Which bucket is the newest, counted from `start`.
    newest: u64,
    counts: [Counts; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: u64,
    /// Those of them that the share is about.
    pub some: u64,
}

// === impl Window ===

impl Window {
    /// Adds to the newest bucket of a window of this length; a window of another length begins anew.
    pub fn add(&mut self, length: Duration, now: Instant, counts: Counts) {
        self.turn(length, now);
        let newest = &mut self.counts[index(self.newest)];
        newest.all = newest.all.saturating_add(counts.all);
        newest.some = newest.some.saturating_add(counts.some);
    }

    /// What the window holds.
    pub fn sum(&mut self, length: Duration, now: Instant) -> Counts {
        self.turn(length, now);
        self.counts.iter().fold(Counts::default(), |sum, bucket| Counts {
            all: sum.all.saturating_add(bucket.all),
            some: sum.some.saturating_add(bucket.some),
        })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets the buckets that have become too old. Time that goes backwards counts as standing still.
    fn turn(&mut self, length: Duration, now: Instant) {
        let bucket = (length / BUCKETS as u32).max(SHORTEST_BUCKET);
        if self.bucket != bucket {
            self.clear();
            self.bucket = bucket;
        }
        let age = now.saturating_duration_since(*self.start.get_or_insert(now));
        let current = u64::try_from(age.as_nanos() / bucket.as_nanos()).unwrap_or(u64::MAX);
        let passed = current.saturating_sub(self.newest);
        if passed >= BUCKETS as u64 {
            self.counts = [Counts::default(); BUCKETS];
        } else {
            for gone in 1..=passed {
                self.counts[index(self.newest + gone)] = Counts::default();
            }
        }
        self.newest = self.newest.max(current);
    }
}

fn index(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::start;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE: Counts = Counts { all: 1, some: 0 };

    #[test]
    fn what_is_older_than_the_window_is_forgotten_bucket_by_bucket() {
        let (mut window, start) = (Window::default(), start());
        window.add(10 * SECOND, start, Counts { all: 3, some: 1 });
        window.add(10 * SECOND, start + 5 * SECOND, ONE);
        let rows = [(9, 4, 1), (10, 1, 0), (14, 1, 0), (15, 0, 0), (1_000_000, 0, 0)];
        for (second, all, some) in rows {
            assert_eq!(window.sum(10 * SECOND, start + second * SECOND), Counts { all, some }, "{second}");
        }
    }

    #[test]
    fn a_window_of_another_length_begins_anew() {
        let (mut window, start) = (Window::default(), start());
        window.add(10 * SECOND, start, ONE);
        assert_eq!(window.sum(20 * SECOND, start), Counts::default());
        assert_eq!(window.sum(Duration::ZERO, start), Counts::default(), "and none is too short");
    }

    proptest! {
        #[test]
        fn it_holds_all_of_the_last_nine_tenths_and_nothing_older_than_all_of_it(
            steps in proptest::collection::vec(0u64..4_000, 1..60),
        ) {
            let (mut window, start) = (Window::default(), start());
            let (mut now, mut added) = (0, Vec::new());
            for step in steps {
                now += step;
                added.push(now);
                window.add(10 * SECOND, start + Duration::from_millis(now), ONE);
                let younger_than = |age| added.iter().filter(|at| now - **at < age).count() as u64;
                let held = window.sum(10 * SECOND, start + Duration::from_millis(now)).all;
                prop_assert!((younger_than(9_000)..=younger_than(10_000)).contains(&held), "{held} of {added:?}");
            }
        }
    }
}
