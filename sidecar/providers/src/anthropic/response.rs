//! A whole answer of Anthropic's, as OpenAI gives it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::passthrough::message;
use super::{JSON_TOOL, NATIVE_REASON, finish_reason, native_finish_reason};
use crate::{Answer, Dialect, Fault, Usage, citations};

/// Translates an answer. `created` is when it was made, in seconds since 1970: Anthropic does not say.
pub(crate) fn decode(shown_model: &str, created: u64, bytes: Bytes) -> Result<Answer, Fault> {
    let body = message(bytes)?;
    let blocks = body.value("content").unwrap_or_default();
    let stop_reason = body.value("stop_reason").unwrap_or_default();
    let usage = body.value("usage").and_then(|usage| Usage::read(Dialect::Anthropic, &usage));
    let mut read = Blocks::default();
    for block in blocks.as_array().into_iter().flatten() {
        read.add(block);
    }
    let mut finish = finish_reason(stop_reason.as_str().unwrap_or_default());
    if finish == "tool_calls" && read.calls.is_empty() {
        finish = "stop"; // The only call was the answer itself.
    }
    let model = if shown_model.is_empty() { body.value("model").unwrap_or_default() } else { shown_model.into() };
    let mut answer = json!({
        "id": chat_id(body.value("id").as_ref()),
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": read.into_message(), "logprobs": null, "finish_reason": finish}],
    });
    if let Some(reason) = stop_reason.as_str().and_then(native_finish_reason) {
        answer["choices"][0][NATIVE_REASON] = reason.into();
    }
    if let Some(usage) = usage {
        answer["usage"] = usage.to_openai();
    }
    Ok(Answer { body: answer.to_string().into(), usage })
}

/// Anthropic's id with OpenAI's prefix: strict clients want the one, support wants the other.
pub(super) fn chat_id(id: Option<&Value>) -> String {
    format!("chatcmpl-{}", id.and_then(Value::as_str).unwrap_or("unknown"))
}

/// Blocks by kind.
#[derive(Default)]
struct Blocks {
    text: String,
    /// Characters of the text.
    said: usize,
    annotations: Vec<Value>,
    reasoning: String,
    thinking: Vec<Value>,
    calls: Vec<Value>,
    answered: bool,
    /// The answer is what the JSON tool was called with, whatever is said around the call.
    json: bool,
}

// === impl Blocks ===

impl Blocks {
    fn add(&mut self, block: &Value) {
        match block["type"].as_str().unwrap_or_default() {
            "text" if self.json => {}
            "text" => {
                let (text, start) = (block["text"].as_str().unwrap_or_default(), self.said);
                self.text.push_str(text);
                self.said += text.chars().count();
                let cited = block["citations"].as_array().into_iter().flatten();
                self.annotations.extend(citations::of_claude(cited, &(start..self.said)));
                self.answered = true;
            }
            "thinking" => {
                self.reasoning.push_str(block["thinking"].as_str().unwrap_or_default());
                self.thinking.push(block.clone());
            }
            "redacted_thinking" => self.thinking.push(block.clone()),
            "tool_use" if block["name"] == JSON_TOOL => {
                self.text = block["input"].to_string();
                self.annotations.clear();
                (self.answered, self.json) = (true, true);
            }
            "tool_use" => self.calls.push(json!({
                "id": block["id"],
                "type": "function",
                "function": {"name": block["name"], "arguments": block["input"].to_string()},
            })),
            // Searches and the like run at the provider; a chat has no word for them, but for what they found.
            _ => {}
        }
    }

    fn into_message(self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), if self.answered { self.text.into() } else { Value::Null });
        message.insert("refusal".into(), Value::Null);
        if !self.annotations.is_empty() {
            message.insert("annotations".into(), self.annotations.into());
        }
        if !self.thinking.is_empty() {
            message.insert("reasoning_content".into(), self.reasoning.into());
            // With their signatures: the next turn has to send them back.
            message.insert("thinking_blocks".into(), self.thinking.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into());
        }
        Value::Object(message)
    }
}
