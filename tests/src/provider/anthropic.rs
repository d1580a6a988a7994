//! Answers of the Anthropic dialect.

use serde_json::{Value, json};

use super::{INPUT_TOKENS, OUTPUT_TOKENS};

const ID: &str = "msg_scripted";

pub(super) fn look_up() -> Value {
    json!({"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"city": "Zürich"}})
}

pub(super) fn answer(model: &str, text: &str, call: Option<Value>) -> String {
    let (block, reason) = match call {
        Some(call) => (call, "tool_use"),
        None => (json!({"type": "text", "text": text}), "end_turn"),
    };
    json!({
        "id": ID, "type": "message", "role": "assistant", "model": model, "content": [block],
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    })
    .to_string()
}

pub(super) fn error(status: u16, message: &str) -> String {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"}).to_string()
}

/// The named events of one content block, with a ping among them.
pub(super) fn events(model: &str, text: &str, call: Option<Value>) -> Vec<String> {
    let event = |name: &str, mut body: Value| {
        body["type"] = name.into();
        format!("event: {name}\ndata: {body}\n\n")
    };
    let message = json!({
        "id": ID, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    });
    let mut events = vec![event("message_start", json!({"message": message}))];
    let (block, pieces, reason): (Value, Vec<Value>, &str) = if let Some(mut call) = call {
        let input = std::mem::replace(&mut call["input"], json!({})).to_string();
        let parts = input.split_inclusive(':').map(|part| json!({"type": "input_json_delta", "partial_json": part}));
        let pieces = parts.collect();
        (call, pieces, "tool_use")
    } else {
        let pieces = text.split_inclusive(' ').map(|word| json!({"type": "text_delta", "text": word}));
        (json!({"type": "text", "text": ""}), pieces.collect(), "end_turn")
    };
    events.push(event("content_block_start", json!({"index": 0, "content_block": block})));
    events.push(event("ping", json!({})));
    events.extend(pieces.into_iter().map(|delta| event("content_block_delta", json!({"index": 0, "delta": delta}))));
    events.push(event("content_block_stop", json!({"index": 0})));
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(event("message_delta", json!({"delta": delta, "usage": {"output_tokens": OUTPUT_TOKENS}})));
    events.push(event("message_stop", json!({})));
    events
}
