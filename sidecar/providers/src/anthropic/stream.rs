//! Anthropic's event streams: as they are for its own callers, as chunks for OpenAI's.

use bytes::Bytes;
use serde_json::{Value, json};

use super::preface::Preface;
use super::response::chat_id;
use super::thoughts::Thoughts;
use super::{JSON_TOOL, NATIVE_REASON, finish_reason, native_finish_reason};
use crate::citations::Cited;
use crate::openai::chunks::ChunkWriter;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, Stamp, Usage, fault};

/// Passes events on byte for byte; the model's name is in the first one only.
#[derive(Debug)]
pub(crate) struct Native {
    shown_model: String,
    pub(crate) seen: Seen,
}

/// Translates events into chunks.
#[derive(Debug)]
pub(crate) struct ToChat {
    chunks: ChunkWriter,
    block: Block,
    /// Tool calls so far. Their index is not the block's: text and thinking are blocks too.
    calls: u64,
    thoughts: Thoughts,
    cited: Cited,
    finish: Option<&'static str>,
    pub(crate) preface: Preface,
    pub(crate) seen: Seen,
}

/// The block that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Other,
    /// Its arguments are the answer.
    Json {
        any_arguments: bool,
    },
    Tool {
        index: u64,
        any_arguments: bool,
    },
}

/// The event's JSON, null if it has no data, or the error it is. None: no JSON, so that it is left out.
fn read(event: &Event, seen: &mut Seen) -> Result<Option<Value>, Fault> {
    let Some(data) = &event.data else { return Ok(Some(Value::Null)) };
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        seen.skipped += 1;
        return Ok(None);
    };
    match fault::inside(Dialect::Anthropic, &value) {
        Some(fault) => Err(fault),
        None => Ok(Some(value)),
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let usage = value.pointer("/message/usage").or_else(|| value.get("usage"))?;
    Usage::read(Dialect::Anthropic, usage)
}

/// What a call is given, where it comes all at once: some servers do that.
fn whole_input(block: &Value) -> Option<String> {
    block["input"].as_object().filter(|input| !input.is_empty()).map(|_| block["input"].to_string())
}

/// Notes the text, thinking or arguments of a `content_block_delta`. True: there are any.
fn note_delta(value: &Value, seen: &mut Seen) -> bool {
    let text = ["text", "thinking", "partial_json"].iter().find_map(|key| value["delta"][*key].as_str());
    let Some(text) = text.filter(|text| !text.is_empty()) else { return false };
    seen.output_bytes += text.len() as u64;
    seen.piece = Some(Piece::of(value["index"].as_u64().unwrap_or(0), text));
    true
}

// === impl Native ===

impl Native {
    pub(crate) fn new(shown_model: &str) -> Self {
        Self { shown_model: shown_model.to_owned(), seen: Seen::default() }
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(mut value) = read(&event, &mut self.seen)? else { return Ok(()) };
        let mut bytes = event.raw;
        let mut content = false;
        self.seen.bill(usage(&value));
        match value["type"].as_str().unwrap_or_default() {
            "message_start" => {
                let message = value.get_mut("message").and_then(Value::as_object_mut);
                if let Some(message) = message.filter(|_| !self.shown_model.is_empty()) {
                    message.insert("model".into(), self.shown_model.as_str().into());
                    bytes = named("message_start", &value);
                }
            }
            "content_block_start" => content = value["content_block"]["type"] == "tool_use",
            "content_block_delta" => content = note_delta(&value, &mut self.seen),
            "message_delta" => self.seen.finished |= value["delta"]["stop_reason"].is_string(),
            // What came may be half of an answer.
            "message_stop" if !self.seen.finished => return Err(Fault::endless()),
            "message_stop" => self.seen.done = true,
            _ => {}
        }
        out.push(Frame { bytes, content });
        Ok(())
    }

    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if self.seen.finished {
            self.seen.done = true;
            out.push(Frame { bytes: named("message_stop", &json!({"type": "message_stop"})), content: false });
        }
        self.seen.finished
    }
}

/// An event with its name.
pub(crate) fn named(name: &str, value: &Value) -> Bytes {
    format!("event: {name}\ndata: {value}\n\n").into()
}

// === impl ToChat ===

impl ToChat {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        let mut new = Self {
            chunks: ChunkWriter::new(shown_model, wants_usage),
            block: Block::Other,
            calls: 0,
            thoughts: Thoughts::default(),
            cited: Cited::default(),
            finish: None,
            preface: Preface::default(),
            seen: Seen::default(),
        };
        new.begin(&Value::Null);
        new
    }

    /// The first event names the answer.
    fn begin(&mut self, message: &Value) {
        self.chunks.begin(&chat_id(message.get("id")), &message["model"]);
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.chunks.stamp(stamp);
        self.begin(&Value::Null);
    }

    /// An event nobody can read is skipped: there is nothing to translate.
    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(value) = read(&event, &mut self.seen)? else { return Ok(()) };
        self.seen.bill(usage(&value));
        match value["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.begin(&value["message"]);
                self.chunk(out, &json!({"role": "assistant", "content": ""}), false);
            }
            "content_block_start" => self.open(out, &value["content_block"]),
            "content_block_delta" => {
                note_delta(&value, &mut self.seen);
                self.delta(out, &value["delta"]);
            }
            "content_block_stop" => self.close(out),
            "message_delta" => self.stop(out, &value["delta"]),
            "message_stop" if self.finish.is_none() => return Err(Fault::endless()),
            "message_stop" => self.finish(out),
            // ping, and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, out: &mut Vec<Frame>, block: &Value) {
        self.block = Block::Other;
        self.cited.open();
        match block["type"].as_str().unwrap_or_default() {
            "text" => self.text(out, "content", &block["text"]),
            "thinking" => self.think(out, &block["thinking"]),
            "redacted_thinking" => {
                let thought = self.thoughts.redacted(&block["data"]);
                self.chunk(out, &thought, false);
            }
            "tool_use" if block["name"] == JSON_TOOL => {
                let input = whole_input(block);
                self.preface = Preface::Over;
                self.block = Block::Json { any_arguments: input.is_some() };
                self.text(out, "content", &input.into());
            }
            "tool_use" => {
                self.release(out);
                let index = self.calls;
                self.calls += 1;
                let input = whole_input(block);
                self.block = Block::Tool { index, any_arguments: input.is_some() };
                let function = json!({"name": block["name"], "arguments": input.unwrap_or_default()});
                let call = json!({"index": index, "id": block["id"], "type": "function", "function": function});
                self.chunk(out, &json!({"tool_calls": [call]}), true);
            }
            _ => {}
        }
    }

    fn delta(&mut self, out: &mut Vec<Frame>, delta: &Value) {
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => self.text(out, "content", &delta["text"]),
            "thinking_delta" => self.think(out, &delta["thinking"]),
            "signature_delta" => {
                let thought = self.thoughts.signed(&delta["signature"]);
                self.chunk(out, &thought, false);
            }
            "input_json_delta" => self.arguments(out, &delta["partial_json"]),
            "citations_delta" => self.cited.add(&delta["citation"]),
            _ => {}
        }
    }

    fn think(&mut self, out: &mut Vec<Frame>, text: &Value) {
        self.thoughts.push(text.as_str().unwrap_or_default());
        self.text(out, "reasoning_content", text);
    }

    fn text(&mut self, out: &mut Vec<Frame>, key: &str, text: &Value) {
        let Some(words) = text.as_str().filter(|text| !text.is_empty()) else { return };
        if key == "content" && self.block == Block::Other {
            self.cited.say(words);
            if let Some(words) = self.preface.pass(words) {
                self.chunk(out, &json!({key: words}), true);
            }
        } else {
            self.chunk(out, &json!({key: text}), true);
        }
    }

    /// What was kept back is the answer.
    fn release(&mut self, out: &mut Vec<Frame>) {
        if let Some(words) = self.preface.release() {
            self.chunk(out, &json!({"content": words}), true);
        }
    }

    fn arguments(&mut self, out: &mut Vec<Frame>, part: &Value) {
        if part.as_str().is_none_or(str::is_empty) {
            return;
        }
        match &mut self.block {
            Block::Other => {}
            Block::Json { any_arguments } => {
                *any_arguments = true;
                self.text(out, "content", part);
            }
            Block::Tool { index, any_arguments } => {
                *any_arguments = true;
                let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]});
                self.chunk(out, &delta, true);
            }
        }
    }

    /// A call without arguments has the empty object for them, which applications parse.
    fn close(&mut self, out: &mut Vec<Frame>) {
        match std::mem::replace(&mut self.block, Block::Other) {
            Block::Tool { index, any_arguments: false } => {
                let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": "{}"}}]});
                self.chunk(out, &delta, true);
            }
            Block::Json { any_arguments: false } => self.chunk(out, &json!({"content": "{}"}), true),
            Block::Tool { .. } | Block::Json { .. } | Block::Other => {}
        }
        let annotations = self.cited.take();
        if !annotations.is_empty() {
            self.chunk(out, &json!({"annotations": annotations}), false);
        }
    }

    fn stop(&mut self, out: &mut Vec<Frame>, delta: &Value) {
        let Some(reason) = delta["stop_reason"].as_str().filter(|_| self.finish.is_none()) else { return };
        let finish = match finish_reason(reason) {
            "tool_calls" if self.calls == 0 => "stop", // The only call was the answer itself.
            finish => finish,
        };
        self.finish = Some(finish);
        self.seen.finished = true;
        self.release(out);
        let native = native_finish_reason(reason).map(|reason| (NATIVE_REASON, reason));
        self.chunks.stop_with(0, finish, native, out);
    }

    fn finish(&mut self, out: &mut Vec<Frame>) {
        self.seen.done = true;
        self.chunks.finish(self.seen.usage, out);
    }

    fn chunk(&self, out: &mut Vec<Frame>, delta: &Value, content: bool) {
        self.chunks.delta(0, delta, content, out);
    }

    /// The connection is closed. With a reason to stop, only the terminal event is missing.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if self.finish.is_some() {
            self.finish(out);
        }
        self.finish.is_some()
    }
}
