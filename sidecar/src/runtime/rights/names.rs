//! Numbers for what has a name. They mean nothing outside this sidecar; its journal says what they stand for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
};

use sha2::{Digest, Sha256};
use spillway_policy::quota::{Account, BudgetId, Entry, Period, RateId};
use spillway_wire::{self as wire, OTHERS, RateName};

use crate::journal::{BudgetName, Line};

/// Values of headers and users that have a count of their own at a time; those that come later share one. An application
/// could otherwise fill this sidecar's memory, and the operator's.
const MAX_VALUES: usize = 10_000;
/// A value that is longer is known by its hash.
const MAX_VALUE_BYTES: usize = 64;
/// A value is forgotten after so many sweeps without any use: some minutes.
const IDLE_SWEEPS: u8 = 10;

#[derive(Debug, Default)]
pub(super) struct Names {
    budgets: Numbers<BudgetName>,
    rates: Numbers<RateName>,
    values: usize,
}

#[derive(Debug)]
struct Numbers<T> {
    by_name: HashMap<T, Known>,
    /// What each number stands for: one name, though others may be counted by it as well.
    names: BTreeMap<u64, T>,
    /// No number is used twice, or the journal could mean either.
    next: u64,
    /// From here on, numbers are not in the journal yet.
    fresh: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: u64,
    /// How many sweeps ago it was of any use.
    idle: u8,
}

/// What may have a count for each value.
trait ByValue: Clone + Eq + Hash {
    fn value(&self) -> Option<&str>;

    /// The same for another value.
    fn with(&self, value: &str) -> Self;
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
                    names.values += usize::from(name.value().is_some_and(|value| value != OTHERS));
                    names.budgets.insert(id.0, name.clone());
                }
                Line::Rate { id, name } if rates.contains(id) => {
                    names.values += usize::from(name.value().is_some_and(|value| value != OTHERS));
                    names.rates.insert(id.0, name.clone());
                }
                Line::Source { .. } | Line::Budget { .. } | Line::Rate { .. } | Line::Entry(_) => {}
            }
        }
        names
    }

    pub(super) fn budget(&mut self, name: BudgetName) -> BudgetId {
        BudgetId(self.budgets.number(name, &mut self.values))
    }

    pub(super) fn rate(&mut self, name: RateName) -> RateId {
        RateId(self.rates.number(name, &mut self.values))
    }

    /// The operator has no room for these: from now on they are counted by what all such values share. Gives the accounts
    /// that were theirs.
    pub(super) fn crowd(&mut self, accounts: &[wire::AccountName], rates: &[RateName]) -> Vec<Account> {
        rates.iter().for_each(|name| _ = self.rates.crowd(name));
        let before = accounts.iter().filter_map(|wire::AccountName { budget, value, period }| {
            let before = self.budgets.crowd(&BudgetName { budget: budget.clone(), value: value.clone() })?;
            Some(Account { budget: BudgetId(before), period: period_of(*period) })
        });
        before.collect()
    }

    /// Forgets values that were of no use for some sweeps. Given are the numbers that something is counted by.
    pub(super) fn sweep(&mut self, budgets: &HashSet<u64>, rates: &HashSet<u64>) {
        self.values -= self.budgets.sweep(budgets) + self.rates.sweep(rates);
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
        Self { by_name: HashMap::new(), names: BTreeMap::new(), next: 0, fresh: 0 }
    }
}

impl<T: ByValue> Numbers<T> {
    /// `values`: how many there are, of everything.
    fn number(&mut self, name: T, values: &mut usize) -> u64 {
        if let Some(known) = self.by_name.get_mut(&name) {
            known.idle = 0;
            return known.number;
        }
        match name.value() {
            Some(value) if value != OTHERS && *values >= MAX_VALUES => self.number_of_others(&name),
            Some(value) => {
                *values += usize::from(value != OTHERS);
                self.add(name)
            }
            None => self.add(name),
        }
    }

    fn number_of_others(&mut self, name: &T) -> u64 {
        let others = name.with(OTHERS);
        match self.by_name.get_mut(&others) {
            Some(known) => {
                known.idle = 0;
                known.number
            }
            None => self.add(others),
        }
    }

    fn add(&mut self, name: T) -> u64 {
        let number = self.next;
        self.insert(number, name);
        number
    }

    fn insert(&mut self, number: u64, name: T) {
        self.next = self.next.max(number + 1);
        self.by_name.insert(name.clone(), Known { number, idle: 0 });
        self.names.insert(number, name);
    }

    /// Gives the number it had. What was counted by that is reported by it until it is over.
    fn crowd(&mut self, name: &T) -> Option<u64> {
        // A value that is not known here any more has no count to be moved.
        let known = *self.by_name.get(name).filter(|known| self.names.get(&known.number) == Some(name))?;
        name.value().filter(|value| *value != OTHERS)?;
        let number = self.number_of_others(name);
        self.by_name.insert(name.clone(), Known { number, ..known });
        Some(known.number)
    }

    /// Says how many values it has forgotten.
    fn sweep(&mut self, used: &HashSet<u64>) -> usize {
        let Self { by_name, names, .. } = self;
        let mut forgotten = 0;
        by_name.retain(|name, known| {
            let is_own = names.get(&known.number) == Some(name);
            let is_used = is_own && used.contains(&known.number);
            known.idle = if is_used || name.value().is_none() { 0 } else { known.idle.saturating_add(1) };
            let stays = known.idle < IDLE_SWEEPS;
            forgotten += usize::from(!stays && name.value() != Some(OTHERS));
            stays
        });
        // A name outlives its value where that is counted with others now and something is left of before.
        names.retain(|number, name| {
            used.contains(number) || by_name.get(name).is_some_and(|known| known.number == *number)
        });
        forgotten
    }

    fn take_fresh(&mut self) -> impl Iterator<Item = (u64, T)> {
        let from = std::mem::replace(&mut self.fresh, self.next);
        self.names.range(from..).map(|(number, name)| (*number, name.clone()))
    }
}

// === impl ByValue ===

impl ByValue for BudgetName {
    fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    fn with(&self, value: &str) -> Self {
        Self { value: Some(value.to_owned()), ..self.clone() }
    }
}

impl ByValue for RateName {
    fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    fn with(&self, value: &str) -> Self {
        Self { value: Some(value.to_owned()), ..self.clone() }
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

    fn of(value: &str) -> BudgetName {
        BudgetName { budget: "a/b".into(), value: Some(value.to_owned()) }
    }

    fn sweep(names: &mut Names, times: u8, used: &[BudgetId]) {
        let used: HashSet<u64> = used.iter().map(|id| id.0).collect();
        (0..times).for_each(|_| names.sweep(&used, &HashSet::new()));
    }

    #[test]
    fn a_value_that_is_of_no_use_any_more_makes_room_for_another() {
        let mut names = Names::default();
        let ids: Vec<BudgetId> = (0..MAX_VALUES).map(|value| names.budget(of(&value.to_string()))).collect();
        let whole = names.budget(BudgetName { value: None, ..of("") });
        let others = names.budget(of("late"));
        sweep(&mut names, IDLE_SWEEPS - 1, &ids[..1]);
        assert_eq!(names.budget(of("1")), ids[1], "asked for again");
        sweep(&mut names, 1, &ids[..1]);
        let late = names.budget(of("late"));
        assert!(late != others && !ids.contains(&late), "it has a number of its own that no other ever had");
        let kept = [of("0"), of("1"), BudgetName { value: None, ..of("") }].map(|name| names.budget(name));
        assert_eq!(kept, [ids[0], ids[1], whole], "what is used, and what has no value");
        assert_eq!(names.values, 3);
    }

    #[test]
    fn a_value_that_the_operator_has_no_room_for_is_counted_with_others_until_it_was_idle() {
        let mut names = Names::default();
        let account = |value: &str| wire::AccountName { budget: "a/b".into(), value: Some(value.into()), period: 0 };
        let own = names.budget(of("late"));
        let before = names.crowd(&[account("late"), account("unheard of"), account(OTHERS)], &[]);
        assert_eq!(before, [Account { budget: own, period: period_of(0) }]);
        let others = names.budget(of("late"));
        assert_eq!(others, names.budget(of(OTHERS)));
        assert_ne!(others, own);
        sweep(&mut names, 1, &[own]);
        assert_eq!(names.budget_name(own), Some(&of("late")), "it has to be reported by its name yet");
        sweep(&mut names, IDLE_SWEEPS, &[]);
        assert_eq!(names.budget_name(own), None);
        assert_ne!(names.budget(of("late")), others, "there may be room now");
        assert_eq!(names.values, 1);
    }
}
