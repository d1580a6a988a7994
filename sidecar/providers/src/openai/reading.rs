//! A chat's stream, event by event, for those who say it in words of another API.

use super::answer::usage;
use super::choices::Choices;
use super::chunk::Choice;
use super::stream::refuse_error;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Body, Fault, Frame, Stamp};

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
    /// A chunk, of which [`Reading::first`] is to be told.
    Chunk(Body),
    /// There is no more.
    Done,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn stamp(&mut self, stamp: Stamp<'_>) {
        self.choices.stamp(stamp.id());
    }

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
        Ok(Said::Chunk(chunk))
    }

    /// The first answer of a chunk: the APIs that it is translated for know one only. Every chunk is asked once, in turn.
    pub(crate) fn first<'a>(&mut self, chunk: &'a Body) -> Result<Option<Choice<'a>>, Fault> {
        let noted = self.choices.note(chunk, &mut self.seen)?;
        let first = noted.choices.into_iter().next();
        if let Some(reason) = first.as_ref().and_then(Choice::finish) {
            self.finish = Some(reason.into_owned());
        }
        Ok(first)
    }
}

/// Whether it is a chunk in front of the answer, which has no name yet: Azure tells there what its filters say of the prompt.
pub(crate) fn is_preamble(chunk: &Body) -> bool {
    chunk.get_bytes("id").is_none_or(|id| id == b"\"\"") && chunk.array_len("choices") == Some(0)
}

/// The chunks that another translation has written.
pub(crate) fn events(chunks: Vec<Frame>) -> impl Iterator<Item = Event> {
    chunks.into_iter().map(|Frame { bytes, content: _ }| {
        let end = bytes.len().saturating_sub(2);
        let data = bytes.slice("data: ".len().min(end)..end);
        Event { raw: bytes, data: Some(data) }
    })
}
