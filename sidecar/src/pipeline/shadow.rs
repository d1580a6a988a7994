//! Copies of requests for backends that nobody waits for: sent once the application's answer has begun, read to their end,
//! thrown away. What they cost is counted as theirs; whether they fail is nobody's business.

use std::{sync::Arc, time::Duration};

use spillway_policy::fallback::Set;
use spillway_wire::UsageTotals;

use super::{
    attempt::{self, Answer, Outcome},
    progress::Progress,
    resolve::Call,
    settle::Waste,
    when,
};
use crate::{
    bill, clock,
    runtime::{Admission, Hold, Reserved, Runtime, ShadowPlace},
};

/// Sends the copies that this request is to have.
pub(super) fn send(runtime: &Arc<Runtime>, call: &mut Call) {
    if call.route.shadows.is_empty() || !call.api.has_prompt() {
        return;
    }
    let route = Arc::clone(&call.route);
    when::judge(call, &route.shadows);
    let able = call.question(route.without_key(), Set::default(), 0).able(&route.shadows, |_, _| ());
    for index in able.into_iter().map(|able| able.index) {
        let backend = &route.backends[index];
        if runtime.roll() % 1_000_000 >= u64::from(backend.shadow_ppm) {
            continue;
        }
        // The prompt's upper bound in tokens is its length in bytes, and nearly all of a body is its prompt.
        let Some((place, memory)) = runtime.shadow(call.sizes.upper) else {
            runtime.telemetry.metrics.shadow(&route.name, &backend.name, "left_out");
            continue;
        };
        let copy = call.copy(clock::now() + route.request.timeout.min(LONGEST));
        // A copy that no budget has room for is not made.
        let Ok((reserved, _)) = copy.reserve(index) else {
            runtime.telemetry.metrics.shadow(&route.name, &backend.name, "left_out");
            continue;
        };
        let copy = Copy {
            runtime: Arc::clone(runtime),
            call: copy,
            reserved,
            index,
            sent: false,
            progress: Progress::default(),
            ended: None,
            _memory: memory,
        };
        tokio::spawn(copy.run(place));
    }
}

/// A route without a timeout of its own has one here.
const LONGEST: Duration = Duration::from_secs(3_600);

/// One copy. Dropped before its end, it is booked by estimate.
struct Copy {
    runtime: Arc<Runtime>,
    call: Call,
    index: usize,
    reserved: Option<Reserved>,
    sent: bool,
    progress: Progress,
    /// What came of it, and what is to be paid for it.
    ended: Option<(&'static str, Option<Waste>)>,
    _memory: Hold,
}

fn settled(reserved: Option<Reserved>, cost: u64, tokens: u64) {
    if let Some(reserved) = reserved {
        reserved.settle(cost, tokens);
    }
}

// === impl Copy ===

impl Copy {
    async fn run(mut self, place: ShadowPlace) {
        let drained = place.drained();
        tokio::select! {
            biased;
            () = drained => {}
            () = self.ask() => {}
        }
    }

    async fn ask(&mut self) {
        // Without leave of any gate, and without a word to them: a shadow's failures close no gate for anybody.
        let Ok(ready) = attempt::prepare(&self.call, self.index, Admission::default()).await else {
            self.ended = Some(("failed", None));
            return;
        };
        self.sent = true;
        if let Some(reserved) = &mut self.reserved {
            reserved.sent();
        }
        let attempt::Ended { outcome, measured, kept, .. } =
            attempt::make(&self.runtime, &self.call, ready, &self.progress).await;
        let whole = Waste::whole(measured.usage, measured.output_bytes);
        let ended = match outcome {
            Outcome::Answered(reply) => match reply.body {
                Answer::Whole(_) | Answer::Through(_) => ("answered", Some(whole)),
                Answer::Stream(started) => {
                    let (outcome, read) = started.drain(&self.progress).await;
                    (outcome, Some(read))
                }
            },
            Outcome::Failed(failure) => ("failed", failure.wasted),
            // There was no room for its answer.
            Outcome::Refused(_) => ("failed", Some(whole)),
        };
        drop(kept);
        self.ended = Some(ended);
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let Self { runtime, call, index, reserved, sent, progress, ended, _memory: _ } = self;
        let backend = &call.route.backends[*index];
        let (outcome, waste) = ended.unwrap_or_else(|| ("cut", sent.then(|| progress.waste())));
        runtime.telemetry.metrics.shadow(&call.route.name, &backend.name, outcome);
        let Some(waste) = waste else {
            // Nobody was asked, or who was asked bills nothing.
            return if *sent { settled(reserved.take(), 0, 0) } else { drop(reserved.take()) };
        };
        let usage = waste.usage(&call.sizes);
        let cost = bill::cost_with_searches(backend.price.as_ref(), &backend.pieces, &usage, waste.usage.as_ref());
        settled(reserved.take(), cost.unwrap_or_default().0, usage.input.saturating_add(usage.output));
        let totals = UsageTotals {
            requests: 1,
            errors: u64::from(outcome != "answered"),
            input_tokens: usage.input,
            output_tokens: usage.output,
            cost_nanos: cost.map_or(0, |cost| cost.0),
            unpriced: u64::from(cost.is_none()),
        };
        runtime.usage.add(&backend.series, clock::today(), totals);
        let place = [call.route.name.as_str(), &backend.name, &backend.provider.name, &backend.model];
        runtime.telemetry.metrics.shadow_cost(place, cost.unwrap_or_default());
    }
}
