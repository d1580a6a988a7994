//! The prompt's tokens by the word of whoever will bill for them, where the route asks for that and the provider counts. It
//! is asked once, in the time that any count has, and not told to any gate how it went: counts have limits of their own.
//! What a provider said of a prompt when it refused it is known without asking.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use spillway_providers::{
    counting::{self, Asking, Told},
    tokens::{self, Count, Turns},
};

use super::super::{
    outgoing,
    pieces::Pieces,
    prove::{Sent, prove},
    resolve::Call,
};
use crate::{clock, runtime::Admission, upstream::UpstreamBody};

/// Some answer with every token of the prompt, as a number of up to six digits.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A conversation is written out before it is counted by some, and nobody asks for more than that.
const STEPS: usize = 2;

/// The count, by `until` at the latest. None: it is not to be had, and is made here.
pub(super) async fn ask(call: &mut Call, backend: usize, until: Instant) -> Option<u64> {
    let (outcome, tokens) = match known(call, backend).await {
        Some(tokens) => ("known", Some(tokens)),
        None if call.route.window.asks_provider => {
            let asking = call.aside(move |call| outgoing::counting(call, backend)).await.ok().flatten()?;
            match counted(call, backend, asking, until).await {
                Some(tokens) if remember(call, backend, Count { tokens, exact: true }).await => {
                    ("counted", Some(tokens))
                }
                _ => ("failed", None),
            }
        }
        None => return None,
    };
    let to = &call.route.backends[backend];
    call.runtime.telemetry.metrics.asked_to_count(&call.route.name, &to.name, outcome);
    tokens
}

/// Remembers what the provider counted in the prompt as it is, to its end if that is exact. False: it is no count of it,
/// whatever it is.
pub(in super::super) async fn remember(call: &mut Call, backend: usize, count: Count) -> bool {
    let tokens = count.tokens;
    // A request that is only counted has a prompt all the same.
    let sizes = if call.api.has_prompt() { call.sizes } else { super::bounds(call.api, &call.body) };
    let most = sizes.upper_for(&call.route.candidates[backend]).unwrap_or(u32::MAX.into());
    if !(sizes.least..=most).contains(&tokens) {
        tracing::debug!(route = call.route.name, tokens, "what the provider says is no count of the prompt");
        return false;
    }
    if let Some(turns) = turns(call).await {
        tokens::remember(&turns, &who(call, backend), count);
    }
    true
}

fn who(call: &Call, backend: usize) -> String {
    let to = &call.route.backends[backend];
    format!("{}/{}", to.provider.name, to.model)
}

/// What was said of it before, or of what it began with, where that decides. A prompt is looked at where anything was said
/// at all, and once, however many may have said it.
async fn known(call: &mut Call, backend: usize) -> Option<u64> {
    let who = who(call, backend);
    if !tokens::is_told(&who) {
        return None;
    }
    let (turns, room) = (turns(call).await?, call.room(backend));
    let tokens::Told { least, most } = tokens::told(&turns, &who)?;
    let fits = most.filter(|most| *most <= room);
    fits.or_else(|| (most == Some(least) || least > room).then_some(least))
}

async fn turns(call: &mut Call) -> Option<Arc<Turns>> {
    if call.turns.is_none() {
        call.turns = call.aside(|call| Arc::new(tokens::turns(call.api, &call.body))).await.ok();
    }
    call.turns.clone()
}

async fn counted(call: &Call, backend: usize, asking: Box<Asking>, until: Instant) -> Option<u64> {
    let provider = &call.route.backends[backend].provider;
    if !provider.has_key() {
        return None;
    }
    // A backend that rests is not asked; what was let through is given back, whatever comes of it.
    let admission = call.route.admit(backend, clock::now()).ok()?;
    let mut asking = asking;
    for _ in 0..STEPS {
        // Counts are requests to its account, and answers go before them.
        if !call.takes_request(backend) {
            return None;
        }
        let answer = tokio::time::timeout_at(until.into(), exchange(call, backend, &admission, &asking, until));
        let answer = answer.await.ok().flatten()?;
        let bytes = answer.len() as u64;
        let told = call.runtime.aside.work(bytes, until, move || counting::told(&asking, answer)).await.ok().flatten();
        match told? {
            Told::Tokens(tokens) => return Some(tokens),
            Told::Next(next) => asking = next,
        }
    }
    None
}

/// One question and its answer.
async fn exchange(
    call: &Call,
    backend: usize,
    admission: &Admission,
    asking: &Asking,
    until: Instant,
) -> Option<Bytes> {
    let provider = &call.route.backends[backend].provider;
    let key = Sent::of(provider, admission);
    let slot = key.as_ref().map(|key| key.slot().clone());
    let asking = asking.clone();
    let request = call.aside(move |call| outgoing::asking(call, backend, asking, slot.as_deref()));
    let mut request: Request<Full<Bytes>> = request.await.ok()?.ok()?;
    prove(provider, key.as_ref(), &mut request, until).await.ok()?;
    let answer = provider.upstream.send(request, provider.first_byte, until).await.ok()?;
    if !answer.status().is_success() {
        tracing::debug!(route = call.route.name, status = answer.status().as_u16(), "the provider did not count");
        return None;
    }
    read(answer).await
}

async fn read(answer: Response<UpstreamBody>) -> Option<Bytes> {
    let (mut body, mut pieces) = (answer.into_body(), Pieces::default());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if pieces.len() + data.len() > MAX_ANSWER_BYTES {
            return None;
        }
        pieces.push(data);
    }
    Some(pieces.join())
}
