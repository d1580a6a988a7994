//! A chunk's choices, read in one pass and without a tree of them.
//!
//! Every piece of every stream comes through here, and most are one short text: what is in a choice stays JSON until it is
//! asked for. Providers put `null`, lists and objects where OpenAI has strings, which makes nothing else unreadable.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{Cursor, loose};

/// An application asks for no more.
const MAX_CHOICES: usize = 128;

/// No model calls a quarter as many at once.
pub(super) const MAX_CALLS: usize = 512;

/// An answer in a chunk. What is none has nothing in it.
#[derive(Debug, Default)]
pub(crate) struct Choice<'a> {
    pub(super) index: u64,
    pub(crate) delta: Option<Delta<'a>>,
    /// Of a completion.
    pub(super) text: Raw<'a>,
    logprobs: Raw<'a>,
    pub(super) finish_reason: Raw<'a>,
    /// What OpenRouter says of a provider behind it that failed.
    pub(super) error: Raw<'a>,
    /// Of its delta, those that are the answer included.
    pub(super) calls: Vec<Call<'a>>,
    /// What the calls that are the answer say.
    pub(super) stood_in: Option<String>,
    /// It has called the tool that takes the answer, and no other.
    pub(super) is_answered: bool,
}

/// What is new of an answer, but for its calls.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    pub(crate) content: Raw<'a>,
    pub(crate) refusal: Raw<'a>,
    pub(super) reasoning_content: Raw<'a>,
    pub(super) reasoning: Raw<'a>,
    pub(crate) thinking_blocks: Raw<'a>,
    pub(super) function_call: Raw<'a>,
    pub(crate) annotations: Raw<'a>,
    pub(super) audio: Raw<'a>,
    pub(super) images: Raw<'a>,
}

/// A piece of a call.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) index: Option<u64>,
    /// None if it is empty, too.
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) arguments: Cow<'a, str>,
    extra: Raw<'a>,
    /// Where in its list it is.
    pub(super) place: usize,
    /// Its number or its id is not the one it came with.
    pub(super) is_named: bool,
    /// It is the answer, and no call.
    pub(super) stands_in: bool,
}

/// A part as it came, of whatever shape. None for `null`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw<'a>(Option<&'a str>);

/// Reads a list of choices. None: it is no list.
pub(super) fn read(json: &str) -> Option<Vec<Choice<'_>>> {
    few(&mut Cursor::new(json), MAX_CHOICES, |cursor, _| Some(Choice::read(cursor)))
}

/// A list that mostly has one element: room for four would be more than allocators keep at hand. What comes beyond the most
/// is passed over. None: it is no list.
fn few<'a, T>(
    cursor: &mut Cursor<'a>,
    most: usize,
    mut read: impl FnMut(&mut Cursor<'a>, usize) -> Option<T>,
) -> Option<Vec<T>> {
    let (mut all, mut place) = (Vec::new(), 0);
    let is_list = cursor.elements(|cursor| {
        if all.len() == most {
            return cursor.pass();
        }
        if all.is_empty() {
            all.reserve_exact(1);
        }
        all.extend(read(cursor, place));
        place += 1;
    });
    is_list.then_some(all)
}

// === impl Choice ===

impl<'a> Choice<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Self {
        let mut choice = Self::default();
        cursor.members(|cursor, key| match key {
            "index" => choice.index = cursor.value().parse().unwrap_or(0),
            "delta" => choice.delta = Delta::read(cursor, &mut choice.calls),
            "text" => choice.text = Raw::read(cursor),
            "logprobs" => choice.logprobs = Raw::read(cursor),
            "finish_reason" => choice.finish_reason = Raw::read(cursor),
            "error" => choice.error = Raw::read(cursor),
            _ => cursor.pass(),
        });
        choice
    }

    /// Its content, if that is a text.
    pub(crate) fn content(&self) -> Option<Cow<'_, str>> {
        match &self.stood_in {
            Some(text) => Some(text.into()),
            None => self.delta.as_ref()?.content.text(),
        }
    }

    /// The calls that begin or go on.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call<'a>> {
        self.calls.iter().filter(|call| !call.stands_in)
    }

    /// The probabilities of its content's tokens.
    pub(crate) fn logprobs(&self) -> Value {
        let mut logprobs: Value = self.logprobs.parsed().unwrap_or_default();
        logprobs.get_mut("content").map(Value::take).unwrap_or_default()
    }

    /// Why it ends.
    pub(super) fn finish(&self) -> Option<Cow<'a, str>> {
        let reason = self.finish_reason.text()?;
        Some(if self.is_answered && reason == "tool_calls" && self.calls().next().is_none() {
            "stop".into()
        } else {
            reason
        })
    }
}

// === impl Delta ===

impl<'a> Delta<'a> {
    /// None: it is none. Its calls go apart.
    fn read(cursor: &mut Cursor<'a>, calls: &mut Vec<Call<'a>>) -> Option<Self> {
        let mut delta = Self::default();
        let is_one = cursor.members(|cursor, key| match key {
            "content" => delta.content = Raw::read(cursor),
            "refusal" => delta.refusal = Raw::read(cursor),
            "reasoning_content" => delta.reasoning_content = Raw::read(cursor),
            "reasoning" => delta.reasoning = Raw::read(cursor),
            "thinking_blocks" => delta.thinking_blocks = Raw::read(cursor),
            "tool_calls" => *calls = few(cursor, MAX_CALLS, Call::read).unwrap_or_default(),
            "function_call" => delta.function_call = Raw::read(cursor),
            "annotations" => delta.annotations = Raw::read(cursor),
            "audio" => delta.audio = Raw::read(cursor),
            "images" => delta.images = Raw::read(cursor),
            _ => cursor.pass(),
        });
        is_one.then_some(delta)
    }

    /// What was thought, by either name.
    pub(crate) fn thought(&self) -> Cow<'a, str> {
        self.reasoning_content.text().or_else(|| self.reasoning.text()).unwrap_or_default()
    }

    /// The words of what is spoken.
    pub(crate) fn spoken(&self) -> Cow<'a, str> {
        self.audio.member("transcript").text().unwrap_or_default()
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    /// None: it is no call.
    fn read(cursor: &mut Cursor<'a>, place: usize) -> Option<Self> {
        let mut call = Self { place, ..Self::default() };
        let is_one = cursor.members(|cursor, key| match key {
            "index" => call.index = cursor.value().parse().ok(),
            "id" => call.id = Raw::read(cursor).text().filter(|id| !id.is_empty()),
            "function" => {
                cursor.members(|cursor, key| match key {
                    "name" => call.name = Raw::read(cursor).text(),
                    "arguments" => call.arguments = Raw::read(cursor).text().unwrap_or_default(),
                    _ => cursor.pass(),
                });
            }
            "extra_content" => call.extra = Raw::read(cursor),
            _ => cursor.pass(),
        });
        is_one.then_some(call)
    }

    /// All that is said of it, which is worth keeping where it begins.
    pub(crate) fn head(&self) -> Value {
        let mut head = json!({"id": self.id, "function": {"name": self.name, "arguments": self.arguments}});
        if let Some(extra) = self.extra.parsed() {
            head["extra_content"] = extra;
        }
        head
    }
}

// === impl Raw ===

impl<'a> Raw<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Self {
        Self(Some(cursor.value()).filter(|json| *json != "null"))
    }

    /// None: it is no text. Of half a surrogate pair there is a character for what cannot be shown.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let json = self.0?;
        let plain = json.strip_prefix('"')?.strip_suffix('"')?;
        if !plain.contains('\\') {
            return Some(plain.into());
        }
        match loose(json.as_bytes())? {
            Value::String(text) => Some(text.into()),
            _ => None,
        }
    }

    /// The elements of a list. What is none has none.
    pub(crate) fn list(self) -> Vec<Value> {
        match self.0.and_then(|json| loose(json.as_bytes())) {
            Some(Value::Array(elements)) => elements,
            _ => Vec::new(),
        }
    }

    /// A member of an object. What is none has none.
    pub(super) fn member(self, name: &str) -> Self {
        let mut found = Self::default();
        let mut cursor = Cursor::new(self.0.unwrap_or_default());
        cursor.members(|cursor, key| if key == name { found = Self::read(cursor) } else { cursor.pass() });
        found
    }

    pub(super) const fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Something else than `null`, or an empty list.
    pub(super) fn is_full(self) -> bool {
        self.0.is_some_and(|json| json != "[]")
    }

    pub(super) fn parsed<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls of a chunk's only choice, as their number, id, name and arguments.
    fn calls(list: &str) -> Vec<(Option<u64>, String, String, String)> {
        let json = format!(r#"[{{"delta":{{"content":"x","tool_calls":{list}}}}}]"#);
        let choices = read(&json).unwrap();
        assert_eq!(choices[0].content().unwrap(), "x", "{list}");
        let said = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
        choices[0]
            .calls()
            .map(|call| (call.index, said(&call.id), said(&call.name), call.arguments.to_string()))
            .collect()
    }

    #[test]
    fn a_call_is_read_whatever_its_parts_are() {
        let row = |index, id: &str, name: &str, arguments: &str| {
            (index, id.to_owned(), name.to_owned(), arguments.to_owned())
        };
        let rows = [
            (
                r#"[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]"#,
                vec![row(Some(0), "c1", "f", "{\"a\"")],
            ),
            (r#"[{"index":3,"id":"","function":{"arguments":""}}]"#, vec![row(Some(3), "-", "-", "")]),
            (
                r#"[{"index":null,"id":7,"function":"f"}, {"index":-1}]"#,
                vec![row(None, "-", "-", ""), row(None, "-", "-", "")],
            ),
            (r#"[{"index":1}, 7, {"index":2}]"#, vec![row(Some(1), "-", "-", ""), row(Some(2), "-", "-", "")]),
            (r#"[{"index":0,"function":{"arguments":"\ud83d"}}]"#, vec![row(Some(0), "-", "-", "\u{fffd}")]),
            ("{}", vec![]),
            ("null", vec![]),
            ("7", vec![]),
        ];
        for (list, want) in rows {
            assert_eq!(calls(list), want, "{list}");
        }
    }

    #[test]
    fn what_is_no_list_has_no_choices_and_what_is_no_choice_says_nothing() {
        for json in ["7", "null", r#""x""#, "{}", ""] {
            assert!(read(json).is_none(), "{json}");
        }
        assert!(read("[]").is_some_and(|choices| choices.is_empty()));
        for json in ["[7]", r#"[{"delta":"x"}]"#, "[[]]", "[{]", "[null]"] {
            let choices = read(json).unwrap();
            assert!(choices.len() == 1 && choices[0].delta.is_none() && choices[0].calls().count() == 0, "{json}");
        }
        let said = read(r#"[{"delta":7,"finish_reason":"stop"},{"index":1,"delta":{"content":"a\ud83d"}}]"#).unwrap();
        assert_eq!((said[0].finish().unwrap(), said[1].index), ("stop".into(), 1));
        assert_eq!(said[1].content().unwrap(), "a\u{fffd}");
    }

    #[test]
    fn a_list_beyond_all_measure_is_read_as_far_as_any_is_long() {
        let calls = format!(r#"[{{"delta":{{"tool_calls":[{}]}}}}]"#, vec!["{}"; 2_000].join(","));
        assert_eq!(read(&calls).unwrap()[0].calls().count(), MAX_CALLS);
        assert_eq!(read(&format!("[{}]", vec!["{}"; 2_000].join(","))).unwrap().len(), MAX_CHOICES);
    }
}
