//! The limits of routes. A limit counts for itself, under its own lock; what it has counted is copied here when somebody
//! looks. So a request pays nothing for it, and what is gone from the config is gone from the metrics.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};
use spillway_policy::limit::LimitReport;

use super::{
    Metrics,
    families::{Families, registered},
};

/// From what nobody notices to what nobody waits for.
const WAIT_SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
const LABELS: [&str; 2] = ["route", "limit"];

#[derive(Debug)]
pub(super) struct Limits {
    admitted: IntCounterVec,
    refused: IntCounterVec,
    queued: IntCounterVec,
    waiting: IntGaugeVec,
    tenants: IntGaugeVec,
    wait: HistogramVec,
}

// === impl Limits ===

impl Limits {
    pub(super) fn register(families: &Families) -> Self {
        let of = &families.registry;
        let opts = |name: &str, help: &str| Opts::new(format!("spillway_limit_{name}"), help);
        let counter = |name, help| registered(of, IntCounterVec::new(opts(name, help), &LABELS));
        let gauge = |name, help| registered(of, IntGaugeVec::new(opts(name, help), &LABELS));
        let wait =
            HistogramOpts::new("spillway_limit_queue_wait_seconds", "Waits in the queue of a limit, served or not.");
        Self {
            admitted: counter("admitted_total", "Requests that a limit let pass."),
            refused: counter("refused_total", "Requests that a limit refused."),
            queued: counter("queued_total", "Requests that went to the queue of a limit."),
            waiting: gauge("queue_length", "Requests in the queue of a limit."),
            tenants: gauge("tenants", "Tenants of which a limit counts something."),
            wait: registered(of, HistogramVec::new(wait.buckets(WAIT_SECONDS.to_vec()), &LABELS)),
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// A request has waited in the queue of a limit.
    pub fn queued(&self, route: &str, limit: &str, waited: Duration) {
        self.limits.wait.with_label_values(&[route, limit]).observe(waited.as_secs_f64());
    }

    /// What the limits of all routes have counted by now.
    pub fn limits<'a>(&self, routes: impl Iterator<Item = (&'a str, Vec<LimitReport>)>) {
        let Limits { admitted, refused, queued, waiting, tenants, wait: _ } = &self.limits;
        for counter in [admitted, refused, queued] {
            counter.reset();
        }
        for gauge in [waiting, tenants] {
            gauge.reset();
        }
        for (route, reports) in routes {
            for LimitReport { rule, counts, tenants: number, waiting: length, top: _ } in reports {
                let labels = [route, &*rule.name];
                admitted.with_label_values(&labels).inc_by(counts.admitted);
                refused.with_label_values(&labels).inc_by(counts.refused);
                queued.with_label_values(&labels).inc_by(counts.queued);
                waiting.with_label_values(&labels).set(length.into());
                tenants.with_label_values(&labels).set(i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
    }
}
