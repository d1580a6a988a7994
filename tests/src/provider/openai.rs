//! Answers of the OpenAI dialect.

use serde_json::{Value, json};

use super::{INPUT_TOKENS, OUTPUT_TOKENS};

const ID: &str = "chatcmpl-scripted";
const CREATED: u64 = 1_767_225_600;

pub(super) fn answer(path: &str, model: &str, text: &str, tools: bool) -> String {
    let body = match path {
        "/v1/embeddings" => json!({
            "object": "list", "model": model, "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
            "usage": {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS},
        }),
        "/v1/completions" => json!({
            "id": "cmpl-scripted", "object": "text_completion", "created": CREATED, "model": model, "usage": usage(),
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
        }),
        _ => {
            let (message, reason) = if tools {
                (json!({"role": "assistant", "content": null, "tool_calls": [tool_call()]}), "tool_calls")
            } else {
                (json!({"role": "assistant", "content": text, "refusal": null}), "stop")
            };
            json!({
                "id": ID, "object": "chat.completion", "created": CREATED, "model": model, "usage": usage(),
                "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
            })
        }
    };
    body.to_string()
}

pub(super) fn models() -> String {
    json!({"object": "list", "data": [{"id": "ok", "object": "model", "created": CREATED, "owned_by": "scripted"}]})
        .to_string()
}

pub(super) fn error(code: &str, message: &str) -> String {
    json!({"error": {"message": message, "type": "scripted_error", "param": null, "code": code}}).to_string()
}

/// The role, a piece for every word, the finish, usage when it was asked for, and the end.
pub(super) fn events(request: &Value, text: &str, tools: bool) -> Vec<String> {
    let model = &request["model"];
    let wants_usage = request["stream_options"]["include_usage"] == true;
    let event = |choices: Value, usage: Value| {
        let mut event = json!({"id": ID, "object": "chat.completion.chunk", "created": CREATED, "model": model, "choices": choices});
        if wants_usage {
            event["usage"] = usage;
        }
        format!("data: {event}\n\n")
    };
    let delta = |delta: Value, reason: Option<&str>| {
        event(json!([{"index": 0, "delta": delta, "finish_reason": reason}]), Value::Null)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    if tools {
        let mut call = tool_call();
        call["index"] = 0.into();
        events.push(delta(json!({"tool_calls": [call]}), None));
        events.push(delta(json!({}), Some("tool_calls")));
    } else {
        events.extend(text.split_inclusive(' ').map(|word| delta(json!({"content": word}), None)));
        events.push(delta(json!({}), Some("stop")));
    }
    if wants_usage {
        events.push(event(json!([]), usage()));
    }
    events.push("data: [DONE]\n\n".into());
    events
}

fn tool_call() -> Value {
    json!({"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{\"city\":\"Zürich\"}"}})
}

fn usage() -> Value {
    json!({
        "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    })
}
