//! What a request leaves behind: its use in the backend's totals, and what its provider's count teaches.

use spillway_policy::{NanoUsd, Usage};
use spillway_wire::UsageTotals;

use super::Settle;
use crate::record::Outcome;

// === impl Settle ===

impl Settle {
    pub(super) fn add_up(&self, outcome: Outcome, usage: Option<&Usage>, cost: Option<NanoUsd>) {
        self.calibrate();
        let Some(backend) = self.backend() else { return };
        let failed = matches!(outcome, Outcome::Failed | Outcome::Cut);
        let totals = UsageTotals {
            requests: 1,
            errors: u64::from(failed),
            input_tokens: usage.map_or(0, |usage| usage.input),
            output_tokens: usage.map_or(0, |usage| usage.output),
            cost_nanos: cost.map_or(0, |cost| cost.0),
            unpriced: u64::from(self.is_short() || (cost.is_none() && (usage.is_some() || self.is_unmeasured()))),
        };
        self.place.runtime().usage.add(&backend.series, self.day, totals);
    }

    /// What the provider counted, where we have only estimated. Of a prompt that is more than text it says nothing of text.
    fn calibrate(&self) {
        if !self.sizes.attached.is_empty() {
            return;
        }
        let (Some(route), Some(backend), Some(reported)) = (&self.route, self.backend, self.reported) else { return };
        let Some(candidate) = route.candidates.get(backend) else { return };
        let counted = self.sizes.counted.get(candidate.tokenizer).copied().flatten();
        if let (Some(calibration), Some(counted)) = (&candidate.calibration, counted) {
            calibration.learn(counted.tokens, reported.input);
        }
    }
}
