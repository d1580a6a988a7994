//! What is paid for although no application got it: answers of attempts that lost, broke off or were not good enough.

use spillway_policy::{Usage, fallback::Sizes};
use spillway_providers::StreamDecoder;
use spillway_wire::UsageTotals;

use super::{
    super::{attempt::Kept, count},
    Settle,
};
use crate::bill;

/// What is left of an attempt whose answer nobody gets.
#[derive(Clone, Copy, Debug, Default)]
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

    /// Of a whole answer: usage that came with it is the last word on it.
    pub(in super::super) const fn whole(usage: Option<spillway_providers::Usage>, output_bytes: u64) -> Self {
        Self { usage, output_bytes: if usage.is_some() { 0 } else { output_bytes } }
    }

    /// Of a stream as far as it has been read.
    pub(in super::super) fn read(decoder: &StreamDecoder) -> Self {
        let (usage, output_bytes) = (decoder.usage(), count::read_output(decoder));
        if decoder.finished() || decoder.done() {
            return Self::whole(usage, output_bytes);
        }
        Self { usage, output_bytes }
    }

    /// As it is billed, for a prompt of these sizes.
    pub(in super::super) fn usage(&self, sizes: &Sizes) -> Usage {
        let output = count::guess_output(self.output_bytes);
        match self.usage {
            Some(usage) => at_least(bill::usage(usage), output),
            None => Usage { input: count::guess(sizes), output, ..Usage::default() },
        }
    }
}

/// A provider that has begun to answer says how long the prompt is; of the answer it knows as little as we do then.
pub(super) const fn at_least(usage: Usage, output: u64) -> Usage {
    Usage { output: if usage.output > output { usage.output } else { output }, ..usage }
}

// === impl Settle ===

impl Settle {
    /// An attempt that a provider bills although nobody gets its answer: what was held of a stream that broke, the loser
    /// of a hedge, an answer that was not good enough. Booked at once, on its own backend.
    pub(in super::super) fn wasted(&mut self, index: usize, waste: &Waste) {
        let Some(route) = self.route.clone() else { return };
        let Some(backend) = route.backends.get(index) else { return };
        if !self.api.is_billed() {
            return self.charge(index, None, 0);
        }
        // Without a prompt there is nothing to estimate from: what nobody says is unknown, and counted as that.
        let estimate = self.api.has_prompt().then(|| waste.usage(&self.sizes));
        let usage = estimate.or_else(|| waste.usage.and_then(bill::tokens));
        let cost = self.priced(backend, usage.as_ref(), waste.usage.as_ref());
        let usage = usage.unwrap_or_default();
        let totals = UsageTotals {
            requests: 0,
            errors: 0,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cost_nanos: cost.map_or(0, |cost| cost.0),
            unpriced: u64::from(cost.is_none()),
        };
        self.charge(index, cost, usage.input.saturating_add(usage.output));
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
        self.usage = None;
        // It has come to its end: for its gate that is a success, whatever was thought of what it says.
        if let Some(Kept { admission, _busy }) = self.kept.take() {
            admission.completed();
        }
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
        self.wasted(backend, &Waste::whole(usage, output_bytes));
    }

    /// The application has gone away in the middle of an answer.
    pub(in super::super) fn left(&mut self, read: &Waste) {
        self.output_bytes = read.output_bytes;
        if let Some(reported) = read.usage {
            self.usage = bill::tokens(reported).map(|_| read.usage(&self.sizes));
            self.reported = Some(reported);
        }
    }
}
