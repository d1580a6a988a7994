//! A whole answer of Ollama's, as OpenAI gives it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{calls, finish_reason, id, logprobs, text, thoughts, usage};
use crate::openai::answer::parse;
use crate::{Answer, Dialect, Fault, Stamp, fault};

/// Translates an answer. Only its time is a name for it.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    if !answer["message"].is_object() && text(&answer).is_none() {
        let inside = fault::inside(Dialect::Ollama, &answer);
        return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"message\"", &bytes)));
    }
    if answer["done"] != true {
        return Err(Fault::unfinished());
    }
    let usage = usage(&answer);
    let finish = finish_reason(answer["done_reason"].as_str().unwrap_or_default(), !calls(&answer).is_empty());
    let model = if shown_model.is_empty() { answer["model"].clone() } else { shown_model.into() };
    let choice = json!({"index": 0, "message": message(&answer, stamp.id()), "logprobs": logprobs(&answer), "finish_reason": finish});
    let mut out = json!({
        "id": format!("chatcmpl-{}", id(&answer, stamp.id())),
        "object": "chat.completion",
        "created": stamp.created,
        "model": model,
        "choices": [choice],
    });
    if let Some(usage) = usage {
        out["usage"] = usage.to_openai();
    }
    Ok(Answer { body: out.to_string().into(), usage })
}

fn message(answer: &Value, name: &str) -> Value {
    let calls: Vec<Value> =
        calls(answer).iter().enumerate().map(|(index, made)| call(answer, made, index, name)).collect();
    let text = text(answer).filter(|text| !text.is_empty() || calls.is_empty());
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    message.insert("content".into(), text.into());
    message.insert("refusal".into(), Value::Null);
    if let Some(thoughts) = thoughts(answer) {
        message.insert("reasoning_content".into(), thoughts.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    Value::Object(message)
}

/// A call; older servers give it no id.
pub(super) fn call(answer: &Value, call: &Value, index: usize, name: &str) -> Value {
    let made = || format!("call_{}_{index}", id(answer, name));
    let id = call["id"].as_str().filter(|id| !id.is_empty()).map_or_else(made, str::to_owned);
    let function = &call["function"];
    let arguments = if function["arguments"].is_object() { function["arguments"].to_string() } else { "{}".to_owned() };
    json!({"id": id, "type": "function", "function": {"name": function["name"], "arguments": arguments}})
}
