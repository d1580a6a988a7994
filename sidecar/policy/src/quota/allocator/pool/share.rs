//! What there is of a rate, and how it is divided.

use crate::quota::{Nanos, PERMIT_LIFE, holder::DEPTH};

const SECOND: Nanos = 1_000_000_000;
/// What is leased lasts this long.
const LEASE: Nanos = 10 * SECOND;
/// The same where sidecars shall keep it while they hear nobody. It counts as theirs for as long.
const LONG_LEASE: Nanos = 300 * SECOND;
/// By how much two clocks may differ in speed: a hundredth.
const DRIFT_PARTS: u64 = 100;

/// A limit of requests or tokens over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRule {
    pub limit: u64,
    pub window: Nanos,
    /// What one request usually takes. 1 where requests are counted.
    pub quantum: u64,
    pub loss: Loss,
    /// It is one of many, such as that of a user: whoever asks shares in it, and nobody has a part before.
    pub on_demand: bool,
}

/// What a sidecar does that hears no operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It keeps what it has for five minutes, then the floor.
    Hold,
    /// It keeps the floor.
    Floor,
    /// It uses nothing.
    Deny,
}

/// What one sidecar could use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) weight: u32,
    pub(super) least: u64,
    pub(super) most: u64,
}

/// What is set aside for what buckets hold when a window begins. It shrinks a window late: the deeper buckets of before
/// may have been used in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserve {
    now: u64,
    /// What it will be, and from when on.
    next: Option<(u64, Nanos)>,
}

// === impl RateRule ===

impl RateRule {
    /// What can be handed out, in thousandths a window, if so much is set aside: used at that pace, and with what buckets
    /// of a second's depth held before, no window sees more than the limit.
    pub(super) fn whole(&self, aside: u64) -> u64 {
        let units = u128::from(self.limit.saturating_sub(aside)) * 1_000;
        let window = u128::from(self.window);
        let whole = units * window / (window + u128::from(DEPTH)).max(1);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// How long a sidecar may use what it is leased.
    pub(super) const fn lease(&self) -> Nanos {
        match self.loss {
            Loss::Hold => LONG_LEASE,
            Loss::Floor | Loss::Deny => LEASE,
        }
    }

    /// How much longer than a window permits are counted that may be used a little after they were given.
    pub(super) const fn permit_window(&self) -> Nanos {
        self.window.saturating_add(by_slower_clock(PERMIT_LIFE))
    }
}

// === impl Reserve ===

impl Reserve {
    /// What an earlier leader had set aside.
    pub(super) const fn take_over(now: Nanos, stored: u64, window: Nanos) -> Self {
        Self { now: stored, next: Some((0, now.saturating_add(window))) }
    }

    pub(super) fn at_least(&mut self, now: Nanos, least: u64, window: Nanos) -> u64 {
        if least >= self.now {
            *self = Self { now: least, next: None };
            return self.now;
        }
        match &mut self.next {
            Some((next, at)) if now >= *at => *self = Self { now: (*next).max(least), next: None },
            Some((next, _)) => *next = (*next).max(least),
            None => self.next = Some((least, now.saturating_add(window))),
        }
        self.now
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }
}

/// Max-min fair by weight: nobody gets more than it wants while somebody with less wants more.
///
/// As long as somebody goes short, everybody counts as wanting two fifths of what it wants: a bucket that refills as fast
/// as it is used runs over as often as it is empty, and what it spills is lost to all. Of more than that, those who want
/// little would spill so much that a twentieth of the limit is lost under twice the load. What is left makes everybody's
/// part larger than it wants; of what is left then, half is spread evenly, so that a burst finds some, and half is there for who asks first.
pub(super) fn divide(all: u64, wants: &[Want]) -> Vec<u64> {
    let mut parts: Vec<u64> = wants.iter().map(|want| want.least).collect();
    let rest = all.saturating_sub(parts.iter().copied().fold(0, u64::saturating_add));
    let rest = fill(rest, wants, &mut parts, |wants| wants / 5 * 2);
    let rest = fill(rest, wants, &mut parts, |wants| wants.saturating_add(wants / 4));
    let weights: u64 = wants.iter().map(|want| u64::from(want.weight)).sum::<u64>().max(1);
    for (part, want) in parts.iter_mut().zip(wants) {
        *part += rest / 2 / weights * u64::from(want.weight);
    }
    parts
}

/// Raises everybody to what it wants, or to the same level by weight. Gives what is left.
fn fill(mut rest: u64, wants: &[Want], parts: &mut [u64], most: impl Fn(u64) -> u64) -> u64 {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|at| most(wants[*at].most).max(parts[*at]) / u64::from(wants[*at].weight));
    let mut weights: u64 = wants.iter().map(|want| u64::from(want.weight)).sum();
    for at in order {
        let weight = wants[at].weight;
        let fair = u128::from(rest) * u128::from(weight) / u128::from(weights.max(1));
        let more = most(wants[at].most).saturating_sub(parts[at]).min(u64::try_from(fair).unwrap_or(u64::MAX));
        parts[at] += more;
        rest -= more;
        weights -= u64::from(weight);
    }
    rest
}

/// How long this is at most for somebody whose clock is slower.
pub(super) const fn by_slower_clock(time: Nanos) -> Nanos {
    time.saturating_add(time / DRIFT_PARTS)
}

pub(super) fn milli(all: u64, thousandths: u64) -> u64 {
    u64::try_from(u128::from(all) * u128::from(thousandths) / 1_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_it_wants_while_somebody_wants_more() {
        let want = |weight, least, most| Want { weight, least, most };
        for (all, wants, parts) in [
            (60, vec![want(1, 0, 10), want(1, 0, 80), want(1, 0, 80)], vec![4, 28, 28]),
            (100, vec![want(1, 0, 10), want(1, 0, 80), want(1, 0, 80)], vec![12, 44, 44]),
            (40, vec![want(1, 0, 100), want(3, 0, 100)], vec![10, 30]),
            (80, vec![want(1, 20, 0), want(1, 20, 100)], vec![20, 60]),
            (100, vec![want(1, 0, 10), want(1, 0, 10)], vec![31, 31]),
            (0, vec![want(1, 0, 10)], vec![0]),
            (10, vec![], vec![]),
        ] {
            assert_eq!(divide(all, &wants), parts, "{all} {wants:?}");
        }
    }

    #[test]
    fn what_is_set_aside_shrinks_a_window_late() {
        let mut reserve = Reserve::default();
        for (now, least, want) in [(0, 5, 5), (10, 3, 5), (50, 4, 5), (70, 1, 4), (71, 9, 9), (72, 9, 9)] {
            assert_eq!(reserve.at_least(now, least, 60), want, "at {now}");
        }
    }
}
