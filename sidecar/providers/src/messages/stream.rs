//! A stream of the OpenAI family as Anthropic's events.
//!
//! There, one block is open at a time and has a number; here, text, reasoning and any number of tool calls may follow one
//! another in any chunk. So a block is opened when its kind first comes, and closed when another does. A call whose arguments
//! are not complete stays open, and the calls that begin meanwhile wait for it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::response::{message_id, signature};
use super::waiting::{Arguments, Call, Waiting};
use super::{REFUSAL, stop_reason};
use crate::anthropic::stream::named;
use crate::anthropic::thoughts::without_index;
use crate::citations::{self, Told};
use crate::openai::chunk::{Call as Piece, Choice};
use crate::openai::reading::{Reading, Said, is_preamble};
use crate::quoted::Written;
use crate::sse::Event;
use crate::{Body, Class, Fault, Frame, Stamp};

#[derive(Debug)]
pub(crate) struct ToMessages {
    shown_model: String,
    /// What an answer is called whose provider does not say.
    id: String,
    started: bool,
    /// The model says in so many words that it will not answer.
    refused: bool,
    open: Option<Block>,
    blocks: u64,
    /// The calls so far. One that comes back when its block is closed cannot be continued.
    calls: BTreeSet<u64>,
    /// Those of the open call.
    arguments: Arguments,
    waiting: Waiting,
    /// What the open text rests on.
    cited: Told,
    /// What was cited when no text was open, for the next one.
    early: Vec<Value>,
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
            id: Stamp::default().id().to_owned(),
            started: false,
            refused: false,
            open: None,
            blocks: 0,
            calls: BTreeSet::new(),
            arguments: Arguments::default(),
            waiting: Waiting::default(),
            cited: Told::default(),
            early: Vec::new(),
            reading: Reading::default(),
        }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        stamp.id().clone_into(&mut self.id);
        self.reading.stamp(stamp);
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        match self.reading.read(event)? {
            Said::Nothing => {}
            Said::Chunk(chunk) => {
                let first = self.reading.first(&chunk)?;
                if !is_preamble(&chunk) {
                    self.start(&chunk, out);
                }
                if let Some(choice) = first {
                    self.choice(&choice, out)?;
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
            "id": message_id(chunk.value("id").as_ref(), &self.id),
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

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(delta) = &choice.delta else { return Ok(()) };
        self.piece(Block::Thinking, "thinking", &delta.thought(), out);
        for block in delta.thinking_blocks.list() {
            self.signed(block, out);
        }
        match choice.content() {
            Some(text) => self.piece(Block::Text, "text", &text, out),
            None => self.parts(&delta.content.list(), out),
        }
        for citation in citations::for_messages(&delta.annotations.list()) {
            self.cite(citation, out);
        }
        self.piece(Block::Text, "text", &delta.spoken(), out);
        let refusal = delta.refusal.text().unwrap_or_default();
        self.refused |= !refusal.is_empty();
        self.piece(Block::Text, "text", &refusal, out);
        for call in choice.calls() {
            self.call(call, out)?;
        }
        Ok(())
    }

    /// The signature of what was thought, or a thought nobody may read.
    fn signed(&mut self, block: Value, out: &mut Vec<Frame>) {
        if block["type"] == "redacted_thinking" {
            self.open_all(out);
            self.begin(Block::Redacted, &without_index(block), out);
        } else if let Some(signature) = block["signature"].as_str().filter(|signature| !signature.is_empty()) {
            self.open_all(out);
            self.sign(signature, out);
        }
    }

    fn sign(&mut self, signature: &str, out: &mut Vec<Frame>) {
        if self.open != Some(Block::Thinking) {
            self.begin(Block::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}), out);
        }
        self.emit_delta("signature", "signature", signature, out);
    }

    /// Content as a list: Mistral's thinking comes so.
    fn parts(&mut self, parts: &[Value], out: &mut Vec<Frame>) {
        for part in parts {
            self.piece(Block::Text, "text", part["text"].as_str().unwrap_or_default(), out);
            for inner in part["thinking"].as_array().into_iter().flatten() {
                self.piece(Block::Thinking, "thinking", inner["text"].as_str().unwrap_or_default(), out);
            }
        }
    }

    /// It comes with the text that rests on it. Behind calls there may be none any more: what is cited then is lost, because
    /// an empty text that carried it would be refused when the application sends it back.
    fn cite(&mut self, citation: Value, out: &mut Vec<Frame>) {
        if self.open != Some(Block::Text) {
            if self.early.len() < citations::MAX_CITATIONS {
                self.early.push(citation);
            }
        } else if self.cited.is_new(&citation) {
            let delta = json!({"type": "citations_delta", "citation": citation});
            let event = json!({"type": "content_block_delta", "index": self.blocks, "delta": delta});
            emit(out, "content_block_delta", &event, false);
        }
    }

    fn piece(&mut self, block: Block, kind: &str, text: &str, out: &mut Vec<Frame>) {
        if text.is_empty() {
            return;
        }
        if self.open != Some(block) {
            self.open_all(out);
            let mut content = json!({"type": kind, kind: ""});
            if block == Block::Thinking {
                content["signature"] = "".into(); // Clients take the field for granted.
            }
            self.begin(block, &content, out);
        }
        self.emit_delta(kind, kind, text, out);
    }

    fn call(&mut self, call: &Piece<'_>, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let index = call.index.unwrap_or_else(|| self.calls.last().copied().unwrap_or(0));
        let piece = &*call.arguments;
        if self.open == Some(Block::Call(index)) {
            self.argue(piece, out);
        } else if self.calls.insert(index) {
            self.waiting.add(index, call.head())?;
        } else if !self.waiting.extend(index, piece)? && !piece.is_empty() {
            let message = format!("tool call {index} of the stream goes on after another one began");
            return Err(Fault::own(Class::InternalServerError, message));
        }
        while !self.waiting.is_empty() && (!matches!(self.open, Some(Block::Call(_))) || self.arguments.complete()) {
            self.open_next(out);
        }
        Ok(())
    }

    /// Opens the first call that waits. False: none does.
    fn open_next(&mut self, out: &mut Vec<Frame>) -> bool {
        let Some(Call { index, head, arguments }) = self.waiting.next() else { return false };
        if let Some(signature) = signature(&head) {
            self.sign(&signature, out);
        }
        let block = json!({"type": "tool_use", "id": head["id"], "name": head["function"]["name"], "input": {}});
        self.begin(Block::Call(index), &block, out);
        self.arguments = Arguments::default();
        self.argue(&arguments, out);
        true
    }

    /// Something else begins, or the answer ends: nobody need wait any more.
    fn open_all(&mut self, out: &mut Vec<Frame>) {
        while self.open_next(out) {}
    }

    fn argue(&mut self, piece: &str, out: &mut Vec<Frame>) {
        if !piece.is_empty() {
            self.arguments.read(piece);
            self.emit_delta("input_json", "partial_json", piece, out);
        }
    }

    fn begin(&mut self, block: Block, content: &Value, out: &mut Vec<Frame>) {
        self.close(out);
        self.open = Some(block);
        self.cited = Told::default();
        let event = json!({"type": "content_block_start", "index": self.blocks, "content_block": content});
        emit(out, "content_block_start", &event, matches!(block, Block::Call(_)));
        if block == Block::Text {
            for citation in std::mem::take(&mut self.early) {
                self.cite(citation, out);
            }
        }
    }

    /// What nearly every event is.
    fn emit_delta(&self, kind: &str, key: &str, text: &str, out: &mut Vec<Frame>) {
        let event = Written::about(text.len())
            .raw("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":")
            .json(&self.blocks)
            .raw(",\"delta\":{\"type\":\"")
            .raw(kind)
            .raw("_delta\",\"")
            .raw(key)
            .raw("\":")
            .json(text)
            .raw("}}\n\n");
        out.push(Frame { bytes: event.into(), content: true });
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
        self.open_all(out);
        self.close(out);
        self.reading.seen.done = true;
        let finish = self.reading.finish.as_deref().unwrap_or_default();
        let reason = if self.refused { REFUSAL } else { stop_reason(finish, !self.calls.is_empty()) };
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
