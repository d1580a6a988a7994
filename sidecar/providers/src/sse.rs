//! Event-stream framing on bytes.
//!
//! An event ends at an empty line; lines end in LF, CR LF or CR. All of it is found on bytes, so a character split between
//! two reads is whole again before anyone decodes it. An event is handed out with the very bytes it came in: as a slice
//! of the read when it lies within one, and copied only when it does not.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use crate::{Class, Fault};

/// What one event may hold. A chunk of an answer has a few hundred bytes, an image or the arguments of a tool that writes a
/// file come as one of several MiB; the bound, which is Amazon's for its own framing, is for a peer that never ends a line.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;

/// The same where an event may hold a whole answer and what was asked for.
pub(crate) const MAX_RESPONSE_BYTES: usize = 32 << 20;

/// An event larger than its bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge(pub(crate) usize);

/// The fault that a [`TooLarge`] is.
pub(crate) fn too_large(most: usize) -> Fault {
    Fault::own(Class::InternalServerError, format!("an event of the stream exceeds {most} bytes"))
}

/// What of an unfinished event need not be looked at again: a line that arrives byte by byte is read once, not once a byte.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The start of the unfinished line.
    line: usize,
    /// No line ends before this byte.
    until: usize,
}

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Everything up to and including the empty line.
    pub(crate) raw: Bytes,
    /// The `data` lines joined by newlines. None: the event has none (a comment, an `id`).
    pub(crate) data: Option<Bytes>,
}

/// Cuts a byte stream into events.
#[derive(Debug)]
pub(crate) struct Framer {
    max_event_bytes: usize,
    pending: BytesMut,
    /// How far into `pending` we have looked.
    seen: Seen,
    past_start: bool,
}

// === impl Framer ===

impl Default for Framer {
    fn default() -> Self {
        Self::at_most(MAX_EVENT_BYTES)
    }
}

impl Framer {
    /// What one event may hold.
    pub(crate) fn at_most(max_event_bytes: usize) -> Self {
        Self { max_event_bytes, pending: BytesMut::new(), seen: Seen::default(), past_start: false }
    }

    /// Takes bytes, hands out the events they complete.
    pub(crate) fn push(&mut self, mut chunk: Bytes, mut each: impl FnMut(Event)) -> Result<(), TooLarge> {
        while !chunk.is_empty() {
            if self.pending.is_empty() {
                match end_of_event(&chunk, Seen::default()) {
                    End::At(end) => each(self.event(chunk.split_to(end))),
                    End::Unknown(seen) => return self.hold(&chunk, seen),
                }
            } else {
                let held = self.pending.len();
                self.pending.extend_from_slice(&chunk);
                match end_of_event(&self.pending, self.seen) {
                    End::At(end) => {
                        let raw = self.pending.split_to(end).freeze();
                        // What follows the event is the tail of this very chunk: take it from there, not from the copy.
                        chunk.advance(end.saturating_sub(held).min(chunk.len()));
                        self.pending.clear();
                        self.seen = Seen::default();
                        each(self.event(raw));
                    }
                    End::Unknown(seen) => {
                        self.seen = seen;
                        return self.check();
                    }
                }
            }
        }
        Ok(())
    }

    /// The stream is over: what is held is an event without its empty line, or nothing.
    pub(crate) fn finish(&mut self) -> Option<Event> {
        let rest = std::mem::take(&mut self.pending).freeze();
        self.seen = Seen::default();
        if rest.is_empty() { None } else { Some(self.event(rest)) }
    }

    /// Bytes of an event whose end has not come yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    fn hold(&mut self, chunk: &[u8], seen: Seen) -> Result<(), TooLarge> {
        self.pending.extend_from_slice(chunk);
        self.seen = seen;
        self.check()
    }

    fn check(&self) -> Result<(), TooLarge> {
        if self.pending.len() > self.max_event_bytes { Err(TooLarge(self.max_event_bytes)) } else { Ok(()) }
    }

    fn event(&mut self, raw: Bytes) -> Event {
        let bom = !self.past_start && raw.starts_with(b"\xef\xbb\xbf");
        self.past_start = true;
        let data = data(&raw, if bom { 3 } else { 0 });
        Event { raw, data }
    }
}

enum End {
    /// The event ends before this byte.
    At(usize),
    Unknown(Seen),
}

/// Looks for the empty line.
fn end_of_event(bytes: &[u8], seen: Seen) -> End {
    let Seen { mut line, mut until } = seen;
    while let Some(length) = bytes.get(until..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
        let stop = until + length;
        let next = match (bytes[stop], bytes.get(stop + 1)) {
            // Whether a CR ends the line alone is known once the byte behind it is.
            (b'\r', None) => return End::Unknown(Seen { line, until: stop }),
            (b'\r', Some(b'\n')) => stop + 2,
            _ => stop + 1,
        };
        if stop == line {
            return End::At(next);
        }
        (line, until) = (next, next);
    }
    End::Unknown(Seen { line, until: bytes.len() })
}

/// The `data` of an event's lines.
fn data(raw: &Bytes, from: usize) -> Option<Bytes> {
    let mut first: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut line = from;
    while line < raw.len() {
        let length = memchr2(b'\n', b'\r', &raw[line..]).unwrap_or(raw.len() - line);
        if let Some(value) = data_value(&raw[line..line + length]) {
            let value = raw.slice(line + value..line + length);
            match (&first, &mut joined) {
                (None, _) => first = Some(value),
                (Some(first), None) => {
                    let mut both = BytesMut::from(first.as_ref());
                    both.extend_from_slice(b"\n");
                    both.extend_from_slice(&value);
                    joined = Some(both);
                }
                (Some(_), Some(joined)) => {
                    joined.extend_from_slice(b"\n");
                    joined.extend_from_slice(&value);
                }
            }
        }
        line += length + 1;
    }
    joined.map(BytesMut::freeze).or(first)
}

/// Where the value of a `data` line starts.
fn data_value(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"data")?;
    match rest {
        [] => Some(4),
        [b':', b' ', ..] => Some(6),
        [b':', ..] => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Event> {
        let mut framer = Framer::default();
        let mut events = Vec::new();
        for chunk in chunks {
            framer.push(Bytes::copy_from_slice(chunk), |event| events.push(event)).unwrap();
        }
        events.extend(framer.finish());
        events
    }

    fn data_of(text: &str) -> Vec<Option<String>> {
        let text_of = |event: Event| event.data.map(|data| String::from_utf8(data.to_vec()).unwrap());
        frames(&[text.as_bytes()]).into_iter().map(text_of).collect()
    }

    #[test]
    fn every_way_to_end_a_line_is_understood() {
        let rows: [(&str, &[Option<&str>]); 10] = [
            ("data: a\n\ndata: b\n\n", &[Some("a"), Some("b")]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &[Some("a"), Some("b")]),
            ("data: a\r\rdata: b\r\r", &[Some("a"), Some("b")]),
            ("\u{feff}data: a\n\n", &[Some("a")]),
            ("data: a\ndata: b\ndata:c\n\n", &[Some("a\nb\nc")]),
            (": comment\n\n", &[None]),
            ("event: x\nid: 7\ndata:  a\n\n", &[Some(" a")]),
            ("data\n\n", &[Some("")]),
            ("database: a\n\n", &[None]),
            ("data: a", &[Some("a")]),
        ];
        for (text, want) in rows {
            let want: Vec<_> = want.iter().map(|data| data.map(String::from)).collect();
            assert_eq!(data_of(text), want, "{text:?}");
        }
    }

    #[test]
    fn an_event_within_one_read_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut starts = Vec::new();
        Framer::default().push(chunk.clone(), |event| starts.push(event.raw.as_ptr())).unwrap();
        assert_eq!(starts, [chunk.as_ptr(), chunk[9..].as_ptr()]);
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let mut framer = Framer::default();
        let chunk = Bytes::from(vec![b'x'; MAX_EVENT_BYTES / 4]);
        let results: Vec<_> = (0..5).map(|_| framer.push(chunk.clone(), |_| {})).collect();
        assert_eq!(results, [Ok(()), Ok(()), Ok(()), Ok(()), Err(TooLarge(MAX_EVENT_BYTES))]);
    }

    #[test]
    fn an_emoji_split_at_each_byte_is_whole_again() {
        let text = "data: 👋🏽\r\n\r\n".as_bytes();
        let whole = frames(&[text]);
        for at in 0..text.len() {
            assert_eq!(frames(&[&text[..at], &text[at..]]), whole, "split at {at}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            lines in prop::collection::vec(prop::sample::select(vec![
                "data: {\"a\":1}", "data: é👋", "event: x", ": c", "", "", "garbage", "data",
            ]), 0..20),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [*line, *end]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = frames(&[bytes]);
            prop_assert_eq!(&frames(&pieces), &whole);
            prop_assert_eq!(&frames(&one_by_one), &whole);
            let glued: Vec<u8> = whole.iter().flat_map(|event| event.raw.to_vec()).collect();
            prop_assert_eq!(glued, bytes);
        }
    }
}
