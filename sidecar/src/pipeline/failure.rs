//! Why an attempt failed, and what the provider said about when to come back.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use spillway_policy::Class;
use spillway_providers::Fault;

use super::settle::Waste;
use crate::{
    clock,
    error::class_of,
    runtime::{Failed, OfKey},
};

/// Why an attempt failed.
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) fault: Fault,
    pub(super) retry_after: Option<Duration>,
    /// The provider's headers that are passed on.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Nothing came although a stream was asked for. Whoever is silent is not asked again at once.
    pub(super) silent: bool,
    /// What it may be billed all the same: what had come of a stream that was held back, or the prompt of a request that
    /// was sent and never answered.
    pub(super) wasted: Option<Waste>,
    /// A newer key has come since the request was sent.
    pub(super) rekeyed: bool,
    /// An answer came, and it is not what was asked for.
    pub(super) unfit: bool,
    /// What is wrong is the key, and the provider has others.
    pub(super) of_key: Option<OfKey>,
    /// There is nothing that says who we are: the provider was never asked.
    pub(super) unproved: bool,
}

/// A provider that asks for more is asked again tomorrow.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// What OpenAI calls it that nobody has paid, with the status of a limit or of a bad request.
const UNPAID: [&str; 2] = ["insufficient_quota", "billing_hard_limit_reached"];
/// How Anthropic says it, with the status of a bad request.
const UNPAID_WORDS: [&str; 2] = ["Your credit balance is too low", "You have reached your specified API usage limits"];

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
            rekeyed: false,
            unfit: false,
            of_key: None,
            unproved: false,
        })
    }

    /// Forgets what the request put into the provider's words.
    pub(super) fn hear_again(&mut self, fault: Fault) {
        self.class = class_of(fault.class);
        self.fault = fault;
    }

    /// What the gates on the way to the backend need to know. `hurried`: the application's own deadline came first.
    pub(super) const fn for_gates(&self, hurried: bool) -> Failed {
        let Self { class, retry_after, rekeyed, of_key, unproved, .. } = *self;
        Failed { class, retry_after, hurried, rekeyed, of_key, unproved }
    }

    /// Another key might be told something else: this one is refused, not paid for, or over its limit, which is by model
    /// nearly everywhere.
    pub(super) fn blames_key(&self) -> Option<OfKey> {
        let Fault { status, ref code, ref message, .. } = self.fault;
        let named = code.as_deref().is_some_and(|code| UNPAID.contains(&code));
        let unpaid = status == Some(402) || named || UNPAID_WORDS.iter().any(|words| message.starts_with(words));
        match self.class {
            _ if unpaid => Some(OfKey::Whole),
            Class::Authentication => Some(OfKey::Whole),
            Class::RateLimited => Some(OfKey::WithModel),
            _ => None,
        }
    }
}

/// A fault that we saw and the provider did not tell.
pub(super) const fn local(class: spillway_providers::Class, message: String) -> Fault {
    Fault::local(class, message)
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

/// `Retry-After` as providers write it: milliseconds in a header of their own, seconds, or a date. Nonsense is nothing, and
/// what is absurd is [`LONGEST_WAIT`].
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    // A comparison and not `min`, which would make something of NaN.
    let longest = LONGEST_WAIT.as_secs_f64();
    let seconds = |seconds: f64| Duration::try_from_secs_f64(if seconds > longest { longest } else { seconds }).ok();
    if let Some(wait) = number("retry-after-ms").and_then(|ms| seconds(ms / 1000.0)) {
        return Some(wait);
    }
    if let Some(value) = number("retry-after") {
        return seconds(value);
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text("retry-after")?).ok()?;
    let at = Duration::from_secs(u64::try_from(date.as_second()).ok()?);
    Some(at.saturating_sub(clock::since_epoch()).min(LONGEST_WAIT))
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
            ("retry-after", "1e400", Some(86_400_000)),
            ("retry-after", "99999999999999999999", Some(86_400_000)),
            ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT", Some(86_400_000)),
            ("retry-after-ms", "-1", None),
            ("retry-after-ms", "NaN", None),
            ("retry-after", "NaN", None),
        ];
        for (name, value, want) in rows {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), want.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
