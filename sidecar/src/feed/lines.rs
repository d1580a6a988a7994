//! Cuts a byte stream into lines, however it was chunked, in bounded memory.

use bytes::{Buf, Bytes, BytesMut};

/// The longest message of the operator: a snapshot of thousands of routes is a fraction of it.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// A message that never ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("message is longer than {MAX_LINE_BYTES} bytes")]
pub(super) struct LineTooLong;

#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes at the front that are known to hold no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line that is not empty, without its end.
    pub(super) fn pop(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        while let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            let length = self.searched + at;
            self.searched = 0;
            if length > MAX_LINE_BYTES {
                return Err(LineTooLong);
            }
            let line = self.buffer.split_to(length);
            self.buffer.advance(1);
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line.freeze()));
            }
        }
        self.searched = self.buffer.len();
        if self.buffer.is_empty() {
            // One large snapshot must not cost its memory for the life of the stream.
            self.buffer = BytesMut::new();
        }
        if self.searched > MAX_LINE_BYTES { Err(LineTooLong) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_bytes_were_cut() {
        let bytes = "{\"a\":\"ä\"}\n\n \r\n{\"b\":2}\r\nrest".as_bytes();
        for size in 1..=bytes.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(size) {
                lines.push(chunk);
                while let Some(line) = lines.pop().unwrap() {
                    seen.push(line);
                }
            }
            assert_eq!(seen, ["{\"a\":\"ä\"}".as_bytes(), b"{\"b\":2}\r"], "chunks of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_with_or_without_its_end() {
        for end in ["", "\n"] {
            let mut lines = Lines::default();
            lines.push(&vec![b'x'; MAX_LINE_BYTES + 1]);
            lines.push(end.as_bytes());
            assert_eq!(lines.pop(), Err(LineTooLong), "end {end:?}");
        }
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES]);
        assert_eq!(lines.pop(), Ok(None));
        lines.push(b"\n");
        assert_eq!(lines.pop().unwrap().map(|line| line.len()), Some(MAX_LINE_BYTES));
    }
}
