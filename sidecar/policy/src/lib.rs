//! What the data plane decides, as pure functions: which backend, whether again, what to leave out, what it cost.
//!
//! No clock, no I/O, no randomness: the time, the dice and the numbers are arguments. The crate has no dependencies, so
//! that is a fact about its manifest.

pub mod balance;
pub mod breaker;
pub mod calibrate;
mod class;
pub mod cost;
pub mod fallback;
pub mod limit;
pub mod queue;
pub mod quota;
pub mod retry;
pub mod truncate;
pub mod window;

pub use class::{Class, Classes};
pub use cost::{Bill, Card, Look, Most, NanoUsd, PiecePrices, Pieces, Price, Rates, Tier, Usage};

/// Some moment: what tests count from.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests of machines that take the time as an argument need one to begin with"
)]
fn start() -> std::time::Instant {
    std::time::Instant::now()
}
