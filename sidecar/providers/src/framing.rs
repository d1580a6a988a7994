//! How a stream of bytes is cut into events.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::bedrock::frames::Frames;
use crate::sse::{Event, Framer, MAX_EVENT_BYTES, MAX_RESPONSE_BYTES, TooLarge, too_large};
use crate::{Api, Dialect, Fault};

/// One way to cut.
#[derive(Debug)]
pub(crate) enum Framing {
    /// `text/event-stream`
    Events(Framer),
    /// `application/x-ndjson`: an event a line.
    Lines(Lines),
    /// Amazon's binary messages.
    Messages(Frames),
}

/// Cuts at the ends of lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// A line whose end has not come yet.
    pending: BytesMut,
}

// === impl Framing ===

impl Framing {
    pub(crate) fn of(api: Api, dialect: Dialect) -> Self {
        let most = if api == Api::Responses { MAX_RESPONSE_BYTES } else { MAX_EVENT_BYTES };
        match dialect {
            Dialect::OpenAi | Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere => {
                Self::Events(Framer::at_most(most))
            }
            Dialect::Ollama => Self::Lines(Lines::default()),
            Dialect::Bedrock | Dialect::BedrockInvoke => Self::Messages(Frames::default()),
        }
    }

    /// The events that these bytes complete. Those in front of a fault come with it.
    pub(crate) fn push(&mut self, chunk: Bytes, out: &mut Vec<Event>) -> Result<(), Fault> {
        match self {
            Self::Events(framer) => {
                framer.push(chunk, |event| out.push(event)).map_err(|TooLarge(most)| too_large(most))
            }
            Self::Lines(lines) => lines.push(chunk, |event| out.push(event)).map_err(|TooLarge(most)| too_large(most)),
            Self::Messages(frames) => frames.push(&chunk, out),
        }
    }

    /// Bytes of an event whose end has not come yet.
    pub(crate) fn pending(&self) -> usize {
        match self {
            Self::Events(framer) => framer.pending(),
            Self::Lines(lines) => lines.pending.len(),
            Self::Messages(frames) => frames.pending(),
        }
    }

    /// The stream is over: what is held is an event without its end, or nothing.
    pub(crate) fn finish(&mut self) -> Option<Event> {
        match self {
            Self::Events(framer) => framer.finish(),
            Self::Lines(lines) => lines.finish(),
            Self::Messages(frames) => frames.finish(),
        }
    }
}

// === impl Lines ===

impl Lines {
    fn push(&mut self, mut chunk: Bytes, mut each: impl FnMut(Event)) -> Result<(), TooLarge> {
        while let Some(at) = memchr(b'\n', &chunk) {
            if self.pending.is_empty() {
                each(line(chunk.split_to(at + 1)));
            } else {
                self.pending.extend_from_slice(&chunk[..=at]);
                chunk.advance(at + 1);
                each(line(self.pending.split().freeze()));
            }
        }
        self.pending.extend_from_slice(&chunk);
        if self.pending.len() > MAX_EVENT_BYTES { Err(TooLarge(MAX_EVENT_BYTES)) } else { Ok(()) }
    }

    fn finish(&mut self) -> Option<Event> {
        let rest = self.pending.split().freeze();
        (!rest.is_empty()).then(|| line(rest))
    }
}

/// An empty line holds nothing.
fn line(raw: Bytes) -> Event {
    let data = raw.trim_ascii();
    let data = (!data.is_empty()).then(|| raw.slice_ref(data));
    Event { raw, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pieces: &[&[u8]]) -> Vec<Option<Bytes>> {
        let mut lines = Lines::default();
        let mut events = Vec::new();
        for piece in pieces {
            lines.push(Bytes::copy_from_slice(piece), |event| events.push(event.data)).unwrap();
        }
        events.extend(lines.finish().map(|event| event.data));
        events
    }

    #[test]
    fn a_line_is_an_event_however_it_is_cut() {
        let text = "{\"a\":\"👋\"}\r\n\n{\"b\":2}\n{\"c\":".as_bytes();
        let whole = data(&[text]);
        let want = [Some("{\"a\":\"👋\"}"), None, Some("{\"b\":2}"), Some("{\"c\":")];
        assert_eq!(whole, want.map(|line| line.map(Bytes::from)));
        for at in 0..text.len() {
            assert_eq!(data(&[&text[..at], &text[at..]]), whole, "split at {at}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let mut lines = Lines::default();
        let half = Bytes::from(vec![b'x'; MAX_EVENT_BYTES / 2 + 1]);
        assert_eq!(
            [lines.push(half.clone(), |_| {}), lines.push(half, |_| {})],
            [Ok(()), Err(TooLarge(MAX_EVENT_BYTES))]
        );
    }
}
