//! Budgets and fleet-wide limits as this sidecar sees them. What it holds is copied here when somebody looks.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{
    Metrics,
    families::{Families, registered},
};

#[derive(Debug)]
pub(super) struct Rights {
    spent: IntGaugeVec,
    reserved: IntGaugeVec,
    spare: IntGaugeVec,
    left: IntGaugeVec,
    refused: IntCounterVec,
    limits: IntCounterVec,
    share: IntGaugeVec,
    silent: IntGauge,
}

/// One budget in its newest period, all values of its header together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetFigures {
    pub spent: u64,
    pub reserved: u64,
    /// What could be set aside at once.
    pub spare: u64,
    /// What nobody has spent, fleet-wide. None: not heard, or there are several counts.
    pub left: Option<u64>,
}

// === impl Rights ===

impl Rights {
    pub(super) fn register(families: &Families) -> Self {
        let of = &families.registry;
        let gauge =
            |name: &str, help: &str, labels: &[&str]| registered(of, IntGaugeVec::new(Opts::new(name, help), labels));
        let counter =
            |name: &str, help: &str, labels: &[&str]| registered(of, IntCounterVec::new(Opts::new(name, help), labels));
        let money = ["budget"];
        let silent = Opts::new("spillway_rights_operator_silent_seconds", "Seconds since the operator was last heard.");
        Self {
            spent: gauge(
                "spillway_budget_spent_nano_dollars",
                "What this pod has spent of a budget in its period.",
                &money,
            ),
            reserved: gauge(
                "spillway_budget_reserved_nano_dollars",
                "What requests in flight can cost at most.",
                &money,
            ),
            spare: gauge(
                "spillway_budget_spare_nano_dollars",
                "What this pod may spend without asking for more.",
                &money,
            ),
            left: gauge(
                "spillway_budget_left_nano_dollars",
                "What no pod has spent, as the operator last said.",
                &money,
            ),
            refused: counter(
                "spillway_budget_refusals_total",
                "Requests that a budget had no room for, and why.",
                &["budget", "reason"],
            ),
            limits: counter(
                "spillway_fleet_limit_requests_total",
                "Requests that a fleet-wide limit let pass or refused.",
                &["route", "limit", "outcome"],
            ),
            share: gauge(
                "spillway_rights_share_milli",
                "This pod's part of a fleet-wide limit or a provider's quota, in thousandths a window.",
                &["of", "counts"],
            ),
            silent: registered(of, IntGauge::with_opts(silent)),
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// Counts a request that a budget refused.
    pub fn over_budget(&self, budget: &str, reason: &str) {
        self.rights.refused.with_label_values(&[budget, reason]).inc();
    }

    /// Counts a request that met a fleet-wide limit.
    pub fn fleet_limit(&self, route: &str, limit: &str, outcome: &str) {
        self.rights.limits.with_label_values(&[route, limit, outcome]).inc();
    }

    /// What this pod holds at this moment. `shares`: of whom, of what, and how much.
    pub fn rights<'a>(
        &self,
        budgets: impl Iterator<Item = (&'a str, BudgetFigures)>,
        shares: impl Iterator<Item = (String, &'static str, u64)>,
        silent_seconds: u64,
    ) {
        let Rights { spent, reserved, spare, left, refused: _, limits: _, share, silent } = &self.rights;
        for gauge in [spent, reserved, spare, left, share] {
            gauge.reset();
        }
        let set = |gauge: &IntGaugeVec, labels: &[&str], value: u64| {
            gauge.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        for (budget, figures) in budgets {
            set(spent, &[budget], figures.spent);
            set(reserved, &[budget], figures.reserved);
            set(spare, &[budget], figures.spare);
            if let Some(value) = figures.left {
                set(left, &[budget], value);
            }
        }
        for (of, counts, milli) in shares {
            set(share, &[&of, counts], milli);
        }
        silent.set(i64::try_from(silent_seconds).unwrap_or(i64::MAX));
    }
}
