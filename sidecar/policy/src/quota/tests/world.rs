//! A small cluster: a store with compare-and-swap, two operators that may both believe they lead, sidecars that crash, and
//! a network that loses, repeats and reorders. An observer outside all of it counts what providers bill.

use std::{collections::BTreeMap, sync::Arc};

use crate::quota::*;

/// Pod and incarnation.
pub(super) type Name = (u32, u32);

pub(super) const BUDGET: BudgetId = BudgetId(7);
pub(super) const SECOND: Nanos = 1_000_000_000;
const MAX_MESSAGES: usize = 24;

pub(super) struct World {
    pub(super) now: Nanos,
    pub(super) stored: Ledger<Name>,
    version: u64,
    pub(super) operators: [Option<Operator>; 2],
    instances: u32,
    pub(super) sidecars: Vec<Sidecar>,
    /// Incarnations that are over, and whether any report of theirs may come.
    pub(super) dead: Vec<Name>,
    pods: u32,
    reports: Vec<(Name, Report)>,
    rights: Vec<(Name, Rights)>,
    writes: Vec<(u32, Write<Name>)>,
    pub(super) period: u64,
    pub(super) bills: BTreeMap<Account, Bill>,
}

/// What the observer knows of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bill {
    /// What operators were told last, and the most they ever were.
    pub(super) limit: u64,
    pub(super) ceiling: u64,
    /// What providers have billed to incarnations that are over.
    pub(super) dead: u64,
    /// By how much bills were higher than what was set aside.
    pub(super) excess: u64,
}

pub(super) struct Operator {
    pub(super) instance: u32,
    pub(super) machine: Allocator<Name>,
    /// The largest total of each source that ever reached it: what its ledger has to add up to.
    pub(super) fold: BTreeMap<(Account, Name), u64>,
    folded: BTreeMap<Account, u64>,
}

pub(super) struct Sidecar {
    pub(super) name: Name,
    life: u32,
    pub(super) holder: Holder,
    /// What was written down: nothing else survives.
    journal: BTreeMap<Option<Account>, Entry>,
    pub(super) flying: Vec<(Account, u64, Hold)>,
    /// What providers have billed to it.
    billed: BTreeMap<Account, u64>,
}

impl World {
    pub(super) fn new(limit: u64, sidecars: u32) -> Self {
        let mut world = Self {
            now: SECOND,
            stored: Ledger::default(),
            version: 0,
            operators: [None, None],
            instances: 0,
            sidecars: Vec::new(),
            dead: Vec::new(),
            pods: 0,
            reports: Vec::new(),
            rights: Vec::new(),
            writes: Vec::new(),
            period: 1,
            bills: BTreeMap::new(),
        };
        world.limit(world.account(0), limit);
        (0..sidecars).for_each(|_| world.join());
        world.take_over(0);
        world
    }

    /// The account of so many periods ago.
    pub(super) fn account(&self, ago: u64) -> Account {
        Account { budget: BUDGET, period: Period(self.period.saturating_sub(ago).max(1)) }
    }

    pub(super) fn join(&mut self) {
        self.pods += 1;
        self.sidecars.push(Sidecar::new((self.pods, 1), Holder::new(1)));
    }

    fn token(&self) -> Token {
        token(self.version)
    }

    // What operators do.

    pub(super) fn take_over(&mut self, slot: usize) {
        self.instances += 1;
        let name = format!("operator-{}", self.instances);
        let machine = Allocator::take_over(name.into(), &self.stored, self.token());
        let rights = |(account, book): (&Account, &AccountLedger<Name>)| {
            book.rights.iter().map(|(name, right)| ((*account, *name), right.spent)).collect::<Vec<_>>()
        };
        let mut operator = Operator {
            instance: self.instances,
            machine,
            fold: self.stored.accounts.iter().flat_map(rights).collect(),
            folded: self.stored.accounts.iter().map(|(account, book)| (*account, book.closed)).collect(),
        };
        for (account, bill) in &self.bills {
            operator.machine.set_budget(*account, bill.limit, None);
        }
        self.operators[slot] = Some(operator);
    }

    pub(super) fn limit(&mut self, account: Account, limit: u64) {
        let bill = self.bills.entry(account).or_default();
        (bill.limit, bill.ceiling) = (limit, bill.ceiling.max(limit));
        let before = Account { period: Period(account.period.0 - 1), ..account };
        for operator in self.operators.iter_mut().flatten() {
            operator.machine.set_budget(account, limit, Some(before));
        }
    }

    /// What it writes and sends is under way.
    pub(super) fn turn(&mut self, slot: usize) {
        let Some(operator) = &mut self.operators[slot] else { return };
        let output = operator.machine.turn(self.now);
        self.rights.extend(output.rights);
        self.writes.extend(output.write.map(|write| (operator.instance, write)));
        let surplus = self.rights.len().saturating_sub(MAX_MESSAGES);
        self.rights.drain(..surplus);
    }

    /// A write arrives at the store, perhaps long after it was sent; its answer may be lost.
    pub(super) fn store(&mut self, nth: usize, answered: bool) {
        if self.writes.is_empty() {
            return;
        }
        let (instance, write) = self.writes.remove(nth % self.writes.len());
        let done = write.expects == self.token();
        if done {
            self.version += 1;
            self.stored = Ledger::clone(&write.ledger);
        }
        let (token, now) = (self.token(), self.now);
        let sender = self.operators.iter_mut().flatten().find(|operator| operator.instance == instance);
        match sender {
            Some(operator) if answered && done => operator.machine.written(now, token),
            Some(operator) if answered => operator.machine.reread(now, &self.stored, token),
            Some(_) | None => {}
        }
    }

    pub(super) fn reread(&mut self, slot: usize) {
        let (token, now) = (self.token(), self.now);
        if let Some(operator) = &mut self.operators[slot] {
            operator.machine.reread(now, &self.stored, token);
        }
    }

    pub(super) fn retire(&mut self, slot: usize, nth: usize) {
        let (Some(operator), false) = (&mut self.operators[slot], self.dead.is_empty()) else { return };
        operator.retire(self.dead[nth % self.dead.len()]);
    }

    // What sidecars do.

    /// `torn`: it dies before it has written down what the request has set aside, so the request does not go upstream.
    pub(super) fn admit(&mut self, nth: usize, account: Account, amount: u64, torn: bool) -> Option<Refusal> {
        let now = self.now;
        let sidecar = self.sidecar(nth)?;
        let spends = [Spend { account, amount }];
        let mut entries = Vec::new();
        match sidecar.holder.admit(now, &Ask { spends: &spends, ..Ask::default() }, &mut entries) {
            Ok(hold) if torn => {
                drop(hold);
                self.crash(nth, true, &[]);
                None
            }
            Ok(hold) => {
                sidecar.write(entries);
                sidecar.flying.push((account, amount, hold));
                None
            }
            Err(refusal) => Some(refusal),
        }
    }

    pub(super) fn settle(&mut self, nth: usize, which: usize, cost: impl FnOnce(u64) -> u64) {
        let now = self.now;
        let Some(sidecar) = self.sidecar(nth) else { return };
        if sidecar.flying.is_empty() {
            return;
        }
        let (account, amount, hold) = sidecar.flying.swap_remove(which % sidecar.flying.len());
        let (cost, mut entries) = (cost(amount), Vec::new());
        *sidecar.billed.entry(account).or_default() += cost;
        sidecar.holder.settle(now, hold, Outcome::Done { cost, tokens: 0 }, &mut entries);
        sidecar.write(entries);
        self.bills.entry(account).or_default().excess += cost.saturating_sub(amount);
    }

    /// The process dies with requests in flight, of which providers bill a part that nobody sees.
    pub(super) fn crash(&mut self, nth: usize, with_journal: bool, billed: &[u64]) {
        let now = self.now;
        let index = nth % self.sidecars.len().max(1);
        let Some(sidecar) = self.sidecars.get_mut(index) else { return };
        for (at, (account, amount, _)) in std::mem::take(&mut sidecar.flying).into_iter().enumerate() {
            *sidecar.billed.entry(account).or_default() += amount.min(*billed.get(at).unwrap_or(&amount));
        }
        sidecar.life += 1;
        if with_journal {
            let entries = sidecar.journal.values().copied();
            sidecar.holder = Holder::recover(now, sidecar.life, entries);
            return;
        }
        let ((pod, incarnation), life) = (sidecar.name, sidecar.life);
        self.bury(index);
        self.sidecars.push(Sidecar::new((pod, incarnation + 1), Holder::new(life)));
    }

    /// A pod goes away in good order, if nothing is in flight; its last report is under way, once.
    pub(super) fn leave(&mut self, nth: usize) {
        let index = nth % self.sidecars.len().max(1);
        let now = self.now;
        let Some(sidecar) = self.sidecars.get_mut(index).filter(|sidecar| sidecar.flying.is_empty()) else { return };
        let mut entries = Vec::new();
        sidecar.holder.leave(&mut entries);
        sidecar.write(entries);
        let report = sidecar.holder.report(now);
        assert!(report.last, "nothing is in flight");
        self.reports.push((sidecar.name, report));
        self.bury(index);
    }

    fn bury(&mut self, index: usize) {
        let sidecar = self.sidecars.remove(index);
        for (account, billed) in sidecar.billed {
            self.bills.entry(account).or_default().dead += billed;
        }
        self.dead.push(sidecar.name);
    }

    pub(super) fn report(&mut self, nth: usize) {
        let now = self.now;
        let Some(sidecar) = self.sidecar(nth) else { return };
        let report = (sidecar.name, sidecar.holder.report(now));
        if self.reports.len() < MAX_MESSAGES {
            self.reports.push(report);
        }
    }

    fn sidecar(&mut self, nth: usize) -> Option<&mut Sidecar> {
        let index = nth % self.sidecars.len().max(1);
        self.sidecars.get_mut(index)
    }

    // What the network does. A message that is kept comes again.

    pub(super) fn deliver_report(&mut self, nth: usize, slot: usize, keep: bool) {
        if self.reports.is_empty() {
            return;
        }
        let (index, now) = (nth % self.reports.len(), self.now);
        let (name, report) = self.reports[index].clone();
        if !keep {
            self.reports.remove(index);
        }
        if let Some(operator) = &mut self.operators[slot] {
            operator.hear(now, name, &report);
        }
    }

    pub(super) fn deliver_rights(&mut self, nth: usize, keep: bool) {
        if self.rights.is_empty() {
            return;
        }
        let (index, now) = (nth % self.rights.len(), self.now);
        let (name, rights) = self.rights[index].clone();
        if !keep {
            self.rights.remove(index);
        }
        if let Some(sidecar) = self.sidecars.iter_mut().find(|sidecar| sidecar.name == name) {
            let mut entries = Vec::new();
            sidecar.holder.take(now, &rights, &mut entries);
            sidecar.write(entries);
        }
    }

    pub(super) fn lose(&mut self, nth: usize) {
        if !self.reports.is_empty() {
            self.reports.remove(nth % self.reports.len());
        }
        if !self.rights.is_empty() {
            self.rights.remove(nth % self.rights.len());
        }
    }

    // What has to hold.

    pub(super) fn check(&self) {
        for (account, bill) in &self.bills {
            let rights = |sidecar: &Sidecar| {
                let mut holder = sidecar.holder.clone();
                let report = holder.report(self.now);
                let usage = report.accounts.iter().find(|usage| usage.account == *account);
                let held = usage.map_or(0, |usage| (usage.granted - usage.returned).max(usage.spent + usage.open));
                held.max(sidecar.billed.get(account).copied().unwrap_or(0))
            };
            let rights: u64 = self.sidecars.iter().map(rights).sum();
            let (sum, bound) = (rights + bill.dead, bill.ceiling + bill.excess);
            assert!(sum <= bound, "rights of {sum} to {bound} of {account:?}: {bill:?}");
        }
        for operator in self.operators.iter().flatten() {
            operator.check();
        }
    }

    /// Faults end: one operator leads, everybody reports, whoever is dead is retired. Nothing is lost for good but what
    /// the dead have left.
    pub(super) fn heal(&mut self) {
        self.reports.clear();
        self.operators[1] = None;
        self.writes.clear();
        self.take_over(0);
        for _ in 0..4 {
            self.round();
        }
        let operator = self.operators[0].as_mut().expect("it has just taken over");
        self.dead.iter().for_each(|name| operator.retire(*name));
        assert_eq!(operator.machine.unheard().count(), 0, "everybody was heard");
    }

    pub(super) fn round(&mut self) {
        self.now += SECOND;
        for nth in 0..self.sidecars.len() {
            self.report(nth);
        }
        (0..self.reports.len()).for_each(|_| self.deliver_report(0, 0, false));
        for _ in 0..3 {
            self.turn(0);
            (0..self.writes.len()).for_each(|_| self.store(0, true));
            self.now += SECOND / 5;
        }
        (0..self.rights.len()).for_each(|_| self.deliver_rights(0, false));
    }
}

impl Operator {
    fn hear(&mut self, now: Nanos, name: Name, report: &Report) {
        let retired = self.machine.retired(&name);
        self.machine.report(now, &name, report);
        for usage in report.accounts.iter().filter(|_| !retired) {
            let known = self.fold.entry((usage.account, name)).or_default();
            *known = usage.spent.max(*known);
        }
    }

    fn retire(&mut self, name: Name) {
        self.machine.retire(&name);
    }

    /// The ledger is the fold of reports.
    fn check(&self) {
        let mut sums = self.folded.clone();
        for ((account, _), spent) in &self.fold {
            *sums.entry(*account).or_default() += spent;
        }
        for (account, sum) in sums {
            let statement = self.machine.statement(account).expect("every account is known to everybody");
            assert_eq!(statement.spent, sum, "{account:?} of operator {}: {:?}", self.instance, self.fold);
        }
    }
}

impl Sidecar {
    fn new(name: Name, holder: Holder) -> Self {
        let life = name.1;
        Self { name, life, holder, journal: BTreeMap::new(), flying: Vec::new(), billed: BTreeMap::new() }
    }

    fn write(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let key = match &entry {
                Entry::Epoch(_) => None,
                Entry::Balance(balance) => Some(balance.account),
                Entry::Floor(_) => continue,
            };
            self.journal.insert(key, entry);
        }
    }
}

pub(super) fn token(version: u64) -> Token {
    Arc::from(version.to_string())
}
