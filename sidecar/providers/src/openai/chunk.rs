//! What one chunk's choices hold, without building a tree of them.
//!
//! Every piece of every stream comes through here, so it is read in place: lengths of texts, not the texts. Providers put
//! `null`, lists and objects where OpenAI has strings; a length is found in all of them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::repeats::Piece;
use crate::stream::{Seen, is_json};

/// Which of the answers have begun and which are finished, by index. An application asks for at most 128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choices {
    /// Some event had a choice, of whatever shape.
    pub(crate) any: bool,
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
    /// Some answer ends, or may.
    pub(crate) ends: bool,
    /// No JSON.
    pub(crate) garbled: bool,
    /// The texts together, to be compared with the next chunk's.
    pub(crate) piece: Option<Piece>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Parts>,
    #[serde(default)]
    text: Text,
    #[serde(default)]
    finish_reason: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    content: Text,
    #[serde(default)]
    refusal: Text,
    #[serde(default)]
    reasoning_content: Text,
    #[serde(default)]
    reasoning: Text,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    function_call: Option<Function>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
    #[serde(default)]
    images: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    arguments: Text,
}

// === impl Choices ===

impl Choices {
    /// Notes what a chunk's choices begin and finish. A shape nobody has seen yet counts as nothing.
    fn read(&mut self, choices: Option<&[u8]>) -> Delta {
        let Some(raw) = choices else { return Delta::default() };
        // In boxes: a list has room for four, and four of them are more than allocators keep at hand.
        let Ok(choices) = serde_json::from_slice::<Vec<Box<Choice>>>(raw) else {
            self.any |= raw != b"null";
            return Delta { garbled: !is_json(raw), ends: true, ..Delta::default() };
        };
        self.any |= !choices.is_empty();
        let mut all = Delta { empty: choices.is_empty(), ..Delta::default() };
        for choice in choices {
            let index = choice.index.unwrap_or(0);
            let bit = 1 << index.min(127);
            self.begun |= bit;
            if choice.finish_reason.is_some() {
                self.finished |= bit;
                all.ends = true;
            }
            let delta = choice.delta.unwrap_or_default();
            let text = delta.texts().fold(choice.text, Text::and);
            all.bytes += text.bytes;
            all.content |= text.bytes > 0 || delta.calls();
            if let Some(piece) = text.piece {
                let piece = piece.and(Piece::of(index, ""));
                all.piece = Some(all.piece.map_or(piece, |others| others.and(piece)));
            }
        }
        all
    }

    /// [`Self::read`], and into `seen` what of it every stream has to know. None: no JSON, so that the event is left out.
    pub(crate) fn note(&mut self, choices: Option<&[u8]>, seen: &mut Seen) -> Option<Delta> {
        let delta = self.read(choices);
        if delta.garbled {
            seen.skipped += 1;
            return None;
        }
        seen.output_bytes += delta.bytes;
        seen.piece = delta.piece;
        seen.finished = self.all_finished();
        Some(delta)
    }

    fn all_finished(self) -> bool {
        self.begun != 0 && self.begun == self.finished
    }
}

// === impl Parts ===

impl Parts {
    fn texts(&self) -> impl Iterator<Item = Text> {
        let calls =
            self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref()).chain(&self.function_call);
        let arguments = calls.map(|function| function.arguments);
        [self.content, self.refusal, self.reasoning_content, self.reasoning].into_iter().chain(arguments)
    }

    fn calls(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
            || self.audio.is_some()
            || self.images.as_ref().is_some_and(|images| !images.is_empty())
    }
}

/// The text that a value holds, whatever its shape.
#[derive(Clone, Copy, Default)]
struct Text {
    bytes: u64,
    piece: Option<Piece>,
}

// === impl Text ===

impl Text {
    fn of(text: &str) -> Self {
        Self { bytes: text.len() as u64, piece: (!text.is_empty()).then(|| Piece::of(0, text)) }
    }

    fn and(self, other: Self) -> Self {
        let piece = match (self.piece, other.piece) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self { bytes: self.bytes + other.bytes, piece }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::of(text))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        let mut all = Text::default();
        while let Some(text) = items.next_element::<Text>()? {
            all = all.and(text);
        }
        Ok(all)
    }

    /// A part: its `type` is no text of the model's.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text, A::Error> {
        let mut all = Text::default();
        while let Some(key) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == "text" || key == "thinking" {
                all = all.and(fields.next_value::<Text>()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(all)
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
