//! What a route does to requests, and how long it waits for streams.

use std::collections::BTreeMap;

use serde_json::Value;
use spillway_crds::{Duration, Hint, Hold, PassThrough, Reason, RequestRules, Streaming, Unsupported};
use spillway_wire as wire;

use crate::compile::diagnostic::{Diagnostic, ObjectRef};
use crate::compile::duration::Bounds;

const MAX_BODY_BYTES: u64 = 32 << 20;
const BODY_BYTES_BOUND: u64 = 256 << 20;
const TIMEOUT_MS: u64 = 120_000;
/// Somebody else can answer: an application that waits for a person's answer should not wait longer.
const FIRST_TOKEN_MS: u64 = 10_000;
/// Nobody else can: a late answer is better than none.
const LAST_FIRST_TOKEN_MS: u64 = 60_000;
const IDLE_MS: u64 = 60_000;
/// No answer anybody wants has one piece a hundred times in a row.
const MAX_REPEATS: u32 = 100;
const TIMEOUT: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };
const HOLD: Bounds = Bounds { at_least: 0, at_most: 3_600_000 };
const HOLD_BYTES: u32 = 1 << 20;

/// The most fields one rule sets, and the most text of one of their values.
const FIELDS: usize = 32;
const FIELD_BYTES: usize = 16 << 10;
/// What a rule may not touch: the route decides the model, the application whether it streams and what it says.
const OWN_FIELDS: [&str; 6] = ["model", "stream", "stream_options", "messages", "input", "prompt"];

/// What is done to requests.
pub(super) fn rules(
    object: &ObjectRef,
    given: Option<&RequestRules>,
    refusals: &mut Vec<Diagnostic>,
) -> wire::RequestRules {
    let nothing = RequestRules::default();
    let RequestRules { defaults, set, unsupported, max_body_bytes, timeout, hints, pass_through } =
        given.unwrap_or(&nothing);
    let mut refuse = |path: &str, message: String| {
        refusals.push(Diagnostic::refuse(object, Reason::Invalid, format!("spec.request.{path}"), message));
    };
    check_fields("defaults", defaults, &mut refuse);
    check_fields("set", set, &mut refuse);
    let max_body_bytes = max_body_bytes.unwrap_or(MAX_BODY_BYTES);
    if !(1..=BODY_BYTES_BOUND).contains(&max_body_bytes) {
        refuse("maxBodyBytes", format!("{max_body_bytes} is outside of 1 to {BODY_BYTES_BOUND}"));
    }
    wire::RequestRules {
        defaults: defaults.clone(),
        set: set.clone(),
        unsupported: match unsupported.unwrap_or(Unsupported::Drop) {
            Unsupported::Drop => wire::Unsupported::Drop,
            Unsupported::Reject => wire::Unsupported::Reject,
            Unsupported::Pass => wire::Unsupported::Pass,
        },
        max_body_bytes,
        timeout_ms: millis("timeout", TIMEOUT, timeout.as_ref(), TIMEOUT_MS, &mut refuse),
        hints: self::hints(hints),
        pass_through: self::pass_through(pass_through),
    }
}

fn hints(given: &[Hint]) -> Vec<wire::Hint> {
    let hint = |hint: &Hint| match hint {
        Hint::Backend => wire::Hint::Backend,
        Hint::Timeout => wire::Hint::Timeout,
        Hint::Unsupported => wire::Hint::Unsupported,
        Hint::NoFallback => wire::Hint::NoFallback,
    };
    let mut hints: Vec<wire::Hint> = given.iter().map(hint).collect();
    hints.sort_unstable();
    hints.dedup();
    hints
}

fn pass_through(given: &[PassThrough]) -> Vec<wire::PassThrough> {
    let kept = |kept: &PassThrough| match kept {
        PassThrough::Files => wire::PassThrough::Files,
        PassThrough::Batches => wire::PassThrough::Batches,
        PassThrough::Responses => wire::PassThrough::Responses,
        PassThrough::ChatCompletions => wire::PassThrough::ChatCompletions,
        PassThrough::Models => wire::PassThrough::Models,
    };
    let mut all: Vec<wire::PassThrough> = given.iter().map(kept).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// How long a stream may be silent, and how much of it is held back.
pub(super) fn streaming(
    object: &ObjectRef,
    given: Option<&Streaming>,
    refusals: &mut Vec<Diagnostic>,
) -> wire::Streaming {
    let nothing = Streaming::default();
    let Streaming { first_token_timeout, idle_timeout, hold, max_repeats } = given.unwrap_or(&nothing);
    let Hold { bytes, duration } = hold.clone().unwrap_or_default();
    let mut refuse = |path: &str, message: String| {
        refusals.push(Diagnostic::refuse(object, Reason::Invalid, format!("spec.streaming.{path}"), message));
    };
    let hold_bytes = bytes.unwrap_or(0);
    if hold.is_some() && hold_bytes == 0 && duration.is_none() {
        refuse("hold", "holds nothing: set bytes, duration, or both".to_owned());
    }
    if hold_bytes > HOLD_BYTES {
        refuse(
            "hold.bytes",
            format!("{hold_bytes} bytes are held back, a stream may be held for at most {HOLD_BYTES}"),
        );
    }
    let mut read = |path, bounds, given: Option<&Duration>, default| millis(path, bounds, given, default, &mut refuse);
    wire::Streaming {
        first_token_timeout_ms: read("firstTokenTimeout", TIMEOUT, first_token_timeout.as_ref(), FIRST_TOKEN_MS),
        idle_timeout_ms: read("idleTimeout", TIMEOUT, idle_timeout.as_ref(), IDLE_MS),
        hold_bytes: hold_bytes.into(),
        hold_ms: read("hold.duration", HOLD, duration.as_ref(), 0),
        max_repeats: Some(max_repeats.unwrap_or(MAX_REPEATS)).filter(|repeats| *repeats > 0),
    }
}

/// Where nobody else can be asked after a timeout, the default patience with a stream's first content is longer.
pub(super) fn be_patient(streaming: &mut wire::Streaming, given: Option<&Streaming>, fallbacks: &[wire::FallbackRule]) {
    let rule = fallbacks.iter().find(|rule| rule.on.contains(&wire::ErrorClass::Timeout));
    let somebody = rule.is_some_and(|rule| !rule.to.is_empty());
    if !somebody && given.is_none_or(|given| given.first_token_timeout.is_none()) {
        streaming.first_token_timeout_ms = LAST_FIRST_TOKEN_MS;
    }
}

fn millis(
    path: &str,
    bounds: Bounds,
    given: Option<&Duration>,
    default: u64,
    refuse: &mut impl FnMut(&str, String),
) -> u64 {
    match bounds.read(given) {
        Ok(given) => given.unwrap_or(default),
        Err(message) => {
            refuse(path, message);
            default
        }
    }
}

fn check_fields(which: &str, fields: &BTreeMap<String, Value>, refuse: &mut impl FnMut(&str, String)) {
    if fields.len() > FIELDS {
        refuse(which, format!("has {} fields, a rule takes at most {FIELDS}", fields.len()));
    }
    for (name, value) in fields {
        let path = format!("{which}.{name}");
        if OWN_FIELDS.contains(&name.as_str()) {
            let message = match name.as_str() {
                "model" => "is given by the backend: set spec.backends[].model".to_owned(),
                _ => format!("{name} is the application's own: a route does not change it"),
            };
            refuse(&path, message);
        }
        let bytes = value.to_string().len();
        if bytes > FIELD_BYTES {
            refuse(&path, format!("has {bytes} bytes, a value takes at most {FIELD_BYTES}"));
        }
    }
}
