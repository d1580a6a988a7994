//! Reading JSON that is known to be JSON, from front to back and once, without building anything.
//!
//! What comes piece by piece is read a thousand times an answer. A [`super::Body`] has made sure that it is JSON; whoever
//! reads it then only has to find where a value ends.

use super::scan::plain_until;

/// A place in a JSON text. One that is none is read as far as it goes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    json: &'a str,
    at: usize,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(crate) const fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    /// Goes through the members of the object that comes next, by their keys; `each` has to take the value. False: something
    /// else came, and was passed over.
    pub(crate) fn members(&mut self, mut each: impl FnMut(&mut Self, &'a str)) -> bool {
        let enters = self.enters(b'{');
        while enters && self.has_more() {
            let key = self.value();
            self.space();
            self.at += usize::from(self.peek() == Some(b':'));
            each(self, key.get(1..key.len().saturating_sub(1)).unwrap_or_default());
        }
        enters
    }

    /// The same for the elements of a list.
    pub(crate) fn elements(&mut self, mut each: impl FnMut(&mut Self)) -> bool {
        let enters = self.enters(b'[');
        while enters && self.has_more() {
            each(self);
        }
        enters
    }

    /// The next value, as it is written.
    pub(crate) fn value(&mut self) -> &'a str {
        self.space();
        let start = self.at;
        self.pass();
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Whether a container begins so. What begins otherwise is passed over.
    fn enters(&mut self, bracket: u8) -> bool {
        self.space();
        let enters = self.peek() == Some(bracket);
        if enters {
            self.at += 1;
        } else {
            self.pass();
        }
        enters
    }

    /// Whether something comes before the container ends. If not, it is left.
    fn has_more(&mut self) -> bool {
        while matches!(self.peek(), Some(b',' | b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
        let ends = matches!(self.peek(), Some(b']' | b'}'));
        self.at += usize::from(ends);
        !ends && self.at < self.json.len()
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    /// Passes over white space.
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes over the next value, however deep it is.
    pub(crate) fn pass(&mut self) {
        self.space();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => (self.at, depth) = (self.at + 1, depth + 1),
                // What is around the value ends, or goes on.
                b'}' | b']' | b',' | b' ' | b'\n' | b'\t' | b'\r' if depth == 0 => return,
                b'}' | b']' => (self.at, depth) = (self.at + 1, depth - 1),
                _ => self.at += 1,
            }
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                return;
            }
        }
    }

    fn string(&mut self) {
        let bytes = self.json.as_bytes();
        self.at += 1;
        loop {
            self.at = plain_until(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return;
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => {
                    self.at = bytes.len();
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Every value of a text, each as it is written, containers in front of what they hold.
    fn walk<'a>(cursor: &mut Cursor<'a>, out: &mut Vec<&'a str>) {
        let mut whole = cursor.clone();
        out.push(whole.value());
        match cursor.clone().value().as_bytes().first() {
            Some(b'{') => assert!(cursor.members(|cursor, key| {
                out.push(key);
                walk(cursor, out);
            })),
            Some(b'[') => assert!(cursor.elements(|cursor| walk(cursor, out))),
            _ => assert!(!cursor.elements(|_| {})),
        }
        assert_eq!(cursor.at, whole.at, "two ways over a value end in one place");
    }

    fn tree(value: &Value, out: &mut Vec<String>) {
        out.push(value.to_string());
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| {
                let key = Value::from(key.as_str()).to_string();
                out.push(key[1..key.len() - 1].to_owned());
                tree(value, out);
            }),
            Value::Array(elements) => elements.iter().for_each(|element| tree(element, out)),
            _ => {}
        }
    }

    #[test]
    fn every_value_is_found_where_it_is() {
        let rows = [
            r#"{"a":[1,-2.5,true,null,"x\"]}\\"],"b":{},"c":[],"d":{"e":{"f":"é👋"}}}"#,
            r#"[[],[[]],{"a":[{}]},"",0]"#,
            r#""{[,:""#,
            "7",
        ];
        for text in rows {
            let (mut got, mut want) = (Vec::new(), Vec::new());
            walk(&mut Cursor::new(text), &mut got);
            tree(&serde_json::from_str(text).unwrap(), &mut want);
            assert_eq!(got, want, "{text}");
        }
        let mut got = Vec::new();
        Cursor::new(" { \"a\" : [ 1 , 2 ] ,\n\"b\":\t3 } ").members(|cursor, key| got.push((key, cursor.value())));
        assert_eq!(got, [("a", "[ 1 , 2 ]"), ("b", "3")]);
    }

    #[test]
    fn what_is_no_container_is_passed_over() {
        let mut cursor = Cursor::new(r#"["x", {"a": 1}, 7, [8], 9]"#);
        let mut got = Vec::new();
        cursor.elements(|cursor| {
            let is_object = cursor.members(|cursor, _| cursor.pass());
            got.push(is_object);
        });
        assert_eq!(got, [false, true, false, false, false]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_no_json_is_read_for_ever_or_panics(text in "[\\[\\]{}\",:\\\\ a0é]{0,40}") {
            let mut steps = 0;
            let mut cursor = Cursor::new(&text);
            cursor.members(|cursor, _| {
                steps += 1;
                cursor.elements(|cursor| {
                    steps += 1;
                    cursor.pass();
                });
            });
            Cursor::new(&text).elements(|cursor| {
                steps += 1;
                cursor.pass();
            });
            prop_assert!(steps <= 2 * text.len());
        }
    }
}
