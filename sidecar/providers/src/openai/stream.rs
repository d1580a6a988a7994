//! Streams of the OpenAI family, passed through event by event.
//!
//! An event goes on byte for byte, but for the model's name. What is read for the bill and for the end of the answer is read
//! from a copy: an event nobody can read still goes on.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::answer;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Body, Dialect, Fault, Frame, fault};

const DONE: &[u8] = b"[DONE]";

#[derive(Debug)]
pub(crate) struct PassThrough {
    /// The model's name as JSON. None: keep the provider's.
    shown_model: Option<Value>,
    wants_usage: bool,
    choices: Choices,
    pub(crate) seen: Seen,
}

/// Which of the answers have begun and which are finished, by index. An application asks for at most 128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choices {
    begun: u128,
    finished: u128,
}

/// What one chunk's choices hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) content: bool,
    pub(crate) bytes: u64,
}

// === impl PassThrough ===

impl PassThrough {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        let shown_model = (!shown_model.is_empty()).then(|| shown_model.into());
        Self { shown_model, wants_usage, choices: Choices::default(), seen: Seen::default() }
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let plain = |raw| Frame { bytes: raw, content: false };
        let Some(data) = event.data else {
            out.push(plain(event.raw));
            return Ok(());
        };
        if data.trim_ascii() == DONE {
            self.seen.done = true;
            out.push(plain(event.raw));
            return Ok(());
        }
        let Ok(mut chunk) = Body::parse_answer(data) else {
            out.push(plain(event.raw));
            return Ok(());
        };
        refuse_error(&chunk)?;
        let choices = chunk.value("choices").unwrap_or_default();
        let delta = self.choices.read(&choices);
        self.seen.output_bytes += delta.bytes;
        let usage = answer::usage(&chunk);
        self.seen.bill(usage);
        let only_usage = usage.is_some() && choices.as_array().is_some_and(Vec::is_empty);
        if only_usage && !self.wants_usage {
            return Ok(());
        }
        out.push(Frame { bytes: self.renamed(&mut chunk, event.raw), content: delta.content });
        Ok(())
    }

    /// The event with the model's name as the application knows it.
    fn renamed(&self, chunk: &mut Body, raw: Bytes) -> Bytes {
        let (Some(name), Some(current)) = (&self.shown_model, chunk.get_bytes("model")) else { return raw };
        if name.as_str().is_some_and(|name| {
            current.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) == Some(name.as_bytes())
        }) {
            return raw;
        }
        chunk.set("model", name);
        frame(&chunk.to_bytes())
    }

    /// The connection is closed. A finished answer whose `[DONE]` is missing is complete.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if !self.choices.all_finished() {
            return false;
        }
        self.seen.done = true;
        out.push(Frame { bytes: Bytes::from_static(b"data: [DONE]\n\n"), content: false });
        true
    }
}

/// An error as an event: the answer has failed, whatever came before.
pub(crate) fn refuse_error(chunk: &Body) -> Result<(), Fault> {
    let suspicious = chunk.get_bytes("error").is_some_and(|error| error != b"null")
        || chunk.get_bytes("object") == Some(b"\"error\"");
    if !suspicious {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(&chunk.to_bytes()).unwrap_or_default();
    fault::inside(Dialect::OpenAi, &value).map_or(Ok(()), Err)
}

/// One event around a JSON text. A newline can only be white space between tokens; as a space it cannot end the event.
pub(crate) fn frame(json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + 8);
    out.put_slice(b"data: ");
    if json.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    } else {
        out.put_slice(json);
    }
    out.put_slice(b"\n\n");
    out.freeze()
}

// === impl Choices ===

impl Choices {
    /// Notes what a chunk's choices begin and finish.
    pub(crate) fn read(&mut self, choices: &Value) -> Delta {
        let mut all = Delta::default();
        for choice in choices.as_array().into_iter().flatten() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0).min(127);
            self.begun |= 1 << index;
            if choice.get("finish_reason").is_some_and(|reason| !reason.is_null()) {
                self.finished |= 1 << index;
            }
            let bytes = delta_bytes(choice);
            all.bytes += bytes;
            all.content |= bytes > 0 || has_call(choice);
        }
        all
    }

    pub(crate) fn all_finished(self) -> bool {
        self.begun != 0 && self.begun == self.finished
    }
}

/// Bytes of text, reasoning and arguments in one choice.
fn delta_bytes(choice: &Value) -> u64 {
    let Some(delta) = choice.get("delta") else { return choice.get("text").map_or(0, text_bytes) };
    let texts = ["content", "refusal", "reasoning_content", "reasoning"].iter().filter_map(|key| delta.get(*key));
    let calls = delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.filter_map(|call| call.get("function")).chain(delta.get("function_call"));
    texts.map(text_bytes).sum::<u64>() + calls.filter_map(|call| call.get("arguments")).map(text_bytes).sum::<u64>()
}

/// Some send a list of parts where a string belongs.
fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(parts) => parts.iter().map(text_bytes).sum(),
        Value::Object(part) => ["text", "thinking"].iter().filter_map(|key| part.get(*key)).map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn has_call(choice: &Value) -> bool {
    let Some(delta) = choice.get("delta") else { return false };
    let has = |key: &str| delta.get(key).is_some_and(|value| !value.is_null() && *value != Value::Array(Vec::new()));
    has("tool_calls") || has("function_call") || has("audio")
}
