//! What providers have said of their accounts, until it is reported or over.

use std::{collections::BTreeMap, time::Duration};

use spillway_policy::quota::{Nanos, RateId};
use spillway_wire as wire;

use super::{Names, Rights};

/// What there is of an account, as its provider counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until there is all of it again.
    pub(crate) resets: Duration,
}

/// The newest of each account.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<RateId, (Nanos, Allowance)>);

// === impl Said ===

impl Said {
    /// Where models have limits of their own, the largest is what the account is about.
    fn note(&mut self, now: Nanos, rate: RateId, allowance: Allowance) {
        let counts =
            self.0.get(&rate).is_none_or(|(at, known)| allowance.limit >= known.limit || over(now, *at, known));
        if counts {
            self.0.insert(rate, (now, allowance));
        }
    }

    pub(super) fn report(&mut self, now: Nanos, names: &Names) -> Vec<wire::Allowance> {
        self.0.retain(|_, (at, allowance)| !over(now, *at, allowance));
        let said = self.0.iter().filter_map(|(rate, (at, Allowance { limit, remaining, resets }))| {
            let (rate, resets) = (names.rate_name(*rate)?.clone(), nanos(*resets));
            Some(wire::Allowance { rate, limit: *limit, remaining: *remaining, resets, age: now.saturating_sub(*at) })
        });
        said.collect()
    }
}

fn over(now: Nanos, at: Nanos, allowance: &Allowance) -> bool {
    now.saturating_sub(at) >= nanos(allowance.resets)
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

// === impl Rights ===

impl Rights {
    /// A provider has said what is left of its account. It goes along with the next report.
    pub(crate) fn said(&self, rate: RateId, allowance: Allowance) {
        let now = self.now();
        self.lock().said.note(now, rate, allowance);
    }
}
