//! What one chunk's choices hold, without building a tree of them.
//!
//! Every piece of every stream comes through here, so it is read in place: lengths of texts, not the texts. Providers put
//! `null`, lists and objects where OpenAI has strings; a length is found in all of them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Which of the answers have begun and which are finished, by index. An application asks for at most 128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choices {
    begun: u128,
    finished: u128,
}

/// What one chunk's choices hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    /// Text, reasoning, or a tool call that begins.
    pub(crate) content: bool,
    /// Bytes of text, reasoning and arguments.
    pub(crate) bytes: u64,
    /// No choice at all: such chunks carry the usage.
    pub(crate) empty: bool,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Parts>,
    #[serde(default)]
    text: Length,
    #[serde(default)]
    finish_reason: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    content: Length,
    #[serde(default)]
    refusal: Length,
    #[serde(default)]
    reasoning_content: Length,
    #[serde(default)]
    reasoning: Length,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    function_call: Option<Function>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    arguments: Length,
}

// === impl Choices ===

impl Choices {
    /// Notes what a chunk's choices begin and finish. A shape nobody has seen yet counts as nothing.
    pub(crate) fn read(&mut self, choices: Option<&[u8]>) -> Delta {
        let read = choices.and_then(|raw| serde_json::from_slice::<Vec<Choice>>(raw).ok());
        let Some(choices) = read else { return Delta::default() };
        let mut all = Delta { empty: choices.is_empty(), ..Delta::default() };
        for choice in choices {
            let bit = 1 << choice.index.unwrap_or(0).min(127);
            self.begun |= bit;
            if choice.finish_reason.is_some() {
                self.finished |= bit;
            }
            let delta = choice.delta.unwrap_or_default();
            let bytes = choice.text.0 + delta.bytes();
            all.bytes += bytes;
            all.content |= bytes > 0 || delta.calls();
        }
        all
    }

    pub(crate) fn all_finished(self) -> bool {
        self.begun != 0 && self.begun == self.finished
    }
}

// === impl Parts ===

impl Parts {
    fn bytes(&self) -> u64 {
        let calls =
            self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref()).chain(&self.function_call);
        let arguments: u64 = calls.map(|function| function.arguments.0).sum();
        self.content.0 + self.refusal.0 + self.reasoning_content.0 + self.reasoning.0 + arguments
    }

    fn calls(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
            || self.audio.is_some()
    }
}

/// How many bytes of text a value holds, whatever its shape.
#[derive(Clone, Copy, Default)]
struct Length(u64);

// === impl Length ===

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthVisitor).map(Self)
    }
}

struct LengthVisitor;

impl<'de> Visitor<'de> for LengthVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(text.len() as u64)
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_u64<E>(self, _: u64) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_i64<E>(self, _: i64) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_f64<E>(self, _: f64) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut sum = 0;
        while let Some(Length(length)) = items.next_element()? {
            sum += length;
        }
        Ok(sum)
    }

    /// A part: its `type` is no text of the model's.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        let mut sum = 0;
        while let Some(key) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == "text" || key == "thinking" {
                sum += fields.next_value::<Length>()?.0;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_every_shape() {
        let rows = [
            (r#"[{"delta":{"content":"Hel","role":"assistant"}}]"#, true, 3),
            (r#"[{"delta":{"content":""}}]"#, false, 0),
            (r#"[{"delta":{"content":null,"reasoning":"h\n"}}]"#, true, 2),
            (r#"[{"delta":{"content":[{"type":"text","text":"ab"},{"thinking":[{"text":"c"}]}]}}]"#, true, 3),
            (r#"[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":""}}]}}]"#, true, 0),
            (r#"[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}],"content":7}}]"#, true, 2),
            (r#"[{"delta":{"function_call":{"arguments":"{"}}}]"#, true, 1),
            (r#"[{"delta":{},"text":"abc"}]"#, true, 3),
            (r#"[{"delta":null}]"#, false, 0),
            (r#"[{"delta":"x"}]"#, false, 0),
            ("7", false, 0),
        ];
        for (raw, content, bytes) in rows {
            let delta = Choices::default().read(Some(raw.as_bytes()));
            assert_eq!((delta.content, delta.bytes), (content, bytes), "{raw}");
        }
    }

    #[test]
    fn an_answer_is_finished_when_every_choice_is() {
        let mut choices = Choices::default();
        assert!(!choices.all_finished());
        choices.read(Some(br#"[{"index":0},{"index":1}]"#));
        choices.read(Some(br#"[{"index":1,"finish_reason":"stop"}]"#));
        assert!(!choices.all_finished());
        choices.read(Some(br#"[{"index":0,"finish_reason":"length"}]"#));
        assert!(choices.all_finished());
        assert!(choices.read(Some(b"[]")).empty);
    }
}
