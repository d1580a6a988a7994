//! What is asked once, of one backend: nobody else has the file or the batch it is about, and nobody else need be asked how
//! long a prompt is. No turn is taken, nothing is repeated, no gate is told how it went: whether files are to be had says
//! nothing of a model, and counts have limits of their own.

use http::HeaderValue;
use serde_json::json;
use spillway_policy::{
    Class,
    fallback::{Choice, Counted, Set, Skip},
};
use spillway_providers::{Api, Dialect, tokens};

use super::{
    attempt::{self, Answer, Outcome, Reply},
    count,
    failure::Failure,
    fallback::{Plan, Skips},
    refusal,
    reply::TOKENS,
    reserve::Closed,
    resolve::Call,
    settle::Settle,
    when,
};
use crate::{
    clock,
    error::{Exhausted, ProxyError},
    runtime::Runtime,
};

/// Who counted: the provider that will, or a tokenizer that is known to agree with it.
const EXACT: &str = "exact";
const ESTIMATE: &str = "estimate";

pub(super) async fn answer(runtime: &Runtime, call: &mut Call, settle: &mut Settle) -> Result<Reply, ProxyError> {
    if call.api == Api::CountTokens { counted(runtime, call, settle).await } else { kept(runtime, call, settle).await }
}

/// From the one who keeps it.
async fn kept(runtime: &Runtime, call: &mut Call, settle: &mut Settle) -> Result<Reply, ProxyError> {
    let index = first(call)?;
    // Leave is asked for and given back at once: a backend that rests is not asked, and that is all.
    if !call.route.backends[index].provider.has_key() {
        return Err(refusal::nobody(call, &vec![(index, Skip::Out)]));
    }
    let mut admission = match call.admit(index).await {
        Ok(admission) => admission,
        Err(Closed::Gate) => return Err(refusal::nobody(call, &vec![(index, Skip::Open)])),
        Err(Closed::Rights) => return Err(refusal::nobody(call, &vec![(index, Skip::Denied)])),
    };
    let mut plan = Plan::only(index, admission.reserved.take());
    drop(admission);
    match attempt::run(runtime, call, &mut plan, settle).await {
        Outcome::Answered(reply) => Ok(reply),
        Outcome::Refused(error) => Err(error),
        Outcome::Failed(failure) => Err(given_up(&plan, call, *failure)),
    }
}

/// By the provider where it counts, else here.
async fn counted(runtime: &Runtime, call: &mut Call, settle: &mut Settle) -> Result<Reply, ProxyError> {
    let index = first(call)?;
    let backend = &call.route.backends[index];
    let can_count = backend.speech.dialect == Dialect::Anthropic;
    if can_count && backend.provider.has_key() && call.route.admit(index, clock::now()).is_ok() {
        let mut plan = Plan::only(index, None);
        // It has the time that any count has: what comes later is of no use to anybody.
        let until = count::until(call);
        let deadline = std::mem::replace(&mut call.deadline, until);
        let outcome = attempt::run(runtime, call, &mut plan, settle).await;
        call.deadline = deadline;
        match outcome {
            Outcome::Answered(Reply { mut headers, body }) => {
                headers.push((TOKENS, HeaderValue::from_static(EXACT)));
                return Ok(Reply { headers, body });
            }
            Outcome::Refused(error) => return Err(error),
            Outcome::Failed(failure) if is_about_request(&failure) => return Err(given_up(&plan, call, *failure)),
            // An estimate is better than none.
            Outcome::Failed(_) => {}
        }
    } else if let Some(tokens) = count::told(call, index).await {
        settle.waited_for(std::mem::take(&mut call.waited));
        return Ok(said(tokens, EXACT));
    }
    Ok(estimate(call, index).await)
}

/// The error for the application. No rule of a policy would have helped.
fn given_up(plan: &Plan, call: &Call, failure: Failure) -> ProxyError {
    match plan.exhausted(call, failure, &Skips::new()) {
        ProxyError::Upstream(exhausted) => ProxyError::Upstream(Box::new(Exhausted { remedy: None, ..*exhausted })),
        error => error,
    }
}

/// Whoever gets an estimate instead would be told the same when the message itself is sent.
const fn is_about_request(failure: &Failure) -> bool {
    !failure.class.is_trouble() && !matches!(failure.class, Class::NotFound)
}

async fn estimate(call: &Call, index: usize) -> Reply {
    let encoding = call.route.backends[index].encoding;
    let (api, body) = (call.api, call.body.clone());
    let work = move |goes_on: &dyn Fn() -> bool| tokens::count_while(api, &body, encoding, goes_on);
    let counted = count::heavy(call, encoding, work).await;
    let guess = || tokens::Count { tokens: count::guess(&count::bounds(call.api, &call.body)), exact: false };
    let tokens::Count { tokens, exact } = counted.unwrap_or_else(guess);
    let tokens = call.route.candidates[index].corrected(Counted { tokens, exact });
    said(tokens, if exact { EXACT } else { ESTIMATE })
}

fn said(tokens: u64, word: &'static str) -> Reply {
    Reply {
        headers: vec![(TOKENS, HeaderValue::from_static(word))],
        body: Answer::Whole(json!({ "input_tokens": tokens }).to_string().into()),
    }
}

/// The first choice that can take it, in the user's order, after whoever was asked for.
fn first(call: &mut Call) -> Result<usize, ProxyError> {
    let order = call.hints.first_choices(&call.route.primaries);
    when::judge(call, &order);
    let mut skips = Skips::new();
    let question = call.question(Set::default(), Set::default(), 0);
    match question.first_of(order.iter().copied(), |index, skip| skips.push((index, skip))) {
        Choice::Take(index) | Choice::Count(index) => Ok(index),
        Choice::Nobody => Err(refusal::nobody(call, &skips)),
    }
}
