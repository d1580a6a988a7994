//! What went wrong at a provider, in one of twelve classes.
//!
//! Classification decides what is retried and who is asked next, so it reads everything a provider says: the status, its own
//! code, and its words, in that order of trust. The words are a table ([`rules`]), because forty providers say "the
//! prompt is too long" in as many ways. What is passed on is bounded and has no key in it ([`redact`]).

mod parse;
mod quote;
mod redact;
mod rules;
#[cfg(test)]
mod tests;
mod window;

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{Api, Body, Dialect};
use parse::Report;
use quote::Asked;
pub use window::is_named;

/// The header in which AWS names the type of an error; the body has the words alone.
pub const TYPE_HEADER: &str = "x-amzn-errortype";

/// What of a provider's words is kept.
const MAX_MESSAGE_BYTES: usize = 512;

/// What of a provider's body is read. An error fits; a page of a middlebox need not.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The twelve classes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Connection,
    Timeout,
    ContextWindowExceeded,
    BadRequest,
    NotFound,
    ContentPolicyViolation,
    Authentication,
    InternalServerError,
    RateLimited,
    ServiceUnavailable,
    PermissionDenied,
    UnprocessableEntity,
}

/// A failed attempt, as far as the provider's words tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub class: Class,
    /// The provider's HTTP status; None when there was none (a cut stream), or when it was a 200 with an error inside.
    pub status: Option<u16>,
    /// The provider's own code: `context_length_exceeded`, `overloaded_error`.
    pub code: Option<String>,
    /// The provider's words, keys blanked out, at most 512 bytes.
    pub message: String,
    /// What else the provider says. Most say nothing else.
    pub details: Option<Box<Details>>,
    /// The context window in tokens, where an overflow message names it.
    pub window: Option<u64>,
    /// The longest prompt that is taken, where it names that: there may be more room for an answer.
    pub longest: Option<u64>,
    /// How long the prompt is, where it says so.
    pub prompt: Option<Length>,
    /// What the class was read from, where that was words alone.
    pub heard: Option<Arc<Heard>>,
}

/// What some providers say of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// What of the request it is about, in the provider's words.
    pub param: Option<String>,
    /// Azure's `innererror`, which says what its filter found: JSON, keys blanked out.
    pub inner: Option<String>,
}

/// How long a prompt is, as its provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Tokens(u64),
    /// So many it has reached, and nobody has counted on.
    AtLeast(u64),
    /// So many more than fit, and that is all it says.
    Over(u64),
}

/// Words that made a class, to be weighed again by [`Fault::without_quotes`].
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    dialect: Dialect,
    effective: Option<u16>,
    report: Report,
}

// === impl Fault ===

impl Fault {
    /// The answer stopped before it was complete.
    pub(crate) fn cut(what: &str) -> Self {
        Self::own(Class::Connection, format!("stream cut: {what}"))
    }

    /// An answer with status 200 that is none.
    pub(crate) fn garbage(what: &str, body: &[u8]) -> Self {
        let excerpt = redact::message(&String::from_utf8_lossy(&body[..body.len().min(MAX_BODY_BYTES)]));
        let message = if excerpt.is_empty() { what.to_owned() } else { format!("{what}: {excerpt}") };
        Self::own(Class::InternalServerError, message)
    }

    /// A whole answer that does not say why it ends: what is in it may be half of it.
    pub(crate) fn unfinished() -> Self {
        Self::own(Class::InternalServerError, "answer is not complete: no finish reason")
    }

    /// A stream whose last event came before any reason to stop.
    pub(crate) fn endless() -> Self {
        Self::cut("the provider ended it without a finish reason")
    }

    /// The model failed and says so where others say why they stopped. `words`: what else the provider says of it.
    pub(crate) fn failed(reason: &str, words: Option<&str>) -> Self {
        let words = words.map(redact::message).filter(|words| !words.is_empty());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        Self::own(Class::InternalServerError, format!("the model failed with finish reason {reason:?}{words}"))
    }

    pub(crate) fn own(class: Class, message: impl Into<String>) -> Self {
        Self::local(class, redact::cut(message.into(), MAX_MESSAGE_BYTES))
    }

    /// What we saw and no provider said.
    #[must_use]
    pub const fn local(class: Class, message: String) -> Self {
        let (window, longest, prompt) = (None, None, None);
        Self { class, status: None, code: None, message, details: None, window, longest, prompt, heard: None }
    }

    /// What of the request it is about.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.details.as_ref()?.param.as_deref()
    }

    /// Azure's `innererror`, as JSON.
    #[must_use]
    pub fn inner(&self) -> Option<&str> {
        self.details.as_ref()?.inner.as_deref()
    }

    /// More is asked of the provider than it can serve, and nothing else is wrong. Anthropic has a status of its own for it,
    /// and a word that comes alone in streams.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        let failed = matches!(self.class, Class::InternalServerError | Class::ServiceUnavailable);
        failed && (self.status == Some(529) || self.code.as_deref() == Some("overloaded_error"))
    }

    /// The provider wants money first. No retry and no other request changes that.
    #[must_use]
    pub const fn is_unpaid(&self) -> bool {
        matches!(self.status, Some(402))
    }

    /// Its class rests on the provider's words, which may be a quotation.
    #[must_use]
    pub const fn may_quote(&self) -> bool {
        self.heard.is_some()
    }

    /// The same error, told of a request to this API. Of a chat, only the prompt is ever too large: that says what to do
    /// where the status says no more.
    #[must_use]
    pub fn of_api(self, api: Api) -> Self {
        let is_chat = matches!(api, Api::ChatCompletions | Api::Messages | Api::Responses);
        let too_large = is_chat && self.status == Some(413) && self.class == Class::BadRequest;
        if too_large { Self { class: Class::ContextWindowExceeded, ..self } } else { self }
    }

    /// The same error without what the request put into its words.
    #[must_use]
    pub fn without_quotes(&self, request: &Body) -> Self {
        let Some(heard) = self.heard.as_deref() else { return self.clone() };
        let report = Report { asked: Asked::of(request), ..heard.report.clone() };
        let told = fault(heard.dialect, self.status, heard.effective, report);
        Self { message: self.message.clone(), heard: None, ..told }
    }
}

/// Classifies a provider's error answer. `kind` is the type it names in a header, as AWS does; empty for none.
#[must_use]
pub fn classify(dialect: Dialect, status: u16, kind: &str, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY_BYTES)]);
    let report = Report::from_text(&text).of_type(kind);
    // A gateway's failure around the limit of the provider behind it.
    let effective = if status >= 500 && report.status == Some(429) { 429 } else { status };
    fault(dialect, Some(status), Some(effective), report)
}

/// How long the error's own text asks to wait: Google says so there, and in no header. Nonsense is nothing.
#[must_use]
pub fn wait(body: &[u8]) -> Option<Duration> {
    let value: Value = serde_json::from_slice(body.get(..MAX_BODY_BYTES.min(body.len()))?).ok()?;
    let details = value.get(0).unwrap_or(&value).pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

/// Anybody's words as they may be shown: one line of at most 512 bytes, keys blanked out.
#[must_use]
pub fn shown(text: &str) -> String {
    redact::message(text)
}

/// Classifies an error that came inside a 200, as a body or as an event. None: there is no error in it.
pub(crate) fn inside(dialect: Dialect, value: &Value) -> Option<Fault> {
    let report = Report::from_error(value)?;
    let effective = report.status.or_else(|| rules::status_of_kind(&report.kind, &report.code));
    Some(fault(dialect, None, effective, report))
}

fn fault(dialect: Dialect, status: Option<u16>, effective: Option<u16>, report: Report) -> Fault {
    let class = rules::class(dialect, effective, &report);
    let overflow = (class == Class::ContextWindowExceeded).then_some(&report);
    let (window, longest) = (overflow.and_then(window::learn), overflow.and_then(window::longest));
    let prompt = overflow.and_then(window::prompt);
    let code = [&report.code, &report.kind].into_iter().find(|code| !code.is_empty());
    let code = code.map(|code| redact::cut(code.clone(), 64));
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let details = Details { param: given(&report.param), inner: given(&report.inner) };
    let details = (details != Details::default()).then(|| Box::new(details));
    let mut message = redact::message(&report.message);
    if message.is_empty() {
        message = format!("status {} without a message", effective.unwrap_or(500));
    }
    let words = overflow.is_some() || rules::rests_on_words(dialect, effective, &report);
    let heard = words.then(|| Arc::new(Heard { dialect, effective, report }));
    Fault { class, status, code, message, details, window, longest, prompt, heard }
}
