//! How many attempts there may be beyond one for each request: retries, fallbacks and hedges, all of one route, together.
//!
//! A share of the requests of the last ten seconds, and a few a second on top, so that a route with little traffic can
//! still retry. What was not used ten seconds ago is gone. A provider that fails every request sees at most
//! `(1 + ratio) × requests + min_per_second × seconds` attempts: what an attempt is paid with, a request or a second, is
//! forgotten no later than the attempt itself, so nothing pays twice.

use std::time::{Duration, Instant};

use crate::window::{Counts, Window};

/// Extra attempts that a route may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For each request, in parts per million.
    pub ratio_ppm: u32,
    pub min_per_second: u32,
}

/// What was asked and what was added in the last ten seconds.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    window: Window,
}

/// A share of the requests, however few they are a second: what hedges may have of them at most.
#[derive(Clone, Debug)]
pub struct Share {
    /// In parts per million of one.
    earned: u64,
}

const HORIZON: Duration = Duration::from_secs(10);
const MILLION: u128 = 1_000_000;
const ONE: u64 = 1_000_000;
/// What is earned and not used is kept up to here.
const MOST: u64 = 10 * ONE;

// === impl Budget ===

impl Budget {
    /// A request has come. One that is itself a repeat, made by the application's SDK, earns nothing.
    pub fn request(&mut self, now: Instant) {
        self.window.add(HORIZON, now, Counts { all: 1, some: 0 });
    }

    /// Takes one extra attempt. False: there is none left.
    pub fn take(&mut self, rule: &Rule, now: Instant) -> bool {
        let left = self.left(rule, now) > 0;
        if left {
            self.window.add(HORIZON, now, Counts { all: 0, some: 1 });
        }
        left
    }

    /// How many extra attempts could be made now.
    pub fn left(&mut self, rule: &Rule, now: Instant) -> u64 {
        let Counts { all, some } = self.window.sum(HORIZON, now);
        let earned = u128::from(all) * u128::from(rule.ratio_ppm) / MILLION;
        let free = u128::from(rule.min_per_second) * u128::from(HORIZON.as_secs());
        u64::try_from(earned + free).unwrap_or(u64::MAX).saturating_sub(some)
    }
}

// === impl Share ===

impl Share {
    /// A request has come.
    pub fn request(&mut self, ppm: u32) {
        self.earned = (self.earned + u64::from(ppm)).min(MOST);
    }

    /// Is there one to take?
    #[must_use]
    pub const fn has_one(&self) -> bool {
        self.earned >= ONE
    }

    /// Takes one. False: there is none.
    pub fn take(&mut self) -> bool {
        let left = self.earned.checked_sub(ONE);
        self.earned = left.unwrap_or(self.earned);
        left.is_some()
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { earned: ONE }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::start;

    const RULE: Rule = Rule { ratio_ppm: 200_000, min_per_second: 10 };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_quiet_route_may_retry_and_a_busy_one_a_share_of_its_requests() {
        let rows = [(0, 100), (1, 100), (5, 101), (1_000, 300)];
        for (requests, want) in rows {
            let (mut budget, now) = (Budget::default(), start());
            (0..requests).for_each(|_| budget.request(now));
            let taken = (0..1_000).take_while(|_| budget.take(&RULE, now)).count();
            assert_eq!(taken, want, "{requests} requests");
            assert!(budget.take(&RULE, now + 10 * SECOND), "ten seconds later it begins anew");
        }
    }

    #[test]
    fn no_budget_is_none() {
        let (mut budget, now) = (Budget::default(), start());
        budget.request(now);
        assert!(!budget.take(&Rule { ratio_ppm: 0, min_per_second: 0 }, now));
    }

    #[test]
    fn ten_minutes_of_nothing_but_failures_cost_a_fifth_more_attempts_and_ten_a_second() {
        let (mut budget, start) = (Budget::default(), start());
        let (mut requests, mut attempts) = (0u64, 0u64);
        for second in 0..600 {
            for request in 0..100 {
                let now = start + second * SECOND + request * SECOND / 100;
                budget.request(now);
                requests += 1;
                attempts += 1;
                // Two retries here, two fallbacks with two retries each, and a hedge: whoever asks, it is one budget.
                attempts += (0..9).filter(|_| budget.take(&RULE, now)).count() as u64;
            }
        }
        assert!(attempts <= requests * 12 / 10 + 600 * 10, "{attempts} attempts for {requests} requests");
        assert!(attempts >= requests * 118 / 100 + 590 * 10, "{attempts} attempts leave much of the budget unused");
    }

    #[test]
    fn a_share_is_one_at_first_and_then_what_requests_earn() {
        let mut share = Share::default();
        assert!(share.take() && !share.take());
        let taken = (0..1_000).filter(|_| {
            share.request(50_000);
            share.take()
        });
        assert_eq!(taken.count(), 50);
        (0..10_000).for_each(|_| share.request(1_000_000));
        assert_eq!((0..100).take_while(|_| share.take()).count(), 10, "what is not used does not pile up");
    }

    proptest! {
        #[test]
        fn whatever_the_order_no_more_is_spent_than_earned(
            steps in proptest::collection::vec((0u64..700, any::<bool>()), 1..200),
        ) {
            let (mut budget, start) = (Budget::default(), start());
            let (mut now, mut requests, mut taken, mut first) = (0, 0, 0, None);
            let rule = Rule { ratio_ppm: 300_000, min_per_second: 1 };
            for (step, is_request) in steps {
                now += step;
                let at = start + Duration::from_millis(now);
                if is_request {
                    budget.request(at);
                    requests += 1;
                } else {
                    taken += u64::from(budget.take(&rule, at));
                }
                let tens_of_seconds = (now - *first.get_or_insert(now)) / 10_000 + 1;
                prop_assert!(taken * 10 <= requests * 3 + tens_of_seconds * 100, "{taken} of {requests} at {now}");
            }
        }
    }
}
