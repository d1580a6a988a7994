//! What there is to hand out: by the config, which every replica works out for itself.

use std::sync::Arc;

use spillway_wire as wire;

use crate::compile::Compiled;

/// Budgets and fleet-wide limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    compiled: Arc<Compiled>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled }
    }

    /// By `namespace/name`.
    pub(super) fn budgets(&self) -> &wire::Map<wire::Budget> {
        &self.compiled.budgets
    }
}
