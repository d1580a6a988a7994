//! How a budget stands, over all of its accounts.

use spillway_policy::quota::Statement;

use super::names::Subject;

/// Sums, in nano-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many there are with a limit of their own.
    pub accounts: usize,
    pub spent: u64,
    /// The worst case of requests in flight.
    pub reserved: u64,
    /// What nobody can spend any more, because whoever had the right to it is gone and did not say what became of it.
    pub stranded: u64,
    pub remaining: u64,
    /// Rights that sidecars hold, what they have set aside included.
    pub outstanding: u64,
    /// How much of its limit the account has spent that has spent most of it.
    pub percent: u64,
    /// Some account is used up.
    pub exhausted: bool,
    /// Of whom is known what they are.
    pub workloads: Vec<(String, u64)>,
    /// Of the header; requests without one are not named.
    pub values: Vec<(String, u64)>,
}

// === impl Standing ===

impl Standing {
    pub(super) fn add(&mut self, subject: &Subject, statement: &Statement) {
        let Statement { limit, spent, open, granted, forfeited, held, free: _ } = *statement;
        let stranded = forfeited.saturating_add(held);
        let used = spent.saturating_add(stranded);
        self.accounts += 1;
        self.spent = self.spent.saturating_add(spent);
        self.reserved = self.reserved.saturating_add(open);
        self.stranded = self.stranded.saturating_add(stranded);
        self.remaining = self.remaining.saturating_add(limit.saturating_sub(used).saturating_sub(open));
        self.outstanding = self.outstanding.saturating_add(granted);
        self.percent = percent(spent, limit).max(self.percent);
        self.exhausted |= used >= limit;
        match subject {
            Subject::Namespace | Subject::Value(None) => {}
            Subject::Workload(name) => self.workloads.push((name.clone(), spent)),
            Subject::Job(name) => self.workloads.push((format!("Job/{name}"), spent)),
            Subject::Value(Some(value)) => self.values.push((value.clone(), spent)),
        }
    }
}

/// Rounded down.
pub(crate) fn percent(spent: u64, limit: u64) -> u64 {
    u64::try_from(u128::from(spent) * 100 / u128::from(limit.max(1))).unwrap_or(u64::MAX)
}
