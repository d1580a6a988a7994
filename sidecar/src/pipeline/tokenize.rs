//! How long a prompt is for the model that would answer it: `POST /v1/tokenize`.
//!
//! The body is what that model would be asked: `model`, and `messages` with `system` and `tools`, or `input`, or `prompt`, as
//! any of the APIs has them. The answer is `{"tokens", "exact", "encoding", "model", "backend"}`, and `context_window` and
//! `max_output_tokens` where they are known; the window is a smaller one than was said where that is what it has proved to
//! be. `encoding` `estimate` is one, corrected by what the provider has reported of other prompts. Nobody is asked for it and
//! nothing is billed, so no limit applies but those on requests in flight and on their bytes.

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};
use spillway_policy::fallback::{Counted, Sizes};
use spillway_providers::{
    Api, BadRequest, Body,
    tokens::{self, Count},
};

use super::{
    accept,
    attempt::{Answer, Reply},
    count,
    settle::Settle,
};
use crate::{
    clock,
    error::ProxyError,
    runtime::{Generation, LARGE, Route},
};

pub(super) async fn answer(request: Request<Incoming>, settle: &mut Settle) -> Result<Reply, ProxyError> {
    let runtime = settle.runtime();
    let generation = runtime.generation().ok_or(ProxyError::NotConfigured)?;
    let mut accepted = accept::body(&runtime, Api::Tokenize, generation.max_body_bytes, request).await?;
    let (bytes, size) = (accepted.body.clone(), accepted.body.len() as u64);
    let read = move || Body::parse(bytes).map(|body| (check(&body), body));
    let (checked, body) = runtime.aside.work(size, count::in_time(), read).await??;
    accepted.weigh(&body)?;
    checked?;
    let is_large = size > LARGE;
    let model = model(&body)?;
    let route = generation.route(&model).ok_or_else(|| unknown(&generation, &model))?;
    settle.routed(route, false, &Sizes::bounds(0, 0));
    let Some(first) = route.primaries.first().copied() else {
        return Err(ProxyError::NoBackend { route: route.name.clone() });
    };
    let encoding = route.backends[first].encoding;
    let work = move |goes_on: &dyn Fn() -> bool| tokens::count_while(Api::Tokenize, &body, encoding, goes_on);
    let counted = count::by(&runtime.aside, (encoding, is_large), count::in_time(), work).await;
    let fallback = Count { tokens: count::guess_output(size), exact: false };
    let counted = counted.unwrap_or(fallback);
    let window = route.window(first, clock::now());
    Ok(Reply { headers: Vec::new(), body: Answer::Whole(said(route, first, counted, window)) })
}

/// Refuses what no API takes: a count of it would be a number all the same.
fn check(body: &Body) -> Result<(), BadRequest> {
    let wrong =
        |param: String, what: &str| Err(BadRequest { message: format!("{param} must be {what}"), param: Some(param) });
    let given = |key: &&str| body.get_bytes(key).is_some_and(|raw| raw != b"null");
    // In the order in which they are looked for.
    let Some(key) = ["messages", "prompt", "input"].into_iter().find(given) else {
        let message = "there is nothing to count (send messages, input or prompt)".to_owned();
        return Err(BadRequest { param: Some("messages".to_owned()), message });
    };
    let raw = body.get_bytes(key).unwrap_or_default();
    let (whole, element): (&[u8], fn(u8) -> bool) = match key {
        "messages" => (b"[", |first| first == b'{'),
        "prompt" => (b"[\"", |first| matches!(first, b'"' | b'[' | b'0'..=b'9')),
        _ => (b"[\"", |first| matches!(first, b'"' | b'[' | b'{' | b'0'..=b'9')),
    };
    if !raw.first().is_some_and(|first| whole.contains(first)) {
        let what = match key {
            "messages" => "a list of messages",
            "prompt" => "a text, or a list of texts or of tokens",
            _ => "a text, or a list of texts, of tokens or of items",
        };
        return wrong(key.to_owned(), what);
    }
    let elements = body.elements(key);
    match elements.iter().position(|raw| !raw.first().copied().is_some_and(element)) {
        None => Ok(()),
        Some(index) if key == "messages" => wrong(format!("messages[{index}]"), "an object"),
        Some(index) if key == "prompt" => wrong(format!("prompt[{index}]"), "a text, a token or a list of tokens"),
        Some(index) => wrong(format!("input[{index}]"), "a text, a token, a list of tokens or an item"),
    }
}

fn model(body: &Body) -> Result<String, ProxyError> {
    let at = |param: &str, message: &str| BadRequest { param: Some(param.to_owned()), message: message.to_owned() };
    match body.value("model") {
        Some(Value::String(model)) => Ok(model),
        _ => Err(at("model", "model is no text (send the name a chat would be asked with)").into()),
    }
}

fn unknown(generation: &Generation, model: &str) -> ProxyError {
    ProxyError::UnknownModel { model: model.to_owned(), known: generation.known_in_words() }
}

fn said(route: &Route, first: usize, Count { tokens, exact }: Count, window: Option<u64>) -> Bytes {
    let backend = &route.backends[first];
    let encoding = backend.encoding.name();
    let candidate = &route.candidates[first];
    let mut said = json!({
        "tokens": candidate.corrected(Counted { tokens, exact }), "exact": exact, "encoding": encoding,
        "model": backend.model, "backend": backend.name,
    });
    let known = [("context_window", window), ("max_output_tokens", backend.max_output_tokens)];
    for (key, value) in known {
        if let Some(value) = value {
            said[key] = value.into();
        }
    }
    said.to_string().into()
}
