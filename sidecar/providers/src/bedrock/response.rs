//! A whole answer of Converse's, as OpenAI gives it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{finish_reason, malformed, thinking_tokens, usage};
use crate::anthropic::JSON_TOOL;
use crate::openai::answer::parse;
use crate::{Answer, Dialect, Fault, Stamp, Usage, citations, fault};

/// Translates an answer. When it was made and what it is called Bedrock does not say.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    let Some(blocks) = answer.pointer("/output/message/content").and_then(Value::as_array) else {
        let inside = fault::inside(Dialect::Bedrock, &answer);
        return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"output\"", &bytes)));
    };
    let reason = answer["stopReason"].as_str().ok_or_else(Fault::unfinished)?;
    if let Some(fault) = malformed(reason) {
        return Err(fault);
    }
    let usage = usage(&answer).map(|usage| Usage { reasoning: thinking_tokens(&answer), ..usage });
    let mut read = Blocks::default();
    for block in blocks {
        read.add(block);
    }
    let mut finish = finish_reason(reason);
    if finish == "tool_calls" && read.calls.is_empty() {
        finish = "stop"; // The only call was the answer itself.
    }
    let mut out = json!({
        "id": chat_id(stamp.id()),
        "object": "chat.completion",
        "created": stamp.created,
        "model": shown_model,
        "choices": [{"index": 0, "message": read.into_message(), "logprobs": null, "finish_reason": finish}],
    });
    if let Some(usage) = usage {
        out["usage"] = usage.to_openai();
    }
    Ok(Answer { body: out.to_string().into(), usage })
}

/// Answers have no id there.
pub(super) fn chat_id(id: &str) -> String {
    format!("chatcmpl-{id}")
}

/// Blocks by kind.
#[derive(Default)]
struct Blocks {
    text: Option<String>,
    /// Characters of the text, and those in front of what was said last.
    said: usize,
    start: usize,
    annotations: Vec<Value>,
    /// The answer is what the JSON tool was called with, whatever is said around the call.
    json: bool,
    thoughts: String,
    thinking: Vec<Value>,
    calls: Vec<Value>,
}

// === impl Blocks ===

impl Blocks {
    fn add(&mut self, block: &Value) {
        self.say(block["text"].as_str());
        self.cite(&block["citationsContent"]);
        let call = &block["toolUse"];
        if call["name"] == JSON_TOOL {
            self.text = Some(call["input"].to_string());
            self.annotations.clear();
            self.json = true;
        } else if call.is_object() {
            let input = if call["input"].is_null() { "{}".to_owned() } else { call["input"].to_string() };
            let function = json!({"name": call["name"], "arguments": input});
            self.calls.push(json!({"id": call["toolUseId"], "type": "function", "function": function}));
        }
        let thought = &block["reasoningContent"];
        if let Some(text) = thought["reasoningText"]["text"].as_str() {
            self.thoughts.push_str(text);
            let mut block = json!({"type": "thinking", "thinking": text});
            if let Some(signature) = thought["reasoningText"]["signature"].as_str() {
                block["signature"] = signature.into();
            }
            self.thinking.push(block);
        }
        if let Some(data) = thought["redactedContent"].as_str() {
            self.thinking.push(json!({"type": "redacted_thinking", "data": data}));
        }
    }

    fn say(&mut self, text: Option<&str>) {
        if let Some(text) = text.filter(|_| !self.json) {
            self.text.get_or_insert_default().push_str(text);
            self.start = self.said;
            self.said += text.chars().count();
        }
    }

    /// What is said with its sources beside it. Some models say it in front of them.
    fn cite(&mut self, cited: &Value) {
        let texts = cited["content"].as_array().into_iter().flatten();
        let text: Option<String> = texts.map(|part| part["text"].as_str()).collect();
        self.say(text.as_deref().filter(|text| !text.is_empty()));
        let pages = cited["citations"].as_array().into_iter().flatten().take(citations::MAX_CITATIONS);
        let pages: Vec<_> = pages.filter_map(citations::of_converse).collect();
        if !self.json {
            self.annotations.extend(citations::of_claude(&pages, &(self.start..self.said)));
        }
    }

    fn into_message(self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), self.text.into());
        message.insert("refusal".into(), Value::Null);
        if !self.annotations.is_empty() {
            message.insert("annotations".into(), self.annotations.into());
        }
        if !self.thinking.is_empty() {
            message.insert("reasoning_content".into(), self.thoughts.into());
            // With their signatures: the next turn has to send them back.
            message.insert("thinking_blocks".into(), self.thinking.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into());
        }
        Value::Object(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn an_answer_that_bedrock_could_not_read_is_none() {
        for (reason, broken) in [("malformed_model_output", true), ("malformed_tool_use", true), ("end_turn", false)] {
            let body = json!({"output": {"message": {"content": [{"text": "{\"a\": "}]}}, "stopReason": reason,
                "usage": {"inputTokens": 9, "outputTokens": 4}});
            match decode("m", Stamp::default(), body.to_string().into()) {
                Ok(_) => assert!(!broken, "{reason}"),
                Err(fault) => {
                    assert_eq!((fault.class, broken), (Class::InternalServerError, true), "{reason}: {fault}");
                    assert!(fault.message.contains(reason), "{fault}");
                }
            }
        }
    }
}
