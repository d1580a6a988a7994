//! What was done to make a request fit, and what a summary cost that was made for it: booked on whoever wrote it, and apart
//! from the answer.

use std::{sync::Arc, time::Instant};

use spillway_policy::{NanoUsd, fallback::Sizes};
use spillway_wire::UsageTotals;

use super::{
    super::{progress::Progress, resolve::Call},
    Settle,
    waste::Waste,
};

/// A summary that stands for part of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Told {
    pub(in super::super) tokens: u64,
    /// `made` for this request, or `found` where it was left by another one.
    pub(in super::super) how: &'static str,
}

/// What was done to make a request fit.
#[derive(Default)]
pub(super) struct Fitting {
    /// Messages that were left out, or cut.
    pub(super) truncated: u32,
    /// The limit that its answer got in place of the one it asked for.
    pub(super) limit: Option<u64>,
    pub(super) told: Option<Told>,
    /// Parameters that its backend does not take.
    pub(super) dropped: Option<String>,
    /// Of summaries that were made for it.
    pub(super) cost: NanoUsd,
    /// Who is writing one, from a prompt of which size.
    under_way: Option<(usize, Sizes, Arc<Progress>)>,
}

// === impl Fitting ===

impl Fitting {
    /// The request goes to a backend as it is now.
    pub(super) fn begin(&mut self, call: &Call, backend: usize) {
        self.truncated = call.truncated;
        self.limit = call.lowered_limit(backend);
        self.told = call.summary;
    }
}

// === impl Settle ===

impl Settle {
    /// A backend is asked for a summary.
    pub(in super::super) fn summarizing(&mut self, index: usize, sizes: Sizes, progress: &Arc<Progress>, now: Instant) {
        self.fitting.under_way = Some((index, sizes, Arc::clone(progress)));
        self.wait(now);
    }

    /// It has answered, or failed. None: it bills nothing.
    pub(in super::super) fn summarized(&mut self, waste: Option<&Waste>, now: Instant) {
        self.go_on(now);
        let Some((index, sizes, _)) = self.fitting.under_way.take() else { return };
        match waste {
            Some(waste) => self.book_summary(index, &sizes, waste, true),
            None => self.charge(index, None, 0),
        }
    }

    /// The application has gone away in the middle of it.
    pub(super) fn drop_summary(&mut self) {
        if let Some((index, sizes, progress)) = self.fitting.under_way.take() {
            self.book_summary(index, &sizes, &progress.waste(), false);
        }
    }

    /// Messages that were left out, or cut.
    pub(in super::super) const fn truncated(&self) -> u32 {
        self.fitting.truncated
    }

    /// The limit that its answer got in place of the one it asked for.
    pub(in super::super) const fn limit(&self) -> Option<u64> {
        self.fitting.limit
    }

    /// Parameters that were left out because the backend does not take them.
    pub(in super::super) fn dropped(&self) -> Option<&str> {
        self.fitting.dropped.as_deref()
    }

    /// The length of the summary that stands for what was left out.
    pub(in super::super) fn summary_tokens(&self) -> Option<u64> {
        self.fitting.told.map(|told| told.tokens)
    }

    /// The prompt that was answered fits its model. One of a list has a window to itself, and what tools found on the way is
    /// billed as prompt as well: such a sum says nothing of a window.
    pub(super) fn fitted(&self, now: Instant) {
        let (Some(usage), Some(route), Some(index)) = (self.usage, self.route.as_ref(), self.backend) else { return };
        let (Some(backend), Some(candidate)) = (route.backends.get(index), route.candidates.get(index)) else { return };
        let is_its_own = self.sizes.upper_for(candidate).is_none_or(|most| usage.input <= most);
        if self.sizes.longest.is_none() && is_its_own {
            backend.model_state.window.answered(usage.input, now);
        }
    }

    fn book_summary(&mut self, index: usize, sizes: &Sizes, waste: &Waste, ended: bool) {
        let Some(route) = self.route.clone() else { return };
        let Some(backend) = route.backends.get(index) else { return };
        let usage = waste.usage(sizes);
        let cost = self.priced(backend, Some(&usage), waste.usage.as_ref());
        let totals = UsageTotals {
            requests: u64::from(ended),
            errors: 0,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cost_nanos: cost.map_or(0, |cost| cost.0),
            unpriced: u64::from(cost.is_none()),
        };
        self.charge(index, cost, usage.input.saturating_add(usage.output));
        self.fitting.cost = self.fitting.cost + cost.unwrap_or_default();
        self.passage.wasted = self.passage.wasted.saturating_add(usage.input).saturating_add(usage.output);
        let runtime = self.place.runtime();
        runtime.usage.add(&backend.series, self.day, totals);
        let labels = [route.name.as_str(), &backend.name, &backend.provider.name, &backend.model];
        runtime.telemetry.metrics.summary_cost(labels, cost.unwrap_or_default());
    }
}
