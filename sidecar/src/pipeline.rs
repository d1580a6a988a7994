//! What happens to a request. [`drive`] is the whole of it, top to bottom; each stage is a sibling file.

mod accept;
mod allowance;
mod attempt;
mod cascade;
mod choose;
mod conversation;
mod count;
mod failure;
mod fallback;
mod fleet;
mod form;
mod hedge;
mod hint;
mod items;
mod limit;
mod once;
mod outgoing;
mod pass;
mod pieces;
mod progress;
mod prove;
mod refusal;
mod reply;
mod reserve;
mod resolve;
mod room;
mod settle;
mod shadow;
mod stream;
mod structure;
mod summarize;
mod through;
mod tokenize;
mod truncate;
mod when;
mod whole;

use hyper::{Request, Response, body::Incoming};
use spillway_providers::Api;

use crate::{error::ProxyError, runtime::Place};

pub(crate) use accept::discard;
pub(crate) use count::give_back;
pub(crate) use reply::{REQUEST_ID, ReplyBody, error_response, json_response, methods};

use attempt::{Outcome, Reply};
use cascade::Cascade;
use settle::Settle;
use structure::Next;

/// Answers a request. Whatever happens, there is an answer, and the request is settled once: here, when its stream ends,
/// or when the application goes away and everything is dropped.
///
/// What most requests never come to (a wait, a second attempt, a prompt that is too long) is boxed where it begins: the
/// future of a request holds room for the largest of what it may ever do, and is made and moved for every one.
pub(crate) async fn handle(place: Place, api: Api, request: Request<Incoming>) -> Response<ReplyBody> {
    let mut settle = Settle::begin(place, api);
    let answered = match api {
        Api::Tokenize => Box::pin(tokenize::answer(request, &mut settle)).await,
        _ => drive(api, request, &mut settle).await,
    };
    match answered {
        Ok(reply) => reply::answer(reply, settle),
        Err(error) => reply::refuse(&error, settle),
    }
}

async fn drive(api: Api, request: Request<Incoming>, settle: &mut Settle) -> Result<Reply, ProxyError> {
    let runtime = settle.runtime();
    // Pinned: whatever is pushed meanwhile, this request sees one config.
    let generation = runtime.generation().ok_or(ProxyError::NotConfigured)?;
    let mut accepted = accept::body(&runtime, api, generation.max_body_bytes, request).await?;
    let mut call = resolve::call(&generation, api, &mut accepted, settle).await?;
    let mut structure = structure::read(&runtime, &call).await?;
    limit::pass(&runtime, &call, settle).await?;
    fleet::pass(&runtime, &call, settle).await?;
    if call.is_once() {
        return Box::pin(once::answer(&runtime, &mut call, settle)).await;
    }
    let mut plan = fallback::first(&runtime, &mut call, settle).await?;
    let mut cascade = Cascade::default();
    let mut reply = loop {
        let outcome = hedge::run(&runtime, &call, &mut plan, settle).await;
        structure.restore(&mut call);
        let failure = match outcome {
            Outcome::Answered(reply) => {
                let judged = structure.judge(&call, settle, reply).await?;
                let Some(judged) = cascade.judge(&runtime, &mut call, &mut plan, judged, settle).await else {
                    continue;
                };
                match structure.next(&mut call, &mut plan, settle, judged).await {
                    Next::Give(reply) => break reply,
                    Next::Again => continue,
                    Next::Fail(failure) => failure,
                }
            }
            Outcome::Refused(error) => break cascade.or(error, settle)?,
            Outcome::Failed(failure) => structure.failed(failure),
        };
        if let Err(error) = Box::pin(plan.after(&runtime, &mut call, failure, settle)).await {
            break cascade.or(error, settle)?;
        }
    };
    settle.waited_for(std::mem::take(&mut call.waited));
    shadow::send(&runtime, &mut call);
    items::listen(&runtime, &call, &mut reply);
    Ok(reply)
}
