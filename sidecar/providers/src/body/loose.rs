//! Reading what is not quite text, and writing again only what was changed of it.

use bytes::Bytes;
use serde_json::Value;

use super::Body;

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
    let Some(before) = loose(raw) else { return now.to_string().into() };
    if before == *now {
        return raw.to_vec();
    }
    match (&before, now) {
        (Value::Object(before), Value::Object(fields)) if before.keys().eq(fields.keys()) => {
            let Ok(mut body) = Body::parse(Bytes::copy_from_slice(raw)) else { return now.to_string().into() };
            for (key, value) in fields.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
                let raw = respelt(body.get_bytes(key).unwrap_or_default(), value);
                body.set_raw(key, raw.into(), 0);
            }
            body.to_bytes().into()
        }
        (Value::Array(before), Value::Array(values)) if before.len() <= values.len() => {
            let new = values.len() - before.len();
            let elements = super::scan::Scanner::new(raw).elements();
            let old = |(index, value): (usize, &Value)| {
                let element = index.checked_sub(new).and_then(|index| raw.get(elements.get(index)?.clone()));
                element.map_or_else(|| value.to_string().into(), |element| respelt(element, value))
            };
            let written: Vec<Vec<u8>> = values.iter().enumerate().map(old).collect();
            [b"[", written.join(&b","[..]).as_slice(), b"]"].concat()
        }
        _ => now.to_string().into(),
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
        assert_eq!(respelt(b"[1]", &json!([])), b"[]");
        assert_eq!(respelt(b"\"a\"", &json!({"a": 1})), br#"{"a":1}"#);
    }
}
