//! The chunks that every translated stream is written in: OpenAI's.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Frame, Usage};

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    shown_model: String,
    wants_usage: bool,
    created: u64,
    /// What every chunk begins with, up to its choices.
    head: String,
}

// === impl ChunkWriter ===

impl ChunkWriter {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        Self { shown_model: shown_model.to_owned(), wants_usage, created: 0, head: String::new() }
    }

    /// The time, in seconds since 1970, that every chunk carries.
    pub(crate) fn set_created(&mut self, seconds: u64) {
        self.created = seconds;
    }

    pub(crate) const fn created(&self) -> u64 {
        self.created
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
        let choice = format!("[{{\"index\":{index},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}]");
        self.emit(&choice, content, out);
    }

    /// Why an answer ends.
    pub(crate) fn stop(&self, index: usize, reason: &str, out: &mut Vec<Frame>) {
        let choice = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": reason});
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
