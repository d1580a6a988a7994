//! The loopback bench: what the sidecar adds to a call, beside what a proxy that only copies bytes adds.
//!
//! Load and upstream share one thread on one core, the measured proxy has the other core. Each figure is taken from direct,
//! pass-through and sidecar in turn, several rounds over, and the medians are compared: a machine that slows down for
//! a second then touches all three.

pub mod load;
pub mod passthrough;
pub mod report;
pub mod run;
pub mod scenario;
pub mod upstream;

/// Marks a streamed piece with the moment it was sent, `" @123456789"` in nanoseconds since the run's epoch.
const STAMP: &[u8] = b" @";

/// Nearest-rank median; 0 of nothing.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
