//! What the data plane decides, as pure functions: which backend, whether again, what to leave out, what it cost.
//!
//! No clock, no I/O, no randomness: the time, the dice and the numbers are arguments. The crate has no dependencies, so
//! that is a fact about its manifest.

pub mod balance;
mod class;
pub mod cost;
pub mod fallback;
pub mod limit;
pub mod queue;
pub mod retry;
pub mod truncate;

pub use class::{Class, Classes};
pub use cost::{NanoUsd, Price, Usage};
