//! Which rates there are: opened for whoever shares in them, named as sidecars name them.

use std::collections::{BTreeMap, BTreeSet};

use spillway_policy::quota::{Allocator, Nanos, RateId, RateRule};
use spillway_wire::{Allowance, RateName, SidecarIdentity};

use super::names::{self, Source};
use super::plan::{Plan, Terms};
use super::said::{ALL_MILLI, Said};
use crate::pods::PodEntry;

/// Every rate that somebody shares in.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    known: BTreeMap<RateId, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    name: RateName,
    terms: Terms,
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
            // Over another time it is another rate.
            let terms = terms.filter(|terms| terms.window == known.terms.window);
            match terms {
                Some(terms) if *terms == known.terms => {}
                Some(terms) => {
                    known.terms = *terms;
                    allocator.set_rate(*rate, known.rule());
                }
                None => allocator.drop_rate(*rate),
            }
            terms.is_some()
        });
    }

    /// This source shares in the rates of its pod. It has to be in the stored ledger already: a successor has to know of it.
    pub(super) fn join(&mut self, plan: &Plan, allocator: &mut Allocator<Source>, source: Source, pod: &PodEntry) {
        for ((of, counts), terms) in plan.rates_of(&pod.namespace, &pod.labels) {
            let rate = names::rate(of, *counts, terms.window, subject(terms, &pod.workload));
            let known = self.known.entry(rate).or_insert_with(|| Known {
                name: RateName { of: of.clone(), counts: *counts, value: None },
                terms: *terms,
                members: BTreeSet::new(),
                said: None,
                milli: ALL_MILLI,
            });
            if known.members.contains(&source) {
                continue;
            }
            let before = known.rule();
            known.members.insert(source);
            let rule = known.rule();
            if known.members.len() == 1 || rule != before {
                allocator.set_rate(rate, rule);
            }
            allocator.join(rate, &source, 1);
        }
    }

    /// This source will not be heard of again.
    pub(super) fn gone(&mut self, source: Source) {
        for known in self.known.values_mut() {
            known.members.remove(&source);
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

    /// Hands out no more of accounts than their providers say there is.
    pub(super) fn correct(&mut self, now: Nanos, allocator: &mut Allocator<Source>) {
        for (rate, known) in &mut self.known {
            known.said = known.said.filter(|said| !said.is_over(now));
            let milli = known.said.map_or(ALL_MILLI, |said| said.milli(known.terms.limit, known.terms.window));
            if milli != known.milli {
                known.milli = milli;
                allocator.set_rate(*rate, known.rule());
            }
        }
    }

    /// The rate that a sidecar speaks of. None: there is none, or it counts values apart.
    pub(super) fn find(&self, plan: &Plan, from: &SidecarIdentity, name: &RateName) -> Option<RateId> {
        let RateName { of, counts, value } = name;
        let terms = plan.rate(&(of.clone(), *counts)).filter(|_| value.is_none())?;
        let rate = names::rate(of, *counts, terms.window, subject(terms, &from.workload));
        self.known.contains_key(&rate).then_some(rate)
    }

    pub(super) fn name(&self, rate: RateId) -> Option<&RateName> {
        self.known.get(&rate).map(|known| &known.name)
    }
}

// === impl Known ===

impl Known {
    fn rule(&self) -> RateRule {
        self.terms.part(self.milli).rule(self.members.len() as u64)
    }
}

fn subject<'a>(terms: &Terms, workload: &'a str) -> Option<&'a str> {
    terms.per_workload.then_some(workload)
}
