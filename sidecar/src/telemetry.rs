//! What people see of the data plane: one line in the access log and the metrics for each request, and the log.
//!
//! Never content, never a key. Labels are names from the config, so the number of series is a property of the config and
//! not of what applications send.

mod access;
mod log;
mod metrics;
mod repeats;

use tracing::{Level, Subscriber};
use tracing_subscriber::{Registry, filter::Targets, fmt, layer::SubscriberExt as _};

use self::repeats::Repeats;
pub use self::{
    log::{Log, Writer},
    metrics::{BudgetFigures, Metrics, OpenStream},
};
use crate::record::RequestRecord;

/// Where finished requests are told.
#[derive(Debug)]
pub struct Telemetry {
    pub metrics: Metrics,
    log: Log,
    /// The access log is written at level info.
    access: bool,
}

// === impl Telemetry ===

impl Telemetry {
    #[must_use]
    pub fn new(log: Log, levels: &Targets) -> Self {
        let access = levels.would_enable("spillway::access", &Level::INFO);
        Self { metrics: Metrics::new(), log, access }
    }

    /// Tells of a request that is over.
    pub fn request(&self, record: &RequestRecord<'_>) {
        self.metrics.request(record);
        if self.access {
            self.log.append(&access::line(record));
        }
    }

    /// The metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.render(self.log.lost())
    }
}

/// What turns events into log lines. The caller makes it the default, or a test's own.
pub fn subscriber(log: &Log, levels: Targets) -> impl Subscriber + Send + Sync + use<> {
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // The last one is asked first: what no level lets through is not a repeat either.
    Registry::default().with(lines.with_writer(log.clone())).with(Repeats::new(log.clone())).with(levels)
}

#[cfg(test)]
mod tests;
