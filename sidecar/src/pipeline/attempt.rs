//! One attempt: the request as the backend's provider wants it, sent, and its answer read as far as it decides whether
//! the attempt was good. Nothing of a bad one has reached the application.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use spillway_policy::Class;
use spillway_providers::{Dialect, Fault, fault, pass::Comes};

use super::{
    allowance,
    failure::{Cut, Failure, chain, local, retry_after},
    fallback::Plan,
    outgoing::{self, IDENTITY, Made},
    progress::Progress,
    prove::{self, Sent, prove},
    reply::passed,
    resolve::Call,
    settle::{Settle, Waste},
    stream::{self, Started},
    through::{self, Through},
};
use crate::{
    clock,
    error::ProxyError,
    runtime::{Admission, Backend, InFlight, Route, Runtime},
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
    /// Whatever it is.
    Through(Box<Through>),
}

/// Enough of an error to classify it.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Where providers name a request.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-request-id"];

/// Theirs are UUIDs.
const MAX_ID_BYTES: usize = 64;

/// For all of an error's text. Its status is known by then, and somebody else may be waiting to be asked.
const ERROR_PATIENCE: Duration = Duration::from_secs(2);

/// What a failure counts as, at least and at most, where speed is compared. The most bounds how long a backend that has
/// recovered goes unnoticed.
const FAILED_TOOK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// What is known of an answer apart from its text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) usage: Option<spillway_providers::Usage>,
    pub(super) output_bytes: u64,
}

/// An attempt that may begin.
pub(super) struct Ready {
    pub(super) index: usize,
    made: Made,
    pub(super) admission: Admission,
    key: Option<Sent>,
}

/// An attempt that is over, or whose answer has begun.
pub(super) struct Ended {
    pub(super) index: usize,
    pub(super) outcome: Outcome,
    pub(super) measured: Measured,
    /// Parameters that did not go along.
    pub(super) dropped: Option<String>,
    /// Of a good one.
    pub(super) kept: Option<Kept>,
}

/// What an attempt holds until its answer has been read to the end.
pub(super) struct Kept {
    /// The answer may still break off.
    pub(super) admission: Admission,
    pub(super) _busy: InFlight,
}

/// Makes the attempt that the plan is ready for.
pub(super) async fn run(runtime: &Runtime, call: &Call, plan: &mut Plan, settle: &mut Settle) -> Outcome {
    let mut ready = match prepare(call, plan.backend, plan.admission.take().unwrap_or_default()).await {
        Ok(ready) => ready,
        Err(error) => return Outcome::Refused(error),
    };
    let progress = Arc::default();
    begin(call, plan, settle, &mut ready, &progress);
    let ended = make(runtime, call, ready, &progress).await;
    settle.ended(ended)
}

/// The attempt that the plan is at is about to be sent.
pub(super) fn begin(call: &Call, plan: &mut Plan, settle: &mut Settle, ready: &mut Ready, progress: &Arc<Progress>) {
    plan.attempts += 1;
    settle.attempt(plan, call, progress, clock::now());
    settle.hold(ready.index, ready.admission.reserved.take());
}

/// The attempt itself. Dropped before it has ended, it is aborted at the provider.
pub(super) async fn make(runtime: &Runtime, call: &Call, ready: Ready, progress: &Progress) -> Ended {
    let Ready { index, made: Made { mut request, dropped, stands_in }, mut admission, key } = ready;
    let backend = &call.route.backends[index];
    let sent = clock::now();
    let total = clock::after(sent, backend.provider.total);
    let attempt = Attempt { runtime, call, backend, progress, stands_in, sent, total };
    let mut busy = backend.state.enter(sent);
    let mut measured = Measured::default();
    let given = prove(&backend.provider, key.as_ref(), &mut request, attempt.until()).await;
    let (mut outcome, given) = match given {
        Ok(given) => (attempt.exchange(request, &mut measured).await, given),
        Err(failure) => (Outcome::Failed(failure), None),
    };
    let ended = clock::now();
    let failed = if let Outcome::Failed(failure) = &mut outcome {
        unquote(call, failure).await;
        backend.provider.scrub(&mut failure.fault);
        prove::learn(given.as_ref(), failure);
        failure.rekeyed = key.as_ref().is_some_and(Sent::is_old);
        failure.of_key = failure.blames_key().filter(|_| backend.provider.keys.len() > 1);
        Some(failure.class)
    } else {
        None
    };
    // What is asked of one backend only says nothing of how fast it is with others' requests.
    let took = speed(&outcome, &call.route, ended, ended - sent).filter(|_| !call.is_once());
    busy.took(ended, took);
    runtime.telemetry.metrics.attempt(&call.route.name, &backend.provider.name, failed, ended - sent);
    if let Some(key) = key.filter(|_| backend.provider.keys.len() > 1) {
        runtime.telemetry.metrics.key_used(&backend.provider.name, key.number, failed);
    }
    let kept = match &outcome {
        Outcome::Answered(_) => {
            admission.answered();
            Some(Kept { admission, _busy: busy })
        }
        // A provider without this API is as good as ever for the others.
        Outcome::Failed(failure) if call.passing.is_some() && failure.class == Class::NotFound => None,
        Outcome::Failed(failure) => {
            admission.failed(&failure.for_gates(ended >= call.deadline), runtime.roll());
            None
        }
        // Dropped: it says nothing about the provider.
        Outcome::Refused(_) => None,
    };
    Ended { index, outcome, measured, dropped, kept }
}

/// What an error says in the request's own words says nothing. All of the request is read for it, but only where words
/// alone made the class.
async fn unquote(call: &Call, failure: &mut Failure) {
    if !failure.fault.may_quote() {
        return;
    }
    let fault = failure.fault.clone();
    // Out of time or room, the provider is believed: then nobody is asked any more.
    if let Ok(fault) = call.aside(move |call| fault.without_quotes(&call.body).of_api(call.api)).await {
        failure.hear_again(fault);
    }
}

/// How fast a backend is to be thought of after an attempt. None: it was not its fault, and says nothing of its speed.
fn speed(outcome: &Outcome, route: &Route, now: Instant, took: Duration) -> Option<Duration> {
    match outcome {
        Outcome::Answered(_) => Some(took),
        Outcome::Failed(failure) => match failure.class {
            Class::ContextWindowExceeded
            | Class::BadRequest
            | Class::ContentPolicyViolation
            | Class::UnprocessableEntity => None,
            Class::Connection
            | Class::Timeout
            | Class::NotFound
            | Class::Authentication
            | Class::InternalServerError
            | Class::RateLimited
            | Class::ServiceUnavailable
            | Class::PermissionDenied => Some(took.max(failed_took(route, now))),
        },
        Outcome::Refused(_) => None,
    }
}

/// Whoever fails in a millisecond is not the fastest, but twice as slow as the slowest: an LLM may take a minute to answer.
fn failed_took(route: &Route, now: Instant) -> Duration {
    let known = route.backends.iter().filter_map(|backend| backend.state.load(now).micros);
    let slowest = known.max().unwrap_or(0).saturating_mul(2);
    let [least, most] = FAILED_TOOK;
    Duration::from_micros(slowest).clamp(least, most)
}

/// The request, and the key it goes out with.
pub(super) async fn prepare(call: &Call, index: usize, admission: Admission) -> Result<Ready, ProxyError> {
    let key = Sent::of(&call.route.backends[index].provider, &admission);
    let slot = key.as_ref().map(|key| Arc::clone(key.slot()));
    let made = call.aside(move |call| outgoing::request(call, index, slot.as_deref())).await??;
    Ok(Ready { index, made, admission, key })
}

/// One attempt under way.
pub(super) struct Attempt<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) call: &'a Call,
    pub(super) backend: &'a Backend,
    pub(super) progress: &'a Progress,
    /// A tool stands in for the form of the streamed answer.
    pub(super) stands_in: bool,
    pub(super) sent: Instant,
    /// The provider's time for the whole attempt, streams included.
    pub(super) total: Instant,
}

impl Attempt<'_> {
    async fn exchange(&self, request: Request<Full<Bytes>>, measured: &mut Measured) -> Outcome {
        let provider = &self.backend.provider;
        // A stream's head may come with its first content only, so that bound is the head's as well.
        let first_byte = provider.first_byte.min(self.first_token());
        let response = match provider.upstream.send(request, first_byte, self.until()).await {
            Ok(response) => response,
            Err(error) => return self.unsent(&error),
        };
        let (head, body) = response.into_parts();
        allowance::hear(&self.call.route.rights, provider, &head.headers);
        if !head.status.is_success() {
            return Outcome::Failed(self.rejected(head.status, &head.headers, body).await);
        }
        if let Some(coding) = head.headers.get(header::CONTENT_ENCODING).filter(|coding| **coding != IDENTITY) {
            return self.garbage(format!("answered with content-encoding {coding:?}, which it was asked not to"));
        }
        let headers = passed(&head.headers, provider);
        let body = if self.goes_through(&head.headers) {
            through::start(self, &head.headers, body).await.map(|through| Answer::Through(Box::new(through)))
        } else if self.call.need.stream && !is_json(&head.headers) {
            stream::start(self, body, &self.name(&head.headers)).await.map(|started| Answer::Stream(Box::new(started)))
        } else {
            self.whole(body, self.name(&head.headers), measured).await.map(Answer::Whole)
        };
        match body {
            Ok(body) => Outcome::Answered(Reply { headers, body }),
            Err(outcome) => outcome,
        }
    }

    /// A name for an answer whose provider may give it none: the provider's for the request, or else one of ours.
    fn name(&self, headers: &HeaderMap) -> String {
        match self.backend.speech.dialect {
            // Its calls of tools may be in want of one.
            Dialect::OpenAi => return self.runtime.request_id(),
            Dialect::Anthropic | Dialect::BedrockInvoke => return String::new(),
            Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock | Dialect::Ollama => {}
        }
        let theirs = REQUEST_IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        let theirs = theirs.filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES);
        theirs.map_or_else(|| self.runtime.request_id(), str::to_owned)
    }

    /// The answer is nothing that could be read.
    fn goes_through(&self, headers: &HeaderMap) -> bool {
        let pass = self.call.passing.as_ref().map(|passing| passing.pass);
        pass.is_some_and(|pass| pass.comes == Comes::Bytes || !is_json(headers))
    }

    /// When this attempt must have brought an answer, or a stream's first content.
    pub(super) fn until(&self) -> Instant {
        self.call.deadline.min(self.total)
    }

    pub(super) fn first_token(&self) -> Duration {
        if self.call.need.stream { self.call.route.first_token_timeout } else { Duration::MAX }
    }

    async fn rejected(&self, status: StatusCode, headers: &HeaderMap, body: UpstreamBody) -> Box<Failure> {
        let mut wait = retry_after(headers);
        let fault = if status.is_redirection() {
            let message = "answered with a redirect, which is not followed: the key would go along".to_owned();
            Fault { status: Some(status.as_u16()), ..local(spillway_providers::Class::InternalServerError, message) }
        } else {
            // An error is an error, whether or not all of its text can be read.
            let until = self.until().min(clock::now() + ERROR_PATIENCE);
            let text = self.read(body, MAX_ERROR_BYTES, until, |_, _| true).await.unwrap_or_default();
            wait = wait.or_else(|| fault::wait(&text));
            let kind = headers.get(fault::TYPE_HEADER).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            fault::classify(self.backend.speech.dialect, status.as_u16(), kind, &text).of_api(self.call.api)
        };
        let passed = passed(headers, &self.backend.provider);
        Box::new(Failure { retry_after: wait, headers: passed, ..*Failure::new(fault) })
    }

    /// No head of an answer came.
    fn unsent(&self, error: &SendError) -> Outcome {
        use spillway_providers::Class as P;
        let (class, silent, doubt) = match error {
            SendError::Connect(_) => (P::Connection, false, false),
            SendError::Broken { sent, .. } => (P::Connection, false, *sent),
            SendError::Silent { .. } => (P::Timeout, self.call.need.stream, true),
        };
        Outcome::Failed(Box::new(Failure {
            silent,
            wasted: doubt.then(Waste::prompt),
            ..*Failure::new(local(class, chain(error)))
        }))
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
        Outcome::Failed(Box::new(Failure {
            silent,
            wasted: Some(self.progress.waste()),
            ..*Failure::new(local(class, message))
        }))
    }

    /// An answer that nobody can read: it was made, and is billed as far as anybody here can know.
    fn garbage(&self, message: String) -> Outcome {
        let failure = Failure::new(local(spillway_providers::Class::InternalServerError, message));
        Outcome::Failed(Box::new(Failure { wasted: Some(Waste::prompt()), ..*failure }))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.starts_with("application/json") || content_type.starts_with("text/html")
}
