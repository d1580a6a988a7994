//! A chunk's choices, read in one pass and without a tree of them.
//!
//! Every piece of every stream comes through here, and most are one short text: what is in a choice stays JSON until it is
//! asked for. Providers put `null`, lists and objects where OpenAI has strings, which makes nothing else unreadable.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::{Value, json, value::RawValue};

/// An answer in a chunk.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow, default, rename = "index")]
    number: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    /// Of a completion.
    #[serde(borrow, default)]
    pub(super) text: Raw<'a>,
    #[serde(borrow, default)]
    logprobs: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Raw<'a>,
    #[serde(skip)]
    pub(super) index: u64,
    /// Of its delta, those that are the answer included.
    #[serde(skip)]
    pub(super) calls: Vec<Call<'a>>,
    /// What the calls that are the answer say.
    #[serde(skip)]
    pub(super) stood_in: Option<String>,
    /// It has called the tool that takes the answer, and no other.
    #[serde(skip)]
    pub(super) is_answered: bool,
}

/// What is new of an answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) refusal: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) thinking_blocks: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) function_call: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) annotations: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) audio: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) images: Raw<'a>,
}

/// A piece of a call.
#[derive(Debug, Deserialize)]
#[serde(from = "Piece<'a>")]
pub(crate) struct Call<'a> {
    pub(crate) index: Option<u64>,
    /// None if it is empty, too.
    #[serde(borrow)]
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

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    index: Raw<'a>,
    #[serde(borrow, default)]
    id: Raw<'a>,
    #[serde(borrow, default)]
    function: Raw<'a>,
    #[serde(borrow, default)]
    extra_content: Raw<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Raw<'a>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow, default)]
    transcript: Raw<'a>,
}

/// A part as it came, of whatever shape. None for `null`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Raw<'a>(#[serde(borrow)] Option<&'a RawValue>);

/// Reads a list of choices. None: it is none that can be read.
pub(super) fn read(json: &str) -> Option<Vec<Choice<'_>>> {
    let mut choices = serde_json::Deserializer::from_str(json).deserialize_seq(Few).ok()?;
    for choice in &mut choices {
        choice.index = choice.number.read().unwrap_or(0);
        choice.calls = choice.delta.as_ref().map(Delta::calls).unwrap_or_default();
    }
    Some(choices)
}

/// A list that mostly has one element. Room for four would be more than allocators keep at hand.
struct Few;

impl<'de> Visitor<'de> for Few {
    type Value = Vec<Choice<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut choices = Vec::new();
        while let Some(choice) = elements.next_element()? {
            if choices.is_empty() {
                choices.reserve_exact(1);
            }
            choices.push(choice);
        }
        Ok(choices)
    }
}

// === impl Choice ===

impl<'a> Choice<'a> {
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
        let mut logprobs: Value = self.logprobs.read().unwrap_or_default();
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
    /// What was thought, by either name.
    pub(crate) fn thought(&self) -> Cow<'a, str> {
        self.reasoning_content.text().or_else(|| self.reasoning.text()).unwrap_or_default()
    }

    /// The words of what is spoken.
    pub(crate) fn spoken(&self) -> Cow<'a, str> {
        self.audio.read::<Audio<'a>>().and_then(|audio| audio.transcript.text()).unwrap_or_default()
    }

    fn calls(&self) -> Vec<Call<'a>> {
        let Some(json) = self.tool_calls.0 else { return Vec::new() };
        let mut calls = serde_json::from_str::<Vec<Call<'a>>>(json.get()).unwrap_or_else(|_| self.odd_calls());
        for (place, call) in calls.iter_mut().enumerate() {
            call.place = place;
        }
        calls
    }

    /// Of a list that has something else in it, those in front of that.
    fn odd_calls(&self) -> Vec<Call<'a>> {
        self.tool_calls.read::<Vec<Raw<'a>>>().unwrap_or_default().into_iter().map_while(Raw::read).collect()
    }
}

// === impl Call ===

impl<'a> From<Piece<'a>> for Call<'a> {
    fn from(piece: Piece<'a>) -> Self {
        let Function { name, arguments } = piece.function.read().unwrap_or_default();
        Self {
            index: piece.index.read(),
            id: piece.id.text().filter(|id| !id.is_empty()),
            name: name.text(),
            arguments: arguments.text().unwrap_or_default(),
            extra: piece.extra_content,
            place: 0,
            is_named: false,
            stands_in: false,
        }
    }
}

impl Call<'_> {
    /// All that is said of it, which is worth keeping where it begins.
    pub(crate) fn head(&self) -> Value {
        let mut head = json!({"id": self.id, "function": {"name": self.name, "arguments": self.arguments}});
        if let Some(extra) = self.extra.read() {
            head["extra_content"] = extra;
        }
        head
    }
}

// === impl Raw ===

impl<'a> Raw<'a> {
    /// None: it is no text.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let json = self.0?.get();
        match json.strip_prefix('"')?.strip_suffix('"')? {
            plain if !plain.contains('\\') => Some(plain.into()),
            _ => serde_json::from_str::<String>(json).ok().map(Cow::from),
        }
    }

    /// The elements of a list. What is none has none.
    pub(crate) fn list(self) -> Vec<Value> {
        self.read().unwrap_or_default()
    }

    pub(super) const fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Something else than `null`, or an empty list.
    pub(super) fn is_full(self) -> bool {
        self.0.is_some_and(|json| json.get() != "[]")
    }

    pub(super) fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
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
            (r#"[{"index":1}, 7, {"index":2}]"#, vec![row(Some(1), "-", "-", "")]),
            ("{}", vec![]),
            ("null", vec![]),
            ("7", vec![]),
        ];
        for (list, want) in rows {
            assert_eq!(calls(list), want, "{list}");
        }
    }

    #[test]
    fn what_is_no_list_of_choices_is_none() {
        for json in ["7", "null", r#""x""#, "{}", "[7]", r#"[{"delta":"x"}]"#, "[{]"] {
            assert!(read(json).is_none(), "{json}");
        }
        assert!(read("[]").is_some_and(|choices| choices.is_empty()));
    }
}
