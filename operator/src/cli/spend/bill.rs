//! Lines of the ledger, added up by what was asked for.

use std::collections::BTreeMap;

use clap::ValueEnum;
use spillway_wire::{UsageKey, UsageTotals};

use super::days::Days;
use crate::usage::ledger::{Ledger, Owner, add};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    Day,
    Month,
    Namespace,
    Workload,
    Revision,
    Tenant,
    Route,
    Backend,
    Provider,
    Model,
}

/// What was spent.
pub(super) struct Bill {
    pub(super) days: Days,
    /// What each line is about, in the order asked for, and what it comes to. The dearest first; by day or month, in the
    /// order of time.
    pub(super) lines: Vec<(Vec<String>, UsageTotals)>,
    pub(super) total: UsageTotals,
}

// === impl By ===

impl By {
    /// As it is written on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn of(self, owner: &Owner, key: &UsageKey) -> String {
        let Owner { namespace, workload, revision, tenant } = owner;
        match self {
            Self::Day => key.day.clone(),
            Self::Month => key.day.get(..7).unwrap_or(&key.day).to_owned(),
            Self::Namespace => namespace.clone(),
            Self::Workload => workload.clone(),
            Self::Revision => revision.clone().unwrap_or_default(),
            Self::Tenant => tenant.clone().unwrap_or_default(),
            Self::Route => key.route.clone(),
            Self::Backend => key.backend.clone(),
            Self::Provider => key.provider.clone(),
            Self::Model => key.model.clone(),
        }
    }
}

// === impl Bill ===

impl Bill {
    /// What `namespace`, or everybody, has spent in those days.
    pub(super) fn of(ledger: &Ledger, by: &[By], days: Days, namespace: Option<&str>) -> Self {
        let mut sums: BTreeMap<Vec<String>, UsageTotals> = BTreeMap::new();
        let mut total = UsageTotals::default();
        for (owner, key, totals) in ledger.rows() {
            if !days.has(&key.day) || namespace.is_some_and(|wanted| wanted != owner.namespace) {
                continue;
            }
            let names = by.iter().map(|by| by.of(owner, key)).collect();
            add(sums.entry(names).or_default(), totals);
            add(&mut total, totals);
        }
        let mut lines: Vec<_> = sums.into_iter().collect();
        if !by.iter().any(|by| matches!(by, By::Day | By::Month)) {
            lines.sort_by(|(one, less), (other, more)| {
                more.cost_nanos.cmp(&less.cost_nanos).then_with(|| one.cmp(other))
            });
        }
        Self { days, lines, total }
    }
}
