//! Reading what is not quite text, and writing again only what was changed of it.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Body, scan::Scanner};

/// A JSON text as a value. Where half of a surrogate pair stands, the character for what cannot be shown does: nothing else
/// that a [`Body`] takes in is no value. None: it is no JSON.
#[must_use]
pub fn loose(raw: &[u8]) -> Option<Value> {
    serde_json::from_slice(raw).or_else(|_| serde_json::from_slice(&mended(raw))).ok()
}

/// The text with the code of each half replaced.
fn mended(raw: &[u8]) -> Vec<u8> {
    let mut out = raw.to_vec();
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(step) = raw.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += step;
        at += match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                out[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            _ => 2,
        };
    }
    out
}

/// What `raw` is a text of, as it is `now`: what has not changed is written as it was, to the last digit. Values that come
/// before the first of a list are new, whatever else is.
#[must_use]
pub fn respelt(raw: &[u8], now: &Value) -> Vec<u8> {
    match loose(raw) {
        Some(before) => respell(raw, &before, now),
        None => now.to_string().into(),
    }
}

/// The same where it is known what the text was.
fn respell(raw: &[u8], before: &Value, now: &Value) -> Vec<u8> {
    if before == now {
        return raw.to_vec();
    }
    let written = match (before, now) {
        (Value::Object(before), Value::Object(now)) => object(raw, before, now),
        (Value::Array(before), Value::Array(now)) => Some(array(raw, before, now)),
        _ => None,
    };
    written.unwrap_or_else(|| now.to_string().into())
}

/// None: the text has a key twice, which nobody should send.
fn object(raw: &[u8], before: &Map<String, Value>, now: &Map<String, Value>) -> Option<Vec<u8>> {
    let body = Body::parse(Bytes::copy_from_slice(raw)).ok()?;
    let member = |(key, value): (&String, &Value)| {
        let old = before.get(key).zip(body.get_bytes(key));
        let value = old.map_or_else(|| value.to_string().into(), |(before, raw)| respell(raw, before, value));
        [Value::from(key.as_str()).to_string().as_bytes(), b":", &value].concat()
    };
    Some(joined(b'{', &now.iter().map(member).collect::<Vec<_>>(), b'}'))
}

fn array(raw: &[u8], before: &[Value], now: &[Value]) -> Vec<u8> {
    let elements = Scanner::new(raw).elements();
    let new = now.len().saturating_sub(before.len());
    let mut next = 0;
    let element = |(index, value): (usize, &Value)| {
        let old = if now.len() < before.len() {
            // Some were left out, and the others are in their order.
            (next..before.len()).find(|at| before[*at] == *value).inspect(|at| next = at + 1)
        } else {
            index.checked_sub(new)
        };
        let old = old.and_then(|at| Some((raw.get(elements.get(at)?.clone())?, before.get(at)?)));
        old.map_or_else(|| value.to_string().into(), |(raw, before)| respell(raw, before, value))
    };
    joined(b'[', &now.iter().enumerate().map(element).collect::<Vec<_>>(), b']')
}

fn joined(open: u8, parts: &[Vec<u8>], close: u8) -> Vec<u8> {
    let mut all = parts.join(&b","[..]);
    all.insert(0, open);
    all.push(close);
    all
}

// === impl Body ===

impl Body {
    /// Changes the elements of a list; those that `edit` says no to are left out. What it does not change is written as it
    /// came, to the last digit.
    pub(crate) fn edit(&mut self, key: &str, mut edit: impl FnMut(&mut Value) -> bool) {
        let mut changed = false;
        let mut written = Vec::new();
        for raw in self.elements(key) {
            let Some(before) = loose(raw) else {
                written.push(raw.to_vec());
                continue;
            };
            let mut now = before.clone();
            let stays = edit(&mut now);
            changed |= !stays || now != before;
            if stays {
                written.push(respell(raw, &before, &now));
            }
        }
        if changed {
            self.set_raw(key, joined(b'[', &written, b']').into(), written.len());
        }
    }

    /// Puts elements into a list, or makes one of them, in front of the one in this place. Those that are there stay as they
    /// came.
    pub(crate) fn insert(&mut self, key: &str, at: usize, values: &[Value]) {
        let mut written: Vec<Vec<u8>> = self.elements(key).into_iter().map(<[u8]>::to_vec).collect();
        let at = at.min(written.len());
        written.splice(at..at, values.iter().map(|value| value.to_string().into()));
        self.set_raw(key, joined(b'[', &written, b']').into(), written.len());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn half_of_a_surrogate_pair_is_read_as_what_cannot_be_shown() {
        let rows = [
            (r#""\ud800""#, Some(json!("\u{fffd}"))),
            (r#""a\udc00b\ud83c\udf89""#, Some(json!("a\u{fffd}b🎉"))),
            (r#""\\ud800 \ud800\ud800\udc00""#, Some(json!("\\ud800 \u{fffd}\u{10000}"))),
            (r#"{"\ud800": 1}"#, Some(json!({"\u{fffd}": 1}))),
            (r#""\ud8"#, None),
            ("{", None),
            ("", None),
        ];
        for (text, want) in rows {
            assert_eq!(loose(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn what_has_not_changed_is_written_as_it_was() {
        let raw = r#"{"q": 12345678901234567890123, "content": [ {"text":"\ud800"}, {"type": "x", "text": "a", "n": 1.50} ]}"#;
        let read = loose(raw.as_bytes()).unwrap();
        assert_eq!(respelt(raw.as_bytes(), &read), raw.as_bytes());
        let mut now = read;
        now["content"][1]["text"] = "b".into();
        now["content"].as_array_mut().unwrap().insert(0, json!({"new": true}));
        let want = r#"{"q":12345678901234567890123,"content":[{"new":true},{"text":"\ud800"},{"type":"x","text":"b","n":1.50}]}"#;
        assert_eq!(String::from_utf8(respelt(raw.as_bytes(), &now)).unwrap(), want);
        let mut now = loose(raw.as_bytes()).unwrap();
        now["content"].as_array_mut().unwrap().remove(0);
        now["content"][0].as_object_mut().unwrap().shift_remove("type");
        now.as_object_mut().unwrap().insert("new".into(), 1.into());
        let want = r#"{"q":12345678901234567890123,"content":[{"text":"a","n":1.5}],"new":1}"#;
        assert_eq!(String::from_utf8(respelt(raw.as_bytes(), &now)).unwrap(), want);
        assert_eq!(respelt(b"[1]", &json!([])), b"[]");
        assert_eq!(respelt(br#"{"a": 1.0, "a": 2.0}"#, &json!({"b": 1})), br#"{"b":1}"#, "nobody knows which");
        assert_eq!(respelt(b"\"a\"", &json!({"a": 1})), br#"{"a":1}"#);
    }
}
