//! The control plane: resources in, per-pod config out, status conditions back; and the spillway CLI.

pub mod admin;
pub mod app;
pub mod catalogue;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod compile;
pub mod conditions;
pub mod context;
#[cfg(test)]
mod fake_cluster;
pub mod gather;
pub mod inject;
pub mod lease;
pub mod metrics;
pub mod models;
mod packed;
pub mod pods;
pub mod publish;
pub mod quota;
mod quote;
pub mod reconcile;
pub mod relay;
pub mod resources;
pub mod schema;
pub mod settings;
pub mod source;
pub mod status;
pub mod stores;
mod strict;
pub mod tls;
pub mod usage;
pub mod validate;
pub mod webhook;
