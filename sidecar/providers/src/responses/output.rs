//! One item of a response's output: words, thoughts, or a call.

use serde_json::{Value, json};

use super::id;

/// An item, as far as it has come.
#[derive(Debug)]
pub(super) enum Item {
    Message {
        id: String,
        parts: Vec<Part>,
    },
    Reasoning {
        id: String,
        text: String,
        /// With the signatures that the provider wants back on the next turn.
        blocks: Vec<Value>,
    },
    Call {
        id: String,
        call_id: Value,
        name: Value,
        arguments: String,
        /// What else the provider wants back: Gemini's signature of its thoughts.
        extra: Value,
    },
    /// A picture, in base64.
    Image {
        id: String,
        data: String,
    },
}

/// A part of a message.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Refusal,
}

// === impl Item ===

impl Item {
    pub(super) fn message(answer: &str, index: usize) -> Self {
        Self::Message { id: id("msg", &format!("{answer}_{index}")), parts: Vec::new() }
    }

    pub(super) fn reasoning(answer: &str, index: usize) -> Self {
        Self::Reasoning { id: id("rs", &format!("{answer}_{index}")), text: String::new(), blocks: Vec::new() }
    }

    /// A call as a chat has it, whole or where it begins.
    pub(super) fn call(call: &Value) -> Self {
        Self::Call {
            id: id("fc", call["id"].as_str().unwrap_or_default()),
            call_id: call["id"].clone(),
            name: call["function"]["name"].clone(),
            arguments: call["function"]["arguments"].as_str().unwrap_or_default().to_owned(),
            extra: call["extra_content"].clone(),
        }
    }

    /// The item with all that is known of it.
    pub(super) fn to_json(&self, status: &str) -> Value {
        match self {
            Self::Message { id, parts } => {
                let content: Vec<_> = parts.iter().map(Part::to_json).collect();
                json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
            }
            Self::Reasoning { id, text, blocks } => {
                let summary = if text.is_empty() { json!([]) } else { json!([summary(text)]) };
                let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
                if blocks.iter().any(is_signed) {
                    item["encrypted_content"] = Value::from(blocks.as_slice()).to_string().into();
                }
                item
            }
            Self::Call { id, call_id, name, arguments, extra } => {
                // A call without arguments has the empty object for them, which applications parse.
                let arguments = if arguments.is_empty() && status != "in_progress" { "{}" } else { arguments };
                let mut item = json!({"id": id, "type": "function_call", "status": status, "arguments": arguments,
                    "call_id": call_id, "name": name});
                if !extra.is_null() {
                    item["extra_content"] = extra.clone();
                }
                item
            }
            Self::Image { id, data } => {
                json!({"id": id, "type": "image_generation_call", "status": status, "result": data})
            }
        }
    }
}

/// Only what is signed, or hidden, has to come back.
fn is_signed(block: &Value) -> bool {
    block["signature"].as_str().is_some_and(|signature| !signature.is_empty()) || block["type"] == "redacted_thinking"
}

pub(super) fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

// === impl Part ===

impl Part {
    pub(super) const fn new(kind: Kind, text: String) -> Self {
        Self { kind, text, annotations: Vec::new(), logprobs: Vec::new() }
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { kind, text, annotations, logprobs } = self;
        match kind {
            Kind::Text => {
                json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs})
            }
            Kind::Refusal => json!({"type": "refusal", "refusal": text}),
        }
    }
}

/// The output as a list.
pub(super) fn output(items: &[Item], complete: bool) -> Vec<Value> {
    let last = items.len().saturating_sub(1);
    items.iter().enumerate().map(|(index, item)| item.to_json(status(index == last, complete))).collect()
}

/// Only the last item can have been cut short.
pub(super) const fn status(is_last: bool, complete: bool) -> &'static str {
    if is_last && !complete { "incomplete" } else { "completed" }
}
