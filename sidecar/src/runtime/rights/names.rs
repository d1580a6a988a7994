//! Numbers for what has a name. They mean nothing outside this sidecar; its journal says what they stand for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
};

use sha2::{Digest, Sha256};
use spillway_policy::quota::{Account, BudgetId, Entry, Period, RateId};
use spillway_wire::{self as wire, RateName};

use crate::journal::{BudgetName, Line};

/// Values of headers and users that have a count of their own; those that come later share one. An application could
/// otherwise fill this sidecar's memory, and the operator's.
const MAX_VALUES: usize = 10_000;
/// What those share.
const OTHERS: &str = "(others)";
/// A value that is longer is known by its hash.
const MAX_VALUE_BYTES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Names {
    budgets: Numbers<BudgetName>,
    rates: Numbers<RateName>,
    values: usize,
}

#[derive(Debug)]
struct Numbers<T> {
    by_name: HashMap<T, u64>,
    names: BTreeMap<u64, T>,
    /// From here on, numbers are not in the journal yet.
    fresh: u64,
}

/// A value as it is counted: the same in every sidecar.
pub(crate) fn value_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= MAX_VALUE_BYTES && !text.contains(char::is_control) => text.to_owned(),
        _ => Sha256::digest(value).iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
    }
}

// === impl Names ===

impl Names {
    /// Those that something in the journal is counted by.
    pub(super) fn recover(lines: &[Line]) -> Self {
        let (mut budgets, mut rates) = (HashSet::new(), HashSet::new());
        for line in lines {
            match line {
                Line::Entry(Entry::Balance(balance)) => _ = budgets.insert(balance.account.budget),
                Line::Entry(Entry::Floor(share)) => _ = rates.insert(share.rate),
                Line::Source { .. } | Line::Budget { .. } | Line::Rate { .. } | Line::Entry(Entry::Epoch(_)) => {}
            }
        }
        let mut names = Self::default();
        for line in lines {
            match line {
                Line::Budget { id, name } if budgets.contains(id) => {
                    names.values += usize::from(name.value.is_some());
                    names.budgets.insert(id.0, name.clone());
                }
                Line::Rate { id, name } if rates.contains(id) => {
                    names.values += usize::from(name.value.is_some());
                    names.rates.insert(id.0, name.clone());
                }
                Line::Source { .. } | Line::Budget { .. } | Line::Rate { .. } | Line::Entry(_) => {}
            }
        }
        names
    }

    pub(super) fn budget(&mut self, mut name: BudgetName) -> BudgetId {
        if name.value.is_some() && !self.budgets.by_name.contains_key(&name) {
            name.value = self.counted(name.value);
        }
        BudgetId(self.budgets.number(name))
    }

    pub(super) fn rate(&mut self, mut name: RateName) -> RateId {
        if name.value.is_some() && !self.rates.by_name.contains_key(&name) {
            name.value = self.counted(name.value);
        }
        RateId(self.rates.number(name))
    }

    fn counted(&mut self, value: Option<String>) -> Option<String> {
        if self.values >= MAX_VALUES {
            return Some(OTHERS.to_owned());
        }
        self.values += 1;
        value
    }

    pub(super) fn account(&mut self, name: &wire::AccountName) -> Account {
        let wire::AccountName { budget, value, period } = name;
        let budget = self.budget(BudgetName { budget: budget.clone(), value: value.clone() });
        Account { budget, period: period_of(*period) }
    }

    pub(super) fn budget_name(&self, id: BudgetId) -> Option<&BudgetName> {
        self.budgets.names.get(&id.0)
    }

    pub(super) fn rate_name(&self, id: RateId) -> Option<&RateName> {
        self.rates.names.get(&id.0)
    }

    /// Whether an account's period was over at a moment.
    pub(super) fn is_over(&self, account: Account, periods: &HashMap<String, wire::Period>, unix: i64) -> bool {
        let Some(name) = self.budget_name(account.budget) else { return true };
        // What is not in the config now may be in it again.
        let Some(period) = periods.get(&name.budget) else { return false };
        let span = period.at(i64::try_from(account.period.0).unwrap_or(i64::MAX));
        span.and_then(|span| span.end).is_some_and(|end| end <= unix)
    }

    /// Those that the journal does not have yet: from now on it does.
    pub(super) fn take_fresh(&mut self, lines: &mut Vec<Line>) {
        lines.extend(self.budgets.take_fresh().map(|(id, name)| Line::Budget { id: BudgetId(id), name }));
        lines.extend(self.rates.take_fresh().map(|(id, name)| Line::Rate { id: RateId(id), name }));
    }

    /// All of them, for a journal that begins anew.
    pub(super) fn all(&mut self, lines: &mut Vec<Line>) {
        (self.budgets.fresh, self.rates.fresh) = (0, 0);
        self.take_fresh(lines);
    }
}

/// When it began, in seconds since 1970; before that nobody had a budget.
pub(crate) fn period_of(start: i64) -> Period {
    Period(u64::try_from(start).unwrap_or(0))
}

// === impl Numbers ===

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), names: BTreeMap::new(), fresh: 0 }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn number(&mut self, name: T) -> u64 {
        if let Some(known) = self.by_name.get(&name) {
            return *known;
        }
        let number = self.next();
        self.insert(number, name);
        number
    }

    fn insert(&mut self, number: u64, name: T) {
        self.by_name.insert(name.clone(), number);
        self.names.insert(number, name);
    }

    fn next(&self) -> u64 {
        self.names.last_key_value().map_or(0, |(number, _)| number + 1)
    }

    fn take_fresh(&mut self) -> impl Iterator<Item = (u64, T)> {
        let next = self.next();
        let from = std::mem::replace(&mut self.fresh, next);
        self.names.range(from..).map(|(number, name)| (*number, name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_itself_or_where_it_is_long_or_no_text_by_its_hash() {
        for text in ["acme", "", "é", &"a".repeat(64)] {
            assert_eq!(value_of(text.as_bytes()), text);
        }
        let hashed = [&b"\xff"[..], b"\xfe", b"a\nb", &[b'a'; 65], &[b'a'; 66]].map(value_of);
        assert!(hashed.iter().all(|hash| hash.len() == 32), "{hashed:?}");
        assert_eq!(HashSet::from(hashed.clone()).len(), hashed.len(), "{hashed:?}");
    }

    #[test]
    fn values_beyond_the_bound_share_one() {
        let mut names = Names::default();
        let mut number = |value: &str| names.budget(BudgetName { budget: "a/b".into(), value: Some(value.to_owned()) });
        let first = number("0");
        (1..MAX_VALUES).for_each(|value| _ = number(&value.to_string()));
        assert_eq!(number("one more"), number("and another"));
        assert_eq!(number("0"), first, "those who came early keep theirs");
        assert_eq!(names.budgets.names.len(), MAX_VALUES + 1);
    }
}
