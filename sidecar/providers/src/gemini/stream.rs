//! A stream of Gemini's, as chunks of OpenAI's, and from there as Anthropic's events for its callers.
//!
//! Every event there is an answer of its own, with what came since the last. No event says that it was the last one: the
//! answer is complete when every candidate has a reason to stop and the connection ends.

use bytes::Bytes;
use serde_json::{Value, json};

use super::response::{block_reason, call, call_id, chat_id};
use super::{finish_reason, is_blocked, usage};
use crate::messages::stream::ToMessages;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, fault};

/// Candidates an application can ask for.
const MAX_CANDIDATES: usize = 128;

#[derive(Debug)]
pub(crate) struct FromGemini {
    shown_model: String,
    wants_usage: bool,
    created: u64,
    head: String,
    candidates: Vec<Candidate>,
    /// Anthropic's callers read its events.
    messages: Option<ToMessages>,
    pub(crate) seen: Seen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    begun: bool,
    finished: bool,
    calls: usize,
}

impl FromGemini {
    pub(crate) fn new(shown_model: &str, wants_usage: bool, to_messages: bool) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            wants_usage: wants_usage || to_messages,
            created: 0,
            head: String::new(),
            candidates: Vec::new(),
            messages: to_messages.then(|| ToMessages::new(shown_model)),
            seen: Seen::default(),
        }
    }

    pub(crate) fn created(&mut self, seconds: u64) {
        self.created = seconds;
    }

    /// An event nobody can read is skipped: there is nothing to translate.
    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(data) = event.data else { return Ok(()) };
        let Ok(answer) = serde_json::from_slice::<Value>(&data) else {
            self.seen.skipped += 1;
            return Ok(());
        };
        if let Some(fault) = fault::inside(Dialect::Gemini, &answer) {
            return Err(fault);
        }
        let mut chunks = Vec::new();
        self.answer(&answer, &mut chunks);
        self.pass(chunks, out)
    }

    fn answer(&mut self, answer: &Value, out: &mut Vec<Frame>) {
        self.seen.bill(usage(answer));
        if self.head.is_empty() {
            self.begin(answer);
        }
        if block_reason(answer).is_some() {
            self.start(0, out);
            self.finish(0, "content_filter", out);
        }
        for (at, candidate) in answer["candidates"].as_array().into_iter().flatten().enumerate() {
            let index = candidate["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(at);
            if index >= MAX_CANDIDATES {
                continue;
            }
            self.start(index, out);
            let reason = candidate["finishReason"].as_str();
            if !reason.is_some_and(is_blocked) {
                for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                    self.part(index, part, answer, out);
                }
            }
            if let Some(reason) = reason {
                let calls_tools = self.candidates.get(index).is_some_and(|candidate| candidate.calls > 0);
                self.finish(index, finish_reason(reason, calls_tools), out);
            }
        }
        self.seen.finished = !self.candidates.is_empty()
            && self.candidates.iter().all(|candidate| candidate.finished || !candidate.begun);
    }

    /// What every chunk begins with, up to its choices.
    fn begin(&mut self, answer: &Value) {
        let model =
            if self.shown_model.is_empty() { answer["modelVersion"].clone() } else { self.shown_model.as_str().into() };
        let head = json!({
            "id": chat_id(answer),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": model,
        });
        let head = head.to_string();
        self.head = format!("data: {},\"choices\":", head.strip_suffix('}').unwrap_or(&head));
    }

    fn start(&mut self, index: usize, out: &mut Vec<Frame>) {
        if self.candidates.len() <= index {
            self.candidates.resize(index + 1, Candidate::default());
        }
        if let Some(candidate) = self.candidates.get_mut(index).filter(|candidate| !candidate.begun) {
            candidate.begun = true;
            self.delta(index, &json!({"role": "assistant", "content": ""}), false, out);
        }
    }

    fn part(&mut self, index: usize, part: &Value, answer: &Value, out: &mut Vec<Frame>) {
        if let Some(text) = part["text"].as_str().filter(|text| !text.is_empty()) {
            self.seen.output_bytes += text.len() as u64;
            let piece = Piece::of(index as u64, text);
            self.seen.piece = Some(self.seen.piece.map_or(piece, |others| others.and(piece)));
            let key = if part["thought"] == true { "reasoning_content" } else { "content" };
            self.delta(index, &json!({key: text}), true, out);
        }
        if part["functionCall"].is_object() {
            let all: usize = self.candidates.iter().map(|candidate| candidate.calls).sum();
            let id = || call_id(answer, self.created, all + 1);
            let mut call = call(&part["functionCall"], part["thoughtSignature"].as_str(), id);
            let Some(candidate) = self.candidates.get_mut(index) else { return };
            call["index"] = candidate.calls.into();
            candidate.calls += 1;
            self.seen.output_bytes += call["function"]["arguments"].as_str().map_or(0, |text| text.len() as u64);
            self.delta(index, &json!({"tool_calls": [call]}), true, out);
        }
    }

    fn finish(&mut self, index: usize, reason: &str, out: &mut Vec<Frame>) {
        let Some(candidate) = self.candidates.get_mut(index).filter(|candidate| !candidate.finished) else { return };
        candidate.finished = true;
        let choice = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": reason});
        self.emit(&format!("[{choice}]"), false, out);
    }

    fn delta(&self, index: usize, delta: &Value, content: bool, out: &mut Vec<Frame>) {
        let choice = format!("[{{\"index\":{index},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}]");
        self.emit(&choice, content, out);
    }

    /// Writes a chunk. `rest` is JSON: the choices, and what follows them.
    fn emit(&self, rest: &str, content: bool, out: &mut Vec<Frame>) {
        out.push(Frame { bytes: format!("{}{rest}}}\n\n", self.head).into(), content });
    }

    /// Chunks to the application, or to the translation behind this one.
    fn pass(&mut self, chunks: Vec<Frame>, out: &mut Vec<Frame>) -> Result<(), Fault> {
        match &mut self.messages {
            None => out.extend(chunks),
            Some(messages) => messages.chunks(chunks, out)?,
        }
        Ok(())
    }

    /// The connection is closed.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if !self.seen.finished {
            return false;
        }
        self.seen.done = true;
        let mut chunks = Vec::new();
        if let Some(usage) = self.seen.usage.filter(|_| self.wants_usage) {
            self.emit(&format!("[],\"usage\":{}", usage.to_openai()), false, &mut chunks);
        }
        chunks.push(Frame { bytes: Bytes::from_static(b"data: [DONE]\n\n"), content: false });
        self.pass(chunks, out).is_ok()
    }
}
