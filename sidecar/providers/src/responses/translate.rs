//! A chat's stream as the events of a response.
//!
//! A chat's chunks say what is new; here every piece belongs to an item that is announced, grows, and is repeated whole when
//! it is done, as is the whole response at its end. So what has been said is kept, within [`MAX_KEPT_BYTES`].

use serde_json::{Value, json};

use super::echo;
use super::events::{Place, Writer};
use super::output::{Item, Kind, Part, output, status};
use super::response::annotation;
use super::{id, incomplete};
use crate::anthropic::thoughts::without_index;
use crate::citations::MAX_CITATIONS;
use crate::openai::chunk::{Call as Piece, Choice};
use crate::openai::reading::{Reading, Said, is_preamble};
use crate::sse::Event;
use crate::{Body, Class, Fault, Frame, Stamp, Usage};

/// The longest answers there are have a tenth of it.
const MAX_KEPT_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct ToResponses {
    shown_model: String,
    /// What the response repeats of its request.
    echo: String,
    created: u64,
    /// What an answer is called whose provider does not say.
    id: String,
    /// What every copy of the response begins with. Empty: it has not begun.
    head: String,
    /// The chat's id, of which every other is made.
    chat: String,
    writer: Writer,
    items: Vec<Item>,
    /// The message or the thoughts that are being written. Calls stay open until the end, because their pieces may be mixed.
    open: Option<usize>,
    /// Which item each of the chat's calls is.
    calls: Vec<(u64, usize)>,
    /// What was cited when no message was open, for the next one.
    early: Vec<Value>,
    kept: usize,
    pub(crate) reading: Reading,
}

// === impl ToResponses ===

impl ToResponses {
    pub(crate) fn new(shown_model: &str) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            echo: echo::of(&Body::default()),
            created: 0,
            id: Stamp::default().id().to_owned(),
            head: String::new(),
            chat: String::new(),
            writer: Writer::default(),
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            early: Vec::new(),
            kept: 0,
            reading: Reading::default(),
        }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.created = stamp.created;
        stamp.id().clone_into(&mut self.id);
        self.reading.stamp(stamp);
    }

    pub(crate) fn repeat(&mut self, request: &Body) {
        self.echo = echo::of(request);
    }

    /// The number of the next event.
    pub(crate) const fn sequence(&self) -> u64 {
        self.writer.sequence
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        match self.reading.read(event)? {
            Said::Nothing => {}
            Said::Chunk(chunk) => {
                let first = self.reading.first(&chunk)?;
                self.start(&chunk, out);
                if let Some(choice) = first {
                    self.choice(&choice, out);
                }
            }
            Said::Done => self.finish(out),
        }
        if self.kept > MAX_KEPT_BYTES {
            let message = format!("the answer is longer than {MAX_KEPT_BYTES} bytes");
            return Err(Fault::own(Class::InternalServerError, message));
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Body, out: &mut Vec<Frame>) {
        if !self.head.is_empty() || is_preamble(chunk) {
            return;
        }
        let chat = chunk.value("id").unwrap_or_default();
        chat.as_str().filter(|chat| !chat.is_empty()).unwrap_or(&self.id).clone_into(&mut self.chat);
        let created = chunk.value("created").and_then(|created| created.as_u64()).filter(|created| *created > 0);
        let model = chunk.value("model").unwrap_or_default();
        let model = if self.shown_model.is_empty() { model } else { self.shown_model.as_str().into() };
        self.head = format!(
            "\"id\":\"{}\",\"object\":\"response\",\"created_at\":{},\"model\":{model},\"error\":null,",
            id("resp", &self.chat),
            created.unwrap_or(self.created),
        );
        for event in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", &Value::Null, &Value::Null);
            self.writer.emit(event, format_args!("{response}"), false, out);
        }
    }

    fn response(&self, status: &str, reason: &Value, usage: &Value) -> String {
        let Self { head, echo, .. } = self;
        let output = if status == "in_progress" { Vec::new() } else { output(&self.items, reason.is_null()) };
        let output = Value::from(output);
        format!(
            "\"response\":{{{head}\"status\":\"{status}\",\"incomplete_details\":{reason},\"output\":{output},\
             \"usage\":{usage},{echo}}}"
        )
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Frame>) {
        let Some(delta) = &choice.delta else { return };
        self.think(&delta.thought(), out);
        for block in delta.thinking_blocks.list() {
            self.sign(block, out);
        }
        match choice.content() {
            Some(text) => self.say(Kind::Text, &text, &choice.logprobs(), out),
            None => self.parts(&delta.content.list(), out),
        }
        self.say(Kind::Text, &delta.spoken(), &Value::Null, out);
        self.say(Kind::Refusal, &delta.refusal.text().unwrap_or_default(), &Value::Null, out);
        for annotation in delta.annotations.list().iter().filter_map(annotation) {
            self.annotate(annotation, out);
        }
        for call in choice.calls() {
            self.call(call, out);
        }
    }

    /// Content as a list: Mistral's thinking comes so.
    fn parts(&mut self, parts: &[Value], out: &mut Vec<Frame>) {
        for part in parts {
            self.say(Kind::Text, part["text"].as_str().unwrap_or_default(), &Value::Null, out);
            for inner in part["thinking"].as_array().into_iter().flatten() {
                self.think(inner["text"].as_str().unwrap_or_default(), out);
            }
        }
    }

    /// Words: of the open message, or of a new one.
    fn say(&mut self, kind: Kind, piece: &str, logprobs: &Value, out: &mut Vec<Frame>) {
        if piece.is_empty() {
            return;
        }
        if !self.open.is_some_and(|index| matches!(self.items[index], Item::Message { .. })) {
            self.open(Item::message(&self.chat, self.items.len()), out);
        }
        let Some((item, Item::Message { id, parts })) = self.open.map(|index| (index, &mut self.items[index])) else {
            return;
        };
        if parts.last().is_none_or(|part| part.kind != kind) {
            if let Some(last) = parts.last() {
                self.writer.part_done(Place { id, item, part: parts.len() - 1 }, last, out);
            }
            let part = Part::new(kind, String::new());
            self.writer.part_added(Place { id, item, part: parts.len() }, &part, out);
            parts.push(part);
            self.kept += size_of::<Part>();
        }
        let place = Place { id, item, part: parts.len() - 1 };
        self.writer.said(place, kind, piece, logprobs, out);
        if let Some(part) = parts.last_mut() {
            part.text.push_str(piece);
            for logprob in logprobs.as_array().into_iter().flatten() {
                self.kept += logprob.to_string().len();
                part.logprobs.push(logprob.clone());
            }
        }
        self.kept += piece.len();
        if kind == Kind::Text {
            for annotation in std::mem::take(&mut self.early) {
                self.annotate(annotation, out);
            }
        }
    }

    /// Where the open message's words come from. Behind the last of them it is lost: what is done is told.
    fn annotate(&mut self, annotation: Value, out: &mut Vec<Frame>) {
        let open = self.open.map(|index| (index, &mut self.items[index]));
        let Some((item, Item::Message { id, parts })) = open else {
            if self.early.len() < MAX_CITATIONS {
                self.kept += annotation.to_string().len();
                self.early.push(annotation);
            }
            return;
        };
        let number = parts.len().saturating_sub(1);
        let Some(part) = parts.last_mut().filter(|part| part.kind == Kind::Text) else { return };
        let place = Place { id, item, part: number };
        self.writer.annotated(place, part.annotations.len(), &annotation, out);
        self.kept += annotation.to_string().len();
        part.annotations.push(annotation);
    }

    fn think(&mut self, piece: &str, out: &mut Vec<Frame>) {
        if piece.is_empty() {
            return;
        }
        self.open_thoughts(out);
        let Some((index, Item::Reasoning { id, text, .. })) = self.open.map(|index| (index, &mut self.items[index]))
        else {
            return;
        };
        if text.is_empty() {
            self.writer.thoughts_added(id, index, out);
        }
        self.writer.thought(id, index, piece, out);
        text.push_str(piece);
        self.kept += piece.len();
    }

    /// A signature comes behind the thoughts it is for.
    fn sign(&mut self, block: Value, out: &mut Vec<Frame>) {
        self.open_thoughts(out);
        let Some(Item::Reasoning { text, blocks, .. }) = self.open.map(|index| &mut self.items[index]) else { return };
        let mut block = without_index(block);
        if block["thinking"] == "" {
            let signed = blocks.iter().filter_map(|block| block["thinking"].as_str()).map(str::len).sum();
            block["thinking"] = text.get(signed..).unwrap_or_default().into();
        }
        self.kept += block.to_string().len();
        blocks.push(block);
    }

    fn open_thoughts(&mut self, out: &mut Vec<Frame>) {
        if !self.open.is_some_and(|index| matches!(self.items[index], Item::Reasoning { .. })) {
            self.open(Item::reasoning(&self.chat, self.items.len()), out);
        }
    }

    fn call(&mut self, call: &Piece<'_>, out: &mut Vec<Frame>) {
        let number = call.index.unwrap_or_else(|| self.calls.last().map_or(0, |(number, _)| *number));
        let index = match self.calls.iter().find(|(known, _)| *known == number) {
            Some((_, index)) => *index,
            None => {
                self.close(out);
                let mut begun = Item::call(&call.head());
                if let Item::Call { arguments, .. } = &mut begun {
                    arguments.clear(); // They are said below.
                }
                let index = self.add(begun, out);
                self.calls.push((number, index));
                index
            }
        };
        let Some(Item::Call { id, arguments, .. }) = self.items.get_mut(index) else { return };
        let piece = &*call.arguments;
        if !piece.is_empty() {
            self.writer.argued(id, index, piece, out);
            arguments.push_str(piece);
            self.kept += piece.len();
        }
    }

    fn open(&mut self, item: Item, out: &mut Vec<Frame>) {
        self.close(out);
        self.open = Some(self.add(item, out));
    }

    fn add(&mut self, item: Item, out: &mut Vec<Frame>) -> usize {
        let index = self.items.len();
        self.writer.added(index, &item, out);
        // Its ids and names, which are as long as the provider likes.
        self.kept += item.to_json("in_progress").to_string().len();
        self.items.push(item);
        index
    }

    /// The open message or the open thoughts are done: something else begins.
    fn close(&mut self, out: &mut Vec<Frame>) {
        if let Some(index) = self.open.take() {
            self.writer.done(index, &self.items[index], "completed", out);
        }
    }

    /// The answer is complete.
    fn finish(&mut self, out: &mut Vec<Frame>) {
        self.start(&Body::default(), out);
        self.reading.seen.done = true;
        let reason = incomplete(self.reading.finish.as_deref().unwrap_or_default());
        let last = self.items.len().saturating_sub(1);
        let still_open = self.calls.iter().map(|(_, index)| *index).chain(self.open.take());
        for index in still_open {
            self.writer.done(index, &self.items[index], status(index == last, reason.is_none()), out);
        }
        let (name, word) = match reason {
            Some(_) => ("response.incomplete", "incomplete"),
            None => ("response.completed", "completed"),
        };
        let details = reason.map_or(Value::Null, |reason| json!({"reason": reason}));
        let response = self.response(word, &details, &self.reading.seen.usage.map_or(Value::Null, Usage::to_responses));
        self.writer.emit(name, format_args!("{response}"), false, out);
    }

    /// The connection is closed. A finished answer whose `[DONE]` is missing is complete.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if self.reading.seen.finished {
            self.finish(out);
        }
        self.reading.seen.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cited_before_the_text_comes_with_it() {
        let place = |url: &str| json!({"type": "url_citation", "url_citation": {"url": url, "title": "A", "start_index": 0, "end_index": 4}});
        let deltas = [
            json!({"annotations": [place("https://a")]}),
            json!({"reasoning_content": "hm", "annotations": [place("https://b")]}),
            json!({"content": "warm"}),
            json!({"annotations": [place("https://c")]}),
        ];
        let (mut stream, mut out) = (ToResponses::new("m"), Vec::new());
        for delta in deltas {
            let data = json!({"id": "1", "choices": [{"delta": delta}]}).to_string();
            stream.event(Event { raw: data.clone().into(), data: Some(data.into()) }, &mut out).unwrap();
        }
        let text: String = out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        let said = at("response.output_text.delta");
        assert!([at("https://a"), at("https://b"), at("https://c")].is_sorted() && said < at("https://a"), "{text}");
        assert_eq!(text.matches("event: response.output_text.annotation.added").count(), 3);
    }

    #[test]
    fn whatever_is_kept_of_an_answer_counts_towards_its_bound() {
        let long = "x".repeat(1 << 20);
        let call = |n: usize, id: &str, name: &str, extra: &str| {
            let function = json!({"name": name, "arguments": ""});
            json!({"tool_calls": [{"index": n, "id": id, "function": function, "extra_content": {"google": extra}}]})
        };
        let rows: [(&str, &dyn Fn(usize) -> Value); 6] = [
            ("words", &|_| json!({"delta": {"content": long}})),
            ("logprobs", &|_| {
                let logprob = json!({"token": "a", "logprob": -0.1, "top_logprobs": [{"token": long, "logprob": -1}]});
                json!({"delta": {"content": "a"}, "logprobs": {"content": [logprob]}})
            }),
            ("ids of calls", &|n| json!({"delta": call(n, &format!("{n}{long}"), "f", "")})),
            ("names of calls", &|n| json!({"delta": call(n, "1", &long, "")})),
            ("what comes with calls", &|n| json!({"delta": call(n, "1", "f", &long)})),
            ("nothing much", &|n| json!({"delta": call(n, "1", "f", "")})),
        ];
        for (row, choice) in rows {
            let (mut stream, mut out) = (ToResponses::new("m"), Vec::new());
            let refused = (0..9).find_map(|n| {
                out.clear();
                let data = json!({"id": "1", "choices": [choice(n)]}).to_string();
                let raw = data.clone().into();
                stream.event(Event { raw, data: Some(data.into()) }, &mut out).err()
            });
            assert_eq!(refused.is_some(), row != "nothing much", "{row}: {} bytes", stream.kept);
            assert!(refused.is_none_or(|fault| fault.message.contains("longer than 8388608 bytes")), "{row}");
        }
    }
}
