//! A stream of Cohere's, as chunks of OpenAI's, and from there as Anthropic's events for its callers.

use bytes::Bytes;
use serde_json::{Value, json};

use super::response::chat_id;
use super::{finish_reason, usage};
use crate::messages::stream::ToMessages;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Dialect, Fault, Frame, fault};

#[derive(Debug)]
pub(crate) struct FromCohere {
    shown_model: String,
    wants_usage: bool,
    created: u64,
    head: String,
    calls: u64,
    /// Anthropic's callers read its events.
    messages: Option<ToMessages>,
    pub(crate) seen: Seen,
}

impl FromCohere {
    pub(crate) fn new(shown_model: &str, wants_usage: bool, to_messages: bool) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            wants_usage: wants_usage || to_messages,
            created: 0,
            head: String::new(),
            calls: 0,
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
        let mut chunks = Vec::new();
        self.read(&value, &mut chunks);
        self.pass(chunks, out)
    }

    fn read(&mut self, value: &Value, out: &mut Vec<Frame>) {
        let kind = value["type"].as_str().unwrap_or_default();
        if self.head.is_empty() {
            self.begin(value, out);
        }
        let message = &value["delta"]["message"];
        match kind {
            "content-start" | "content-delta" => {
                self.text("content", message["content"]["text"].as_str(), out);
                self.text("reasoning_content", message["content"]["thinking"].as_str(), out);
            }
            "tool-plan-delta" => self.text("reasoning_content", message["tool_plan"].as_str(), out),
            "tool-call-start" => {
                let mut call = message["tool_calls"].clone();
                call["index"] = self.calls.into();
                self.calls += 1;
                self.delta(&json!({"tool_calls": [call]}), true, out);
            }
            "tool-call-delta" => {
                let arguments = message["tool_calls"]["function"]["arguments"].as_str().unwrap_or_default();
                self.seen.output_bytes += arguments.len() as u64;
                let call = json!({"index": self.calls.saturating_sub(1), "function": {"arguments": arguments}});
                self.delta(&json!({"tool_calls": [call]}), true, out);
            }
            "message-end" => self.finish(&value["delta"], out),
            // message-start, citations, ends of parts, and what is yet to come.
            _ => {}
        }
    }

    fn begin(&mut self, value: &Value, out: &mut Vec<Frame>) {
        let head = json!({
            "id": chat_id(value),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.shown_model,
        });
        let head = head.to_string();
        self.head = format!("data: {},\"choices\":", head.strip_suffix('}').unwrap_or(&head));
        self.delta(&json!({"role": "assistant", "content": ""}), false, out);
    }

    fn text(&mut self, key: &str, text: Option<&str>, out: &mut Vec<Frame>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.seen.output_bytes += text.len() as u64;
        self.seen.piece = Some(Piece::of(0, text));
        self.delta(&json!({key: text}), true, out);
    }

    fn finish(&mut self, delta: &Value, out: &mut Vec<Frame>) {
        self.seen.bill(usage(delta));
        self.seen.finished = true;
        self.seen.done = true;
        let reason = finish_reason(delta["finish_reason"].as_str().unwrap_or_default());
        let choice = json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": reason});
        self.emit(&format!("[{choice}]"), false, out);
        if let Some(usage) = self.seen.usage.filter(|_| self.wants_usage) {
            self.emit(&format!("[],\"usage\":{}", usage.to_openai()), false, out);
        }
        out.push(Frame { bytes: Bytes::from_static(b"data: [DONE]\n\n"), content: false });
    }

    fn delta(&self, delta: &Value, content: bool, out: &mut Vec<Frame>) {
        let choice = format!("[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}]");
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

    /// The connection is closed, and no `message-end` has come.
    pub(crate) const fn end(&self) -> bool {
        self.seen.finished
    }
}
