//! A stream of Converse's, as chunks of OpenAI's.
//!
//! An event comes here as an object with one field, called after its type: `{"contentBlockDelta": {…}}`.

use serde_json::{Value, json};

use super::response::chat_id;
use super::{finish_reason, malformed, thinking_tokens, usage};
use crate::anthropic::JSON_TOOL;
use crate::anthropic::preface::Preface;
use crate::anthropic::thoughts::Thoughts;
use crate::citations::{self, Cited};
use crate::openai::chunks::ChunkWriter;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Fault, Frame, Stamp, Usage};

#[derive(Debug)]
pub(crate) struct FromConverse {
    chunks: ChunkWriter,
    block: Block,
    /// Tool calls so far. Their index is not the block's: text and thinking are blocks too.
    calls: u64,
    thoughts: Thoughts,
    cited: Cited,
    /// The block whose text is being told. Texts do not announce themselves, and sources may be a block behind theirs.
    telling: Option<u64>,
    /// Said before the counts that it is a part of. Alone it would be a bill for no prompt.
    reasoning: u64,
    /// Why the answer is none. It is told when the counts have come, which are billed all the same.
    broken: Option<Fault>,
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

// === impl FromConverse ===

impl FromConverse {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        let chunks = ChunkWriter::new(shown_model, wants_usage);
        let (block, thoughts, seen) = (Block::Other, Thoughts::default(), Seen::default());
        let (cited, telling) = (Cited::default(), None);
        let preface = Preface::default();
        Self { chunks, block, calls: 0, thoughts, cited, telling, reasoning: 0, broken: None, preface, seen }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.chunks.stamp(stamp);
    }

    /// An event nobody can read is skipped: there is nothing to translate.
    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let Some(data) = event.data else { return Ok(()) };
        let Ok(Value::Object(event)) = serde_json::from_slice::<Value>(&data) else {
            self.seen.skipped += 1;
            return Ok(());
        };
        for (name, payload) in &event {
            self.read(name, payload, out)?;
        }
        Ok(())
    }

    fn read(&mut self, name: &str, payload: &Value, out: &mut Vec<Frame>) -> Result<(), Fault> {
        if !self.chunks.has_begun() {
            // Its events name neither the answer nor the model.
            self.chunks.begin(&chat_id(self.chunks.id()), &"".into());
            self.delta(&json!({"role": "assistant", "content": ""}), false, out);
        }
        match name {
            "contentBlockStart" => self.open(&payload["start"]["toolUse"], out),
            "contentBlockDelta" => self.piece(payload, out),
            "contentBlockStop" => self.close(out),
            "messageStop" => self.stop(payload, out),
            "metadata" => {
                let reasoning = self.reasoning;
                self.seen.bill(usage(payload).map(|usage| Usage { reasoning, ..usage }));
                if let Some(fault) = self.broken.take() {
                    return Err(fault);
                }
                self.finish(out);
            }
            // messageStart, and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    /// Only calls announce themselves.
    fn open(&mut self, call: &Value, out: &mut Vec<Frame>) {
        self.block = Block::Other;
        if call["name"] == JSON_TOOL {
            self.block = Block::Json { any_arguments: false };
            self.preface = Preface::Over;
        } else if call.is_object() {
            self.release(out);
            let index = self.calls;
            self.calls += 1;
            self.block = Block::Tool { index, any_arguments: false };
            let function = json!({"name": call["name"], "arguments": ""});
            let call = json!({"index": index, "id": call["toolUseId"], "type": "function", "function": function});
            self.delta(&json!({"tool_calls": [call]}), true, out);
        }
    }

    fn piece(&mut self, payload: &Value, out: &mut Vec<Frame>) {
        let delta = &payload["delta"];
        let thought = &delta["reasoningContent"];
        let block = payload["contentBlockIndex"].as_u64().unwrap_or(0);
        if let Some(citation) = citations::of_converse(&delta["citation"]) {
            self.cited.add(&citation);
        }
        self.text("content", delta["text"].as_str(), block, out);
        self.thoughts.push(thought["text"].as_str().unwrap_or_default());
        self.text("reasoning_content", thought["text"].as_str(), block, out);
        if let Some(input) = delta["toolUse"]["input"].as_str().filter(|input| !input.is_empty()) {
            self.arguments(input, block, out);
        }
        if thought["signature"].is_string() {
            let thought = self.thoughts.signed(&thought["signature"]);
            self.delta(&thought, false, out);
        }
        if thought["redactedContent"].is_string() {
            let thought = self.thoughts.redacted(&thought["redactedContent"]);
            self.delta(&thought, false, out);
        }
    }

    fn note(&mut self, block: u64, text: &str) {
        self.seen.output_bytes += text.len() as u64;
        self.seen.piece = Some(Piece::of(block, text));
    }

    fn text(&mut self, key: &str, text: Option<&str>, block: u64, out: &mut Vec<Frame>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.note(block, text);
        if key == "content" {
            if self.telling.replace(block) != Some(block) {
                self.cited.open();
            }
            self.cited.say(text);
        }
        if key != "content" || matches!(self.block, Block::Json { .. }) {
            self.delta(&json!({key: text}), true, out);
        } else if let Some(text) = self.preface.pass(text) {
            self.delta(&json!({key: text}), true, out);
        }
    }

    /// What was kept back is the answer.
    fn release(&mut self, out: &mut Vec<Frame>) {
        if let Some(text) = self.preface.release() {
            self.delta(&json!({"content": text}), true, out);
        }
    }

    fn arguments(&mut self, part: &str, block: u64, out: &mut Vec<Frame>) {
        match &mut self.block {
            Block::Other => {}
            Block::Json { any_arguments } => {
                *any_arguments = true;
                self.text("content", Some(part), block, out);
            }
            Block::Tool { index, any_arguments } => {
                *any_arguments = true;
                let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]});
                self.note(block, part);
                self.delta(&delta, true, out);
            }
        }
    }

    /// A call without arguments has the empty object for them, which applications parse.
    fn close(&mut self, out: &mut Vec<Frame>) {
        match std::mem::replace(&mut self.block, Block::Other) {
            Block::Tool { index, any_arguments: false } => {
                let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": "{}"}}]});
                self.delta(&delta, true, out);
            }
            Block::Json { any_arguments: false } => self.delta(&json!({"content": "{}"}), true, out),
            Block::Tool { .. } | Block::Json { .. } | Block::Other => {}
        }
        let annotations = self.cited.take();
        if !annotations.is_empty() {
            self.delta(&json!({"annotations": annotations}), false, out);
        }
    }

    /// Only the counts are missing now.
    fn stop(&mut self, payload: &Value, out: &mut Vec<Frame>) {
        self.reasoning = self.reasoning.max(thinking_tokens(payload));
        let Some(reason) = payload["stopReason"].as_str() else { return };
        self.broken = malformed(reason);
        if self.broken.is_some() || std::mem::replace(&mut self.seen.finished, true) {
            return;
        }
        let finish = match finish_reason(reason) {
            "tool_calls" if self.calls == 0 => "stop", // The only call was the answer itself.
            finish => finish,
        };
        self.release(out);
        self.chunks.stop(0, finish, out);
    }

    fn finish(&mut self, out: &mut Vec<Frame>) {
        self.seen.done = self.seen.finished;
        if self.seen.done {
            self.chunks.finish(self.seen.usage, out);
        }
    }

    fn delta(&self, delta: &Value, content: bool, out: &mut Vec<Frame>) {
        self.chunks.delta(0, delta, content, out);
    }

    /// The connection is closed. With a reason to stop, only the counts are missing.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        self.finish(out);
        self.seen.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn run(events: &[Value]) -> (FromConverse, String, Result<bool, Fault>) {
        let (mut stream, mut out) = (FromConverse::new("m", false), Vec::new());
        let mut pushed = Ok(());
        for event in events {
            let raw = event.to_string();
            let event = Event { raw: raw.clone().into(), data: Some(raw.into()) };
            pushed = pushed.and_then(|()| stream.event(event, &mut out));
        }
        let ended = pushed.map(|()| stream.end(&mut out));
        let text = out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
        (stream, text, ended)
    }

    #[test]
    fn words_in_front_of_an_answer_by_a_tool_are_no_part_of_it() {
        let start = |name: &str| json!({"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c", "name": name}}}});
        let input =
            json!({"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"a\":1}"}}}});
        let stop = |block: u64| json!({"contentBlockStop": {"contentBlockIndex": block}});
        let end = json!({"messageStop": {"stopReason": "tool_use"}});
        for (name, want) in [(JSON_TOOL, "{\"a\":1}"), ("f", "hi")] {
            let (mut stream, mut out) = (FromConverse::new("m", false), Vec::new());
            stream.preface = Preface::Kept(String::new());
            for event in [says(), stop(0), start(name), input.clone(), stop(1), end.clone(), counts()] {
                let raw = event.to_string();
                stream.event(Event { raw: raw.clone().into(), data: Some(raw.into()) }, &mut out).unwrap();
            }
            let said = crate::Said::read_stream(crate::Api::ChatCompletions, out.iter().map(|frame| &frame.bytes[..]));
            assert_eq!(said.text, want, "{name}");
        }
    }

    fn says() -> Value {
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "hi"}}})
    }

    fn stops(reason: &str) -> Value {
        let details = json!({"usage": {"output_tokens_details": {"thinking_tokens": 7}}});
        json!({"messageStop": {"stopReason": reason, "additionalModelResponseFields": details}})
    }

    fn counts() -> Value {
        json!({"metadata": {"usage": {"inputTokens": 30, "outputTokens": 9}}})
    }

    #[test]
    fn thoughts_are_a_part_of_the_counts_and_no_bill_without_them() {
        let (stream, _, ended) = run(&[says(), stops("end_turn"), counts()]);
        let usage = stream.seen.usage.unwrap();
        assert_eq!((ended.unwrap(), usage.input, usage.output, usage.reasoning), (true, 30, 9, 7));
        let (stream, _, ended) = run(&[says(), stops("end_turn")]);
        assert_eq!((ended.unwrap(), stream.seen.usage), (true, None), "the prompt is not free");
    }

    #[test]
    fn what_is_cited_of_the_web_is_told_with_its_place_plain_and_streamed() {
        let page = |url: &str| json!({"location": {"web": {"url": url, "domain": "a.org"}}});
        let paper = json!({"title": "T", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}});
        let content = json!([
            {"text": "So: "},
            {"citationsContent": {"content": [{"text": "warm"}], "citations": [page("https://a"), paper]}},
            {"text": " é dry"},
            {"citationsContent": {"citations": [page("https://b"), page("https://b")]}}
        ]);
        let whole = json!({"output": {"message": {"content": content}}, "stopReason": "end_turn"});
        let answer = super::super::response::decode("m", Stamp::default(), whole.to_string().into()).unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let delta =
            |block: u64, delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": block, "delta": delta}});
        let stop = |block: u64| json!({"contentBlockStop": {"contentBlockIndex": block}});
        let events = [
            delta(0, json!({"text": "So: "})),
            stop(0),
            delta(1, json!({"text": "warm"})),
            delta(1, json!({"citation": page("https://a")})),
            delta(1, json!({"citation": paper})),
            stop(1),
            delta(2, json!({"text": " é dry"})),
            stop(2),
            delta(3, json!({"citation": page("https://b")})),
            delta(3, json!({"citation": page("https://b")})),
            stop(3),
            stops("end_turn"),
            counts(),
        ];
        let (_, text, _) = run(&events);
        let chunks = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        let lists = chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["annotations"].as_array().cloned());
        let streamed: Vec<_> = lists.flatten().map(|one| one["url_citation"].clone()).collect();
        let want = json!([{"start_index": 4, "end_index": 8, "title": "a.org", "url": "https://a"},
            {"start_index": 8, "end_index": 14, "title": "a.org", "url": "https://b"}]);
        assert_eq!(Value::from(streamed), want);
        let plain = answer["choices"][0]["message"]["annotations"].as_array().unwrap();
        assert_eq!(plain.iter().map(|one| one["url_citation"].clone()).collect::<Value>(), want);
    }

    #[test]
    fn a_stream_that_bedrock_could_not_read_never_ends_well_and_is_billed() {
        for reason in ["malformed_model_output", "malformed_tool_use"] {
            let (stream, text, ended) = run(&[says(), stops(reason), counts()]);
            let fault = ended.unwrap_err();
            assert!(fault.class == Class::InternalServerError && fault.message.contains(reason), "{fault}");
            assert!(text.contains("hi") && !text.contains("\"stop\"") && !text.contains("[DONE]"), "{text}");
            assert_eq!((stream.seen.done, stream.seen.usage.unwrap().input), (false, 30), "{reason}");
            let (stream, text, ended) = run(&[says(), stops(reason)]);
            assert!(!ended.unwrap() && !stream.seen.finished && !text.contains("\"stop\""), "cut: {text}");
        }
    }
}
