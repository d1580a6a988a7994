//! Ollama by its own API: one JSON object a line instead of events, arguments of tools as objects, and everything about
//! sampling in `options`.

mod message;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;

use serde_json::{Value, json};

use crate::{Dialect, Usage};

/// OpenAI's word for why an answer ended.
fn finish_reason(reason: &str, calls_tools: bool) -> &'static str {
    match reason {
        "length" => "length",
        _ if calls_tools => "tool_calls",
        // stop, load, unload, and what is yet to come.
        _ => "stop",
    }
}

/// The counts beside the answer; the prompt's are missing where all of it was in the cache.
pub(crate) fn usage(answer: &Value) -> Option<Usage> {
    Usage::read(Dialect::Ollama, answer)
}

/// What was written: as a chat's message, or as what goes on behind a prompt.
fn text(answer: &Value) -> Option<&str> {
    answer.pointer("/message/content").or_else(|| answer.get("response"))?.as_str()
}

/// What was thought before.
fn thoughts(answer: &Value) -> Option<&str> {
    let thoughts = answer.pointer("/message/thinking").or_else(|| answer.get("thinking"))?.as_str();
    thoughts.filter(|text| !text.is_empty())
}

fn calls(answer: &Value) -> &[Value] {
    answer.pointer("/message/tool_calls").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Its answers have a time and no id. Theirs is ours; where nobody gave one it is the time, which two may share.
fn id(answer: &Value, name: &str) -> String {
    if !name.is_empty() {
        return name.to_owned();
    }
    let time = answer["created_at"].as_str().unwrap_or_default();
    time.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

/// How likely each token was, where that was asked for: in OpenAI's words already.
fn logprobs(answer: &Value) -> Value {
    match answer["logprobs"].as_array() {
        Some(tokens) if !tokens.is_empty() => json!({"content": tokens, "refusal": null}),
        _ => Value::Null,
    }
}
