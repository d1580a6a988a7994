//! What a route does to requests, and how long it waits for streams.

use std::collections::BTreeMap;

use serde_json::Value;
use spillway_crds::{Duration, Reason, RequestRules, Streaming, Unsupported};
use spillway_wire as wire;

use crate::compile::diagnostic::{Diagnostic, ObjectRef};
use crate::compile::duration::Bounds;

const MAX_BODY_BYTES: u64 = 32 << 20;
const BODY_BYTES_BOUND: u64 = 256 << 20;
const TIMEOUT_MS: u64 = 120_000;
const FIRST_TOKEN_MS: u64 = 30_000;
const IDLE_MS: u64 = 60_000;
/// No answer anybody wants has one piece a hundred times in a row.
const MAX_REPEATS: u32 = 100;
const TIMEOUT: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };

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
    let RequestRules { defaults, set, unsupported, max_body_bytes, timeout } = given.unwrap_or(&nothing);
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
        timeout_ms: millis("timeout", timeout.as_ref(), TIMEOUT_MS, &mut refuse),
    }
}

/// How long a stream may be silent.
pub(super) fn streaming(
    object: &ObjectRef,
    given: Option<&Streaming>,
    refusals: &mut Vec<Diagnostic>,
) -> wire::Streaming {
    let nothing = Streaming::default();
    let Streaming {
        first_token_timeout,
        idle_timeout,
        // Refused by `unsupported`.
        hold: _,
    } = given.unwrap_or(&nothing);
    let mut refuse = |path: &str, message: String| {
        refusals.push(Diagnostic::refuse(object, Reason::Invalid, format!("spec.streaming.{path}"), message));
    };
    wire::Streaming {
        first_token_timeout_ms: millis("firstTokenTimeout", first_token_timeout.as_ref(), FIRST_TOKEN_MS, &mut refuse),
        idle_timeout_ms: millis("idleTimeout", idle_timeout.as_ref(), IDLE_MS, &mut refuse),
        hold_bytes: 0,
        hold_ms: 0,
        max_repeats: Some(MAX_REPEATS),
    }
}

fn millis(path: &str, given: Option<&Duration>, default: u64, refuse: &mut impl FnMut(&str, String)) -> u64 {
    match TIMEOUT.read(given) {
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
