//! What this sidecar may spend: the machine of `spillway_policy::quota` behind a lock, with names for its numbers, and the
//! journal that it is written down in before anybody goes upstream.
//!
//! The lock is held for about a microsecond, the write to the journal included, and never across an await. Whoever is
//! refused for want of rights may wait for [`Rights::changes`]: new ones have come, or a request has given some back.

mod ended;
mod names;
mod reserved;
mod said;
mod speech;
mod store;
mod view;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use spillway_policy::quota::{Account, Ask, BudgetId, Holder, Nanos, RateId, Refusal, Report};
use spillway_wire as wire;
use tokio::sync::{Notify, watch};

use ended::Ended;
use names::Names;
pub(crate) use names::{period_of, value_of};
pub(crate) use reserved::Reserved;
pub(crate) use said::Allowance;
use said::Said;
use store::Store;
pub(crate) use view::AccountView;

use crate::{clock, journal::BudgetName};

/// The operator says something every 10 s.
const SILENCE: Duration = Duration::from_secs(25);
/// Between two looks for names that are of no use any more.
const SWEEP: Nanos = 60_000_000_000;

/// What this sidecar may spend. One for the process.
#[derive(Debug)]
pub struct Rights {
    /// Its clock begins here.
    epoch: Instant,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    due: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    holder: Holder,
    names: Names,
    store: Store,
    giver: Giver,
    said: Said,
    heard: Option<Instant>,
    /// Whether the config has something to spend, and the periods it is spent in, by budget.
    is_wanted: bool,
    periods: HashMap<String, wire::Period>,
    ended: Ended,
    /// When names were looked through for those that are of no use any more.
    swept: Nanos,
}

/// Who gives rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Giver {
    Operator,
    /// Config comes from a file: nobody.
    Nobody,
}

/// Why rights that are not here may not come either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// There is no operator.
    Never,
    /// It has not been heard for so long.
    Silent(Duration),
}

/// Why nothing was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    By(Refusal),
    /// It cannot be written down.
    Journal,
}

// === impl Rights ===

impl Rights {
    /// Without a journal: `boot` names the source.
    pub(super) fn new(boot: &str) -> Arc<Self> {
        let inner = Inner {
            holder: Holder::new(1),
            names: Names::default(),
            store: Store::without(boot),
            giver: Giver::Operator,
            said: Said::default(),
            heard: None,
            is_wanted: false,
            periods: HashMap::new(),
            ended: Ended::default(),
            swept: 0,
        };
        let (changed, due) = (watch::Sender::default(), Arc::default());
        Arc::new(Self { epoch: clock::now(), inner: Mutex::new(inner), changed, due })
    }

    /// There is no operator: nothing will ever be granted.
    pub fn without_operator(&self) {
        self.lock().giver = Giver::Nobody;
    }

    /// Says something that rights are needed for, or that none are.
    pub(super) fn configure(&self, snapshot: &wire::Snapshot) {
        let limits = || snapshot.routes.values().flat_map(|route| &route.limits);
        let is_fleet = |limit: &wire::Limit| limit.scope == wire::LimitScope::Fleet;
        let has_quota = |provider: &wire::Provider| provider.quota.is_some();
        let is_shared = |route: &wire::Route| route.breaker.as_ref().is_some_and(wire::Breaker::is_fleet);
        let is_wanted = !snapshot.budgets.is_empty()
            || limits().any(is_fleet)
            || snapshot.providers.values().any(has_quota)
            || snapshot.routes.values().any(is_shared);
        let periods = snapshot.budgets.iter().map(|(name, budget)| (name.clone(), budget.period.clone()));
        let mut inner = self.lock();
        (inner.is_wanted, inner.periods) = (is_wanted, periods.collect());
        drop(inner);
        self.due.notify_one();
    }

    /// What a budget, or one value of its header, is known by here.
    pub(crate) fn budget(&self, budget: &str, value: Option<String>) -> BudgetId {
        self.lock().names.budget(BudgetName { budget: budget.to_owned(), value })
    }

    /// The same for a rate.
    pub(crate) fn rate(&self, name: wire::RateName) -> RateId {
        self.lock().names.rate(name)
    }

    /// Asks for leave to take so much once, within this time: [`Self::changes`] says when there is an answer.
    pub(crate) fn ask(&self, rate: RateId, amount: u64, patience: Duration) -> u64 {
        let patience = Nanos::try_from(patience.as_nanos()).unwrap_or(Nanos::MAX);
        let asked = self.lock().holder.ask_permit(self.now(), rate, amount, patience);
        self.due.notify_one();
        asked
    }

    /// How much of a rate is here at this moment, and how long until there can be no more.
    pub(crate) fn room(&self, rate: RateId) -> (u64, Nanos) {
        let now = self.now();
        self.lock().holder.room(now, rate)
    }

    /// Sets everything aside that an attempt may use, or nothing. `most` is what it can cost and use at most.
    pub(crate) fn admit(self: &Arc<Self>, ask: &Ask<'_>, most: (u64, u64)) -> Result<Reserved, Denied> {
        let now = self.now();
        let mut inner = self.lock();
        let Inner { holder, names, store, ended, .. } = &mut *inner;
        ask.spends.iter().for_each(|spend| ended.begins(spend.account));
        let admitted = holder.admit(now, ask, store.entries());
        let written = store.write(holder, names);
        let is_urgent = holder.is_urgent();
        drop(inner);
        if is_urgent {
            self.due.notify_one();
        }
        let reserved = admitted.map(|hold| Reserved::new(Arc::clone(self), hold, most)).map_err(Denied::By)?;
        // What cannot be written down is given back at once.
        if written { Ok(reserved) } else { Err(Denied::Journal) }
    }

    /// What can still be set aside of an account here, and what nobody has spent fleet-wide, if that was heard.
    pub(crate) fn money(&self, account: Account) -> (u64, Option<u64>) {
        self.lock().holder.money(account)
    }

    /// Whether it is of no use to wait for rights, and why.
    pub(crate) fn away(&self) -> Option<Away> {
        let Some(silent) = self.silent() else { return Some(Away::Never) };
        (silent >= SILENCE).then_some(Away::Silent(silent))
    }

    /// For how long nothing has come from the operator. None: there is none.
    pub(crate) fn silent(&self) -> Option<Duration> {
        let inner = self.lock();
        let silent = clock::now().saturating_duration_since(inner.heard.unwrap_or(self.epoch));
        (inner.giver == Giver::Operator).then_some(silent)
    }

    /// Something has come from the operator.
    pub(crate) fn heard(&self) {
        self.lock().heard = Some(clock::now());
    }

    /// Says when rights have come, or were given back.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What makes a report due before its time.
    pub(crate) const fn due(&self) -> &Arc<Notify> {
        &self.due
    }

    /// Waits until a report is due before its time.
    pub(crate) async fn is_due(&self) {
        self.due.notified().await;
    }

    /// Takes what is granted. False: it is meant for another source.
    pub(crate) fn take(&self, rights: &wire::Rights) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let Inner { holder, names, store, ended, .. } = &mut *inner;
        if rights.journal != store.journal() {
            return false;
        }
        let (answers, life) = (rights.answers.sent, rights.answers.life);
        holder.take(now, &speech::rights(rights, names), store.entries());
        if life == store.life() {
            // Their totals have arrived where they are kept.
            ended.arrived(answers).into_iter().for_each(|account| holder.drop_account(account));
        }
        let crowded = names.crowd(&rights.crowded_accounts, &rights.crowded_rates);
        crowded.into_iter().for_each(|account| holder.drop_unused(account));
        store.write(holder, names);
        let is_urgent = holder.is_urgent();
        drop(inner);
        if is_urgent {
            self.due.notify_one();
        }
        self.changed.send_replace(());
        true
    }

    /// What to report. None: nothing that anybody would want to know.
    pub(crate) fn report(&self) -> Option<wire::QuotaReport> {
        let now = self.now();
        let unix = unix();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let report = inner.holder.report(now);
        if !inner.is_wanted && report.accounts.is_empty() && report.flows.is_empty() {
            return None;
        }
        for usage in &report.accounts {
            let name = inner.names.budget_name(usage.account.budget);
            let rule = name.and_then(|name| inner.periods.get(&name.budget));
            inner.ended.look(usage, rule, unix, report.stamp.sent);
        }
        inner.sweep(now, &report);
        let said = inner.said.report(now, &inner.names);
        Some(speech::report(&report, inner.store.journal(), &inner.names, said))
    }

    /// Admits nothing any more, and gives back what is not in use.
    pub(crate) fn leave(&self) {
        let mut inner = self.lock();
        let Inner { holder, names, store, .. } = &mut *inner;
        holder.leave(store.entries());
        store.write(holder, names);
        drop(inner);
        self.changed.send_replace(());
    }

    fn now(&self) -> Nanos {
        let since = clock::now().saturating_duration_since(self.epoch);
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What was set aside is given back while a panic unwinds, too: a second one there would end the process.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Forgets names that nothing is counted by any more, and that nobody has asked for of late.
    fn sweep(&mut self, now: Nanos, report: &Report) {
        if now < self.swept.saturating_add(SWEEP) {
            return;
        }
        self.swept = now;
        let budgets: HashSet<u64> = report.accounts.iter().map(|usage| usage.account.budget.0).collect();
        let rates = report.flows.iter().map(|flow| flow.rate).chain(report.asks.iter().map(|ask| ask.rate));
        let rates: HashSet<u64> = rates.map(|rate| rate.0).collect();
        self.names.sweep(&budgets, &rates);
    }
}

/// Seconds since 1970.
pub(crate) fn unix() -> i64 {
    i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
