//! Streams of the OpenAI family, passed through event by event.
//!
//! An event goes on byte for byte, but for the model's name. What is read for the bill and for the end of the answer is read
//! from a copy: an event of a shape nobody knows still goes on. One that holds no JSON does not: every SDK would throw
//! the whole answer away for it.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::answer::Told;
use super::choices::Choices;
use super::tidy::tidy;
use crate::sse::Event;
use crate::stream::{Seen, is_json};
use crate::{Body, Class, Dialect, Fault, Frame, Stamp, fault};

const DONE: &[u8] = b"[DONE]";

#[derive(Debug)]
pub(crate) struct PassThrough {
    /// The model's name as JSON. None: keep the provider's.
    shown_model: Option<Bytes>,
    wants_usage: bool,
    /// What a chunk carries that comes before the answer has a name.
    id: String,
    created: u64,
    choices: Choices,
    pub(crate) seen: Seen,
}

// === impl PassThrough ===

impl PassThrough {
    pub(crate) fn new(shown_model: &str, wants_usage: bool) -> Self {
        let shown_model = (!shown_model.is_empty()).then(|| Value::from(shown_model).to_string().into());
        let (choices, seen) = (Choices::default(), Seen::default());
        Self { shown_model, wants_usage, id: String::new(), created: 0, choices, seen }
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.created = stamp.created;
        self.id = format!("chatcmpl-{}", stamp.id());
        self.choices.stamp(stamp.id());
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let plain = |raw| Frame { bytes: raw, content: false };
        let Some(data) = event.data else {
            out.push(plain(event.raw));
            return Ok(());
        };
        if data.trim_ascii() == DONE {
            if !self.choices.any {
                return Err(Fault::own(Class::InternalServerError, "answer has no \"choices\": the stream was empty"));
            }
            self.seen.done = true;
            out.push(plain(event.raw));
            return Ok(());
        }
        let Ok(mut chunk) = Body::parse_answer(data.clone()) else {
            if is_json(&data) {
                out.push(plain(event.raw));
            } else {
                self.seen.skipped += 1;
            }
            return Ok(());
        };
        refuse_error(&chunk)?;
        let noted = self.choices.note(&chunk, &mut self.seen)?;
        let (content, empty, settled) = (noted.content, noted.empty, noted.settled(&chunk));
        let told = Told::of(&chunk);
        let usage = told.as_ref().map(|told| told.usage);
        self.seen.bill(usage);
        let is_null = chunk.get_bytes("choices") == Some(b"null");
        if usage.is_some() && (empty || is_null) && !self.wants_usage {
            return Ok(());
        }
        if is_null && usage.is_none() {
            // Clients go through the choices of every event.
            self.seen.skipped += 1;
            return Ok(());
        }
        let is_settled = settled.is_some();
        if let Some(choices) = &settled {
            chunk.set("choices", choices);
        }
        out.push(Frame { bytes: self.renamed(&mut chunk, told.as_ref(), event.raw, is_settled), content });
        Ok(())
    }

    /// The event in OpenAI's words, with the model's name as the application knows it.
    fn renamed(&self, chunk: &mut Body, told: Option<&Told>, raw: Bytes, is_settled: bool) -> Bytes {
        let mut changed = tidy(chunk, told) || is_settled;
        if chunk.get_bytes("id") == Some(b"\"\"") && !self.id.is_empty() {
            chunk.set("id", &self.id.as_str().into());
            if chunk.get_bytes("created") == Some(b"0") {
                chunk.set("created", &self.created.into());
            }
            changed = true;
        }
        let name = self.shown_model.as_ref();
        if let Some(name) = name.filter(|name| chunk.get_bytes("model").is_some_and(|current| current != *name)) {
            chunk.set_raw("model", name.clone(), 0);
            changed = true;
        }
        if changed { frame(&chunk.to_bytes()) } else { raw }
    }

    /// The connection is closed. A finished answer whose `[DONE]` is missing is complete.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if !self.seen.finished {
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
        || chunk.get_bytes("object") == Some(b"\"error\"")
        || ["errors", "error_code"].iter().any(|name| chunk.get_bytes(name).is_some());
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
