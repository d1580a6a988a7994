//! One validating pass over JSON text that builds nothing.
//!
//! The text is known to be UTF-8. What is checked beyond the grammar: nesting ([`MAX_DEPTH`]) and numbers a double cannot
//! hold, because a parser behind us may turn `1e400` into infinity or into an error of its own. Strings are skipped a word
//! of eight bytes at a time: a prompt is one long string, and this loop is what a large one costs.

use std::ops::Range;

use crate::item;

/// The parsers behind us read one field at a time and stop at this depth; what we let through, they can read.
pub(super) const MAX_DEPTH: usize = 128;

/// Why a text was refused, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Syntax { at: usize, expected: &'static str },
    Depth,
    Number { span: Range<usize> },
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether words are looked for: of an answer nobody asks for them.
    seeks: bool,
    pub(super) words: Words,
    /// Values so far, nested ones included, and how many of them are objects.
    pub(super) values: usize,
    pub(super) objects: usize,
    /// Bytes so far that are certainly text of a message, without their escapes.
    pub(super) text: usize,
    /// How many bytes escapes were longer than what they stand for, at most.
    escaped: usize,
    /// Where the first escape begins that is half of a surrogate pair.
    pub(super) half: Option<usize>,
}

/// Short strings met on the way that decide whether anyone has to look closer: without them, no message holds an image
/// or a file, or comes from a developer, however long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// One names an image part, or a key of one.
    pub(super) images: bool,
    /// One names a part that is no text and no image, or has no length that shows.
    pub(super) files: bool,
    pub(super) developer: bool,
    /// Something calls a tool, or is what one found.
    pub(super) tools: bool,
    /// Something is marked to be kept in the provider's cache.
    pub(super) marks: bool,
}

// === impl Words ===

impl Words {
    fn note(&mut self, text: &[u8]) {
        match text {
            b"image" | b"image_url" | b"input_image" => self.images = true,
            b"developer" => self.developer = true,
            b"file" | b"input_file" | b"document" | b"container_upload" | b"input_audio" | b"audio_url" | b"video"
            | b"video_url" | b"input_video" | b"item_reference" => self.files = true,
            b"tool" | b"tool_calls" | b"tool_use" | b"tool_result" => self.tools = true,
            b"cache_control" => self.marks = true,
            text => self.tools |= item::may_be_of_tools(text),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.images |= other.images;
        self.files |= other.files;
        self.developer |= other.developer;
        self.tools |= other.tools;
        self.marks |= other.marks;
    }
}

/// A string's content between the quotes.
pub(super) struct Text {
    pub(super) span: Range<usize>,
    pub(super) escaped: bool,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let words = Words::default();
        Self { bytes, at: 0, seeks: true, words, values: 0, objects: 0, text: 0, escaped: 0, half: None }
    }

    /// Over what a provider sent.
    pub(super) fn of_answer(bytes: &'a [u8]) -> Self {
        Self { seeks: false, ..Self::new(bytes) }
    }

    /// Over the value of a top-level field that is known to be JSON.
    pub(super) fn over(json: &'a [u8]) -> Self {
        let mut scanner = Self::new(json);
        // What the scanner refuses has no reader behind it either.
        let _ = scanner.field();
        scanner
    }

    /// Skips the value of a top-level field.
    pub(super) fn field(&mut self) -> Result<usize, Flaw> {
        if self.peek() == Some(b'"') { self.counted(2).map(|()| 0) } else { self.value(2) }
    }

    /// The elements of an array that is known to be JSON.
    pub(super) fn elements(&mut self) -> Vec<Range<usize>> {
        let mut elements = Vec::new();
        if !self.take(b'[') {
            return elements;
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.value(3).is_err() {
                return elements;
            }
            elements.push(start..self.at);
            self.skip_space();
            if !self.take(b',') {
                return elements;
            }
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn demand(&mut self, byte: u8, expected: &'static str) -> Result<(), Flaw> {
        if self.take(byte) { Ok(()) } else { Err(self.flaw(expected)) }
    }

    pub(super) fn flaw(&self, expected: &'static str) -> Flaw {
        Flaw::Syntax { at: self.at, expected }
    }

    /// Skips one value whose containers are at `depth` and below. Says how many elements it has, if it is an array or
    /// an object.
    pub(super) fn value(&mut self, depth: usize) -> Result<usize, Flaw> {
        self.values += 1;
        match self.peek() {
            Some(b'"') => self.string().map(|_| 0),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| 0),
            Some(b't') => self.literal(b"true").map(|()| 0),
            Some(b'f') => self.literal(b"false").map(|()| 0),
            Some(b'n') => self.literal(b"null").map(|()| 0),
            _ => Err(self.flaw("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<usize, Flaw> {
        self.enter(depth)?;
        self.objects += 1;
        if self.take(b'}') {
            return Ok(0);
        }
        for count in 1.. {
            self.skip_space();
            let key = self.string()?;
            self.skip_space();
            self.demand(b':', "':'")?;
            self.skip_space();
            if self.is_text(depth, key.span) { self.counted(depth + 1) } else { self.value(depth + 1).map(|_| ()) }?;
            self.skip_space();
            if self.take(b'}') {
                return Ok(count);
            }
            self.demand(b',', "',' or '}'")?;
        }
        Ok(0)
    }

    /// Whether what comes is a message's text: `[{"content": "…"}]`, or `[{"content": [{"text": "…"}]}]`.
    fn is_text(&self, depth: usize, key: Range<usize>) -> bool {
        matches!((depth, &self.bytes[key]), (3, b"content") | (5, b"text")) && self.peek() == Some(b'"')
    }

    /// Skips a string, and counts it as text.
    fn counted(&mut self, depth: usize) -> Result<(), Flaw> {
        let (start, escaped) = (self.at, self.escaped);
        self.value(depth)?;
        self.text += (self.at - start).saturating_sub(2 + self.escaped - escaped);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<usize, Flaw> {
        self.enter(depth)?;
        if self.take(b']') {
            return Ok(0);
        }
        for count in 1.. {
            self.skip_space();
            self.value(depth + 1)?;
            self.skip_space();
            if self.take(b']') {
                return Ok(count);
            }
            self.demand(b',', "',' or ']'")?;
        }
        Ok(0)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Flaw> {
        if depth > MAX_DEPTH {
            return Err(Flaw::Depth);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    pub(super) fn string(&mut self) -> Result<Text, Flaw> {
        self.demand(b'"', "'\"'")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = plain_until(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    let span = start..self.at;
                    self.at += 1;
                    if self.seeks {
                        self.words.note(&self.bytes[span.clone()]);
                    }
                    return Ok(Text { span, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.flaw("no raw control character in a string")),
                None => return Err(self.flaw("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                self.escaped += 1;
            }
            Some(b'u') => {
                let Some(unit) = self.unit(self.at + 1) else { return Err(self.flaw("four hex digits after \\u")) };
                let start = self.at - 1;
                self.at += 5;
                self.escaped += 5;
                let is_first = (0xd800..0xdc00).contains(&unit);
                let follows = is_first && self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u"));
                if follows && self.unit(self.at + 2).is_some_and(|unit| (0xdc00..0xe000).contains(&unit)) {
                    self.at += 6;
                    self.escaped += 5;
                } else if (0xd800..0xe000).contains(&unit) {
                    self.half.get_or_insert(start);
                }
            }
            _ => return Err(self.flaw("an escape that JSON knows")),
        }
        Ok(())
    }

    /// The four hex digits of an escape.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.bytes.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        // Only an exponent or more than 308 digits can leave a double's range.
        if (exponent || self.at - start > 308) && !self.is_finite(start) {
            return Err(Flaw::Number { span: start..self.at });
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.flaw("a digit")) } else { Ok(()) }
    }

    fn is_finite(&self, start: usize) -> bool {
        let digits = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or("");
        digits.parse::<f64>().is_ok_and(f64::is_finite)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Flaw> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.flaw("a value"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// The next byte, from this one on, that means something inside a string.
pub(super) fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// Marks, by its highest bit, the first byte of a word that is a quote, a backslash or a control character. Bytes behind
/// the first may be marked wrongly: the subtractions borrow upwards only.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (equals(b'"') | equals(b'\\') | below(word, 0x20)) & (ONES << 7)
}
