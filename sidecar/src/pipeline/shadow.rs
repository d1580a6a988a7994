//! Copies of requests for backends that nobody waits for: sent once the application's answer has begun, read to their end,
//! thrown away. What they cost is counted as theirs; whether they fail is nobody's business.

use std::{sync::Arc, time::Duration};

use spillway_policy::{Usage, fallback::Set};
use spillway_wire::UsageTotals;

use super::{
    attempt::{self, Answer, Measured, Outcome},
    count,
    resolve::Call,
    when,
};
use crate::{
    clock,
    runtime::{Admission, Hold, Runtime, ShadowPlace},
};

/// Sends the copies that this request is to have.
pub(super) fn send(runtime: &Arc<Runtime>, call: &mut Call) {
    if call.route.shadows.is_empty() {
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
        let copy = Copy {
            runtime: Arc::clone(runtime),
            call: call.copy(clock::now() + route.request.timeout.min(LONGEST)),
            index,
            sent: false,
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
    sent: bool,
    ended: Option<(&'static str, Measured)>,
    _memory: Hold,
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
        let Ok(ready) = attempt::prepare(&self.call, self.index, Admission::default()) else {
            self.ended = Some(("failed", Measured::default()));
            return;
        };
        self.sent = true;
        let attempt::Ended { outcome, measured, kept, .. } = attempt::make(&self.runtime, &self.call, ready).await;
        let (outcome, measured) = match outcome {
            Outcome::Answered(reply) => match reply.body {
                Answer::Whole(_) => ("answered", measured),
                Answer::Stream(started) => started.drain().await,
            },
            Outcome::Failed(_) | Outcome::Refused(_) => ("failed", Measured::default()),
        };
        drop(kept);
        self.ended = Some((outcome, measured));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let Self { runtime, call, index, sent, ended, _memory: _ } = self;
        let backend = &call.route.backends[*index];
        let (outcome, measured) = ended.unwrap_or(("cut", Measured::default()));
        runtime.telemetry.metrics.shadow(&call.route.name, &backend.name, outcome);
        if !*sent || outcome == "failed" {
            return;
        }
        let output = count::guess_output(measured.output_bytes);
        let estimate = Usage { input: count::guess(&call.sizes), output, cache_read: 0, cache_write: 0 };
        let usage = measured.usage.map_or(estimate, |usage| Usage {
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
        });
        let cost = backend.price.map(|price| price.of(&usage));
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
