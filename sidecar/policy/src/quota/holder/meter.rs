//! How much is asked for, smoothed: noise in it would move rights back and forth and waste them.

use crate::quota::Nanos;

const SECOND: u64 = 1_000_000_000;
/// What it is smoothed over. Longer hides more of the noise, but a part that follows a run of requests serves it.
const MEMORY: Nanos = 5 * SECOND;
/// Nothing is learnt from less.
const LEAST: Nanos = SECOND;

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::quota) struct Meter {
    since: Nanos,
    events: u64,
    amount: u64,
    largest: u64,
    /// Of the time before `since`.
    largest_before: u64,
    /// In thousandths a second.
    rate: u64,
    events_rate: u64,
}

// === impl Meter ===

impl Meter {
    pub(in crate::quota) const fn new(now: Nanos) -> Self {
        Self { since: now, events: 0, amount: 0, largest: 0, largest_before: 0, rate: 0, events_rate: 0 }
    }

    pub(in crate::quota) fn count(&mut self, amount: u64) {
        self.events += 1;
        self.amount = self.amount.saturating_add(amount);
        self.largest = self.largest.max(amount);
    }

    /// Forgets what was counted since the last look.
    pub(in crate::quota) fn look(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.since);
        if elapsed < LEAST {
            return;
        }
        let (rate, events_rate) = (per_second(self.amount, elapsed), per_second(self.events, elapsed));
        let weight = elapsed.min(MEMORY);
        if is_noise(self.events, self.events_rate, elapsed) && self.rate > 0 {
            self.rate = blend(self.rate, rate, weight);
            self.events_rate = blend(self.events_rate, events_rate, weight);
        } else {
            // More or less than chance explains: it has changed, and at once.
            (self.rate, self.events_rate) = (rate, events_rate);
        }
        self.largest_before = if self.events > 0 { self.largest } else { self.largest_before };
        (self.since, self.events, self.amount, self.largest) = (now, 0, 0, 0);
        if self.rate == 0 {
            self.largest_before = 0;
        }
    }

    /// A second's worth. Not 0 while anything is asked for.
    pub(in crate::quota) fn wants(&self) -> u64 {
        self.milli().div_ceil(1_000).max(u64::from(self.events > 0))
    }

    /// The same in thousandths.
    pub(in crate::quota) const fn milli(&self) -> u64 {
        self.rate
    }

    pub(in crate::quota) fn largest(&self) -> u64 {
        self.largest.max(self.largest_before)
    }
}

/// In thousandths.
fn per_second(amount: u64, elapsed: Nanos) -> u64 {
    let rate = u128::from(amount) * u128::from(SECOND) * 1_000 / u128::from(elapsed.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Is the number of events within three standard deviations of what was expected?
fn is_noise(events: u64, rate: u64, elapsed: Nanos) -> bool {
    let expected = u128::from(rate) * u128::from(elapsed) / (u128::from(SECOND) * 1_000);
    let off = u128::from(events).abs_diff(expected);
    off * off <= 9 * (expected + 1)
}

fn blend(old: u64, new: u64, weight: Nanos) -> u64 {
    let (weight, rest) = (u128::from(weight), u128::from(MEMORY - weight));
    let sum = u128::from(new) * weight + u128::from(old) * rest;
    u64::try_from(sum / u128::from(MEMORY)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(per_look: &[u64]) -> Meter {
        let mut meter = Meter::new(0);
        for (events, at) in per_look.iter().zip(1..) {
            (0..*events).for_each(|_| meter.count(10));
            meter.look(at * 2 * SECOND);
        }
        meter
    }

    #[test]
    fn noise_is_smoothed_and_a_change_is_seen_at_once() {
        for (looks, want, why) in [
            (&[20][..], 100, "the first"),
            (&[20, 22], 104, "two fifths of the difference, as two seconds are of five"),
            (&[20, 0], 0, "an idle one"),
            (&[20, 60], 300, "three times as much"),
            (&[2, 0, 0], 4, "too few to tell: it fades"),
        ] {
            assert_eq!(metered(looks).wants(), want, "{why}");
        }
    }

    #[test]
    fn what_was_asked_for_just_now_is_wanted() {
        let mut meter = Meter::new(0);
        meter.count(7);
        assert_eq!((meter.wants(), meter.largest()), (1, 7));
    }
}
