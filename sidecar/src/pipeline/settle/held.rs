//! What attempts of a request have set aside, until it is known what each of them has cost.

use spillway_policy::NanoUsd;

use super::Settle;
use crate::{error::OverBudget, runtime::Reserved};

/// By backend: of one backend no two attempts are open at a time.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<(usize, Reserved)>);

// === impl Held ===

impl Held {
    fn take(&mut self, backend: usize) -> Option<Reserved> {
        let at = self.0.iter().position(|(index, _)| *index == backend)?;
        Some(self.0.swap_remove(at).1)
    }
}

// === impl Settle ===

impl Settle {
    /// An attempt is about to be sent for which this was set aside.
    pub(in super::super) fn hold(&mut self, backend: usize, reserved: Option<Reserved>) {
        if let Some(mut reserved) = reserved {
            reserved.sent();
            self.held.0.push((backend, reserved));
        }
    }

    /// The request is over; its answer has cost so much.
    pub(super) fn settle_own(&mut self, cost: Option<NanoUsd>) {
        let Some(index) = self.backend else { return };
        match (cost, self.backend()) {
            (Some(cost), Some(backend)) => backend.state.has_cost(cost),
            (None, Some(backend)) if self.billed && self.usage.is_some() => backend.state.has_no_cost(),
            (None, _) | (_, None) => {}
        }
        let tokens = self.usage.map_or(0, |usage| usage.input.saturating_add(usage.output));
        self.charge(index, cost, tokens);
    }

    /// A budget has refused the request.
    pub(in super::super) fn is_over(&mut self, over: &OverBudget) {
        self.over_budget = Some(over.budget.clone());
        self.place.runtime().telemetry.metrics.over_budget(&over.budget, over.reason());
    }

    /// An attempt at a backend has cost so much.
    pub(super) fn charge(&mut self, backend: usize, cost: Option<NanoUsd>, tokens: u64) {
        if let Some(reserved) = self.held.take(backend) {
            reserved.settle(cost.unwrap_or_default().0, tokens);
        }
    }
}
