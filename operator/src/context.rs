//! What the long-running parts of the operator share. Everything is an argument: no statics, no ambient clock.

use tokio::sync::watch;

use crate::{
    changes::Changes, clock::Clock, metrics::Metrics, pods::Pods, publish::Publisher, quota::Bank,
    resources::CompileSettings, source::Source, status::Wanted, usage::Intake,
};

/// Handles to the shared parts. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub source: Source,
    pub compile: CompileSettings,
    pub changes: Changes,
    pub publisher: Publisher,
    pub pods: Pods,
    pub usage: Intake,
    pub bank: Bank,
    pub clock: Clock,
    pub metrics: Metrics,
    /// To the task that writes statuses; without a cluster nobody listens.
    pub statuses: watch::Sender<Vec<Wanted>>,
}
