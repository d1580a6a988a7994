//! A JSON object as its top-level fields over shared bytes.
//!
//! The request path reads a dozen small fields and passes the rest on. So a body is validated once, cut at its top level,
//! and never becomes a tree: values stay raw spans of the bytes that came in, an edit owns only its own bytes, and what
//! goes out is the fields written one after another. What is written out is what was read here, never the bytes as
//! they came: two readers of one text with a key twice may disagree on which one counts.

mod cursor;
mod loose;
mod member;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use crate::BadRequest;
pub(crate) use cursor::Cursor;
pub use loose::{loose, respelt};
pub(crate) use member::{holds_any, value_after, values_of};
use scan::{Flaw, MAX_DEPTH, Scanner, Text, Words};

/// No API has a quarter as many; the bound keeps the search for duplicates linear in practice.
const MAX_FIELDS: usize = 256;

/// As many as most answers and all chunks of one have. Room for a few more would be more than allocators keep at hand.
const USUAL_FIELDS: usize = 8;

/// What reading, changing and writing one value takes beyond its text: half of it for each of two copies that live at the
/// same time where one dialect becomes another. Measured: 147 bytes for each of a million empty lists.
const VALUE_BYTES: u64 = 128;

/// What an object takes beyond that: a table, a list with room for four fields, their keys. Measured: 697 bytes.
const OBJECT_BYTES: u64 = 704;

/// A top-level JSON object over shared bytes; values stay raw.
#[derive(Clone, Debug, Default)]
pub struct Body {
    bytes: Bytes,
    fields: Vec<Field>,
    words: Words,
    values: usize,
    objects: usize,
    /// Half of a surrogate pair stands in some field.
    half: bool,
    edited: bool,
}

#[derive(Clone, Debug)]
struct Field {
    key: Raw,
    value: Raw,
    /// Elements of the value, if it is an array or an object.
    items: usize,
    /// Bytes of the value that are certainly text of a message, or all of it, if it is a text.
    text: usize,
}

#[derive(Clone, Debug)]
enum Raw {
    Span(Range<usize>),
    Own(Bytes),
}

/// Which of two fields with one key counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    Refuse,
    KeepFirst,
}

// === impl Body ===

impl Body {
    /// Reads a request's object. Refuses what is no JSON object, repeats a top-level key, nests deeper than 128 or holds
    /// a number beyond a double.
    pub fn parse(bytes: Bytes) -> Result<Self, BadRequest> {
        Self::read(bytes, Duplicates::Refuse)
    }

    /// Reads an object a provider sent: the same, but a repeated key is the provider's business.
    pub(crate) fn parse_answer(bytes: Bytes) -> Result<Self, BadRequest> {
        Self::read(bytes, Duplicates::KeepFirst)
    }

    fn read(bytes: Bytes, duplicates: Duplicates) -> Result<Self, BadRequest> {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(BadRequest::new(format!("body is not UTF-8 from byte {} on", error.valid_up_to())));
        }
        let mut body = Self { bytes: bytes.clone(), fields: Vec::with_capacity(USUAL_FIELDS), ..Self::default() };
        let mut scan = if duplicates == Duplicates::Refuse { Scanner::new(&bytes) } else { Scanner::of_answer(&bytes) };
        body.cut(&mut scan, duplicates)?;
        body.words = scan.words;
        body.values = scan.values;
        body.objects = scan.objects;
        body.half = scan.half.is_some();
        scan.skip_space();
        if scan.peek().is_some() {
            return Err(refusal(&bytes, &scan.flaw("nothing after the object")));
        }
        Ok(body)
    }

    /// Cuts the top level into fields.
    fn cut(&mut self, scan: &mut Scanner<'_>, duplicates: Duplicates) -> Result<(), BadRequest> {
        let bytes = self.bytes.clone();
        let flaw = |flaw: Flaw| refusal(&bytes, &flaw);
        scan.skip_space();
        scan.demand(b'{', "an object, '{'").map_err(flaw)?;
        scan.skip_space();
        if scan.take(b'}') {
            return Ok(());
        }
        loop {
            scan.skip_space();
            let key = self.key(&scan.string().map_err(flaw)?)?;
            scan.skip_space();
            scan.demand(b':', "':'").map_err(flaw)?;
            scan.skip_space();
            let (start, before) = (scan.at(), scan.text);
            let items = scan.field().map_err(flaw)?;
            let text = scan.text - before;
            self.add(Field { key, value: Raw::Span(start..scan.at()), items, text }, duplicates)?;
            scan.skip_space();
            if scan.take(b'}') {
                return Ok(());
            }
            scan.demand(b',', "',' or '}'").map_err(flaw)?;
        }
    }

    /// A key without its escapes, so that `"m\u006fdel"` is the same key as `"model"`.
    fn key(&self, text: &Text) -> Result<Raw, BadRequest> {
        if !text.escaped {
            return Ok(Raw::Span(text.span.clone()));
        }
        let quoted = &self.bytes[text.span.start - 1..text.span.end + 1];
        let key: String = serde_json::from_slice(quoted)
            .map_err(|_| BadRequest::new(format!("key {} is not text", String::from_utf8_lossy(quoted))))?;
        Ok(Raw::Own(key.into()))
    }

    fn add(&mut self, field: Field, duplicates: Duplicates) -> Result<(), BadRequest> {
        let key = self.raw(&field.key);
        if self.fields.iter().any(|other| self.raw(&other.key) == key) {
            return match duplicates {
                Duplicates::KeepFirst => Ok(()),
                Duplicates::Refuse => {
                    let key = String::from_utf8_lossy(key).into_owned();
                    Err(BadRequest::at(key.clone(), format!("key {key:?} is given twice (send it once)")))
                }
            };
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(BadRequest::new(format!("body has more than {MAX_FIELDS} top-level keys")));
        }
        self.fields.push(field);
        Ok(())
    }

    fn raw<'a>(&'a self, raw: &'a Raw) -> &'a [u8] {
        match raw {
            Raw::Span(span) => &self.bytes[span.clone()],
            Raw::Own(bytes) => bytes,
        }
    }

    fn find(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| self.raw(&field.key) == key.as_bytes())
    }

    /// The raw JSON of a field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(key)?).ok()
    }

    /// The raw JSON of a field, not looked at again.
    #[must_use]
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.find(key).map(|field| self.raw(&field.value))
    }

    /// A field as a value. None if it is absent or `null`, or holds text no string can (half a surrogate pair).
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value> {
        let value = serde_json::from_slice(self.get_bytes(key)?).ok()?;
        if value == Value::Null { None } else { Some(value) }
    }

    /// How many elements an array field has.
    #[must_use]
    pub fn array_len(&self, key: &str) -> Option<usize> {
        let field = self.find(key)?;
        self.raw(&field.value).starts_with(b"[").then_some(field.items)
    }

    /// Bytes of a field that are certainly text the model reads, escapes undone: at least so many.
    pub(crate) fn text_len(&self, key: &str) -> usize {
        self.find(key).map_or(0, |field| field.text)
    }

    /// The raw elements of an array field.
    #[must_use]
    pub fn elements(&self, key: &str) -> Vec<&[u8]> {
        let raw = self.get_bytes(key).unwrap_or_default();
        Scanner::new(raw).elements().into_iter().filter_map(|span| raw.get(span)).collect()
    }

    /// What working on what it came with takes beyond its text.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        memory(self.values, self.objects)
    }

    /// How many values it came with, nested ones included.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Why it cannot be told to anybody in other words: a string of it is no text. None: it can.
    pub(crate) fn half_pair(&self) -> Option<BadRequest> {
        let fields = self.fields.iter().filter(|_| self.half);
        let (field, at) =
            fields.filter_map(|field| Some((field, Scanner::over(self.raw(&field.value)).half?))).next()?;
        let mut path = String::from_utf8_lossy(self.raw(&field.key)).into_owned();
        let raw = self.raw(&field.value);
        if raw.starts_with(b"[") {
            let elements = Scanner::new(raw).elements();
            let index = elements.iter().take_while(|element| element.end <= at).count();
            path.push_str(&format!("[{index}]"));
        }
        let text = String::from_utf8_lossy(&raw[at..raw.len().min(at + 6)]);
        let message = format!(
            "{path} holds the escape {text}, half of a surrogate pair and no character (send both halves, or none)"
        );
        Some(BadRequest::at(path, message))
    }

    /// Whether any string in it is the name of an image part. False is certain, true is worth a look.
    pub(crate) fn may_have_images(&self) -> bool {
        self.words.images
    }

    /// The same for a part that has no length: a file, a video, a recording.
    pub(crate) fn may_have_files(&self) -> bool {
        self.words.files
    }

    /// Whether any string in it is the name of a tool's call or of what one found. False is certain, true is worth a look.
    pub(crate) fn may_have_calls(&self) -> bool {
        self.words.tools
    }

    /// Whether any string in it is the name of a mark for the provider's cache. False is certain, true is worth a look.
    pub(crate) fn may_have_marks(&self) -> bool {
        self.words.marks
    }

    /// Whether any string in it is the role `developer`. False is certain, true is worth a look.
    pub(crate) fn may_have_developer(&self) -> bool {
        self.words.developer
    }

    /// The keys, in the order they came.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| std::str::from_utf8(self.raw(&field.key)).unwrap_or_default())
    }

    /// Sets a field, in its place if it is there, at the end if not.
    pub fn set(&mut self, key: &str, value: &Value) {
        let items = match value {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        self.set_raw(key, written(value), items);
    }

    /// [`Self::set`] for JSON that is known to be valid, with so many elements.
    pub fn set_raw(&mut self, key: &str, value: Bytes, items: usize) {
        self.edited = true;
        let scan = Scanner::over(&value);
        let text = scan.text;
        self.words.add(scan.words);
        self.half |= scan.half.is_some();
        let position = self.fields.iter().position(|field| self.raw(&field.key) == key.as_bytes());
        if let Some(field) = position.and_then(|position| self.fields.get_mut(position)) {
            field.value = Raw::Own(value);
            (field.items, field.text) = (items, text);
        } else {
            let key = Raw::Own(Bytes::copy_from_slice(key.as_bytes()));
            self.fields.push(Field { key, value: Raw::Own(value), items, text });
        }
    }

    /// Renames a field in its place; the value stays as it is.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let position = self.fields.iter().position(|field| self.raw(&field.key) == from.as_bytes());
        if let Some(field) = position.and_then(|position| self.fields.get_mut(position)) {
            field.key = Raw::Own(Bytes::copy_from_slice(to.as_bytes()));
            self.edited = true;
        }
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(position) = self.fields.iter().position(|field| self.raw(&field.key) == key.as_bytes()) {
            self.fields.remove(position);
            self.edited = true;
        }
    }

    /// The object written out.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if !self.edited && !self.bytes.is_empty() && self.fields.iter().all(|field| matches!(field.key, Raw::Span(_))) {
            return self.bytes.clone();
        }
        let size: usize =
            self.fields.iter().map(|field| self.raw(&field.key).len() + self.raw(&field.value).len() + 6).sum();
        let mut out = BytesMut::with_capacity(size + 2);
        out.put_u8(b'{');
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            self.write_key(&mut out, &field.key);
            out.put_u8(b':');
            out.put_slice(self.raw(&field.value));
        }
        out.put_u8(b'}');
        out.freeze()
    }

    fn write_key(&self, out: &mut BytesMut, key: &Raw) {
        match key {
            Raw::Span(span) => {
                out.put_u8(b'"');
                out.put_slice(&self.bytes[span.clone()]);
                out.put_u8(b'"');
            }
            Raw::Own(key) => out.put_slice(Value::from(String::from_utf8_lossy(key)).to_string().as_bytes()),
        }
    }
}

/// A tree as JSON. By way of `Display` every comma of it would go through a formatter.
pub(crate) fn written(value: &Value) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| value.to_string().into(), Bytes::from)
}

/// What working on a JSON text takes, itself included; of one that is none, on what is in front of its flaw.
#[must_use]
pub fn weight(json: &[u8]) -> u64 {
    let mut scanner = Scanner::new(json);
    scanner.skip_space();
    let _ = scanner.value(1);
    json.len() as u64 + memory(scanner.values, scanner.objects)
}

const fn memory(values: usize, objects: usize) -> u64 {
    values as u64 * VALUE_BYTES + objects as u64 * OBJECT_BYTES
}

fn refusal(bytes: &[u8], flaw: &Flaw) -> BadRequest {
    BadRequest::new(match flaw {
        Flaw::Depth => format!("body nests deeper than {MAX_DEPTH} levels"),
        Flaw::Number { span } => {
            let number = String::from_utf8_lossy(&bytes[span.start..span.end.min(span.start + 32)]);
            format!("number {number} does not fit a double")
        }
        Flaw::Syntax { at, .. } if bytes.is_empty() || *at >= bytes.len() => {
            format!("body is not JSON: it ends after {} bytes", bytes.len())
        }
        Flaw::Syntax { at, expected } => format!("body is not JSON: expected {expected} at byte {at}"),
    })
}
