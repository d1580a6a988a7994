//! Tests through kubectl, helm and real SDKs on a cluster that `e2e/setup.sh` has made; they link none of our crates, so
//! they see what users see.
//!
//! Every test has a namespace of its own and leaves the shared parts (operator, model servers) as it found them. Tests run
//! one after the other, because some of them take a shared part away for a while. Nothing sleeps and hopes: waits are
//! `kubectl wait` on what is waited for, or [`wait::until`] with the last answer in the message when it never comes.

pub mod answer;
pub mod clock;
pub mod kubectl;
pub mod manifest;
pub mod outage;
pub mod space;
pub mod wait;

pub use answer::Answer;
pub use kubectl::{helm, kubectl, kubectl_fails, kubectl_with};
pub use space::Space;

/// Says on the terminal what a test is about to show, past the test runner's capture: a run reads as a list of claims.
pub fn claim(text: &str) {
    use std::io::Write;
    // A closed terminal is no reason for a test to fail.
    let _ = writeln!(std::io::stdout().lock(), "    - {text}");
}
