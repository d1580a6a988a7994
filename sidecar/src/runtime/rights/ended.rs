//! Accounts whose period is over: reported until their totals have arrived, then forgotten.

use std::collections::{BTreeMap, HashMap};

use spillway_policy::quota::{Account, Nanos, Usage};
use spillway_wire as wire;

/// A clock may be off, and a request belongs to the period in which it began: so long an account stays when its period is
/// over.
const STAYS: i64 = 3_600;
/// No period is longer.
const LONGEST: i64 = 32 * 24 * 3_600;

#[derive(Debug, Default)]
pub(super) struct Ended {
    /// When each account is over. A budget's rule may change and change back, and what was spent by the earlier rule counts
    /// for as long as that one said.
    ends: HashMap<Account, i64>,
    /// Those that are over, with the report that first said so after their last change.
    told: BTreeMap<Account, Nanos>,
}

// === impl Ended ===

impl Ended {
    /// A request begins that counts towards it.
    pub(super) fn begins(&mut self, account: Account) {
        self.told.remove(&account);
    }

    /// An account that is reported at `sent`, and the present rule of its budget.
    pub(super) fn look(&mut self, usage: &Usage, rule: Option<&wire::Period>, unix: i64, sent: Nanos) {
        let account = usage.account;
        let start = i64::try_from(account.period.0).unwrap_or(i64::MAX);
        let span = rule.and_then(|rule| rule.at(start)).filter(|span| span.start == start);
        let known = self.ends.get(&account).copied();
        let end = match span {
            Some(span) => span.end.unwrap_or(i64::MAX).max(known.unwrap_or(i64::MIN)),
            None => known.unwrap_or(start.saturating_add(LONGEST)),
        };
        self.ends.insert(account, end);
        if usage.open == 0 && end <= unix.saturating_sub(STAYS) {
            self.told.entry(account).or_insert(sent);
        }
    }

    /// Those whose totals are in a report that was answered.
    pub(super) fn arrived(&mut self, answered: Nanos) -> Vec<Account> {
        let arrived: Vec<Account> = self.told.extract_if(.., |_, sent| *sent <= answered).map(|(of, _)| of).collect();
        arrived.iter().for_each(|account| _ = self.ends.remove(account));
        arrived
    }
}
