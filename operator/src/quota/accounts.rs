//! Which accounts there are: one for each part of a budget and each of its periods, opened when somebody speaks of it.

use std::collections::{BTreeMap, BTreeSet};

use spillway_policy::quota::{Account, Allocator, Period};
use spillway_wire::{AccountName, Budget, Map, SidecarIdentity, Span};

use super::Unopened;
use super::names::{Source, Subject};

/// How long before it begins a period is opened: for sidecars whose clocks are ahead, and so that rights are there by then.
const AHEAD: i64 = 30;
/// How long after its end a period is kept at least, and at most where something stays open.
const AFTER: i64 = 600;
const LONGEST_AFTER: i64 = 24 * 3600;
/// Parts of budgets that never end are forgotten if nobody speaks of them for so long: those of Jobs, and of budgets that
/// are gone.
const SILENCE: i64 = 32 * 24 * 3600;
/// Header values with an account of their own, in each period of a budget. Those beyond share one.
const MOST_VALUES: usize = 10_000;
/// What an account takes of the stored ledger, with a few rights and without its value.
const STORED_BYTES: usize = 120;
/// Workloads that are remembered when their pods are gone: those that spent the most.
const MOST_WORKLOADS: usize = 64;
/// To the hour: it is stored, and must not be a reason to write.
const COARSE: i64 = 3600;

/// Every account that can be spoken of.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    known: BTreeMap<Account, Named>,
    /// Budgets that are gone from the config and have accounts yet.
    past: Map<Budget>,
    /// How many values of a header have an account, by budget and period.
    values: BTreeMap<(String, i64), usize>,
    /// What workloads have spent of all values with pods that are gone, by budget and period.
    gone: Gone,
    /// Bytes of the stored ledger that values may take.
    room: usize,
}

/// By budget and period, and then by workload.
pub(super) type Gone = BTreeMap<(String, i64), BTreeMap<String, u64>>;

/// What an account is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: AccountName,
    pub(super) subject: Subject,
    /// When its period ends, in seconds since 1970.
    pub(super) end: Option<i64>,
    pub(super) limit: u64,
    /// What workloads have spent with pods that are gone, where the account is all of its namespace's.
    pub(super) gone: BTreeMap<String, u64>,
    /// When somebody spoke of it last, about.
    pub(super) touched: i64,
}

// === impl Accounts ===

impl Accounts {
    pub(super) fn restore(known: BTreeMap<Account, Named>, gone: Gone) -> Self {
        let mut this = Self { known, gone, ..Self::default() };
        this.count_values();
        this
    }

    pub(super) fn get(&self, account: Account) -> Option<&Named> {
        self.known.get(&account)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Account, &Named)> {
        self.known.iter()
    }

    /// Applies limits that have changed, and remembers budgets that are gone.
    pub(super) fn follow(&mut self, before: &Map<Budget>, now: &Map<Budget>, allocator: &mut Allocator<Source>) {
        for (key, budget) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
            self.past.insert(key.clone(), budget.clone());
        }
        self.past.retain(|key, _| !now.contains_key(key) && self.known.values().any(|named| named.name.budget == *key));
        for (account, named) in &mut self.known {
            let Some(budget) = now.get(&named.name.budget) else { continue };
            named.outlast(budget);
            if named.limit != budget.limit_nanos {
                named.limit = budget.limit_nanos;
                allocator.set_budget(*account, named.limit, None);
            }
        }
    }

    /// Values may take so many bytes more of the stored ledger.
    pub(super) const fn make_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// The account that a sidecar speaks of, opened if it is new.
    pub(super) fn find(
        &mut self,
        (budgets, allocator): (&Map<Budget>, &mut Allocator<Source>),
        from: &SidecarIdentity,
        name: &AccountName,
        unix: i64,
    ) -> Result<Account, Unopened> {
        let budget = budgets.get(&name.budget).or_else(|| self.past.get(&name.budget)).ok_or(Unopened::Unknown)?;
        let subject = Subject::of(&budget.per, from, name.value.as_deref()).ok_or(Unopened::Unknown)?;
        let period = Period(u64::try_from(name.period).map_err(|_| Unopened::Unknown)?);
        let account = Account { budget: subject.budget(&name.budget), period };
        if let Some(named) = self.known.get_mut(&account) {
            named.touched = coarse(unix);
            return Ok(account);
        }
        let span = due(budget, unix).into_iter().find(|span| span.start == name.period).ok_or(Unopened::Unknown)?;
        if subject.is_one_of_many() {
            let values = self.values.entry((name.budget.clone(), name.period)).or_default();
            let bytes = stored_bytes(name);
            if *values >= MOST_VALUES || self.room < bytes {
                return Err(Unopened::Crowded);
            }
            (*values, self.room) = (*values + 1, self.room - bytes);
        }
        let limit = budget.limit_nanos;
        let before = before(budget, account, span);
        allocator.set_budget(account, limit, before);
        let (name, end, touched) = (name.clone(), span.end, coarse(unix));
        self.known.insert(account, Named { name, subject, end, limit, gone: BTreeMap::new(), touched });
        Ok(account)
    }

    /// Opens what begins soon, and forgets what is over.
    pub(super) fn turn_over(&mut self, budgets: &Map<Budget>, allocator: &mut Allocator<Source>, unix: i64) {
        let mut next = Vec::new();
        for (account, named) in &self.known {
            let Some(budget) = budgets.get(&named.name.budget) else { continue };
            // Of whom nobody speaks, nobody will.
            let lives = unix - named.touched < COARSE;
            let is_last = lives && named.end.is_some_and(|end| (1..=AHEAD).contains(&(end - unix)));
            let span = named.end.filter(|_| is_last).and_then(|end| budget.period.at(end));
            let Some(span) = span else { continue };
            let Ok(start) = u64::try_from(span.start) else { continue };
            let after = Account { period: Period(start), ..*account };
            if !self.known.contains_key(&after) {
                next.push((after, *account, span, budget.limit_nanos));
            }
        }
        for (after, before, span, limit) in next {
            let Some(named) = self.known.get(&before).cloned() else { continue };
            if named.subject.is_one_of_many() {
                // Without room it is opened when it is asked for, if there is some then.
                let bytes = stored_bytes(&named.name);
                if self.room < bytes {
                    continue;
                }
                self.room -= bytes;
            }
            allocator.set_budget(after, limit, Some(before));
            let name = AccountName { period: span.start, ..named.name.clone() };
            self.known.insert(after, Named { name, end: span.end, limit, gone: BTreeMap::new(), ..named });
        }
        self.known.retain(|account, named| {
            let open = allocator.statement(*account).map_or(0, |statement| statement.open);
            let lasting = budgets.contains_key(&named.name.budget) && !matches!(named.subject, Subject::Job(_));
            let keep = match named.end {
                Some(end) => unix < end + AFTER || open > 0 && unix < end + LONGEST_AFTER,
                None => lasting || open > 0 || unix < named.touched + SILENCE,
            };
            if !keep {
                allocator.drop_budget(*account);
            }
            keep
        });
        self.count_values();
    }

    /// A pod of this workload is gone, and had spent so much.
    pub(super) fn bury(&mut self, account: Account, workload: &str, spent: u64) {
        let Some(named) = self.known.get_mut(&account).filter(|_| spent > 0) else { return };
        let gone = match named.subject {
            Subject::Namespace => &mut named.gone,
            Subject::Value(_) => self.gone.entry((named.name.budget.clone(), named.name.period)).or_default(),
            Subject::Workload(_) | Subject::Job(_) => return,
        };
        let sum = gone.entry(workload.to_owned()).or_default();
        *sum = sum.saturating_add(spent);
        if gone.len() > MOST_WORKLOADS
            && let Some(least) = gone.iter().min_by_key(|(_, spent)| **spent).map(|(name, _)| name.clone())
        {
            gone.remove(&least);
        }
    }

    /// What [`Self::bury`] was told of values.
    pub(super) const fn gone(&self) -> &Gone {
        &self.gone
    }

    fn count_values(&mut self) {
        let kept: BTreeSet<(&str, i64)> =
            self.known.values().map(|named| (named.name.budget.as_str(), named.name.period)).collect();
        self.gone.retain(|(budget, period), _| kept.contains(&(budget.as_str(), *period)));
        self.values.clear();
        for named in self.known.values().filter(|named| named.subject.is_one_of_many()) {
            *self.values.entry((named.name.budget.clone(), named.name.period)).or_default() += 1;
        }
    }
}

// === impl Named ===

impl Named {
    /// A budget's rule may change and change back: what was spent by either counts for as long as either says.
    fn outlast(&mut self, budget: &Budget) {
        let span = budget.period.at(self.name.period).filter(|span| span.start == self.name.period);
        if let (Some(span), Some(end)) = (span, self.end) {
            self.end = span.end.map(|other| other.max(end));
        }
    }
}

/// The periods that a new account may be of: the present one, and the next one shortly before it begins.
fn due(budget: &Budget, unix: i64) -> Vec<Span> {
    let Some(now) = budget.period.at(unix) else { return Vec::new() };
    let next = now.end.filter(|end| end - unix <= AHEAD).and_then(|end| budget.period.at(end));
    std::iter::once(now).chain(next).collect()
}

/// The same part of the budget in the period before.
fn before(budget: &Budget, account: Account, span: Span) -> Option<Account> {
    let start = budget.period.at(span.start.checked_sub(1)?)?.start;
    Some(Account { period: Period(u64::try_from(start).ok()?), ..account }).filter(|before| *before != account)
}

fn stored_bytes(name: &AccountName) -> usize {
    STORED_BYTES + name.value.as_ref().map_or(0, String::len)
}

const fn coarse(unix: i64) -> i64 {
    unix - unix.rem_euclid(COARSE)
}
