//! The fastest of two: how long a backend takes, times how much it has to do.
//!
//! The measure is a moving average that takes a peak at once and forgets it slowly. Of two backends drawn by a roll, the
//! cheaper one is asked: comparing all would send every sidecar to the same fast backend at the same moment.

use std::time::{Duration, Instant};

use super::mix;

/// How long it takes until half of what was measured is forgotten. Long enough that a slow backend is not asked again for
/// every other request, short enough that one that has recovered is found.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// What a backend counts for that is being tried for the first time: a second for each request that it has not answered yet.
const UNMEASURED_MICROS: u64 = 1_000_000;

/// A moving average of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakEwma {
    micros: u64,
    /// None: nothing was measured yet.
    at: Option<Instant>,
}

/// What is known of a backend at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub in_flight: u32,
    /// None: it was never asked.
    pub micros: Option<u64>,
}

// === impl PeakEwma ===

impl PeakEwma {
    /// Takes one measurement.
    pub fn observe(&mut self, now: Instant, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.micros = match self.at {
            None => took,
            Some(at) => {
                let kept = decayed(self.micros, now.saturating_duration_since(at));
                // What was forgotten of the old is made up for by the new; a peak counts at once and in full.
                let share = self.micros.saturating_sub(kept);
                let fresh = u128::from(took) * u128::from(share) / u128::from(self.micros.max(1));
                took.max(kept.saturating_add(u64::try_from(fresh).unwrap_or(u64::MAX)))
            }
        };
        self.at = Some(now);
    }

    /// Takes what is no measurement: it would have taken so long at least, had somebody waited. It can only make the
    /// average larger.
    pub fn at_least(&mut self, now: Instant, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if self.micros(now).is_none_or(|micros| micros < took) {
            *self = Self { micros: took, at: Some(now) };
        }
    }

    /// The average now. It falls while nothing is measured, so that a backend that was slow once is tried again.
    #[must_use]
    pub fn micros(&self, now: Instant) -> Option<u64> {
        Some(decayed(self.micros, now.saturating_duration_since(self.at?)))
    }
}

/// What is left of a value: halved for every half-life, and in a straight line between two halvings.
fn decayed(value: u64, age: Duration) -> u64 {
    let (age, half_life) = (age.as_micros(), HALF_LIFE.as_micros());
    let halvings = u32::try_from(age / half_life).unwrap_or(u32::MAX);
    let whole = value.checked_shr(halvings).unwrap_or(0);
    let part = u128::from(whole / 2) * (age % half_life) / half_life;
    whole - u64::try_from(part).unwrap_or(0)
}

// === impl Load ===

impl Load {
    fn cost(self) -> u128 {
        let waiting = u128::from(self.in_flight);
        match self.micros {
            Some(micros) => u128::from(micros) * (waiting + 1),
            // Free as long as nobody is waiting for it: so it is tried, but by one request and not by all.
            None => u128::from(UNMEASURED_MICROS) * waiting,
        }
    }
}

/// The cheaper of two drawn by the roll, then the other, then the rest from cheap to dear.
pub fn by_latency(order: &mut [usize], load: impl Fn(usize) -> Load, roll: u64) {
    let cost = |index: &usize| load(*index).cost();
    let count = order.len() as u64;
    if count < 2 {
        return;
    }
    let first = usize::try_from(roll % count).unwrap_or(0);
    // Any but the first, all equally likely.
    let step = 1 + mix(roll, count) % (count - 1);
    let second = usize::try_from((first as u64 + step) % count).unwrap_or(0);
    let (low, high) = (first.min(second), first.max(second));
    order.swap(0, low);
    order.swap(1, high);
    if cost(&order[1]) < cost(&order[0]) {
        order.swap(0, 1);
    }
    order[2..].sort_by_cached_key(cost);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::start;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let start = start();
        let mut ewma = PeakEwma::default();
        assert_eq!(ewma.micros(start), None);
        let rows = [
            // at ms, took ms, the average right after
            (0, 100, 100_000),
            (1_000, 900, 900_000),
            (11_000, 100, 500_000),
            (21_000, 100, 300_000),
            (31_000, 2_000, 2_000_000),
        ];
        for (millis, took, want) in rows {
            ewma.observe(at(start, millis), Duration::from_millis(took));
            assert_eq!(ewma.micros(at(start, millis)), Some(want), "at {millis} ms");
        }
        for (millis, want) in [(36_000, 1_500_000), (41_000, 1_000_000), (51_000, 500_000), (1_000_000, 0)] {
            assert_eq!(ewma.micros(at(start, millis)), Some(want), "untouched until {millis} ms");
        }
    }

    #[test]
    fn an_answer_that_nobody_waited_for_makes_nobody_faster() {
        let start = start();
        let mut ewma = PeakEwma::default();
        // at ms, given up after ms, the average right after
        for (millis, took, want) in [(0, 900, 900_000), (10_000, 100, 450_000), (10_000, 500, 500_000)] {
            ewma.at_least(at(start, millis), Duration::from_millis(took));
            assert_eq!(ewma.micros(at(start, millis)), Some(want), "{took} ms at {millis} ms");
        }
    }

    #[test]
    fn the_faster_of_two_is_asked_until_it_is_busy_enough_to_be_the_slower() {
        let rows = [
            // micros and in flight of 0, of 1; who is asked
            ((Some(1_000), 0), (Some(300_000), 0), 0),
            ((Some(1_000), 298), (Some(300_000), 0), 0),
            ((Some(1_000), 300), (Some(300_000), 0), 1),
            ((Some(1_000), 0), (None, 0), 1),
            ((Some(1_000), 0), (None, 1), 0),
            ((None, 0), (Some(1), 0), 0),
        ];
        for (a, b, want) in rows {
            for roll in 0..50 {
                let loads = [a, b].map(|(micros, in_flight)| Load { in_flight, micros });
                let mut order = [0, 1];
                by_latency(&mut order, |index| loads[index], roll);
                assert_eq!(order[0], want, "{loads:?}, roll {roll}");
            }
        }
    }

    #[test]
    fn of_many_the_slowest_is_never_asked_and_the_fastest_not_always() {
        let mut asked = [0u32; 8];
        for roll in 0..8_000u64 {
            let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
            let load = |index| Load { in_flight: 0, micros: Some(1_000 * (index as u64 + 1)) };
            by_latency(&mut order, load, mix(roll, 0));
            asked[order[0]] += 1;
        }
        // Of 28 pairs, 7 hold the fastest, 6 the next but not the fastest, and so on.
        assert_eq!(asked[7], 0);
        for (index, count) in asked.into_iter().enumerate().take(7) {
            let want = 8_000 * (7 - u32::try_from(index).unwrap()) / 28;
            assert!(count.abs_diff(want) < 250, "{index}: {count}, about {want} were to come");
        }
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_the_average_lies_between_what_was_measured(
            took in proptest::collection::vec((0u64..5_000, 1u64..100_000), 1..30), roll: u64, count in 0usize..10,
        ) {
            let mut order: Vec<usize> = (0..count).collect();
            by_latency(&mut order, |index| Load { in_flight: index as u32, micros: None }, roll);
            order.sort_unstable();
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
            let (mut now, mut ewma) = (start(), PeakEwma::default());
            for (wait, took) in &took {
                now += Duration::from_millis(*wait);
                ewma.observe(now, Duration::from_micros(*took));
            }
            let average = ewma.micros(now).unwrap();
            prop_assert!(average <= took.iter().map(|(_, took)| *took).max().unwrap() + took.len() as u64);
            prop_assert!(average >= took.last().unwrap().1);
        }
    }
}
