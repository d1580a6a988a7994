//! A sidecar's end, with the holder that real ones have.

use std::collections::BTreeMap;

use spillway_policy::quota as policy;
use spillway_policy::quota::{
    Account, Ask, BudgetId, Entry, Epoch, Hold, Holder, Outcome, Period, RateId, Refusal, Spend, Take,
};
use spillway_wire as wire;
use spillway_wire::{AccountName, QuotaDelivery, RateName, SidecarIdentity};

pub(in crate::quota) struct Sidecar {
    pub(in crate::quota) from: SidecarIdentity,
    journal: String,
    pub(in crate::quota) holder: Holder,
    /// Its own numbers.
    accounts: BTreeMap<AccountName, Account>,
    rates: Vec<RateName>,
    /// What it has asked leave for.
    permits: Vec<u64>,
    entries: Vec<Entry>,
    /// What a provider has told it, for the next report.
    pub(in crate::quota) said: Vec<wire::Allowance>,
    /// What it has seen of backends.
    pub(in crate::quota) breakers: Vec<wire::BreakerEvidence>,
    /// What it was told of them.
    pub(in crate::quota) verdicts: Vec<wire::BreakerVerdict>,
}

impl Sidecar {
    pub(in crate::quota) fn new(uid: &str, journal: &str) -> Self {
        let [namespace, workload] = ["shop", "Deployment/web"].map(str::to_owned);
        let (revision, tenant, job) = (None, None, None);
        let from =
            SidecarIdentity { namespace, pod: format!("pod-{uid}"), uid: uid.into(), workload, revision, tenant, job };
        let holder = Holder::new(1);
        Self {
            from,
            journal: journal.into(),
            holder,
            accounts: BTreeMap::new(),
            rates: Vec::new(),
            permits: Vec::new(),
            entries: Vec::new(),
            said: Vec::new(),
            breakers: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    pub(in crate::quota) fn account(&mut self, name: &AccountName) -> Account {
        let next = BudgetId(self.accounts.len() as u64 + 1000);
        *self.accounts.entry(name.clone()).or_insert(Account { budget: next, period: Period(1) })
    }

    /// Goes on from a journal of the one account and the one rate.
    pub(in crate::quota) fn recover(
        &mut self,
        now: u64,
        life: u32,
        (account, rate): (&AccountName, &RateName),
        entries: Vec<Entry>,
    ) {
        self.account(account);
        self.rate(rate);
        self.holder = Holder::recover(now, life, entries);
    }

    /// What was to be written down since the last time.
    pub(in crate::quota) fn written(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    pub(in crate::quota) fn admit(&mut self, now: u64, name: &AccountName, amount: u64) -> Result<Hold, Refusal> {
        let account = self.account(name);
        let ask = Ask { spends: &[Spend { account, amount }], ..Ask::default() };
        self.holder.admit(now, &ask, &mut self.entries)
    }

    fn rate(&mut self, name: &RateName) -> RateId {
        let known = self.rates.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.rates.push(name.clone());
            self.rates.len() - 1
        });
        RateId(place as u64)
    }

    /// Whether a request may pass that takes so much of the rate.
    pub(in crate::quota) fn takes(&mut self, now: u64, name: &RateName, amount: u64) -> bool {
        let takes = [Take { rate: self.rate(name), amount, tokens: false }];
        self.holder.admit(now, &Ask { takes: &takes, ..Ask::default() }, &mut self.entries).is_ok()
    }

    /// The same for one request that asks for leave where it has to.
    pub(in crate::quota) fn passes(&mut self, now: u64, name: &RateName) -> bool {
        let rate = self.rate(name);
        let takes = [Take { rate, amount: 1, tokens: false }];
        let ask = Ask { takes: &takes, permits: &self.permits, ..Ask::default() };
        match self.holder.admit(now, &ask, &mut self.entries) {
            Ok(hold) => {
                self.holder.settle(now, hold, Outcome::Done { cost: 0, tokens: 0 }, &mut self.entries);
                true
            }
            Err(Refusal::Permit { .. }) => {
                self.permits.push(self.holder.ask_permit(now, rate, 1, 1_000_000_000));
                false
            }
            Err(_) => false,
        }
    }

    pub(in crate::quota) fn settle(&mut self, now: u64, hold: Hold, cost: u64) {
        self.holder.settle(now, hold, Outcome::Done { cost, tokens: 0 }, &mut self.entries);
    }

    pub(in crate::quota) fn report(&mut self, now: u64) -> QuotaDelivery {
        let policy::Report { stamp, epoch, serial, accounts, flows, asks, last } = self.holder.report(now);
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
        let flow = |policy::Flow { rate, floor, surplus, lasts, wants }| wire::Flow {
            rate: self.rates[rate.0 as usize].clone(),
            floor,
            surplus,
            lasts,
            wants,
        };
        let ask = |policy::PermitAsk { rate, id, amount, patience }| wire::PermitAsk {
            rate: self.rates[rate.0 as usize].clone(),
            id,
            amount,
            patience,
        };
        let report = wire::QuotaReport {
            journal: self.journal.clone(),
            stamp: wire::Stamp { life: stamp.life, sent: stamp.sent },
            epoch: epoch.0,
            serial,
            accounts: accounts.into_iter().map(line).collect(),
            flows: flows.into_iter().map(flow).collect(),
            asks: asks.into_iter().map(ask).collect(),
            said: std::mem::take(&mut self.said),
            breakers: self.breakers.clone(),
            last,
        };
        QuotaDelivery { from: self.from.clone(), report }
    }

    pub(in crate::quota) fn take(&mut self, now: u64, rights: &wire::Rights) {
        if rights.journal != self.journal {
            return;
        }
        self.verdicts.extend(rights.breakers.iter().cloned());
        let grants: Vec<policy::Grant> = rights
            .grants
            .iter()
            .map(|grant| policy::Grant {
                account: self
                    .accounts
                    .get(&grant.account)
                    .copied()
                    .unwrap_or(Account { budget: BudgetId(0), period: Period(0) }),
                total: grant.total_nanos,
                returned: grant.returned_nanos,
                spent: grant.spent_nanos,
                keep: grant.keep_nanos,
                left: grant.left_nanos,
            })
            .collect();
        let shares = rights.shares.iter().map(|share| policy::Share {
            rate: self.rate(&share.rate),
            window: share.window,
            floor: share.floor,
            surplus: share.surplus,
            least: share.least,
            lease: share.lease,
        });
        let shares = shares.collect();
        let permits = rights.permits.iter().map(|permit| {
            let wire::Permit { rate, id, amount } = permit;
            policy::Permit { rate: self.rate(rate), id: *id, amount: *amount }
        });
        let permits = permits.collect();
        let rights = policy::Rights {
            shares,
            permits,
            epoch: Epoch(rights.epoch),
            serial: rights.serial,
            answers: policy::Stamp { life: rights.answers.life, sent: rights.answers.sent },
            grants,
        };
        self.holder.take(now, &rights, &mut self.entries);
    }
}
