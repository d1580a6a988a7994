//! Which backends a route wants for a request: what the expressions of `when` say of it.

use http::HeaderName;
use spillway_expression::{Expression, Value};
use spillway_policy::fallback::Set;
use spillway_providers::{Api, Body, prompt};

use super::{count, resolve::Call};
use crate::{clock, runtime::Route};

/// What the expressions have said so far. Each is asked once, and only when its backend is about to be a candidate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    asked: Set,
    pub(super) unwanted: Set,
    pub(super) unclear: Set,
}

/// What of the last user message an expression sees.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// What expressions see of a prompt's words.
#[derive(Clone, Debug)]
pub(super) struct Words {
    user: String,
    text: String,
}

// === impl Words ===

impl Words {
    /// Those of a large body, found beforehand where somebody will ask.
    pub(super) fn of(route: &Route, api: Api, body: &Body) -> Option<Self> {
        let is_asked = route.backends.iter().any(|backend| backend.when.is_some());
        is_asked.then(|| Self { user: user(api, body), text: text(api, body) })
    }
}

fn user(api: Api, body: &Body) -> String {
    prompt::user(api, body).unwrap_or_default()
}

fn text(api: Api, body: &Body) -> String {
    prompt::last_text(api, body, MAX_TEXT_BYTES)
}

/// Asks the expressions of these backends, where that has not been done.
pub(super) fn judge(call: &mut Call, order: &[usize]) {
    for index in order.iter().copied() {
        let Some(when) = call.route.backends.get(index).and_then(|backend| backend.when.as_ref()) else { continue };
        if call.wanted.asked.contains(index) {
            continue;
        }
        let answer = when.is_true(|field| value(call, when, field));
        call.wanted.asked.insert(index);
        match answer {
            Ok(true) => {}
            Ok(false) => call.wanted.unwanted.insert(index),
            Err(failed) => {
                let (route, backend) = (&call.route.name, &call.route.backends[index].name);
                tracing::debug!(route, backend, %failed, "an expression is neither true nor false of a request");
                call.wanted.unclear.insert(index);
            }
        }
    }
}

/// One field of the request, as `spillway_expression` lists them.
fn value(call: &Call, when: &Expression, field: &str) -> Value {
    let Call { api, body, words, need, model, sizes, .. } = call;
    match field {
        "tokens" => Value::Int(count::guess(sizes)),
        "maxTokens" => Value::Int(need.max_output_tokens.unwrap_or(0)),
        "messages" => Value::Int(need.messages as u64),
        "hasTools" => Value::Bool(need.tools),
        "hasImages" => Value::Bool(need.images),
        "hasJsonSchema" => Value::Bool(need.json_schema),
        "stream" => Value::Bool(need.stream),
        "model" => Value::Text(model.clone()),
        "user" => Value::Text(words.as_ref().map_or_else(|| user(*api, body), |words| words.user.clone())),
        "text" => Value::Text(words.as_ref().map_or_else(|| text(*api, body), |words| words.text.clone())),
        "headers" => Value::Headers(headers(call, when)),
        "hour" => Value::Int(clock::since_epoch().as_secs() / 3_600 % 24),
        // The first of January 1970 was a Thursday.
        "weekday" => Value::Int((clock::since_epoch().as_secs() / 86_400 + 4) % 7),
        // The expression was checked against the same list.
        _ => Value::Bool(false),
    }
}

fn headers(call: &Call, when: &Expression) -> Vec<(String, String)> {
    let found = |name: &String| {
        let value = call.headers.get(name.parse::<HeaderName>().ok()?)?;
        Some((name.clone(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    when.headers().iter().filter_map(found).collect()
}
