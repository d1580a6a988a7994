//! What a stream's choices begin, say and finish, as far as every stream has to know it.
//!
//! Whoever asks gets them with calls that all have names, and without the tool that stands in for a schema: both are
//! settled on what was read, and only who passes an event on has to write it anew.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::calls::Calls;
use super::chunk::{self, Choice, Raw};
use super::stand_in::{StandIn, settle};
use crate::repeats::Piece;
use crate::stream::Seen;
use crate::{Body, Dialect, Fault, fault};

/// Which of the answers have begun and which are finished, by index. An application asks for at most 128.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// Some event had a choice, of whatever shape.
    pub(crate) any: bool,
    begun: u128,
    finished: u128,
    calls: Calls,
    stand_in: StandIn,
}

/// What one chunk's choices hold.
#[derive(Debug, Default)]
pub(crate) struct Noted<'a> {
    pub(crate) choices: Vec<Choice<'a>>,
    /// Text, reasoning, or a tool call that begins.
    pub(crate) content: bool,
    /// No choice at all: such chunks carry the usage.
    pub(crate) empty: bool,
    /// Bytes of text, reasoning and arguments.
    bytes: u64,
    /// The texts together, to be compared with the next chunk's.
    piece: Option<Piece>,
}

// === impl Choices ===

impl Choices {
    /// What calls are named after that have no name.
    pub(crate) fn stamp(&mut self, answer: &str) {
        self.calls.stamp(answer);
    }

    /// Notes what a chunk's choices begin and finish, and into `seen` what of it every stream has to know. A shape nobody
    /// has seen yet counts as nothing.
    pub(crate) fn note<'a>(&mut self, chunk: &'a Body, seen: &mut Seen) -> Result<Noted<'a>, Fault> {
        let mut noted = Noted::default();
        if let Some(raw) = chunk.get("choices") {
            match chunk::read(raw) {
                Some(choices) => {
                    self.any |= !choices.is_empty();
                    noted.empty = choices.is_empty();
                    noted.choices = choices;
                }
                None => self.any |= raw != "null",
            }
        }
        noted.choices.iter().find_map(failed).map_or(Ok(()), Err)?;
        for choice in &mut noted.choices {
            self.calls.name(choice);
            self.stand_in.take(choice);
            let bit = 1 << choice.index.min(127);
            self.begun |= bit;
            if choice.finish_reason.is_some() {
                self.finished |= bit;
            }
            let (text, begins) = said(choice);
            noted.bytes += text.bytes;
            noted.content |= text.bytes > 0 || begins;
            if let Some(piece) = text.piece {
                let piece = piece.and(Piece::of(choice.index, ""));
                noted.piece = Some(noted.piece.map_or(piece, |others| others.and(piece)));
            }
        }
        seen.output_bytes += noted.bytes;
        seen.piece = noted.piece;
        seen.finished = self.all_finished();
        Ok(noted)
    }

    const fn all_finished(&self) -> bool {
        self.begun != 0 && self.begun == self.finished
    }
}

/// The failure that a choice tells of: of the provider behind OpenRouter, in the middle of an answer that itself has none.
fn failed(choice: &Choice<'_>) -> Option<Fault> {
    let error: Value = choice.error.parsed()?;
    let is_one = error.is_object() || error.is_string();
    is_one.then(|| fault::inside(Dialect::OpenAi, &json!({"error": error}))).flatten()
}

/// All that a choice says, and whether there is content in it beside words.
fn said(choice: &Choice<'_>) -> (Text, bool) {
    let mut text = Text::of_raw(choice.text);
    let Some(delta) = &choice.delta else { return (text, false) };
    text = text.and(choice.content().map_or_else(|| Text::of_raw(delta.content), |content| Text::of(&content)));
    for part in [delta.refusal, delta.reasoning_content, delta.reasoning] {
        text = text.and(Text::of_raw(part));
    }
    for call in choice.calls() {
        text = text.and(Text::of(&call.arguments));
    }
    text = text.and(Text::of_raw(delta.function_call.member("arguments")));
    let begins = choice.calls().next().is_some()
        || [delta.function_call, delta.audio].into_iter().any(Raw::is_some)
        || delta.images.is_full();
    (text, begins)
}

// === impl Noted ===

impl Noted<'_> {
    /// The choices as they were settled, if they came otherwise.
    pub(crate) fn settled(&self, chunk: &Body) -> Option<Value> {
        let changed = |choice: &Choice<'_>| {
            choice.calls.iter().any(|call| call.is_named || call.stands_in)
                || (choice.is_answered && choice.finish() != choice.finish_reason.text())
        };
        if !self.choices.iter().any(changed) {
            return None;
        }
        let mut choices = chunk.value("choices")?;
        for (choice, written) in self.choices.iter().zip(choices.as_array_mut()?).filter(|(choice, _)| changed(choice))
        {
            write(choice, written);
        }
        Some(choices)
    }
}

fn write(choice: &Choice<'_>, out: &mut Value) {
    let mut calls = match out.pointer_mut("/delta/tool_calls").map(Value::take) {
        Some(Value::Array(calls)) => calls,
        _ => Vec::new(),
    };
    for call in choice.calls.iter().filter(|call| call.is_named) {
        // Lists can be read as the objects that are expected, and are not written to.
        let Some(written) = calls.get_mut(call.place).and_then(Value::as_object_mut) else { continue };
        written.insert("index".into(), call.index.into());
        if let Some(id) = &call.id {
            written.insert("id".into(), id.as_ref().into());
        }
    }
    let is_answer = |place| choice.calls.iter().any(|call| call.place == place && call.stands_in);
    let others = calls.into_iter().enumerate().filter(|(place, _)| !is_answer(*place)).map(|(_, call)| call).collect();
    let text = choice.stood_in.as_deref().map(Value::from);
    settle(out, "delta", text, others, choice.is_answered);
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

    fn of_raw(raw: Raw<'_>) -> Self {
        raw.text().map_or_else(|| raw.parsed().unwrap_or_default(), |text| Self::of(&text))
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
        while let Some(key) = fields.next_key::<Cow<'_, str>>()? {
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

    fn note(state: &mut Choices, choices: &str) -> (bool, bool, u64) {
        let chunk = Body::parse_answer(format!("{{\"choices\":{choices}}}").into()).unwrap();
        let mut seen = Seen::default();
        let noted = state.note(&chunk, &mut seen).unwrap();
        (noted.content, noted.empty, seen.output_bytes)
    }

    #[test]
    fn text_is_found_in_every_shape() {
        let rows = [
            (r#"[{"delta":{"content":"Hel","role":"assistant"}}]"#, true, 3),
            (r#"[{"delta":{"content":""}}]"#, false, 0),
            (r#"[{"delta":{"content":null,"reasoning":"h\n"}}]"#, true, 2),
            (r#"[{"delta":{"content":[{"type":"text","text":"ab"},{"thinking":[{"text":"c"}]}]}}]"#, true, 3),
            (r#"[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":""}}]}}]"#, true, 0),
            (r#"[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}],"content":7}}]"#, true, 2),
            (r#"[{"delta":{"tool_calls":[],"images":[]}}]"#, false, 0),
            (r#"[{"delta":{"function_call":{"arguments":"{"}}}]"#, true, 1),
            (r#"[{"delta":{"audio":{"data":"x"}}}]"#, true, 0),
            (r#"[{"delta":{},"text":"abc"}]"#, true, 3),
            (r#"[{"delta":null}]"#, false, 0),
            (r#"[{"delta":"x"}]"#, false, 0),
            ("7", false, 0),
        ];
        for (raw, content, bytes) in rows {
            let got = note(&mut Choices::default(), raw);
            assert_eq!((got.0, got.2), (content, bytes), "{raw}");
        }
    }

    #[test]
    fn an_answer_is_finished_when_every_choice_is() {
        let mut choices = Choices::default();
        assert!(!choices.all_finished());
        note(&mut choices, r#"[{"index":0},{"index":1}]"#);
        note(&mut choices, r#"[{"index":1,"finish_reason":"stop"}]"#);
        assert!(!choices.all_finished());
        note(&mut choices, r#"[{"index":0,"finish_reason":"length"}]"#);
        assert!(choices.all_finished());
        assert!(note(&mut choices, "[]").1);
    }
}
