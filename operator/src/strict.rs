//! YAML and JSON in which no key is given twice. Of two values one would win silently, and nobody wrote which.

use std::{cell::Cell, collections::BTreeMap, fmt, sync::LazyLock};

use regex::{Captures, Regex};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Where, counted from the start of the whole text.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Reads `document`, a part of `text` that starts at `line`.
pub(crate) fn yaml(text: &str, line: usize, document: &str) -> Result<Value, Unread> {
    let told = Cell::default();
    let read = value(text, &told, serde_yaml_ng::Deserializer::from_str(document));
    read.map_err(|error: serde_yaml_ng::Error| {
        let at = error.location().map_or(1, |location| location.line().max(1));
        if let Some(message) = told.take() {
            return Unread { line: line + at - 1, message };
        }
        let place = error.location().map(|found| format!(" at line {} column {}", found.line(), found.column()));
        let message = error.to_string();
        match place.and_then(|place| message.strip_suffix(&place).map(str::to_owned)) {
            Some(message) => Unread { line: line + at - 1, message },
            None => Unread { line: line + at - 1, message: moved(&message, line - 1) },
        }
    })
}

/// Reads all of `text`.
pub(crate) fn json(text: &str) -> Result<Value, Unread> {
    let told = Cell::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = value(text, &told, &mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| Unread { line: error.line(), message: told.take().unwrap_or_else(|| error.to_string()) })
}

fn value<'de, D: Deserializer<'de>>(text: &str, told: &Told, reader: D) -> Result<Value, D::Error> {
    Strict { text, path: "", told }.deserialize(reader)
}

/// A parser counts lines from where it starts.
fn moved(message: &str, by: usize) -> String {
    static LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" at line (\d{1,9})").expect("a plain pattern"));
    let later = |found: &Captures<'_>| format!(" at line {}", found[1].parse::<usize>().unwrap_or_default() + by);
    LINE.replace_all(message, later).into_owned()
}

/// What is said of a key that is given twice, in place of the parser's own words around it.
type Told = Cell<Option<String>>;

/// Any value, as it stands at `path` of `text`.
#[derive(Clone, Copy)]
struct Strict<'t> {
    text: &'t str,
    path: &'t str,
    told: &'t Told,
}

/// Keys of a map that were there before, with their offsets in the text. None: a copy, because there were escapes in it.
type Seen = BTreeMap<String, Option<usize>>;

/// The next key of a map.
struct Key<'t> {
    place: Strict<'t>,
    seen: &'t mut Seen,
}

// === impl Strict ===

impl Strict<'_> {
    /// Where a part of the text begins. None: it is no part of it.
    fn offset(&self, part: &str) -> Option<usize> {
        let offset = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        (offset < self.text.len()).then_some(offset)
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without tags")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    // What it is may be a key that somebody forgot to quote, so it is not repeated.
    fn visit_i128<E: Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom("a number of more than 64 bits: quote it, if it is a text"))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom("a number of more than 64 bits: quote it, if it is a text"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.deserialize(reader)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, read.len());
            match items.next_element_seed(Strict { path: &path, ..self })? {
                Some(item) => read.push(item),
                None => return Ok(read.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let (mut read, mut seen) = (Map::new(), Seen::new());
        while let Some(key) = fields.next_key_seed(Key { place: self, seen: &mut seen })? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let value = fields.next_value_seed(Strict { path: &path, ..self })?;
            read.insert(key, value);
        }
        Ok(read.into())
    }
}

// === impl Key ===

impl Key<'_> {
    fn take<E: Error>(self, key: &str, offset: Option<usize>) -> Result<String, E> {
        let Self { place, seen } = self;
        let Some(first) = seen.insert(key.to_owned(), offset) else { return Ok(key.to_owned()) };
        let within = if place.path.is_empty() { String::new() } else { format!("{}: ", place.path) };
        let lines = match (first, offset) {
            (Some(first), Some(second)) => {
                format!(", in line {} and in line {}", place.line(first), place.line(second))
            }
            _ => String::new(),
        };
        place.told.set(Some(format!("{within}{key:?} is given twice{lines}: keep one of the two")));
        Err(E::custom("a key is given twice"))
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<String, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a text")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<String, E> {
        let offset = self.place.offset(key);
        self.take(key, offset)
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.take(key, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_given_twice_is_named_with_both_lines() {
        let rows = [
            ("a: 1\nb: 2\na: 3\n", 3, "\"a\" is given twice, in line 1 and in line 3: keep one of the two"),
            ("a:\n- b: {c: 1,\n  c: 2}\n", 3, "a[0].b: \"c\" is given twice, in line 2 and in line 3: "),
            ("{\"a\": 1,\n\"a\": 2}", 2, "\"a\" is given twice, in line 1 and in line 2: "),
            ("'a': 1\n\"a\": 2\n", 2, "\"a\" is given twice, in line 1 and in line 2: "),
            ("1: x\n1: y\n", 2, "\"1\" is given twice, in line 1 and in line 2: "),
            ("\"\\x61\": 1\na: 2\n", 2, "\"a\" is given twice: keep one"),
        ];
        for (text, line, want) in rows {
            let unread = yaml(text, 1, text).unwrap_err();
            assert!(unread.line == line && unread.message.starts_with(want), "{text}: {unread:?}");
        }
        let unread = json("{\n \"x\": {\"a\": 1, \"a\": 2}\n}").unwrap_err();
        let message = "x: \"a\" is given twice, in line 2 and in line 2: keep one of the two".to_owned();
        assert_eq!(unread, Unread { line: 2, message });
    }

    #[test]
    fn lines_are_counted_from_the_start_of_the_file() {
        let text = "a: 1\n---\nb: 1\nb: 2\n---\nc: [\n";
        let (_, rest) = text.split_once("---\n").unwrap();
        let (second, third) = rest.split_once("---\n").unwrap();
        let unread = yaml(text, 3, second).unwrap_err();
        assert!(unread.line == 4 && unread.message.contains("in line 3 and in line 4"), "{unread:?}");
        let unread = yaml(text, 6, third).unwrap_err();
        assert!(unread.line >= 6 && !unread.message.contains("line 1"), "{unread:?}");
    }

    #[test]
    fn everything_else_reads_as_it_always_did() {
        let texts = [
            "a: [1, -2, 3.5, true, null, ~, text, 'quoted', \"x\\ny\"]\nb: &x {c: 1}\nd: *x\ne: |\n  two\n  lines\n",
            "[]",
            "{}",
            "",
            "18446744073709551615",
            "{\"a\": {\"b\": [{}, []]}}",
        ];
        for text in texts {
            let want: Value = serde_yaml_ng::from_str(text).unwrap();
            assert_eq!(yaml(text, 1, text), Ok(want), "{text}");
        }
        assert_eq!(json("{\"a\": [1, 2.5, null]}").unwrap(), serde_json::json!({"a": [1, 2.5, null]}));
        assert!(json("{} {}").is_err() && json("{\"a\": }").is_err());
        let unread = yaml("a: 123456789012345678901234567890\n", 1, "a: 123456789012345678901234567890\n").unwrap_err();
        assert!(!unread.message.contains("1234567"), "{unread:?}");
    }
}
