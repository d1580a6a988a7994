//! Ollama's lines, as chunks of OpenAI's.

use serde_json::{Value, json};

use super::response::call;
use super::{calls, finish_reason, id, text, thoughts, usage};
use crate::openai::chunks::ChunkWriter;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, Stamp, fault};

#[derive(Debug)]
pub(crate) struct FromOllama {
    chunks: ChunkWriter,
    calls: usize,
    pub(crate) seen: Seen,
}

impl FromOllama {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        Self { chunks: ChunkWriter::new(shown_model, wants_usage), calls: 0, seen: Seen::default() }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.chunks.stamp(stamp);
    }

    /// A line nobody can read is skipped: there is nothing to translate.
    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(data) = event.data else { return Ok(()) };
        let Ok(value) = serde_json::from_slice::<Value>(&data) else {
            self.seen.skipped += 1;
            return Ok(());
        };
        if let Some(fault) = fault::inside(Dialect::Ollama, &value) {
            return Err(fault);
        }
        self.read(&value, out);
        Ok(())
    }

    fn read(&mut self, value: &Value, out: &mut Vec<Frame>) {
        if !self.chunks.has_begun() {
            self.chunks.begin(&format!("chatcmpl-{}", id(value, self.chunks.id())), &value["model"]);
            self.chunks.delta(0, &json!({"role": "assistant", "content": ""}), false, out);
        }
        self.text("reasoning_content", thoughts(value), out);
        self.text("content", text(value), out);
        for made in calls(value) {
            let mut call = call(value, made, self.calls, self.chunks.id());
            call["index"] = self.calls.into();
            self.calls += 1;
            self.seen.output_bytes += call["function"]["arguments"].as_str().map_or(0, |text| text.len() as u64);
            self.chunks.delta(0, &json!({"tool_calls": [call]}), true, out);
        }
        if value["done"] == true {
            self.finish(value, out);
        }
    }

    fn text(&mut self, key: &str, text: Option<&str>, out: &mut Vec<Frame>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.seen.output_bytes += text.len() as u64;
        let piece = Piece::of(0, text);
        self.seen.piece = Some(self.seen.piece.map_or(piece, |other| other.and(piece)));
        self.chunks.delta(0, &json!({key: text}), true, out);
    }

    fn finish(&mut self, value: &Value, out: &mut Vec<Frame>) {
        self.seen.bill(usage(value));
        self.seen.finished = true;
        self.seen.done = true;
        let reason = finish_reason(value["done_reason"].as_str().unwrap_or_default(), self.calls > 0);
        self.chunks.stop(0, reason, out);
        self.chunks.finish(self.seen.usage, out);
    }

    /// The connection is closed, and no line has said that it is done.
    pub(crate) const fn end(&self) -> bool {
        self.seen.finished
    }
}
