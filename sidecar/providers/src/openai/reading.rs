//! A chat's stream, event by event, for those who say it in words of another API.

use serde_json::Value;

use super::answer::usage;
use super::chunk::Choices;
use super::stream::refuse_error;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Body, Fault, Frame};

/// What has been read of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    choices: Choices,
    /// Why the answer ended, once it has.
    pub(crate) finish: Option<String>,
    pub(crate) seen: Seen,
}

/// What an event says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing that can be translated.
    Nothing,
    /// A chunk, and the first answer in it: the APIs that this is translated for know one only.
    Chunk(Body, Option<Value>),
    /// There is no more.
    Done,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn read(&mut self, event: Event) -> Result<Said, Fault> {
        let Some(data) = event.data else { return Ok(Said::Nothing) };
        if data.trim_ascii() == b"[DONE]" {
            return if self.finish.is_some() { Ok(Said::Done) } else { Err(Fault::endless()) };
        }
        let Ok(chunk) = Body::parse_answer(data) else {
            self.seen.skipped += 1;
            return Ok(Said::Nothing);
        };
        refuse_error(&chunk)?;
        self.seen.bill(usage(&chunk));
        let noted = self.choices.note(chunk.get_bytes("choices"), &mut self.seen);
        let choice = noted.and_then(|_| match chunk.value("choices") {
            Some(Value::Array(choices)) => choices.into_iter().next(),
            _ => None,
        });
        if let Some(reason) = choice.as_ref().and_then(|choice| choice["finish_reason"].as_str()) {
            self.finish = Some(reason.to_owned());
        }
        Ok(Said::Chunk(chunk, choice))
    }
}

/// The chunks that another translation has written.
pub(crate) fn events(chunks: Vec<Frame>) -> impl Iterator<Item = Event> {
    chunks.into_iter().map(|Frame { bytes, content: _ }| {
        let end = bytes.len().saturating_sub(2);
        let data = bytes.slice("data: ".len().min(end)..end);
        Event { raw: bytes, data: Some(data) }
    })
}
