//! A sidecar's end, with the holder that real ones have.

use std::collections::BTreeMap;

use spillway_policy::quota as policy;
use spillway_policy::quota::{Account, Ask, BudgetId, Entry, Epoch, Hold, Holder, Outcome, Period, Refusal, Spend};
use spillway_wire as wire;
use spillway_wire::{AccountName, QuotaDelivery, SidecarIdentity};

pub(in crate::quota) struct Sidecar {
    pub(in crate::quota) from: SidecarIdentity,
    journal: String,
    pub(in crate::quota) holder: Holder,
    /// Its own numbers.
    accounts: BTreeMap<AccountName, Account>,
    entries: Vec<Entry>,
}

impl Sidecar {
    pub(in crate::quota) fn new(uid: &str, journal: &str) -> Self {
        let [namespace, workload] = ["shop", "Deployment/web"].map(str::to_owned);
        let from = SidecarIdentity { namespace, pod: format!("pod-{uid}"), uid: uid.into(), workload };
        let holder = Holder::new(1);
        Self { from, journal: journal.into(), holder, accounts: BTreeMap::new(), entries: Vec::new() }
    }

    pub(in crate::quota) fn account(&mut self, name: &AccountName) -> Account {
        let next = BudgetId(self.accounts.len() as u64 + 1000);
        *self.accounts.entry(name.clone()).or_insert(Account { budget: next, period: Period(1) })
    }

    pub(in crate::quota) fn admit(&mut self, now: u64, name: &AccountName, amount: u64) -> Result<Hold, Refusal> {
        let account = self.account(name);
        let ask = Ask { spends: &[Spend { account, amount }], ..Ask::default() };
        self.holder.admit(now, &ask, &mut self.entries)
    }

    pub(in crate::quota) fn settle(&mut self, now: u64, hold: Hold, cost: u64) {
        self.holder.settle(now, hold, Outcome::Done { cost, tokens: 0 }, &mut self.entries);
    }

    pub(in crate::quota) fn report(&mut self, now: u64) -> QuotaDelivery {
        let policy::Report { stamp, epoch, serial, accounts, flows: _, asks: _, last } = self.holder.report(now);
        let name = |account| self.accounts.iter().find(|(_, known)| **known == account).unwrap().0.clone();
        let line = |usage: policy::Usage| wire::AccountUse {
            account: name(usage.account),
            granted_nanos: usage.granted,
            returned_nanos: usage.returned,
            spent_nanos: usage.spent,
            open_nanos: usage.open,
            wants_nanos: usage.wants,
            largest_nanos: usage.largest,
        };
        let report = wire::QuotaReport {
            journal: self.journal.clone(),
            stamp: wire::Stamp { life: stamp.life, sent: stamp.sent },
            epoch: epoch.0,
            serial,
            accounts: accounts.into_iter().map(line).collect(),
            last,
            ..wire::QuotaReport::default()
        };
        QuotaDelivery { from: self.from.clone(), report }
    }

    pub(in crate::quota) fn take(&mut self, now: u64, rights: &wire::Rights) {
        if rights.journal != self.journal {
            return;
        }
        let grants = rights.grants.iter().map(|grant| policy::Grant {
            account: self
                .accounts
                .get(&grant.account)
                .copied()
                .unwrap_or(Account { budget: BudgetId(0), period: Period(0) }),
            total: grant.total_nanos,
            keep: grant.keep_nanos,
            left: grant.left_nanos,
        });
        let rights = policy::Rights {
            epoch: Epoch(rights.epoch),
            serial: rights.serial,
            answers: policy::Stamp { life: rights.answers.life, sent: rights.answers.sent },
            grants: grants.collect(),
            ..policy::Rights::default()
        };
        self.holder.take(now, &rights, &mut self.entries);
    }
}
