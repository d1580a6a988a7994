//! Fifty sidecars, one operator, a network with a delay, and faults.

use std::collections::{BTreeMap, VecDeque};

use spillway_policy::quota::{
    Account, Allocator, Ask, BudgetId, Entry, Hold, Holder, Ledger, Loss, Nanos, Outcome as End, Period, RateId,
    RateRule, Report, Rights, Spend, Take,
};

const SIDECARS: u64 = 50;
const TICK: Nanos = 50_000_000;
const SECOND: Nanos = 1_000_000_000;
const MILLISECOND: Nanos = 1_000_000;
/// How long a request waits for rights.
const PATIENCE: Nanos = 2 * SECOND;
const ACCOUNT: Account = Account { budget: BudgetId(1), period: Period(1) };
const RATE: RateId = RateId(1);
const WINDOW: Nanos = 60 * SECOND;
/// Requests a window.
const LIMIT: u64 = 3_000;
/// A request costs a third of what it sets aside, on average.
const RESERVED: u64 = 6_000_000;
const COST: u64 = 2_000_000;
/// That a second's worth of the budget pays for; 2.2 times as many are offered.
const REQUESTS_PER_SECOND: u64 = 17;

/// Seconds between two faults of a kind, on average; 0 for never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    cut_every: u64,
    cut_for: u64,
    crash_every: u64,
    operator_every: u64,
    /// How long nobody leads, at least and at most.
    operator_for: [u64; 2],
    /// How long a request takes, in milliseconds.
    request_for: [u64; 2],
    /// What is played, in seconds.
    length: u64,
}

/// In percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) overspent: f64,
    pub(crate) unspent: f64,
    pub(crate) forfeited: f64,
    pub(crate) refused_early: f64,
    pub(crate) peak: f64,
    pub(crate) used: f64,
}

pub(crate) struct Fleet {
    now: Nanos,
    random: u64,
    faults: Faults,
    sidecars: Vec<Sidecar>,
    operator: Option<Allocator<u64>>,
    operator_back: Nanos,
    terms: u64,
    stored: Ledger<u64>,
    up: VecDeque<(Nanos, u64, Report)>,
    down: VecDeque<(Nanos, u64, Rights)>,
    spent: u64,
    refused_early: u64,
    asked_early: u64,
    /// Admitted by the rate, by tick, of the last window.
    window: VecDeque<u64>,
    in_window: u64,
    peak: u64,
    admitted: u64,
}

struct Sidecar {
    name: u64,
    holder: Holder,
    life: u32,
    journal: BTreeMap<Option<Result<Account, RateId>>, Entry>,
    /// In millionths of all load.
    part: u64,
    flying: Vec<(Nanos, Hold)>,
    /// Requests that wait for rights: until when, and whether much was left when they came.
    waiting: Vec<(Nanos, bool)>,
    cut_until: Nanos,
    reported: Nanos,
}

impl Faults {
    const fn budget(&self) -> u64 {
        self.length * REQUESTS_PER_SECOND * COST
    }

    pub(crate) const NONE: Self = Self {
        cut_every: 0,
        cut_for: 0,
        crash_every: 0,
        operator_every: 0,
        operator_for: [5, 20],
        request_for: [2_000, 10_000],
        length: 3_600,
    };
    pub(crate) const MILD: Self =
        Self { cut_every: 1_200, cut_for: 20, crash_every: 3_600, operator_every: 600, ..Self::NONE };
    pub(crate) const HARSH: Self =
        Self { cut_every: 60, cut_for: 30, crash_every: 300, operator_every: 120, ..Self::NONE };
    /// As `tests/fleet.sh` does it: a budget that lasts for a minute and a half, and a leader that never leads for longer
    /// than half a minute.
    pub(crate) const KILLED: Self = Self {
        crash_every: 250,
        operator_every: 36,
        operator_for: [5, 8],
        request_for: [1, 400],
        length: 180,
        ..Self::NONE
    };
}

impl Fleet {
    pub(crate) fn new(seed: u64, faults: Faults, skewed: bool) -> Self {
        let weight = |index: u64| if skewed { 1_000_000 / (index + 1) } else { 1_000_000 };
        let sum: u64 = (0..SIDECARS).map(weight).sum();
        let sidecar = |index: u64| Sidecar {
            name: index,
            holder: Holder::new(1),
            life: 1,
            journal: BTreeMap::new(),
            part: weight(index) * 1_000_000 / sum,
            flying: Vec::new(),
            waiting: Vec::new(),
            cut_until: 0,
            reported: 0,
        };
        Self {
            now: SECOND,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            faults,
            sidecars: (0..SIDECARS).map(sidecar).collect(),
            operator: None,
            operator_back: 0,
            terms: 0,
            stored: Ledger::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            spent: 0,
            refused_early: 0,
            asked_early: 0,
            window: VecDeque::new(),
            in_window: 0,
            peak: 0,
            admitted: 0,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        while self.now < self.faults.length * SECOND {
            self.now += TICK;
            self.operate();
            self.deliver();
            let before = self.admitted;
            for index in 0..self.sidecars.len() {
                self.serve(index);
            }
            self.watch(self.admitted - before);
        }
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let forfeited = self.operator.and_then(|machine| machine.statement(ACCOUNT)).map_or(0, |one| one.forfeited);
        // The first minute fills the buckets.
        let could = LIMIT * self.faults.length * SECOND / WINDOW;
        Outcome {
            overspent: percent(self.spent.saturating_sub(self.faults.budget()), self.faults.budget()),
            unspent: percent(self.faults.budget().saturating_sub(self.spent), self.faults.budget()),
            forfeited: percent(forfeited, self.faults.budget()),
            refused_early: percent(self.refused_early, self.asked_early),
            peak: percent(self.peak, LIMIT),
            used: percent(self.admitted, could),
        }
    }

    fn operate(&mut self) {
        if self.operator.is_some() && self.happens(self.faults.operator_every) {
            self.operator = None;
            let [least, most] = self.faults.operator_for;
            self.operator_back = self.now + (least + self.roll(most - least + 1)) * SECOND;
        }
        if self.operator.is_none() && self.now >= self.operator_back {
            self.terms += 1;
            let name = format!("operator-{}", self.terms).into();
            let mut machine = Allocator::take_over(name, &self.stored, "".into());
            machine.set_budget(ACCOUNT, self.faults.budget(), None);
            machine.set_rate(
                RATE,
                RateRule { limit: LIMIT, window: WINDOW, quantum: 1, loss: Loss::Hold, on_demand: false },
            );
            self.sidecars.iter().for_each(|sidecar| machine.join(RATE, &sidecar.name, 1));
            machine.lead(self.now, Nanos::MAX);
            self.operator = Some(machine);
        }
        let Some(machine) = &mut self.operator else { return };
        let output = machine.turn(self.now);
        if let Some(write) = output.write {
            self.stored = Ledger::clone(&write.ledger);
            machine.written(self.now, "".into());
        }
        let due = self.now + TICK;
        self.down.extend(output.rights.into_iter().map(|(name, rights)| (due, name, rights)));
    }

    fn deliver(&mut self) {
        while self.up.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, name, report)) = self.up.pop_front() else { break };
            if let Some(machine) = &mut self.operator {
                machine.report(self.now, &name, &report);
            }
        }
        while self.down.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, name, rights)) = self.down.pop_front() else { break };
            let Some(sidecar) = self.sidecars.iter_mut().find(|sidecar| sidecar.name == name) else { continue };
            if self.now >= sidecar.cut_until {
                let mut entries = Vec::new();
                sidecar.holder.take(self.now, &rights, &mut entries);
                sidecar.write(entries);
            }
        }
    }

    fn serve(&mut self, index: usize) {
        self.hurt(index);
        // Twice the rate, and money for 2.2 times the budget: of the requests for one nobody asks the other.
        let parts = self.sidecars[index].part * (TICK / 1_000_000);
        for _ in 0..self.poisson(parts * 2 * LIMIT / 60) {
            let takes = [Take { rate: RATE, amount: 1, tokens: false }];
            let ask = Ask { takes: &takes, ..Ask::default() };
            if let Ok(hold) = self.sidecars[index].holder.admit(self.now, &ask, &mut Vec::new()) {
                self.admitted += 1;
                let outcome = End::Done { cost: 0, tokens: 0 };
                self.sidecars[index].holder.settle(self.now, hold, outcome, &mut Vec::new());
            }
        }
        for _ in 0..self.poisson(parts * REQUESTS_PER_SECOND * 22 / 10) {
            let early = self.spent < self.faults.budget() / 10 * 9;
            self.asked_early += u64::from(early);
            if !self.spend(index, false) {
                self.sidecars[index].waiting.push((self.now + PATIENCE, early));
            }
        }
        self.wait(index);
        self.settle(index);
        let sidecar = &mut self.sidecars[index];
        let due = self.now >= sidecar.reported + 2 * SECOND || sidecar.holder.is_urgent();
        if due && self.now >= sidecar.cut_until {
            sidecar.reported = self.now;
            self.up.push_back((self.now + TICK, sidecar.name, sidecar.holder.report(self.now)));
        }
    }

    fn wait(&mut self, index: usize) {
        for (until, early) in std::mem::take(&mut self.sidecars[index].waiting) {
            if self.now >= until {
                self.refused_early += u64::from(early);
            } else if !self.spend(index, true) {
                self.sidecars[index].waiting.push((until, early));
            }
        }
    }

    fn spend(&mut self, index: usize, again: bool) -> bool {
        let [least, most] = self.faults.request_for;
        let takes = (least + self.roll(most - least)) * MILLISECOND;
        let sidecar = &mut self.sidecars[index];
        let spends = [Spend { account: ACCOUNT, amount: RESERVED }];
        let mut entries = Vec::new();
        let answer = sidecar.holder.admit(self.now, &Ask { spends: &spends, again, ..Ask::default() }, &mut entries);
        let Ok(hold) = answer else { return false };
        sidecar.write(entries);
        sidecar.flying.push((self.now + takes, hold));
        true
    }

    fn settle(&mut self, index: usize) {
        while let Some(at) = self.sidecars[index].flying.iter().position(|(until, _)| *until <= self.now) {
            let cost = COST / 2 + self.roll(COST);
            let sidecar = &mut self.sidecars[index];
            let (_, hold) = sidecar.flying.swap_remove(at);
            let mut entries = Vec::new();
            sidecar.holder.settle(self.now, hold, End::Done { cost, tokens: 0 }, &mut entries);
            sidecar.write(entries);
            self.spent += cost;
        }
    }

    /// A crash bills what was in flight, and the process goes on from its journal.
    fn hurt(&mut self, index: usize) {
        if self.happens(self.faults.cut_every) {
            self.sidecars[index].cut_until = self.now + self.faults.cut_for * SECOND;
        }
        if self.happens(self.faults.crash_every) {
            let sidecar = &mut self.sidecars[index];
            self.spent += COST * sidecar.flying.len() as u64;
            sidecar.flying.clear();
            sidecar.waiting.clear();
            sidecar.life += 1;
            sidecar.holder = Holder::recover(self.now, sidecar.life, sidecar.journal.values().copied());
        }
    }

    fn watch(&mut self, admitted: u64) {
        self.window.push_back(admitted);
        self.in_window += admitted;
        if self.window.len() as u64 > WINDOW / TICK {
            self.in_window -= self.window.pop_front().unwrap_or(0);
        }
        self.peak = self.peak.max(self.in_window);
    }

    fn happens(&mut self, every: u64) -> bool {
        every > 0 && self.roll(every * (SECOND / TICK)) == 0
    }

    /// Of so many billionths on average.
    fn poisson(&mut self, mean: u64) -> u64 {
        // Sums of exponential times, in parts of 2^-32.
        let mean = mean as f64 / 1e9;
        let (mut product, mut count, bound) = (1.0, 0, (-mean).exp());
        loop {
            product *= self.roll(1 << 32) as f64 / (1_u64 << 32) as f64;
            if product <= bound {
                return count;
            }
            count += 1;
        }
    }

    fn roll(&mut self, of: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % of.max(1)
    }
}

impl Sidecar {
    fn write(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let key = match &entry {
                Entry::Epoch(_) => None,
                Entry::Balance(balance) => Some(Ok(balance.account)),
                Entry::Floor(share) => Some(Err(share.rate)),
            };
            self.journal.insert(key, entry);
        }
    }
}
