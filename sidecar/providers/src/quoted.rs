//! Texts as JSON, for events that are written without building a tree of them first.

use std::fmt;
use std::io::Write;

use bytes::Bytes;
use serde::Serialize;

/// Writes the text in quotes, escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// An event as it grows: what nearly all of a stream's are is written straight into the bytes that go out.
#[derive(Debug)]
pub(crate) struct Written(Vec<u8>);

// === impl Quoted ===

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

// === impl Written ===

impl Written {
    /// With room for so many bytes, and for what an event has around them.
    pub(crate) fn about(bytes: usize) -> Self {
        // Some of a text is escaped.
        Self(Vec::with_capacity(224 + bytes + bytes / 8))
    }

    /// As it is.
    pub(crate) fn raw(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A text in quotes, a number, or any other value.
    pub(crate) fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        // Memory takes whatever is written to it.
        let _ = serde_json::to_writer(&mut self.0, value);
        self
    }

    pub(crate) fn format(mut self, arguments: fmt::Arguments<'_>) -> Self {
        let _ = self.0.write_fmt(arguments);
        self
    }
}

impl From<Written> for Bytes {
    fn from(written: Written) -> Self {
        written.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = ["", "word", "a \"b\" \\ c\n\t\u{1}", "👋é", "</script>"];

    #[test]
    fn what_is_quoted_is_read_back_as_it_was() {
        for text in TEXTS {
            let quoted = Quoted(text).to_string();
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text, "{quoted}");
        }
    }

    #[test]
    fn two_ways_to_write_an_event_are_one() {
        for text in TEXTS {
            let written = Written::about(text.len()).raw("data: ").json(&7).raw(",").json(text);
            let bytes = Bytes::from(written.format(format_args!("{}\n", Quoted(text))));
            let formatted = format!("data: 7,{0}{0}\n", Quoted(text));
            assert_eq!(bytes, formatted);
        }
    }
}
