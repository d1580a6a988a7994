//! All rates: those that are set, and what earlier leaders have left of others.
//!
//! One that is opened on demand, for a value that somebody names, is shared in by whoever asks for it, from then until it
//! has not been of use to them for a while; when nobody is left it is forgotten, once no window can see anything of it.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    ledger::RateLedger,
    pool::{Pool, RateRule, RateStatement},
};
use crate::quota::{Flow, Nanos, PermitAsk, RateId, Report, Rights};

#[derive(Clone, Debug)]
pub(super) struct Rates<S> {
    pools: BTreeMap<RateId, Pool<S>>,
    /// What was left of rates that are not set now.
    shelf: BTreeMap<RateId, Shelved>,
    /// The rates that each source shares in.
    of: BTreeMap<S, BTreeSet<RateId>>,
}

#[derive(Clone, Copy, Debug)]
struct Shelved {
    left: RateLedger,
    /// Since when nobody but this leader can have used it, and it has not.
    since: Option<Nanos>,
}

// === impl Rates ===

impl<S: Ord + Clone> Rates<S> {
    pub(super) fn take_over(stored: &BTreeMap<RateId, RateLedger>) -> Self {
        let shelved = |(rate, left): (&RateId, &RateLedger)| (*rate, Shelved { left: *left, since: None });
        Self { pools: BTreeMap::new(), shelf: stored.iter().map(shelved).collect(), of: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, rate: RateId, rule: RateRule) {
        match self.pools.entry(rate) {
            Entry::Occupied(mut known) => known.get_mut().set(rule),
            Entry::Vacant(new) => {
                let stored = self.shelf.remove(&rate).map(|shelved| shelved.left);
                new.insert(Pool::new(rate, rule, stored));
            }
        }
    }

    pub(super) fn drop(&mut self, rate: RateId) {
        if let Some(pool) = self.pools.remove(&rate) {
            self.shelf.insert(rate, Shelved { left: pool.store(), since: None });
            self.of.values_mut().for_each(|rates| _ = rates.remove(&rate));
        }
    }

    pub(super) fn join(&mut self, rate: RateId, source: &S, weight: u32) {
        if let Some(pool) = self.pools.get_mut(&rate) {
            pool.join(source, weight);
            self.of.entry(source.clone()).or_default().insert(rate);
        }
    }

    /// Takes the newest report of a source that obeys this leader. `registered`: a successor would know of it.
    pub(super) fn report(&mut self, now: Nanos, source: &S, registered: bool, report: &Report) {
        let mut said: BTreeMap<RateId, (Option<&Flow>, Vec<&PermitAsk>)> = BTreeMap::new();
        for flow in &report.flows {
            said.entry(flow.rate).or_default().0.get_or_insert(flow);
        }
        for ask in &report.asks {
            said.entry(ask.rate).or_default().1.push(ask);
        }
        for (rate, (flow, asks)) in said.iter().filter(|_| registered) {
            let needs = !asks.is_empty() || flow.is_some_and(|flow| flow.surplus > 0 || flow.wants > 0);
            if needs && self.pools.get(rate).is_some_and(Pool::is_on_demand) {
                self.join(*rate, source, 1);
            }
        }
        for rate in self.of.get(source).into_iter().flatten() {
            let Some(pool) = self.pools.get_mut(rate) else { continue };
            let (flow, asks) = said.get(rate).map_or((None, &[][..]), |(flow, asks)| (*flow, asks));
            pool.report(now, source, report.serial, flow, asks);
        }
    }

    pub(super) fn gone(&mut self, source: &S) {
        for rate in self.of.remove(source).unwrap_or_default() {
            if let Some(pool) = self.pools.get_mut(&rate) {
                pool.gone(source);
            }
        }
    }

    /// Decides anew who may have what. `heard`: all who may have anything of an earlier leader's have reported since then.
    /// True: something waits for a write.
    pub(super) fn turn(&mut self, now: Nanos, heard: Nanos) -> bool {
        let mut waits = false;
        for pool in self.pools.values_mut() {
            pool.turn(now, heard);
            waits |= pool.wants_write();
        }
        waits
    }

    /// Lets go of those who have no use any more for what is opened on demand, and of what nobody has any use for. Gives the
    /// rates that are not set any more.
    pub(super) fn forget(&mut self, now: Nanos) -> Vec<RateId> {
        let mut over = Vec::new();
        for (rate, pool) in &mut self.pools {
            for source in pool.prune(now) {
                if let Some(rates) = self.of.get_mut(&source) {
                    rates.remove(rate);
                }
            }
            over.extend(pool.is_over(now).then_some(*rate));
        }
        over.iter().for_each(|rate| _ = self.pools.remove(rate));
        self.shelf.retain(|_, Shelved { left, since }| {
            let since = *since.get_or_insert(now);
            left.lasts == 0 || now < since.saturating_add(left.lasts)
        });
        over
    }

    pub(super) fn changed(&self, source: &S) -> bool {
        let mut rates = self.of.get(source).into_iter().flatten();
        rates.any(|rate| self.pools.get(rate).is_some_and(|pool| pool.changed(source)))
    }

    pub(super) fn send(&mut self, now: Nanos, source: &S, rights: &mut Rights) {
        for rate in self.of.get(source).into_iter().flatten() {
            let Some(pool) = self.pools.get_mut(rate) else { continue };
            rights.shares.extend(pool.send(now, source, rights.serial));
            rights.permits.extend(pool.take_permits(source));
        }
    }

    pub(super) fn store(&self) -> BTreeMap<RateId, RateLedger> {
        let shelved = self.shelf.iter().map(|(rate, shelved)| (*rate, shelved.left));
        self.pools.iter().map(|(rate, pool)| (*rate, pool.store())).chain(shelved).collect()
    }

    pub(super) fn written(&mut self, stored: &BTreeMap<RateId, RateLedger>) {
        for (rate, stored) in stored {
            if let Some(pool) = self.pools.get_mut(rate) {
                pool.written(*stored);
            }
        }
    }

    pub(super) fn statement(&self, now: Nanos, rate: RateId) -> Option<RateStatement> {
        self.pools.get(&rate).map(|pool| pool.standing(now))
    }

    pub(super) fn is_set(&self, rate: RateId) -> bool {
        self.pools.contains_key(&rate)
    }

    /// An earlier leader may have handed out some of it.
    pub(super) fn was_used(&self, rate: RateId) -> bool {
        self.shelf.contains_key(&rate)
    }

    pub(super) fn members(&self, rate: RateId) -> usize {
        self.pools.get(&rate).map_or(0, Pool::members)
    }
}
