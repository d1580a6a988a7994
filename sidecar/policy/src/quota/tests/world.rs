//! A small cluster: a store with compare-and-swap, two operators that may both believe they lead, sidecars that crash, and
//! a network that loses, repeats and reorders. An observer outside all of it counts what providers bill.

mod network;
mod operators;
mod sidecars;

use std::{collections::BTreeMap, sync::Arc};

use crate::quota::*;

/// Pod and incarnation.
pub(super) type Name = (u32, u32);

pub(super) const BUDGET: BudgetId = BudgetId(7);
pub(super) const RATE: RateId = RateId(3);
pub(super) const WINDOW: Nanos = 10 * SECOND;
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
    pub(super) rule: RateRule,
    /// The highest limit the rate ever had: a sidecar that is cut off keeps its part of an earlier one.
    rate_ceiling: u64,
    /// What was used of the rate, and when it was admitted.
    used: Vec<(Nanos, u64)>,
    /// Which operator leads by the cluster's lease, and until when.
    lease: (u32, Nanos),
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
    journal: BTreeMap<Key, Entry>,
    pub(super) flying: Vec<Flight>,
    wishes: Vec<u64>,
    /// Its clock is ahead of the others'.
    ahead: Nanos,
    /// What providers have billed to it.
    billed: BTreeMap<Account, u64>,
}

/// What a request is for. `torn`: the process dies before it has written down what the request has set aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) account: Account,
    pub(super) money: u64,
    pub(super) tokens: u64,
    pub(super) torn: bool,
}

/// A request under way.
pub(super) struct Flight {
    wanted: Wanted,
    hold: Hold,
    /// Its place in the log of what was used.
    used: usize,
}

/// What an entry of a journal replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Epoch,
    Balance(Account),
    Floor(RateId),
}

impl World {
    pub(super) fn new(limit: u64, rule: RateRule, sidecars: u32) -> Self {
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
            rule,
            rate_ceiling: rule.limit,
            used: Vec::new(),
            lease: (0, 0),
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
        self.start((self.pods, 1), 1);
    }

    /// Operators hear of it by the API server.
    fn start(&mut self, name: Name, life: u32) {
        self.sidecars.push(Sidecar::new(name, life));
        let named = !self.rule.on_demand;
        for operator in self.operators.iter_mut().flatten().filter(|_| named) {
            operator.machine.join(RATE, &name, 1 + name.0 % 2);
        }
    }

    fn token(&self) -> Token {
        token(self.version)
    }

    // What has to hold.

    pub(super) fn check(&self) {
        for (account, bill) in &self.bills {
            let rights = |sidecar: &Sidecar| {
                let mut holder = sidecar.holder.clone();
                let report = holder.report(sidecar.clock(self.now));
                let usage = report.accounts.iter().find(|usage| usage.account == *account);
                let held = usage.map_or(0, |usage| (usage.granted - usage.returned).max(usage.spent + usage.open));
                held.max(sidecar.billed.get(account).copied().unwrap_or(0))
            };
            let rights: u64 = self.sidecars.iter().map(rights).sum();
            let (sum, bound) = (rights + bill.dead, bill.ceiling + bill.excess);
            assert!(sum <= bound, "rights of {sum} to {bound} of {account:?}: {bill:?}");
        }
        let part = |sidecar: &Sidecar| {
            let flows = sidecar.holder.clone().report(sidecar.clock(self.now)).flows;
            flows.iter().map(|flow| flow.floor + flow.surplus).sum::<u64>()
        };
        let parts: u64 = self.sidecars.iter().map(part).sum();
        assert!(parts <= self.rate_ceiling * 1_000, "parts of {parts} of {}", self.rate_ceiling);
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
        self.now = self.now.max(self.lease.1);
        for _ in 0..4 {
            self.round();
        }
        let operator = self.operators[0].as_mut().expect("it has just taken over");
        self.dead.iter().for_each(|name| operator.retire(*name));
        assert_eq!(operator.machine.unheard().count(), 0, "everybody was heard");
    }

    pub(super) fn round(&mut self) {
        self.now += SECOND / 2;
        self.renew(0);
        for nth in 0..self.sidecars.len() {
            self.report(nth);
        }
        (0..self.reports.len()).for_each(|_| self.deliver_report(0, 0, false));
        for _ in 0..3 {
            self.turn(0);
            (0..self.writes.len()).for_each(|_| self.store(0, true));
            self.now += SECOND / 10;
        }
        (0..self.rights.len()).for_each(|_| self.deliver_rights(0, false));
    }
}

pub(super) fn token(version: u64) -> Token {
    Arc::from(version.to_string())
}
