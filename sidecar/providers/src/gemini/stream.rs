//! A stream of Gemini's, as chunks of OpenAI's.
//!
//! Every event there is an answer of its own, with what came since the last. No event says that it was the last one: the
//! answer is complete when every candidate has a reason to stop and the connection ends.

use serde_json::{Value, json};

use super::response::{block_reason, call, call_id, chat_id, image, logprobs};
use super::{finish_reason, is_blocked, is_malformed, usage};
use crate::citations::Told;
use crate::openai::chunks::ChunkWriter;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, Stamp, citations, fault};

/// Candidates an application can ask for.
const MAX_CANDIDATES: usize = 128;

/// Of a longer answer nobody is told where it comes from: its text is kept until then, because what Gemini says of it is
/// about bytes, and what an application reads about characters.
const MAX_CITED_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct FromGemini {
    chunks: ChunkWriter,
    candidates: Vec<Candidate>,
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug, Default)]
struct Candidate {
    begun: bool,
    finished: bool,
    /// It has said more than thoughts.
    answers: bool,
    calls: usize,
    images: usize,
    /// What it has said, as long as that can be cited.
    text: String,
    /// It says more than can be cited.
    is_long: bool,
    cited: Told,
}

// === impl Candidate ===

impl Candidate {
    /// With a piece left out every later place would be another: the text is whole, or it is let go.
    fn say(&mut self, text: &str) {
        self.answers = true;
        self.is_long |= self.text.len().saturating_add(text.len()) > MAX_CITED_BYTES;
        if self.is_long {
            self.text = String::new();
        } else {
            self.text.push_str(text);
        }
    }
}

// === impl FromGemini ===

impl FromGemini {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        Self { chunks: ChunkWriter::new(shown_model, wants_usage), candidates: Vec::new(), seen: Seen::default() }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.chunks.stamp(stamp);
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
        self.answer(&answer, out)
    }

    fn answer(&mut self, answer: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        self.seen.bill(usage(answer));
        if !self.chunks.has_begun() {
            self.chunks.begin(&chat_id(answer, self.chunks.id()), &answer["modelVersion"]);
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
                let mut logprobs = logprobs(&candidate["logprobsResult"]);
                for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                    self.part(index, part, answer, &mut logprobs, out);
                }
                if !logprobs.is_null() {
                    self.chunks.delta_with(index, &json!({}), &logprobs, false, out);
                }
            }
            self.cite(index, &candidate["groundingMetadata"], out);
            let Some(so_far) = self.candidates.get(index) else { continue };
            let (calls, silent) = (so_far.calls > 0, !so_far.answers && !so_far.finished);
            match reason {
                Some(reason) if is_malformed(reason) && silent => {
                    return Err(Fault::failed(reason, candidate["finishMessage"].as_str()));
                }
                Some(reason) => self.finish(index, finish_reason(reason, calls), out),
                None => {}
            }
        }
        self.seen.finished = !self.candidates.is_empty()
            && self.candidates.iter().all(|candidate| candidate.finished || !candidate.begun);
        Ok(())
    }

    fn start(&mut self, index: usize, out: &mut Vec<Frame>) {
        if self.candidates.len() <= index {
            self.candidates.resize(index + 1, Candidate::default());
        }
        if let Some(candidate) = self.candidates.get_mut(index).filter(|candidate| !candidate.begun) {
            candidate.begun = true;
            self.chunks.delta(index, &json!({"role": "assistant", "content": ""}), false, out);
        }
    }

    fn part(&mut self, index: usize, part: &Value, answer: &Value, logprobs: &mut Value, out: &mut Vec<Frame>) {
        if let Some(text) = part["text"].as_str().filter(|text| !text.is_empty()) {
            self.seen.output_bytes += text.len() as u64;
            let piece = Piece::of(index as u64, text);
            self.seen.piece = Some(self.seen.piece.map_or(piece, |others| others.and(piece)));
            let key = if part["thought"] == true { "reasoning_content" } else { "content" };
            self.chunks.delta_with(index, &json!({key: text}), &logprobs.take(), true, out);
            if let Some(candidate) = self.candidates.get_mut(index).filter(|_| part["thought"] != true) {
                candidate.say(text);
            }
        }
        if let Some(mut image) = image(part) {
            let Some(candidate) = self.candidates.get_mut(index) else { return };
            image["index"] = candidate.images.into();
            candidate.images += 1;
            candidate.answers = true;
            self.chunks.delta(index, &json!({"images": [image]}), true, out);
        }
        if part["functionCall"].is_object() {
            let all: usize = self.candidates.iter().map(|candidate| candidate.calls).sum();
            let id = || call_id(answer, self.chunks.id(), all + 1);
            let mut call = call(&part["functionCall"], part["thoughtSignature"].as_str(), id);
            let Some(candidate) = self.candidates.get_mut(index) else { return };
            call["index"] = candidate.calls.into();
            candidate.calls += 1;
            candidate.answers = true;
            self.seen.output_bytes += call["function"]["arguments"].as_str().map_or(0, |text| text.len() as u64);
            self.chunks.delta(index, &json!({"tool_calls": [call]}), true, out);
        }
    }

    fn cite(&mut self, index: usize, grounding: &Value, out: &mut Vec<Frame>) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        let annotations = candidate.cited.new_of(citations::of_gemini(grounding, &candidate.text));
        if !annotations.is_empty() {
            self.chunks.delta(index, &json!({"annotations": annotations}), false, out);
        }
    }

    fn finish(&mut self, index: usize, reason: &str, out: &mut Vec<Frame>) {
        let Some(candidate) = self.candidates.get_mut(index).filter(|candidate| !candidate.finished) else { return };
        candidate.finished = true;
        self.chunks.stop(index, reason, out);
    }

    /// The connection is closed.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if !self.seen.finished {
            return false;
        }
        self.seen.done = true;
        self.chunks.finish(self.seen.usage, out);
        true
    }
}
