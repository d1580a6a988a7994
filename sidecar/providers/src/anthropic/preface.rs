//! What a model says around an answer that comes as a tool's arguments.
//!
//! Some write a few words before they call, even where they have to. Whether these are all there is shows at the end only, so
//! they are kept back until the tool is called, which makes them nothing, or something else comes.

use std::borrow::Cow;

use memchr::memmem;

use super::JSON_TOOL;
use crate::Outgoing;

/// More than anybody says in front of an answer. What is longer is one.
const MAX_KEPT_BYTES: usize = 256 << 10;

/// Texts on their way to the application.
#[derive(Debug, Default)]
pub(crate) enum Preface {
    /// They go on.
    #[default]
    None,
    /// They are kept back.
    Kept(String),
    /// The tool was called: no text is the answer any more.
    Over,
}

// === impl Preface ===

impl Preface {
    /// What of a text goes on, and of those before it.
    pub(crate) fn pass<'a>(&mut self, text: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Self::None => Some(text.into()),
            Self::Over => None,
            Self::Kept(kept) => {
                kept.push_str(text);
                (kept.len() > MAX_KEPT_BYTES).then(|| self.release()).flatten().map(Cow::from)
            }
        }
    }

    /// Something else comes, or the end: what was kept back was the answer.
    pub(crate) fn release(&mut self) -> Option<String> {
        let Self::Kept(kept) = self else { return None };
        let kept = std::mem::take(kept);
        *self = Self::None;
        (!kept.is_empty()).then_some(kept)
    }
}

impl Outgoing {
    /// Whether a tool stands in for the form that the answer is to have.
    #[must_use]
    pub fn stands_in(&self) -> bool {
        memmem::find(&self.body, format!("\"{JSON_TOOL}\"").as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Api, Dialect, Said, StreamDecoder};

    const WORDS: &str = "Sure: ";

    /// The text that a chat is told by a stream of these.
    fn said(events: &[Value]) -> String {
        let mut decoder = StreamDecoder::new(Api::ChatCompletions, Dialect::Anthropic, "m", false).standing_in();
        let mut out = Vec::new();
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        decoder.push(text.into(), &mut out).unwrap();
        Said::read_stream(Api::ChatCompletions, out.iter().map(|frame| &frame.bytes[..])).text
    }

    fn claude(calls: &[&str]) -> Vec<Value> {
        let block =
            |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let delta = |index: usize, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let stop = |index: usize| json!({"type": "content_block_stop", "index": index});
        let mut events = vec![
            json!({"type": "message_start", "message": {"id": "1"}}),
            block(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": WORDS})),
            stop(0),
        ];
        for (index, name) in calls.iter().enumerate() {
            events.push(block(index + 1, json!({"type": "tool_use", "id": "c", "name": name, "input": {}})));
            events.push(delta(index + 1, json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})));
            events.push(stop(index + 1));
        }
        let reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}}));
        events.push(json!({"type": "message_stop"}));
        events
    }

    #[test]
    fn words_in_front_of_an_answer_are_no_part_of_it_and_are_one_where_nothing_else_comes() {
        let rows =
            [(&[JSON_TOOL][..], "{\"a\":1}"), (&["f", JSON_TOOL], "Sure: {\"a\":1}"), (&["f"], WORDS), (&[], WORDS)];
        for (calls, text) in rows {
            assert_eq!(said(&claude(calls)), text, "{calls:?}");
        }
    }

    #[test]
    fn what_is_longer_than_any_words_goes_on() {
        let mut preface = Preface::Kept(String::new());
        let long = "x".repeat(MAX_KEPT_BYTES);
        assert_eq!(preface.pass(&long), None);
        assert_eq!(preface.pass("y").map(|text| text.len()), Some(MAX_KEPT_BYTES + 1));
        assert_eq!((preface.pass("z"), preface.release()), (Some("z".into()), None));
    }
}
