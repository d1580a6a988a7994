//! A stream of Cohere's, as chunks of OpenAI's.

use serde_json::{Value, json};

use super::response::chat_id;
use super::{finish_reason, usage};
use crate::citations::Told;
use crate::openai::chunks::ChunkWriter;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, Stamp, citations, fault};

#[derive(Debug)]
pub(crate) struct FromCohere {
    chunks: ChunkWriter,
    calls: u64,
    citations: u64,
    cited: Told,
    pub(crate) seen: Seen,
}

impl FromCohere {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        Self {
            chunks: ChunkWriter::new(shown_model, wants_usage),
            calls: 0,
            citations: 0,
            cited: Told::default(),
            seen: Seen::default(),
        }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.chunks.stamp(stamp);
    }

    /// An event nobody can read is skipped: there is nothing to translate.
    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(data) = event.data else { return Ok(()) };
        if data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let Ok(value) = serde_json::from_slice::<Value>(&data) else {
            self.seen.skipped += 1;
            return Ok(());
        };
        if let Some(fault) = fault::inside(Dialect::Cohere, &value) {
            return Err(fault);
        }
        self.read(&value, out)
    }

    fn read(&mut self, value: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let kind = value["type"].as_str().unwrap_or_default();
        if !self.chunks.has_begun() {
            // Its events do not name the model.
            self.chunks.begin(&chat_id(value, self.chunks.id()), &"".into());
            self.delta(&json!({"role": "assistant", "content": ""}), false, out);
        }
        let message = &value["delta"]["message"];
        match kind {
            "content-start" | "content-delta" => {
                self.text("content", message["content"]["text"].as_str(), out);
                self.text("reasoning_content", message["content"]["thinking"].as_str(), out);
            }
            "tool-plan-delta" => self.text("reasoning_content", message["tool_plan"].as_str(), out),
            "tool-call-start" => {
                let Value::Object(mut call) = message["tool_calls"].clone() else { return Ok(()) };
                call.insert("index".into(), self.calls.into());
                self.calls += 1;
                self.delta(&json!({"tool_calls": [call]}), true, out);
            }
            "tool-call-delta" => {
                let arguments = message["tool_calls"]["function"]["arguments"].as_str().unwrap_or_default();
                self.seen.output_bytes += arguments.len() as u64;
                let call = json!({"index": self.calls.saturating_sub(1), "function": {"arguments": arguments}});
                self.delta(&json!({"tool_calls": [call]}), true, out);
            }
            "message-end" => self.finish(&value["delta"], out)?,
            "citation-start" => self.cite(&message["citations"], out),
            // message-start, ends of parts, and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, key: &str, text: Option<&str>, out: &mut Vec<Frame>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.seen.output_bytes += text.len() as u64;
        self.seen.piece = Some(Piece::of(0, text));
        self.delta(&json!({key: text}), true, out);
    }

    /// In its own words, as in a whole answer, and where there is a URL also in OpenAI's.
    fn cite(&mut self, citation: &Value, out: &mut Vec<Frame>) {
        let Value::Object(mut own) = citation.clone() else { return };
        own.insert("index".into(), self.citations.into());
        self.citations += 1;
        let mut delta = json!({"citations": [own]});
        let annotations = self.cited.new_of(citations::of_cohere(citation));
        if !annotations.is_empty() {
            delta["annotations"] = annotations.into();
        }
        self.delta(&delta, false, out);
    }

    fn finish(&mut self, delta: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        self.seen.bill(usage(delta));
        let reason = finish_reason(delta)?.ok_or_else(Fault::endless)?;
        self.seen.finished = true;
        self.seen.done = true;
        self.chunks.stop(0, reason, out);
        self.chunks.finish(self.seen.usage, out);
        Ok(())
    }

    fn delta(&self, delta: &Value, content: bool, out: &mut Vec<Frame>) {
        self.chunks.delta(0, delta, content, out);
    }

    /// The connection is closed, and no `message-end` has come.
    pub(crate) const fn end(&self) -> bool {
        self.seen.finished
    }
}
