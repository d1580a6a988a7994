//! A stream of the OpenAI family as Anthropic's events.
//!
//! There, one block is open at a time and has a number; here, text, reasoning and any number of tool calls may follow one
//! another in any chunk. So a block is opened when its kind first comes, and closed when another does.

use serde_json::{Value, json};

use super::response::{message_id, signature};
use super::stop_reason;
use crate::anthropic::stream::named;
use crate::openai::reading::{Reading, Said};
use crate::sse::Event;
use crate::{Body, Class, Fault, Frame};

#[derive(Debug)]
pub(crate) struct ToMessages {
    shown_model: String,
    started: bool,
    open: Option<Block>,
    blocks: u64,
    /// The largest index of a tool call so far. One that comes back cannot be continued: its block is closed.
    last_call: Option<u64>,
    pub(crate) reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Redacted,
    Call(u64),
}

// === impl ToMessages ===

impl ToMessages {
    pub(crate) fn new(shown_model: &str) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            started: false,
            open: None,
            blocks: 0,
            last_call: None,
            reading: Reading::default(),
        }
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        match self.reading.read(event)? {
            Said::Nothing => {}
            Said::Chunk(chunk, choice) => {
                self.start(&chunk, out);
                if let Some(choice) = choice {
                    self.delta(&choice["delta"], out)?;
                }
            }
            Said::Done => self.finish(out),
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Body, out: &mut Vec<Frame>) {
        if self.started {
            return;
        }
        self.started = true;
        let model = chunk.value("model").unwrap_or_default();
        let model = if self.shown_model.is_empty() { model } else { self.shown_model.as_str().into() };
        let message = json!({
            "id": message_id(chunk.value("id").as_ref()),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": self.reading.seen.usage.unwrap_or_default().to_anthropic(),
        });
        emit(out, "message_start", &json!({"type": "message_start", "message": message}), false);
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|key| delta[*key].as_str());
        self.piece(Block::Thinking, "thinking", reasoning, out);
        for block in delta["thinking_blocks"].as_array().into_iter().flatten() {
            self.signed(block, out);
        }
        match &delta["content"] {
            Value::Array(parts) => self.parts(parts, out),
            content => self.piece(Block::Text, "text", content.as_str(), out),
        }
        self.piece(Block::Text, "text", delta["refusal"].as_str(), out);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, out)?;
        }
        Ok(())
    }

    /// The signature of what was thought, or a thought nobody may read.
    fn signed(&mut self, block: &Value, out: &mut Vec<Frame>) {
        if block["type"] == "redacted_thinking" {
            self.begin(Block::Redacted, block, out);
        } else if let Some(signature) = block["signature"].as_str().filter(|signature| !signature.is_empty()) {
            self.sign(signature, out);
        }
    }

    fn sign(&mut self, signature: &str, out: &mut Vec<Frame>) {
        if self.open != Some(Block::Thinking) {
            self.begin(Block::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}), out);
        }
        self.emit_delta(&json!({"type": "signature_delta", "signature": signature}), out);
    }

    /// Content as a list: Mistral's thinking comes so.
    fn parts(&mut self, parts: &[Value], out: &mut Vec<Frame>) {
        for part in parts {
            self.piece(Block::Text, "text", part["text"].as_str(), out);
            for inner in part["thinking"].as_array().into_iter().flatten() {
                self.piece(Block::Thinking, "thinking", inner["text"].as_str(), out);
            }
        }
    }

    fn piece(&mut self, block: Block, kind: &str, text: Option<&str>, out: &mut Vec<Frame>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.open != Some(block) {
            let mut content = json!({"type": kind, kind: ""});
            if block == Block::Thinking {
                content["signature"] = "".into(); // Clients take the field for granted.
            }
            self.begin(block, &content, out);
        }
        self.emit_delta(&json!({"type": format!("{kind}_delta"), kind: text}), out);
    }

    fn call(&mut self, call: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let index = call["index"].as_u64().unwrap_or_else(|| self.last_call.unwrap_or(0));
        if self.open != Some(Block::Call(index)) {
            if self.last_call.is_some_and(|last| index <= last) {
                let message = format!("tool call {index} of the stream goes on after another one began");
                return Err(Fault::own(Class::InternalServerError, message));
            }
            self.last_call = Some(index);
            if let Some(signature) = signature(call) {
                self.sign(&signature, out);
            }
            let block = json!({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": {}});
            self.begin(Block::Call(index), &block, out);
        }
        if let Some(part) = call["function"]["arguments"].as_str().filter(|part| !part.is_empty()) {
            self.emit_delta(&json!({"type": "input_json_delta", "partial_json": part}), out);
        }
        Ok(())
    }

    fn begin(&mut self, block: Block, content: &Value, out: &mut Vec<Frame>) {
        self.close(out);
        self.open = Some(block);
        let event = json!({"type": "content_block_start", "index": self.blocks, "content_block": content});
        emit(out, "content_block_start", &event, matches!(block, Block::Call(_)));
    }

    fn emit_delta(&self, delta: &Value, out: &mut Vec<Frame>) {
        let event = json!({"type": "content_block_delta", "index": self.blocks, "delta": delta});
        emit(out, "content_block_delta", &event, true);
    }

    fn close(&mut self, out: &mut Vec<Frame>) {
        if self.open.take().is_some() {
            emit(out, "content_block_stop", &json!({"type": "content_block_stop", "index": self.blocks}), false);
            self.blocks += 1;
        }
    }

    /// The answer is complete.
    fn finish(&mut self, out: &mut Vec<Frame>) {
        self.start(&Body::default(), out);
        self.close(out);
        self.reading.seen.done = true;
        let reason = stop_reason(self.reading.finish.as_deref().unwrap_or_default(), self.last_call.is_some());
        let event = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": self.reading.seen.usage.unwrap_or_default().to_anthropic(),
        });
        emit(out, "message_delta", &event, false);
        emit(out, "message_stop", &json!({"type": "message_stop"}), false);
    }

    /// The connection is closed. A finished answer whose `[DONE]` is missing is complete.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if self.reading.seen.finished {
            self.finish(out);
        }
        self.reading.seen.finished
    }
}

fn emit(out: &mut Vec<Frame>, name: &str, value: &Value, content: bool) {
    out.push(Frame { bytes: named(name, value), content });
}
