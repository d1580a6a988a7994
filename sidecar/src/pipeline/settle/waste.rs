//! What is paid for although no application got it: answers of attempts that lost, broke off or were not good enough.

use spillway_wire::UsageTotals;

use super::{Settle, at_least, billed};

/// What is left of an attempt whose answer nobody gets.
pub(in super::super) struct Waste {
    /// What the provider said it billed. None: it is estimated from the prompt and from `output_bytes`.
    pub(in super::super) usage: Option<spillway_providers::Usage>,
    /// Of text that was seen; 0 where the usage is the answer's last word. Usage that came earlier is raised to it.
    pub(in super::super) output_bytes: u64,
}

/// What an answer used that may or may not be the application's.
pub(super) struct Aside {
    backend: Option<usize>,
    usage: Option<spillway_providers::Usage>,
    output_bytes: u64,
}

// === impl Waste ===

impl Waste {
    /// Of a request that was sent whole and never answered. Nobody here can know whether it ran: a budget must not be
    /// better off than the bill, so it is charged its prompt, by estimate.
    pub(in super::super) const fn prompt() -> Self {
        Self { usage: None, output_bytes: 0 }
    }
}

// === impl Settle ===

impl Settle {
    /// An attempt that a provider bills although nobody gets its answer: what was held of a stream that broke, the loser
    /// of a hedge, an answer that was not good enough. Booked at once, on its own backend.
    pub(in super::super) fn wasted(&mut self, backend: usize, waste: &Waste) {
        let Some(route) = self.route.clone() else { return };
        let Some(backend) = route.backends.get(backend) else { return };
        let estimate = self.estimate(waste.output_bytes);
        let usage = waste.usage.map_or(estimate, |usage| at_least(billed(usage), estimate.output));
        let cost = backend.price.map(|price| price.of(&usage));
        let totals = UsageTotals {
            requests: 0,
            errors: 0,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cost_nanos: cost.map_or(0, |cost| cost.0),
            unpriced: u64::from(cost.is_none()),
        };
        self.wasted = self.wasted + cost.unwrap_or_default();
        self.passage.wasted = self.passage.wasted.saturating_add(usage.input).saturating_add(usage.output);
        let runtime = self.place.runtime();
        runtime.usage.add(&backend.series, self.day, totals);
        let labels = [route.name.as_str(), &backend.name, &backend.provider.name, &backend.model];
        runtime.telemetry.metrics.wasted(labels, cost.unwrap_or_default());
    }

    /// The answer at hand was not good enough: another attempt will be made.
    pub(in super::super) fn set_aside(&mut self) {
        let (usage, output_bytes) = (self.reported.take(), std::mem::take(&mut self.output_bytes));
        self.aside = Some(Aside { backend: self.backend, usage, output_bytes });
        (self.usage, self.kept) = (None, None);
    }

    /// There is none but the answer that was put aside.
    pub(in super::super) fn take_back(&mut self) {
        let Some(Aside { backend, usage, output_bytes }) = self.aside.take() else { return };
        self.backend = backend;
        self.billed = true;
        self.used(usage);
        self.seen(output_bytes);
    }

    /// There is a better answer, or nobody waits for one any more: what was put aside is billed all the same.
    pub(in super::super) fn drop_aside(&mut self) {
        let Some(Aside { backend: Some(backend), usage, output_bytes }) = self.aside.take() else { return };
        // Usage that came with a whole answer is the last word on it.
        let output_bytes = if usage.is_some() { 0 } else { output_bytes };
        self.wasted(backend, &Waste { usage, output_bytes });
    }
}
