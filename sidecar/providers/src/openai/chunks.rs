//! The chunks that every translated stream is written in: OpenAI's.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Frame, Stamp, Usage};

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    shown_model: String,
    wants_usage: bool,
    created: u64,
    /// For an answer whose provider names none.
    id: String,
    /// What every chunk begins with, up to its choices.
    head: String,
}

// === impl ChunkWriter ===

impl ChunkWriter {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            wants_usage,
            created: 0,
            id: Stamp::default().id().to_owned(),
            head: String::new(),
        }
    }

    /// What every chunk carries.
    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.created = stamp.created;
        stamp.id().clone_into(&mut self.id);
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Names the answer. `model` is the provider's name of it, for applications that gave none.
    pub(crate) fn begin(&mut self, id: &str, model: &Value) {
        let model = if self.shown_model.is_empty() { model.clone() } else { self.shown_model.as_str().into() };
        let head = json!({"id": id, "object": "chat.completion.chunk", "created": self.created, "model": model});
        let head = head.to_string();
        self.head = format!("data: {},\"choices\":", head.strip_suffix('}').unwrap_or(&head));
    }

    /// Whether the answer has its name.
    pub(crate) const fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    /// A part of an answer.
    pub(crate) fn delta(&self, index: usize, delta: &Value, content: bool, out: &mut Vec<Frame>) {
        self.delta_with(index, delta, &Value::Null, content, out);
    }

    /// The same with how likely its words were.
    pub(crate) fn delta_with(
        &self,
        index: usize,
        delta: &Value,
        logprobs: &Value,
        content: bool,
        out: &mut Vec<Frame>,
    ) {
        let choice =
            format!("[{{\"index\":{index},\"delta\":{delta},\"logprobs\":{logprobs},\"finish_reason\":null}}]");
        self.emit(&choice, content, out);
    }

    /// Why an answer ends.
    pub(crate) fn stop(&self, index: usize, reason: &str, out: &mut Vec<Frame>) {
        self.stop_with(index, reason, None, out);
    }

    /// The same with a field beside it.
    pub(crate) fn stop_with(&self, index: usize, reason: &str, more: Option<(&str, &str)>, out: &mut Vec<Frame>) {
        let mut choice = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": reason});
        if let Some((key, value)) = more {
            choice[key] = value.into();
        }
        self.emit(&format!("[{choice}]"), false, out);
    }

    /// The usage, if it was asked for and is known, and the last event.
    pub(crate) fn finish(&self, usage: Option<Usage>, out: &mut Vec<Frame>) {
        if let Some(usage) = usage.filter(|_| self.wants_usage) {
            self.emit(&format!("[],\"usage\":{}", usage.to_openai()), false, out);
        }
        out.push(Frame { bytes: Bytes::from_static(b"data: [DONE]\n\n"), content: false });
    }

    /// Writes a chunk. `rest` is JSON: the choices, and what follows them.
    fn emit(&self, rest: &str, content: bool, out: &mut Vec<Frame>) {
        out.push(Frame { bytes: format!("{}{rest}}}\n\n", self.head).into(), content });
    }
}
