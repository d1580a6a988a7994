//! A whole answer of Cohere's, as OpenAI gives it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{finish_reason, usage};
use crate::openai::answer::parse;
use crate::{Answer, Dialect, Fault, Stamp, citations, fault};

/// Translates an answer. When it was made Cohere does not say.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    if !answer["message"].is_object() {
        let inside = fault::inside(Dialect::Cohere, &answer);
        return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"message\"", &bytes)));
    }
    let usage = usage(&answer);
    let finish = finish_reason(&answer)?.ok_or_else(Fault::unfinished)?;
    let mut out = json!({
        "id": chat_id(&answer, stamp.id()),
        "object": "chat.completion",
        "created": stamp.created,
        "model": shown_model,
        "choices": [{"index": 0, "message": message(&answer["message"]), "logprobs": null, "finish_reason": finish}],
    });
    if let Some(usage) = usage {
        out["usage"] = usage.to_openai();
    }
    Ok(Answer { body: out.to_string().into(), usage })
}

pub(super) fn chat_id(answer: &Value, id: &str) -> String {
    format!("chatcmpl-{}", answer["id"].as_str().unwrap_or(id))
}

fn message(message: &Value) -> Value {
    let (mut text, mut thoughts) = (None::<String>, String::new());
    for part in message["content"].as_array().into_iter().flatten() {
        if let Some(piece) = part["text"].as_str() {
            text.get_or_insert_default().push_str(piece);
        }
        thoughts.push_str(part["thinking"].as_str().unwrap_or_default());
    }
    // What it means to do with its tools is thought, too.
    thoughts.push_str(message["tool_plan"].as_str().unwrap_or_default());
    let mut out = json!({"role": "assistant", "content": text, "refusal": null});
    if !thoughts.is_empty() {
        out["reasoning_content"] = thoughts.into();
    }
    let cited = message["citations"].as_array().into_iter().flatten();
    let annotations: Vec<_> = cited.flat_map(citations::of_cohere).take(citations::MAX_CITATIONS).collect();
    if !annotations.is_empty() {
        out["annotations"] = annotations.into();
    }
    for key in ["tool_calls", "citations"] {
        if message[key].as_array().is_some_and(|list| !list.is_empty()) {
            out[key] = message[key].clone();
        }
    }
    out
}
