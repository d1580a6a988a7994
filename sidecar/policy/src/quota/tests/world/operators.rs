//! What operators do.

use super::*;

impl World {
    pub(in crate::quota::tests) fn take_over(&mut self, slot: usize) {
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
        // What is on demand is opened when somebody speaks of it.
        if !self.rule.on_demand {
            operator.machine.set_rate(RATE, self.rule);
        }
        for sidecar in self.sidecars.iter().filter(|_| !self.rule.on_demand) {
            operator.machine.join(RATE, &sidecar.name, 1 + sidecar.name.0 % 2);
        }
        self.operators[slot] = Some(operator);
    }

    /// Renews the lease, or gets it once nobody has it any more. Who was deposed starts again.
    pub(in crate::quota::tests) fn renew(&mut self, slot: usize) {
        if self.operators[slot].as_ref().is_some_and(|operator| operator.machine.is_deposed()) {
            self.take_over(slot);
        }
        let (Some(operator), now) = (&mut self.operators[slot], self.now) else { return };
        if self.lease.0 == operator.instance || now >= self.lease.1 {
            self.lease = (operator.instance, now + 5 * SECOND);
            operator.machine.lead(now, self.lease.1);
        }
    }

    pub(in crate::quota::tests) fn limit_rate(&mut self, limit: u64) {
        self.rule.limit = limit;
        self.rate_ceiling = self.rate_ceiling.max(limit);
        for operator in self.operators.iter_mut().flatten() {
            if operator.machine.has_rate(RATE) {
                operator.machine.set_rate(RATE, self.rule);
            }
        }
    }

    pub(in crate::quota::tests) fn limit(&mut self, account: Account, limit: u64) {
        let bill = self.bills.entry(account).or_default();
        (bill.limit, bill.ceiling) = (limit, bill.ceiling.max(limit));
        let before = Account { period: Period(account.period.0 - 1), ..account };
        for operator in self.operators.iter_mut().flatten() {
            operator.machine.set_budget(account, limit, Some(before));
        }
    }

    /// What it writes and sends is under way.
    pub(in crate::quota::tests) fn turn(&mut self, slot: usize) {
        let Some(operator) = &mut self.operators[slot] else { return };
        operator.machine.forget_rates(self.now);
        let output = operator.machine.turn(self.now);
        self.rights.extend(output.rights);
        self.writes.extend(output.write.map(|write| (operator.instance, write)));
        let surplus = self.rights.len().saturating_sub(MAX_MESSAGES);
        self.rights.drain(..surplus);
    }

    /// A write arrives at the store, perhaps long after it was sent; its answer may be lost.
    pub(in crate::quota::tests) fn store(&mut self, nth: usize, answered: bool) {
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

    pub(in crate::quota::tests) fn store_all(&mut self) {
        (0..self.writes.len()).for_each(|_| self.store(0, true));
    }

    pub(in crate::quota::tests) fn lose_writes(&mut self) {
        self.writes.clear();
    }

    pub(in crate::quota::tests) fn reread(&mut self, slot: usize) {
        let (token, now) = (self.token(), self.now);
        if let Some(operator) = &mut self.operators[slot] {
            operator.machine.reread(now, &self.stored, token);
        }
    }

    pub(in crate::quota::tests) fn retire(&mut self, slot: usize, nth: usize) {
        let (Some(operator), false) = (&mut self.operators[slot], self.dead.is_empty()) else { return };
        operator.retire(self.dead[nth % self.dead.len()]);
    }
}

impl Operator {
    pub(super) fn hear(&mut self, now: Nanos, name: Name, report: &Report, rule: RateRule) {
        let names_it = !report.flows.is_empty() || !report.asks.is_empty();
        if names_it && !self.machine.has_rate(RATE) {
            self.machine.set_rate(RATE, rule);
        }
        let retired = self.machine.retired(&name);
        self.machine.report(now, &name, report);
        for usage in report.accounts.iter().filter(|_| !retired) {
            let known = self.fold.entry((usage.account, name)).or_default();
            *known = usage.spent.max(*known);
        }
    }

    pub(super) fn retire(&mut self, name: Name) {
        self.machine.retire(&name);
    }

    /// The ledger is the fold of reports.
    pub(super) fn check(&self) {
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
