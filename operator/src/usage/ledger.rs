//! What was used, by whom, on which day: pure, and the same whatever order reports come in and however often.
//!
//! A sidecar's report is cumulative, so a *source* (one boot of one pod's sidecar) only ever grows, and the larger of two
//! totals is the newer one. That makes [`Ledger::merge`] commutative and idempotent: reports may be lost, repeated,
//! reordered, relayed twice, or read back from storage and reported again.
//!
//! Sources that can no longer report are *folded* into totals by day and workload, so that memory follows the number of workloads and
//! not the number of pods there ever were. Folding is not idempotent, hence the tombstone: a folded source is refused
//! until no token of its pod can be valid any more.
//!
//! Bounds: days before the previous month are dropped; `live` holds the pods of the present with two days each; `folded` holds at most
//! 62 days × (route, workload, backend).

mod persist;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use spillway_wire::{Delivery, Report, SidecarIdentity, UsageKey, UsageTotals};

use crate::pods::Incarnation;

pub use crate::packed::Corrupt;
pub use persist::{decode, encode};

/// How long a folded source is refused: twice the life of a sidecar's token.
pub const TOMBSTONE_SECONDS: i64 = 2 * 3600;

/// Who has used something.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub namespace: String,
    /// `Deployment/checkout`.
    pub workload: String,
    /// Which edition of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A line of the bill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    pub owner: Owner,
    pub key: UsageKey,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Live {
    owner: Owner,
    totals: BTreeMap<UsageKey, UsageTotals>,
}

/// Everything that was reported, see the module's header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    live: BTreeMap<Incarnation, Live>,
    folded: BTreeMap<Row, UsageTotals>,
    /// Folded sources, and when that was (seconds since 1970).
    tombstones: BTreeMap<Incarnation, i64>,
}

/// Today's and this month's totals of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    pub day: UsageTotals,
    pub month: UsageTotals,
}

// === impl Ledger ===

impl Ledger {
    /// Takes a report. True: it brought something new.
    pub fn merge(&mut self, delivery: &Delivery) -> bool {
        let Delivery { from, report: Report { boot, usage, sequence: _, ack: _, last: _, backends: _ } } = delivery;
        let SidecarIdentity { namespace, pod: _, uid, workload, revision, tenant, job: _ } = from;
        let source = Incarnation { uid: uid.clone(), boot: boot.clone() };
        if usage.is_empty() || self.tombstones.contains_key(&source) {
            return false;
        }
        let live = self.live.entry(source).or_default();
        let (namespace, workload) = (namespace.clone(), workload.clone());
        live.owner = Owner { namespace, workload, revision: revision.clone(), tenant: tenant.clone() };
        let mut grew = false;
        for line in usage {
            match live.totals.get_mut(&line.key) {
                Some(known) => grew |= raise(known, &line.totals),
                None => {
                    live.totals.insert(line.key.clone(), line.totals);
                    grew = true;
                }
            }
        }
        grew
    }

    /// Folds what can no longer grow and drops what nobody asks for any more. `now` in seconds since 1970. True: it changed something.
    pub fn tidy(&mut self, today: Date, now: i64, is_gone: impl Fn(&Incarnation) -> bool) -> bool {
        let gone: BTreeSet<Incarnation> = self.live.keys().filter(|source| is_gone(source)).cloned().collect();
        let folds = !gone.is_empty();
        for source in &gone {
            self.fold(source, now);
        }
        let horizon = horizon(today);
        let before = (self.folded.len(), self.tombstones.len());
        self.folded.retain(|row, _| *row.key.day >= *horizon);
        self.tombstones.retain(|_, folded_at| now - *folded_at < TOMBSTONE_SECONDS);
        folds | self.fold_past_days(today) | (before != (self.folded.len(), self.tombstones.len()))
    }

    /// Drops live sources without folding them: a replica that does not lead leaves their sums to the one that does.
    pub fn forget(&mut self, is_gone: impl Fn(&Incarnation) -> bool) {
        self.live.retain(|source, _| !is_gone(source));
    }

    /// Replaces everything that is not live here by what storage knows, and keeps the larger of what both have. For a replica that
    /// takes over: its own folded totals and the stored ones describe the same past, and must not be added up.
    pub fn take_over(&mut self, stored: Self) {
        let mine = std::mem::replace(self, stored);
        for (source, live) in mine.live {
            if self.tombstones.contains_key(&source) {
                continue;
            }
            let known = self.live.entry(source).or_default();
            known.owner = live.owner;
            for (key, totals) in live.totals {
                raise(known.totals.entry(key).or_default(), &totals);
            }
        }
    }

    /// The boots of every pod that may still report.
    pub fn sources(&self) -> impl Iterator<Item = &Incarnation> {
        self.live.keys()
    }

    /// Every line, live and folded. One row may come more than once.
    pub fn rows(&self) -> impl Iterator<Item = (&Owner, &UsageKey, &UsageTotals)> {
        let live = self.live.values();
        let live = live.flat_map(|live| live.totals.iter().map(|(key, totals)| (&live.owner, key, totals)));
        live.chain(self.folded.iter().map(|(row, totals)| (&row.owner, &row.key, totals)))
    }

    /// Today's and this month's totals by route (`namespace/name`).
    #[must_use]
    pub fn by_route(&self, today: Date) -> BTreeMap<String, Spend> {
        self.sum(today, |_, key| Some(key.route.clone()))
    }

    /// Today's and this month's totals by namespace.
    #[must_use]
    pub fn by_namespace(&self, today: Date) -> BTreeMap<String, Spend> {
        self.sum(today, |owner, _| Some(owner.namespace.clone()))
    }

    /// Today's and this month's totals by (namespace, workload).
    #[must_use]
    pub fn by_workload(&self, today: Date) -> BTreeMap<(String, String), Spend> {
        self.sum(today, |owner, _| Some((owner.namespace.clone(), owner.workload.clone())))
    }

    /// Today's and this month's totals by whatever `group` says; None leaves a line out.
    pub fn sum<K: Ord>(&self, today: Date, group: impl Fn(&Owner, &UsageKey) -> Option<K>) -> BTreeMap<K, Spend> {
        let (day, month) = (today.to_string(), today.strftime("%Y-%m-").to_string());
        let mut sums: BTreeMap<K, Spend> = BTreeMap::new();
        for (owner, key, totals) in self.rows().filter(|(_, key, _)| key.day.starts_with(&month)) {
            let Some(group) = group(owner, key) else { continue };
            let spend = sums.entry(group).or_default();
            add(&mut spend.month, totals);
            if key.day == day {
                add(&mut spend.day, totals);
            }
        }
        sums
    }

    fn fold(&mut self, source: &Incarnation, now: i64) {
        let Some(live) = self.live.remove(source) else { return };
        for (key, totals) in live.totals {
            let row = Row { owner: live.owner.clone(), key };
            add(self.folded.entry(row).or_default(), &totals);
        }
        self.tombstones.insert(source.clone(), now);
    }

    /// Reports carry today and yesterday only (see [`oldest_reportable`]), so older lines of live sources are final.
    fn fold_past_days(&mut self, today: Date) -> bool {
        let keep_from = oldest_reportable(today);
        let mut changed = false;
        for live in self.live.values_mut() {
            let past: Vec<UsageKey> = live.totals.keys().filter(|key| *key.day < *keep_from).cloned().collect();
            for key in past {
                let Some(totals) = live.totals.remove(&key) else { continue };
                let row = Row { owner: live.owner.clone(), key };
                add(self.folded.entry(row).or_default(), &totals);
                changed = true;
            }
        }
        changed
    }
}

/// The oldest day a report may still speak of: yesterday, and one day for clocks and midnights. Older lines are final.
#[must_use]
pub fn oldest_reportable(today: Date) -> String {
    today.saturating_sub(jiff::Span::new().days(2)).to_string()
}

/// The first day that is kept: that of the previous month, for the bill that is written after the month is over.
fn horizon(today: Date) -> String {
    today.first_of_month().saturating_sub(jiff::Span::new().months(1)).to_string()
}

/// The larger of each number; true if that raised one.
fn raise(known: &mut UsageTotals, seen: &UsageTotals) -> bool {
    let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced } = seen;
    let before = *known;
    known.requests = known.requests.max(*requests);
    known.errors = known.errors.max(*errors);
    known.input_tokens = known.input_tokens.max(*input_tokens);
    known.output_tokens = known.output_tokens.max(*output_tokens);
    known.cost_nanos = known.cost_nanos.max(*cost_nanos);
    known.unpriced = known.unpriced.max(*unpriced);
    before != *known
}

pub(crate) fn add(sum: &mut UsageTotals, more: &UsageTotals) {
    let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced } = more;
    sum.requests = sum.requests.saturating_add(*requests);
    sum.errors = sum.errors.saturating_add(*errors);
    sum.input_tokens = sum.input_tokens.saturating_add(*input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(*output_tokens);
    sum.cost_nanos = sum.cost_nanos.saturating_add(*cost_nanos);
    sum.unpriced = sum.unpriced.saturating_add(*unpriced);
}

#[cfg(test)]
mod tests;
