//! A second backend is asked although the first one may still answer. Only before anything of an answer has come, only one
//! that has not been asked yet, and only within the route's share of hedges and its budget of extra attempts.
//!
//! The first good answer wins. The other call is ended at once, which aborts it at its provider, and is charged its prompt
//! and what had come of its answer. Who fails while the other one is still silent leaves the request to it.
//!
//! What has no prompt is never asked twice at once: an image takes its time, and what the loser's comes to nobody could say.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use super::{
    attempt::{self, Outcome, make},
    fallback::Plan,
    progress::Progress,
    resolve::Call,
    settle::Settle,
};
use crate::runtime::Runtime;

/// Makes the attempt that the plan is ready for; the first one of a request has a second beside it if it is silent for too
/// long.
pub(super) async fn run(runtime: &Runtime, call: &Call, plan: &mut Plan, settle: &mut Settle) -> Outcome {
    match call.route.hedge.filter(|_| plan.attempts == 0 && call.api.has_prompt()) {
        Some(hedge) => Box::pin(twice(runtime, call, plan, settle, hedge.after)).await,
        None => attempt::run(runtime, call, plan, settle).await,
    }
}

/// The first attempt, with a second one beside it if it has said nothing `after` so long.
async fn twice(runtime: &Runtime, call: &Call, plan: &mut Plan, settle: &mut Settle, after: Duration) -> Outcome {
    let mut ready = match attempt::prepare(call, plan.backend, plan.admission.take().unwrap_or_default()).await {
        Ok(ready) => ready,
        Err(error) => return Outcome::Refused(error),
    };
    let (said, said_beside) = (Arc::<Progress>::default(), Arc::<Progress>::default());
    attempt::begin(call, plan, settle, &mut ready, &said);
    let mut first = pin!(make(runtime, call, ready, &said));
    tokio::select! {
        biased;
        ended = &mut first => return settle.ended(ended),
        () = begun(&said) => return settle.ended(first.await),
        () = tokio::time::sleep(after) => {}
    }
    let Some((index, admission)) = plan.second(call) else { return settle.ended(first.await) };
    let second = tokio::select! {
        biased;
        ended = &mut first => return settle.ended(ended),
        second = attempt::prepare(call, index, admission) => second,
    };
    let Ok(mut second) = second else { return settle.ended(first.await) };
    let (one, two) = (plan.backend, second.index);
    plan.attempts += 1;
    settle.beside(two, plan.attempts, &said_beside);
    settle.hold(two, second.admission.reserved.take());
    let mut second = pin!(make(runtime, call, second, &said_beside));
    let (ended, other) = tokio::select! {
        biased;
        ended = &mut first => (ended, two),
        ended = &mut second => (ended, one),
    };
    let ended = if matches!(ended.outcome, Outcome::Answered(_)) {
        let lost = if other == two { &said_beside } else { &said };
        settle.wasted(other, &lost.waste());
        ended
    } else {
        plan.failed_beside(ended.index);
        settle.left_to(other, ended);
        if other == two { second.await } else { first.await }
    };
    let won = matches!(ended.outcome, Outcome::Answered(_)).then_some(ended.index == two);
    runtime.telemetry.metrics.hedged(&call.route.name, won);
    plan.backend = ended.index;
    settle.alone(ended.index);
    settle.ended(ended)
}

/// Ready when there is content of an answer. Whoever notes it is polled by the same task, right before this.
async fn begun(said: &Progress) {
    poll_fn(|_| if said.has_content() { Poll::Ready(()) } else { Poll::Pending }).await;
}
