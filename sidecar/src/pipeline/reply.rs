//! What goes back to the application: the answer or an error, with headers that say what happened.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use spillway_policy::limit::Standing;
use spillway_providers::Api;
use spillway_providers::render::{self, Told};

use super::{
    attempt::{Answer, Reply},
    limit,
    settle::Settle,
    stream::StreamReply,
    through::{BrokenOff, ThroughReply},
};
use crate::{
    clock,
    error::{ProxyError, Shape},
    runtime::Provider,
};

/// The body of every answer on the data port.
pub(crate) enum ReplyBody {
    Whole(Option<Bytes>),
    Stream(Box<StreamReply>),
    Through(Box<ThroughReply>),
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-spillway-request-id");
const ROUTE: HeaderName = HeaderName::from_static("x-spillway-route");
const BACKEND: HeaderName = HeaderName::from_static("x-spillway-backend");
const PROVIDER: HeaderName = HeaderName::from_static("x-spillway-provider");
const MODEL: HeaderName = HeaderName::from_static("x-spillway-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-spillway-attempts");
const FALLBACK_REASON: HeaderName = HeaderName::from_static("x-spillway-fallback-reason");
const ERROR_CLASS: HeaderName = HeaderName::from_static("x-spillway-error-class");
const HEDGED: HeaderName = HeaderName::from_static("x-spillway-hedged");
const COST_USD: HeaderName = HeaderName::from_static("x-spillway-cost-usd");
const BUDGET_EXHAUSTED: HeaderName = HeaderName::from_static("x-spillway-budget-exhausted");
const OVERHEAD_US: HeaderName = HeaderName::from_static("x-spillway-overhead-us");
const SCHEMA: HeaderName = HeaderName::from_static("x-spillway-schema");
pub(super) const TOKENS: HeaderName = HeaderName::from_static("x-spillway-tokens");
const DROPPED: HeaderName = HeaderName::from_static("x-spillway-dropped");
const TRUNCATED: HeaderName = HeaderName::from_static("x-spillway-truncated-messages");
const SUMMARY_TOKENS: HeaderName = HeaderName::from_static("x-spillway-summary-tokens");
const MAX_OUTPUT_TOKENS: HeaderName = HeaderName::from_static("x-spillway-max-output-tokens");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Beginnings of a provider's headers that an application may need: its limits, and what to quote to its support.
const PASSED: [&str; 9] = [
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-ratelimitbysize-",
    "ratelimitbysize-",
    "x-tokenlimit-",
    "retry-after",
    "openai-processing-ms",
    "x-request-id",
    "request-id",
];

/// The headers of a provider's answer that are passed on; one that repeats a key is not.
pub(super) fn passed(headers: &HeaderMap, provider: &Provider) -> Vec<(HeaderName, HeaderValue)> {
    let harmless = |value: &HeaderValue| value.to_str().is_ok_and(|text| provider.taken_out_of(text).is_none());
    headers
        .iter()
        .filter(|(name, value)| is_passed(name) && harmless(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_passed(name: &HeaderName) -> bool {
    PASSED.iter().any(|start| name.as_str().starts_with(start))
}

/// The answer. A stream takes the settling along, to its end.
pub(super) fn answer(reply: Reply, mut settle: Settle) -> Response<ReplyBody> {
    let Reply { headers: passed, body } = reply;
    let mut headers = HeaderMap::with_capacity(16 + passed.len());
    for (name, value) in passed {
        headers.append(name, value);
    }
    describe(&mut headers, &mut settle);
    // Of what is not here yet a cost is known where it is not by the token.
    if let Some(cost) = settle.cost().filter(|_| !matches!(body, Answer::Stream(_))) {
        insert(&mut headers, COST_USD, &cost.to_string());
    }
    let body = match body {
        Answer::Whole(bytes) => {
            headers.insert(header::CONTENT_TYPE, JSON);
            settle.answered(StatusCode::OK.as_u16());
            ReplyBody::Whole(Some(bytes))
        }
        Answer::Stream(started) => {
            headers.insert(header::CONTENT_TYPE, EVENTS);
            headers.insert(header::CACHE_CONTROL, NO_CACHE);
            ReplyBody::Stream(Box::new(StreamReply::new(*started, settle)))
        }
        Answer::Through(mut through) => {
            headers.extend(through.headers.drain(..));
            ReplyBody::Through(Box::new(ThroughReply::new(*through, settle)))
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// An error instead of an answer.
pub(super) fn refuse(error: &ProxyError, mut settle: Settle) -> Response<ReplyBody> {
    if let ProxyError::OverBudget(over) = error {
        settle.is_over(over);
    }
    let mut response = error_response(settle.api(), error);
    describe(response.headers_mut(), &mut settle);
    settle.refused(response.status().as_u16(), error.shape().code, error.class());
    response
}

/// An error in the words of the API that was called.
pub(crate) fn error_response(api: Api, error: &ProxyError) -> Response<ReplyBody> {
    let shape = error.shape().for_callers_of(api, error.anthropic_status());
    let Shape { status, kind, code, param, inner, retry_after, should_retry } = shape;
    // What a prompt is called differs.
    let param = param.as_deref().map(|param| match (api, param) {
        (Api::Responses | Api::Embeddings, "messages") => "input",
        (Api::Completions, "messages") => "prompt",
        _ => param,
    });
    let (message, inner) = (error.to_string(), inner.as_deref());
    let body = render::error_body(api, status.as_u16(), Told { kind, code: &code, message: &message, param, inner });
    let mut response = json_response(status, body);
    let headers = response.headers_mut();
    match error {
        ProxyError::Method { allowed, .. } => insert(headers, header::ALLOW, allowed),
        ProxyError::Upstream(exhausted) => headers.extend(exhausted.headers.iter().cloned()),
        _ => {}
    }
    if let Some(class) = error.class() {
        headers.insert(ERROR_CLASS, HeaderValue::from_static(class.as_str()));
    }
    if let Some(wait) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
    }
    if let Some(retry) = should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
    response
}

pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// The answer to `OPTIONS`.
pub(crate) fn methods(allowed: &str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    insert(response.headers_mut(), header::ALLOW, allowed);
    response
}

/// Rounded up: who comes back a moment too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn describe(headers: &mut HeaderMap, settle: &mut Settle) {
    let overhead = settle.overhead(clock::now());
    insert(headers, REQUEST_ID, settle.id());
    if let Some(route) = settle.route() {
        headers.insert(ROUTE, route.header.clone());
    }
    if let Some(backend) = settle.backend() {
        headers.insert(BACKEND, backend.header.clone());
        headers.insert(PROVIDER, backend.provider.header.clone());
        headers.insert(MODEL, backend.model_header.clone());
        headers.insert(ATTEMPTS, HeaderValue::from(settle.attempts()));
    }
    if let Some(reason) = settle.reason() {
        headers.insert(FALLBACK_REASON, HeaderValue::from_static(reason));
    }
    if let Some(budget) = settle.over_budget().map(str::to_owned) {
        insert(headers, BUDGET_EXHAUSTED, &budget);
    }
    if settle.hedged() {
        headers.insert(HEDGED, HeaderValue::from_static("true"));
    }
    if let Some(outcome) = settle.schema() {
        headers.insert(SCHEMA, HeaderValue::from_static(outcome));
    }
    if let Some(dropped) = settle.dropped() {
        insert(headers, DROPPED, dropped);
    }
    if settle.truncated() > 0 {
        headers.insert(TRUNCATED, HeaderValue::from(settle.truncated()));
    }
    for (name, tokens) in [(SUMMARY_TOKENS, settle.summary_tokens()), (MAX_OUTPUT_TOKENS, settle.limit())] {
        headers.extend(tokens.map(|tokens| (name, HeaderValue::from(tokens))));
    }
    rate_limits(headers, settle.passage.standing);
    headers.insert(OVERHEAD_US, HeaderValue::from(u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX)));
}

/// The names OpenAI gives to what is left of a limit, reset as a duration.
const LIMIT_HEADERS: [[&str; 3]; 2] = [
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
];

/// Where a route has limits an application goes by those, and not by what the provider allows all of us together.
fn rate_limits(headers: &mut HeaderMap, standing: Standing) {
    let levels = [standing.requests, standing.tokens];
    if levels == [None, None] {
        return;
    }
    for (names, level) in LIMIT_HEADERS.into_iter().zip(levels) {
        let [limit, remaining, reset] = names.map(HeaderName::from_static);
        let Some(level) = level else {
            for name in [limit, remaining, reset] {
                headers.remove(name);
            }
            continue;
        };
        headers.insert(limit, HeaderValue::from(level.limit));
        headers.insert(remaining, HeaderValue::from(level.remaining));
        insert(headers, reset, &limit::reset(level.reset));
    }
}

/// What is written here is ASCII of our own making; should it ever not be, a header is missing and the answer is not.
fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

// === impl ReplyBody ===

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                let frame = ready!(Pin::new(stream.as_mut()).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Through(through) => Pin::new(through.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Through(through) => through.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
            Self::Through(through) => through.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_ids_are_passed_on_and_nothing_else() {
        let rows = [
            ("x-ratelimit-remaining-requests", true),
            ("anthropic-ratelimit-tokens-reset", true),
            ("retry-after", true),
            ("x-request-id", true),
            ("openai-organization", false),
            ("set-cookie", false),
            ("content-length", false),
        ];
        for (name, want) in rows {
            assert_eq!(is_passed(&HeaderName::from_static(name)), want, "{name}");
        }
    }
}
