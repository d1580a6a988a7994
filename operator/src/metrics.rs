//! What the operator counts. One registry per process, handed down; labels have few, fixed values.

use prometheus::core::{Collector, GenericCounter};
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Handles to every metric of the operator. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Sidecars with an open stream to this replica.
    pub streams: IntGauge,
    /// Streams ended, by reason.
    pub streams_ended: IntCounterVec,
    /// Snapshots sent.
    pub snapshots_pushed: IntCounter,
    /// Credentials sent and withdrawn.
    pub credentials_pushed: IntCounterVec,
    /// Reports taken, by whether they acknowledge, refuse or repeat.
    pub reports: IntCounterVec,
    /// Requests refused on the sidecar port, by status.
    pub refused: IntCounterVec,
    /// Deliveries passed on to the leader, and attempts that failed.
    pub relayed: IntCounter,
    pub relay_failures: IntCounter,
    /// 1 on the replica that writes status.
    pub leader: IntGauge,
    /// Size of the stored ledger; it has to stay under 1 MiB.
    pub ledger_bytes: IntGauge,
    pub ledger_failures: IntCounter,
    /// Size of the stored ledger of rights; it has to stay under 1 MiB.
    pub rights_bytes: IntGauge,
    pub rights_failures: IntCounter,
    /// Budgets by what of them, in US dollars. Of the replica that leads.
    pub budgets: GaugeVec,
    /// One reconcile, from gathering to status.
    pub reconcile_seconds: Histogram,
    /// Status writes, by result.
    pub status_writes: IntCounterVec,
    /// Admission reviews answered, by webhook and verdict.
    pub admissions: IntCounterVec,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let r = Registry::new();
        Self {
            streams: gauge(&r, "streams", "Sidecars with an open config stream to this replica."),
            streams_ended: counters(&r, "streams_ended_total", "Config streams that ended.", "reason"),
            snapshots_pushed: counter(&r, "snapshots_pushed_total", "Snapshots sent to sidecars."),
            credentials_pushed: counters(
                &r,
                "credentials_pushed_total",
                "Provider keys sent to or withdrawn from sidecars.",
                "action",
            ),
            reports: counters(&r, "reports_total", "Reports received from sidecars.", "ack"),
            refused: counters(
                &r,
                "sidecar_requests_refused_total",
                "Requests of sidecars that were refused.",
                "status",
            ),
            relayed: counter(&r, "relayed_reports_total", "Reports passed on to the replica that leads."),
            relay_failures: counter(
                &r,
                "relay_failures_total",
                "Attempts to pass reports on that failed and are repeated.",
            ),
            leader: gauge(&r, "leader", "1 if this replica holds the Lease."),
            ledger_bytes: gauge(&r, "ledger_bytes", "Size of the stored usage ledger; it has to stay below 1048576."),
            ledger_failures: counter(&r, "ledger_failures_total", "Attempts to store the usage ledger that failed."),
            rights_bytes: gauge(
                &r,
                "rights_bytes",
                "Size of the stored ledger of rights; it has to stay below 1048576.",
            ),
            rights_failures: counter(
                &r,
                "rights_failures_total",
                "Attempts to read or store the ledger of rights that failed.",
            ),
            budgets: budgets(&r),
            reconcile_seconds: reconcile_seconds(&r),
            status_writes: counters(&r, "status_writes_total", "Writes of status to the API server.", "result"),
            admissions: counters2(&r, "admissions_total", "Admission reviews answered.", ["webhook", "verdict"]),
            registry: r,
        }
    }

    /// Everything in the text format Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("writing to memory cannot fail");
        String::from_utf8(text).expect("names, help and label values are UTF-8")
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("spillway_operator_{name}"), help)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("metric names and labels are valid, a test builds them all");
    registry.register(Box::new(collector.clone())).expect("each metric is registered once");
    collector
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, GenericCounter::with_opts(opts(name, help)))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(name, help)))
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(name, help), &[label]))
}

fn counters2(registry: &Registry, name: &str, help: &str, labels: [&str; 2]) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(name, help), &labels))
}

fn budgets(registry: &Registry) -> GaugeVec {
    let help = "A ModelBudget in its present period, by what of it: limit, spent, reserved, outstanding or stranded.";
    let labels = ["namespace", "budget", "of"];
    register(registry, GaugeVec::new(Opts::new("spillway_budget_dollars", help), &labels))
}

fn reconcile_seconds(registry: &Registry) -> Histogram {
    let opts = HistogramOpts::from(opts("reconcile_seconds", "Duration of one reconcile, from gathering to status."));
    register(registry, Histogram::with_opts(opts.buckets(vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_our_prefix_and_registries_are_independent() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.snapshots_pushed.inc();
        one.reports.with_label_values(&["ack"]).inc();
        let text = one.render();
        assert!(text.contains("spillway_operator_snapshots_pushed_total 1\n"), "{text}");
        assert!(text.contains("spillway_operator_reports_total{ack=\"ack\"} 1\n"), "{text}");
        assert!(text.lines().filter(|line| !line.starts_with('#')).all(|line| line.starts_with("spillway_operator_")));
        assert!(other.render().contains("spillway_operator_snapshots_pushed_total 0\n"));
    }
}
