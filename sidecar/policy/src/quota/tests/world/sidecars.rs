//! What sidecars do.

use super::*;

impl World {
    pub(in crate::quota::tests) fn admit(&mut self, nth: usize, wanted: Wanted) -> Option<Refusal> {
        let (now, used) = (self.now, self.used.len());
        let sidecar = self.sidecar(nth)?;
        let Wanted { account, money, tokens, torn } = wanted;
        let spends = [Spend { account, amount: money }];
        let takes = [Take { rate: RATE, amount: tokens, tokens: true }];
        let (spends, takes) = (&spends[..usize::from(money > 0)], &takes[..usize::from(tokens > 0)]);
        let mut entries = Vec::new();
        let ask = Ask { spends, takes, permits: &sidecar.wishes, again: false };
        match sidecar.holder.admit(sidecar.clock(now), &ask, &mut entries) {
            Ok(hold) if torn => {
                drop(hold);
                self.crash(nth, true, &[]);
            }
            Ok(hold) => {
                sidecar.write(entries);
                sidecar.flying.push(Flight { wanted, hold, used });
                self.used.push((now, tokens));
                self.watch();
            }
            Err(refusal) => return Some(refusal),
        }
        None
    }

    /// Takes one after the other until there is no more.
    pub(in crate::quota::tests) fn drain(&mut self, nth: usize, tokens: u64) {
        let wanted = Wanted { account: self.account(0), money: 0, tokens, torn: false };
        while self.admit(nth, wanted).is_none() {
            let now = self.now;
            let Some(sidecar) = self.sidecar(nth) else { return };
            let Some(Flight { hold, .. }) = sidecar.flying.pop() else { return };
            sidecar.holder.settle(sidecar.clock(now), hold, Outcome::Done { cost: 0, tokens }, &mut Vec::new());
        }
    }

    pub(in crate::quota::tests) fn wish(&mut self, nth: usize, tokens: u64) {
        let now = self.now;
        let Some(sidecar) = self.sidecar(nth) else { return };
        let id = sidecar.holder.ask_permit(sidecar.clock(now), RATE, tokens, SECOND);
        sidecar.wishes.push(id);
    }

    /// All windows that end now; those that end between two admissions hold less.
    fn watch(&self) {
        let inside = |(at, _): &&(Nanos, u64)| at + WINDOW > self.now;
        let sum: u64 = self.used.iter().filter(inside).map(|(_, amount)| amount).sum();
        let ceiling = self.rate_ceiling;
        assert!(sum <= ceiling, "{sum} of {ceiling} in the window to {}: {:?}", self.now, self.used);
    }

    /// A request ends. `cost`: what of its reservation it has cost; the same part of its tokens was used.
    pub(in crate::quota::tests) fn settle(&mut self, nth: usize, which: usize, cost: impl Fn(u64) -> u64) {
        let now = self.now;
        let Some(sidecar) = self.sidecar(nth) else { return };
        if sidecar.flying.is_empty() {
            return;
        }
        let Flight { wanted, hold, used } = sidecar.flying.swap_remove(which % sidecar.flying.len());
        let Wanted { account, money, tokens, .. } = wanted;
        let (cost, tokens) = (if money > 0 { cost(money) } else { 0 }, cost(tokens).min(tokens));
        let mut entries = Vec::new();
        *sidecar.billed.entry(account).or_default() += cost;
        sidecar.holder.settle(sidecar.clock(now), hold, Outcome::Done { cost, tokens }, &mut entries);
        sidecar.write(entries);
        self.used[used].1 = tokens;
        self.bills.entry(account).or_default().excess += cost.saturating_sub(money);
    }

    /// The process dies with requests in flight, of which providers bill a part that nobody sees.
    pub(in crate::quota::tests) fn crash(&mut self, nth: usize, with_journal: bool, billed: &[u64]) {
        let now = self.now;
        let index = nth % self.sidecars.len().max(1);
        let Some(sidecar) = self.sidecars.get_mut(index) else { return };
        for (at, flight) in std::mem::take(&mut sidecar.flying).into_iter().enumerate() {
            let Wanted { account, money: amount, .. } = flight.wanted;
            *sidecar.billed.entry(account).or_default() += amount.min(*billed.get(at).unwrap_or(&amount));
        }
        sidecar.life += 1;
        sidecar.wishes.clear();
        if with_journal {
            let entries = sidecar.journal.values().copied();
            sidecar.holder = Holder::recover(sidecar.clock(now), sidecar.life, entries);
            return;
        }
        let ((pod, incarnation), life) = (sidecar.name, sidecar.life);
        self.bury(index);
        self.start((pod, incarnation + 1), life);
    }

    /// A pod goes away in good order, if nothing is in flight; its last report is under way, once.
    pub(in crate::quota::tests) fn leave(&mut self, nth: usize) {
        if let Some(index) = self.last_word(nth) {
            self.bury(index);
        }
    }

    /// The same, but only its container goes away: another process goes on from the journal.
    pub(in crate::quota::tests) fn bounce(&mut self, nth: usize) {
        if self.last_word(nth).is_some() {
            self.crash(nth, true, &[]);
        }
    }

    /// A process gives back what it holds and says so. Gives which one it is. None: something of it is in flight.
    fn last_word(&mut self, nth: usize) -> Option<usize> {
        let index = nth % self.sidecars.len().max(1);
        let now = self.now;
        let sidecar = self.sidecars.get_mut(index).filter(|sidecar| sidecar.flying.is_empty())?;
        let mut entries = Vec::new();
        sidecar.holder.leave(&mut entries);
        sidecar.write(entries);
        let report = sidecar.holder.report(sidecar.clock(now));
        assert!(report.last, "nothing is in flight");
        self.reports.push((sidecar.name, report));
        Some(index)
    }

    /// Forgets its account, if what it has spent is stored.
    pub(in crate::quota::tests) fn forget(&mut self, nth: usize) {
        let (now, account) = (self.now, self.account(0));
        let index = nth % self.sidecars.len().max(1);
        let Some(sidecar) = self.sidecars.get_mut(index) else { return };
        let right = self.stored.accounts.get(&account).and_then(|book| book.rights.get(&sidecar.name));
        let said = sidecar.holder.clone().report(sidecar.clock(now));
        let usage = said.accounts.iter().find(|usage| usage.account == account);
        let (Some(right), Some(usage)) = (right, usage) else { return };
        if usage.open == 0 && right.spent == usage.spent && right.returned >= usage.returned {
            sidecar.holder.drop_account(account);
            sidecar.journal.remove(&Key::Balance(account));
        }
    }

    fn bury(&mut self, index: usize) {
        let sidecar = self.sidecars.remove(index);
        for (account, billed) in sidecar.billed {
            self.bills.entry(account).or_default().dead += billed;
        }
        self.dead.push(sidecar.name);
    }

    pub(in crate::quota::tests) fn report(&mut self, nth: usize) {
        let now = self.now;
        let Some(sidecar) = self.sidecar(nth) else { return };
        let report = (sidecar.name, sidecar.holder.report(sidecar.clock(now)));
        if self.reports.len() < MAX_MESSAGES {
            self.reports.push(report);
        }
    }

    pub(super) fn sidecar(&mut self, nth: usize) -> Option<&mut Sidecar> {
        let index = nth % self.sidecars.len().max(1);
        self.sidecars.get_mut(index)
    }
}

impl Sidecar {
    pub(super) fn new(name: Name, life: u32) -> Self {
        let holder = Holder::new(life);
        Self {
            name,
            life,
            holder,
            journal: BTreeMap::new(),
            flying: Vec::new(),
            wishes: Vec::new(),
            ahead: u64::from(name.0) * 7 * SECOND,
            billed: BTreeMap::new(),
        }
    }

    pub(super) const fn clock(&self, now: Nanos) -> Nanos {
        now + self.ahead
    }

    pub(super) fn write(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let key = match &entry {
                Entry::Epoch(_) => Key::Epoch,
                Entry::Balance(balance) => Key::Balance(balance.account),
                Entry::Floor(share) => Key::Floor(share.rate),
            };
            self.journal.insert(key, entry);
        }
    }
}
