//! The data plane: an OpenAI-compatible endpoint on loopback that decides, retries, falls back and counts.
//!
//! Modules point one way: `bill, clock, record, usage` <- `runtime` <- `pipeline` <- `server`, and beside them `journal, link` <-
//! `feed, report`; `app` joins them.

pub mod app;
pub mod backoff;
pub mod bill;
pub mod chain;
pub mod clock;
pub mod error;
pub mod feed;
pub mod health;
pub mod identity;
pub mod journal;
pub mod link;
mod percent;
mod pipeline;
pub mod record;
pub mod report;
pub mod runtime;
mod secrets;
pub mod server;
pub mod settings;
mod sign;
pub mod telemetry;
pub mod upstream;
pub mod usage;
