//! Which rates there are: opened for whoever shares in them, named as sidecars name them.

use std::collections::{BTreeMap, BTreeSet};

use spillway_policy::quota::{Allocator, Nanos, RateId, RateRule};
use spillway_wire::{Allowance, OTHERS, RateName, SidecarIdentity};

use super::Unopened;
use super::names::{self, Source};
use super::plan::{Plan, RateKey, Terms, Whose};
use super::said::{ALL_MILLI, Said};
use crate::pods::PodEntry;

/// Values with a rate of their own, of each limit. Those beyond share one.
const MOST_VALUES: usize = 10_000;
/// What one takes of the stored ledger, at most.
const STORED_BYTES: usize = 32;

/// Every rate that somebody shares in.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    known: BTreeMap<RateId, Known>,
    /// How many values have a rate of their own.
    values: BTreeMap<RateKey, usize>,
    /// Bytes of the stored ledger that values may take.
    room: usize,
}

#[derive(Clone, Debug)]
struct Known {
    name: RateName,
    terms: Terms,
    /// The rule by these terms that was set last.
    rule: RateRule,
    /// Who shares in it, where that is not by value.
    members: BTreeSet<Source>,
    /// Of a provider's account: what it says is left.
    said: Option<Said>,
    /// How much of the limit is handed out because of that, in thousandths.
    milli: u64,
}

// === impl Rates ===

impl Rates {
    /// Lets go of rates that are gone from the config, and applies what has changed.
    pub(super) fn follow(&mut self, plan: &Plan, allocator: &mut Allocator<Source>) {
        self.known.retain(|rate, known| {
            let terms = plan.rate(&(known.name.of.clone(), known.name.counts));
            // Over another time, or for somebody else, it is another rate.
            let same = |terms: &&Terms| terms.window == known.terms.window && terms.whose == known.terms.whose;
            let terms = terms.filter(same);
            match terms {
                Some(terms) => {
                    known.terms = *terms;
                    known.apply(*rate, allocator);
                }
                None => allocator.drop_rate(*rate),
            }
            terms.is_some()
        });
        self.count_values();
    }

    /// Values may take so many bytes more of the stored ledger.
    pub(super) const fn make_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// This source shares in the rates of its pod. It has to be in the stored ledger already: a successor has to know of it.
    pub(super) fn join(&mut self, plan: &Plan, allocator: &mut Allocator<Source>, source: Source, pod: &PodEntry) {
        for ((of, counts), terms) in plan.rates_of(&pod.namespace, &pod.labels) {
            let Some(whose) = terms.whose.subject(&pod.workload, None) else { continue };
            let rate = names::rate(of, *counts, terms.window, &whose);
            let name = RateName { of: of.clone(), counts: *counts, value: None };
            let known = self.known.entry(rate).or_insert_with(|| Known::open(name, terms, rate, allocator));
            if known.members.insert(source) {
                known.apply(rate, allocator);
                allocator.join(rate, &source, 1);
            }
        }
    }

    /// This source will not be heard of again.
    pub(super) fn gone(&mut self, source: Source) {
        for known in self.known.values_mut() {
            known.members.remove(&source);
        }
    }

    /// The allocator has no such rate any more.
    pub(super) fn forget(&mut self, rates: &[RateId]) {
        rates.iter().for_each(|rate| _ = self.known.remove(rate));
        if !rates.is_empty() {
            self.count_values();
        }
    }

    /// A provider has told this source what is left of its account.
    pub(super) fn hear(&mut self, now: Nanos, rate: RateId, source: Source, said: &Allowance) {
        let Some(known) = self.known.get_mut(&rate).filter(|known| known.members.contains(&source)) else { return };
        let said = Said::new(now, said);
        if known.said.is_none_or(|before| said.replaces(&before, now)) {
            known.said = Some(said);
        }
    }

    /// Hands out no more of accounts than their providers say there is, and follows how many share in a value.
    pub(super) fn correct(&mut self, now: Nanos, allocator: &mut Allocator<Source>) {
        for (rate, known) in &mut self.known {
            known.said = known.said.filter(|said| !said.is_over(now));
            known.milli = known.said.map_or(ALL_MILLI, |said| said.milli(known.terms.limit, known.terms.window));
            known.apply(*rate, allocator);
        }
    }

    /// The rate that a sidecar speaks of, opened if it is a value's and new.
    pub(super) fn find(
        &mut self,
        (plan, allocator): (&Plan, &mut Allocator<Source>),
        from: &SidecarIdentity,
        name: &RateName,
    ) -> Result<RateId, Unopened> {
        let key = (name.of.clone(), name.counts);
        let terms = plan.rate(&key).ok_or(Unopened::Unknown)?;
        let whose = terms.whose.subject(&from.workload, name.value.as_deref()).ok_or(Unopened::Unknown)?;
        let rate = names::rate(&name.of, name.counts, terms.window, &whose);
        if self.known.contains_key(&rate) {
            return Ok(rate);
        }
        if terms.whose != Whose::Value {
            return Err(Unopened::Unknown);
        }
        // Whoever has a part of it from an earlier leader has to be counted in any case.
        if name.value.as_deref() != Some(OTHERS) && !allocator.was_used(rate) {
            let values = self.values.entry(key).or_default();
            if *values >= MOST_VALUES || self.room < STORED_BYTES {
                return Err(Unopened::Crowded);
            }
            (*values, self.room) = (*values + 1, self.room - STORED_BYTES);
        }
        let known = Known::open(name.clone(), terms, rate, allocator);
        self.known.insert(rate, known);
        Ok(rate)
    }

    pub(super) fn name(&self, rate: RateId) -> Option<&RateName> {
        self.known.get(&rate).map(|known| &known.name)
    }

    fn count_values(&mut self) {
        self.values.clear();
        let values =
            self.known.values().filter(|known| known.name.value.as_deref().is_some_and(|value| value != OTHERS));
        for RateName { of, counts, value: _ } in values.map(|known| &known.name) {
            *self.values.entry((of.clone(), *counts)).or_default() += 1;
        }
    }
}

// === impl Known ===

impl Known {
    fn open(name: RateName, terms: &Terms, rate: RateId, allocator: &mut Allocator<Source>) -> Self {
        let rule = terms.rule(1);
        allocator.set_rate(rate, rule);
        Self { name, terms: *terms, rule, members: BTreeSet::new(), said: None, milli: ALL_MILLI }
    }

    fn apply(&mut self, rate: RateId, allocator: &mut Allocator<Source>) {
        let members = match self.terms.whose {
            Whose::Everybody | Whose::Workload => self.members.len(),
            Whose::Value => allocator.members(rate),
        };
        let rule = self.terms.part(self.milli).rule(members as u64);
        if rule != self.rule {
            self.rule = rule;
            allocator.set_rate(rate, rule);
        }
    }
}
