//! One attempt: the request as the backend's provider wants it, sent, and its answer read as far as it decides whether
//! the attempt was good. Nothing of a bad one has reached the application.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use spillway_policy::Class;
use spillway_providers::{Fault, Outgoing, Target, decode_at, encode, fault};
use spillway_wire::AuthScheme;

use super::{
    fallback::Plan,
    pieces::Pieces,
    reply::passed,
    resolve::Call,
    settle::{Settle, Waste},
    stream::{self, Started},
};
use crate::{
    clock,
    error::{ProxyError, class_of},
    runtime::{Backend, Runtime},
    upstream::{SendError, UpstreamBody},
};

/// How an attempt went.
pub(super) enum Outcome {
    Answered(Reply),
    /// The provider, or the way to it, failed: maybe again, maybe elsewhere.
    Failed(Box<Failure>),
    /// It is the request, or this process; no other backend would help.
    Refused(ProxyError),
}

/// An answer for the application.
pub(super) struct Reply {
    /// The provider's headers that are passed on.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Answer,
}

pub(super) enum Answer {
    Whole(Bytes),
    Stream(Box<Started>),
}

/// Why an attempt failed.
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) fault: Fault,
    pub(super) retry_after: Option<Duration>,
    /// The provider's headers that are passed on.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Nothing came although a stream was asked for. Whoever is silent is not asked again at once.
    pub(super) silent: bool,
    /// What had come of a stream that was held back.
    pub(super) wasted: Option<Waste>,
}

/// More than any provider's longest answer; a body beyond it is not an answer.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Enough of an error to classify it.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// What a failure counts as, at least, where speed is compared.
const FAILED_TOOK: Duration = Duration::from_secs(1);

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("spillway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

pub(super) async fn run(runtime: &Runtime, call: &Call, plan: &mut Plan, settle: &mut Settle) -> Outcome {
    let backend = &call.route.backends[plan.backend];
    let request = match prepare(call, backend) {
        Ok(request) => request,
        Err(error) => return Outcome::Refused(error),
    };
    plan.attempts += 1;
    let now = clock::now();
    settle.attempt(plan, &call.sizes, call.truncated, now);
    settle.busy(backend.state.enter());
    let attempt = Attempt { runtime, call, backend, sent: now, total: after(now, backend.provider.total) };
    let mut outcome = attempt.exchange(request, settle).await;
    if let Outcome::Failed(failure) = &mut outcome {
        backend.provider.scrub(&mut failure.fault);
    }
    let ended = clock::now();
    settle.go_on(ended);
    let failed = if let Outcome::Failed(failure) = &outcome { Some(failure.class) } else { None };
    if let Some(took) = speed(&outcome, ended - now) {
        backend.state.took(ended, took);
    }
    runtime.telemetry.metrics.attempt(&call.route.name, &backend.provider.name, failed, ended - now);
    outcome
}

/// How fast a backend is to be thought of after an attempt. None: it was not its fault, and says nothing of its speed.
fn speed(outcome: &Outcome, took: Duration) -> Option<Duration> {
    match outcome {
        Outcome::Answered(_) => Some(took),
        Outcome::Failed(failure) => match failure.class {
            Class::ContextWindowExceeded
            | Class::BadRequest
            | Class::ContentPolicyViolation
            | Class::UnprocessableEntity => None,
            // Whoever fails in a millisecond is not the fastest.
            Class::Connection
            | Class::Timeout
            | Class::NotFound
            | Class::Authentication
            | Class::InternalServerError
            | Class::RateLimited
            | Class::ServiceUnavailable
            | Class::PermissionDenied => Some(took.max(FAILED_TOOK)),
        },
        Outcome::Refused(_) => None,
    }
}

/// A moment so far away that no clock holds it never comes.
fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or(now + Duration::from_secs(365 * 86_400))
}

/// Builds the provider's request from scratch: of the application's headers only a list goes along.
fn prepare(call: &Call, backend: &Backend) -> Result<Request<Full<Bytes>>, ProxyError> {
    let provider = &backend.provider;
    let target = Target {
        dialect: provider.dialect,
        model: &backend.model,
        max_output_tokens: backend.max_output_tokens,
        unsupported: call.route.request.unsupported,
    };
    let Outgoing { path, headers: dialect, body, dropped } = encode(call.api, &call.body, &call.need, &target)?;
    if !dropped.is_empty() {
        tracing::debug!(route = call.route.name, backend = backend.name, ?dropped, "parameters were left out");
    }
    let place = provider.upstream.place();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = place.uri(path);
    let headers = request.headers_mut();
    headers.reserve(12);
    headers.insert(header::HOST, place.authority().clone());
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::ACCEPT, if call.need.stream { EVENTS } else { JSON });
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in dialect {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in &call.forwarded {
        // The application's version is its wish where the provider speaks its dialect, and noise elsewhere.
        if headers.contains_key(name) || name != "anthropic-version" {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in &provider.set {
        headers.insert(name, value.clone());
    }
    for name in &provider.remove {
        headers.remove(name);
    }
    if let Some(slot) = &provider.key {
        let unset = || ProxyError::Credentials { providers: provider.name.clone() };
        let key = slot.header(provider.auth).ok_or_else(unset)?;
        match provider.auth {
            AuthScheme::Bearer => headers.insert(header::AUTHORIZATION, key),
            AuthScheme::XApiKey => headers.insert(HeaderName::from_static("x-api-key"), key),
            AuthScheme::ApiKey => headers.insert(HeaderName::from_static("api-key"), key),
            AuthScheme::None => None,
        };
    }
    Ok(request)
}

/// One attempt under way.
pub(super) struct Attempt<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) call: &'a Call,
    pub(super) backend: &'a Backend,
    pub(super) sent: Instant,
    /// The provider's time for the whole attempt, streams included.
    pub(super) total: Instant,
}

impl Attempt<'_> {
    async fn exchange(&self, request: Request<Full<Bytes>>, settle: &mut Settle) -> Outcome {
        let provider = &self.backend.provider;
        // A stream's head may come with its first content only, so that bound is the head's as well.
        let first_token = if self.call.need.stream { self.call.route.first_token_timeout } else { Duration::MAX };
        let first_byte = provider.first_byte.min(first_token);
        let response = match provider.upstream.send(request, first_byte, self.until()).await {
            Ok(response) => response,
            Err(error) => return self.unsent(&error),
        };
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Outcome::Failed(self.rejected(head.status, &head.headers, body).await);
        }
        if let Some(coding) = head.headers.get(header::CONTENT_ENCODING).filter(|coding| **coding != IDENTITY) {
            return self.garbage(format!("answered with content-encoding {coding:?}, which it was asked not to"));
        }
        let headers = passed(&head.headers, provider.key.as_deref());
        let body = if self.call.need.stream && !is_json(&head.headers) {
            stream::start(self, body).await.map(|started| Answer::Stream(Box::new(started)))
        } else {
            self.whole(body, settle).await.map(Answer::Whole)
        };
        match body {
            Ok(body) => Outcome::Answered(Reply { headers, body }),
            Err(outcome) => outcome,
        }
    }

    /// When this attempt must have brought an answer, or a stream's first content.
    pub(super) fn until(&self) -> Instant {
        self.call.deadline.min(self.total)
    }

    async fn whole(&self, body: UpstreamBody, settle: &mut Settle) -> Result<Bytes, Outcome> {
        let mut held = self.runtime.memory.hold();
        let limit = held.limit();
        let bytes = self.read(body, MAX_ANSWER_BYTES, |total| held.grow_to(total)).await;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(Cut::Memory) => {
                return Err(Outcome::Refused(ProxyError::Overloaded { what: "memory for answers", limit }));
            }
            Err(cut) => return Err(self.cut(&cut)),
        };
        let Call { api, model, need, .. } = self.call;
        let length = bytes.len() as u64;
        match decode_at(*api, self.backend.provider.dialect, model, clock::since_epoch().as_secs(), bytes) {
            // Here a stream was asked for and something whole came: if it is no error, it is no stream either.
            Ok(_) if need.stream => Err(self.garbage("answered a request for a stream with something else".to_owned())),
            Ok(answer) => {
                settle.used(answer.usage);
                settle.seen(length);
                Ok(answer.body)
            }
            Err(fault) => Err(Outcome::Failed(Failure::new(fault))),
        }
    }

    /// Reads a body to its end, within the attempt's time and the provider's idle time.
    async fn read(&self, mut body: UpstreamBody, limit: u64, mut take: impl FnMut(u64) -> bool) -> Result<Bytes, Cut> {
        let mut pieces = Pieces::expecting(body.size_hint().exact().filter(|size| *size <= limit));
        loop {
            let until = self.until().min(after(clock::now(), self.backend.provider.idle));
            let frame = match tokio::time::timeout_at(until.into(), body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Cut::Broken(error)),
                Ok(None) => return Ok(pieces.join()),
                Err(_) => return Err(Cut::Idle),
            };
            let Ok(data) = frame.into_data() else { continue };
            let total = (pieces.len() + data.len()) as u64;
            if total > limit {
                return Err(Cut::TooLarge(limit));
            }
            if !take(total) {
                return Err(Cut::Memory);
            }
            pieces.push(data);
        }
    }

    async fn rejected(&self, status: StatusCode, headers: &HeaderMap, body: UpstreamBody) -> Box<Failure> {
        let fault = if status.is_redirection() {
            let message = "answered with a redirect, which is not followed: the key would go along".to_owned();
            Fault { status: Some(status.as_u16()), ..local(spillway_providers::Class::InternalServerError, message) }
        } else {
            // An error is an error, whether or not all of its text can be read.
            let text = self.read(body, MAX_ERROR_BYTES, |_| true).await.unwrap_or_default();
            fault::classify(self.backend.provider.dialect, status.as_u16(), &text)
        };
        let passed = passed(headers, self.backend.provider.key.as_deref());
        Box::new(Failure { retry_after: retry_after(headers), headers: passed, ..*Failure::new(fault) })
    }

    /// No head of an answer came.
    fn unsent(&self, error: &SendError) -> Outcome {
        use spillway_providers::Class as P;
        let (class, silent) = match error {
            SendError::Connect(_) | SendError::Broken { .. } => (P::Connection, false),
            SendError::Silent { .. } => (P::Timeout, self.call.need.stream),
        };
        Outcome::Failed(Box::new(Failure { silent, ..*Failure::new(local(class, chain(error))) }))
    }

    /// A body ended before its end.
    pub(super) fn cut(&self, cut: &Cut) -> Outcome {
        use spillway_providers::Class as P;
        let (class, message) = match cut {
            Cut::Broken(error) => (P::Connection, format!("the answer broke off: {}", chain(error))),
            Cut::Idle => (P::Timeout, "the answer stalled".to_owned()),
            Cut::TooLarge(limit) => (P::InternalServerError, format!("the answer is larger than {limit} bytes")),
            Cut::Memory => (P::ServiceUnavailable, "the answer found no memory".to_owned()),
        };
        let silent = self.call.need.stream && matches!(cut, Cut::Idle);
        Outcome::Failed(Box::new(Failure { silent, ..*Failure::new(local(class, message)) }))
    }

    fn garbage(&self, message: String) -> Outcome {
        Outcome::Failed(Failure::new(local(spillway_providers::Class::InternalServerError, message)))
    }
}

/// Why a body ended before its end.
pub(super) enum Cut {
    Broken(hyper::Error),
    Idle,
    TooLarge(u64),
    Memory,
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(fault: Fault) -> Box<Self> {
        Box::new(Self {
            class: class_of(fault.class),
            fault,
            retry_after: None,
            headers: Vec::new(),
            silent: false,
            wasted: None,
        })
    }
}

/// A fault that we saw and the provider did not tell.
pub(super) const fn local(class: spillway_providers::Class, message: String) -> Fault {
    Fault { class, status: None, code: None, message, window: None }
}

/// An error with its causes, which speak for one level each.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.starts_with("application/json") || content_type.starts_with("text/html")
}

/// `Retry-After` as providers write it: milliseconds in a header of their own, seconds, or a date. Nonsense is nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let at = Duration::from_secs(u64::try_from(date.as_second()).ok()?);
    Some(at.saturating_sub(clock::since_epoch()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_every_spelling_and_nonsense_is_ignored() {
        let rows = [
            ("retry-after", "7", Some(7_000)),
            ("retry-after", " 1.5 ", Some(1_500)),
            ("retry-after-ms", "250", Some(250)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("retry-after", "1e400", None),
            ("retry-after", "NaN", None),
        ];
        for (name, value, want) in rows {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), want.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
