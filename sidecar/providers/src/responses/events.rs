//! The events of a response's stream, numbered one after another.

use serde_json::{Value, json};

use super::output::{Item, Kind, Part, summary};
use crate::Frame;

/// Writes events.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The number of the next event.
    pub(super) sequence: u64,
}

/// Where a piece belongs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) id: &'a str,
    /// Among the response's items.
    pub(super) item: usize,
    /// Among the message's parts.
    pub(super) part: usize,
}

// === impl Writer ===

impl Writer {
    /// An event. `rest` is what follows its name and number: the inside of a JSON object.
    pub(super) fn emit(&mut self, name: &str, rest: &str, content: bool, out: &mut Vec<Frame>) {
        let number = self.sequence;
        self.sequence += 1;
        let event = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{rest}}}\n\n");
        out.push(Frame { bytes: event.into(), content });
    }

    /// An item begins. A call is content from then on.
    pub(super) fn added(&mut self, index: usize, item: &Item, out: &mut Vec<Frame>) {
        let content = matches!(item, Item::Call { .. });
        let shown = item.to_json("in_progress");
        self.emit("response.output_item.added", &format!("\"output_index\":{index},\"item\":{shown}"), content, out);
    }

    /// An item is done, and with it what is still open of it.
    pub(super) fn done(&mut self, index: usize, item: &Item, status: &str, out: &mut Vec<Frame>) {
        match item {
            Item::Message { id, parts } => {
                if let Some(part) = parts.last() {
                    self.part_done(Place { id, item: index, part: parts.len() - 1 }, part, out);
                }
            }
            Item::Reasoning { id, text, .. } if !text.is_empty() => {
                let place = thought(id, index);
                let whole = Value::from(text.as_str());
                self.emit("response.reasoning_summary_text.done", &format!("{place},\"text\":{whole}"), false, out);
                let part = format!("{place},\"part\":{}", summary(text));
                self.emit("response.reasoning_summary_part.done", &part, false, out);
            }
            Item::Call { id, .. } => {
                let shown = item.to_json(status);
                let rest = format!(
                    "\"item_id\":\"{id}\",\"output_index\":{index},\"name\":{},\"arguments\":{}",
                    shown["name"], shown["arguments"]
                );
                self.emit("response.function_call_arguments.done", &rest, false, out);
            }
            Item::Reasoning { .. } | Item::Image { .. } => {}
        }
        let shown = item.to_json(status);
        self.emit("response.output_item.done", &format!("\"output_index\":{index},\"item\":{shown}"), false, out);
    }

    pub(super) fn part_added(&mut self, place: Place<'_>, part: &Part, out: &mut Vec<Frame>) {
        self.emit(
            "response.content_part.added",
            &format!("{},\"part\":{}", place.fields(), part.to_json()),
            false,
            out,
        );
    }

    pub(super) fn part_done(&mut self, place: Place<'_>, part: &Part, out: &mut Vec<Frame>) {
        let (fields, text) = (place.fields(), Value::from(part.text.as_str()));
        match part.kind {
            Kind::Text => {
                let rest = format!("{fields},\"text\":{text},\"logprobs\":{}", json!(part.logprobs));
                self.emit("response.output_text.done", &rest, false, out);
            }
            Kind::Refusal => {
                self.emit("response.refusal.done", &format!("{fields},\"refusal\":{text}"), false, out);
            }
        }
        self.emit("response.content_part.done", &format!("{fields},\"part\":{}", part.to_json()), false, out);
    }

    /// Words.
    pub(super) fn said(&mut self, place: Place<'_>, kind: Kind, piece: &str, logprobs: &Value, out: &mut Vec<Frame>) {
        let (fields, piece) = (place.fields(), Value::from(piece));
        match kind {
            Kind::Text => {
                let logprobs = if logprobs.is_array() { logprobs.to_string() } else { "[]".to_owned() };
                let rest = format!("{fields},\"delta\":{piece},\"logprobs\":{logprobs}");
                self.emit("response.output_text.delta", &rest, true, out);
            }
            Kind::Refusal => {
                self.emit("response.refusal.delta", &format!("{fields},\"delta\":{piece}"), true, out);
            }
        }
    }

    pub(super) fn thoughts_added(&mut self, id: &str, index: usize, out: &mut Vec<Frame>) {
        let rest = format!("{},\"part\":{}", thought(id, index), summary(""));
        self.emit("response.reasoning_summary_part.added", &rest, false, out);
    }

    /// Thoughts.
    pub(super) fn thought(&mut self, id: &str, index: usize, piece: &str, out: &mut Vec<Frame>) {
        let rest = format!("{},\"delta\":{}", thought(id, index), Value::from(piece));
        self.emit("response.reasoning_summary_text.delta", &rest, true, out);
    }

    /// A piece of a call's arguments.
    pub(super) fn argued(&mut self, id: &str, index: usize, piece: &str, out: &mut Vec<Frame>) {
        let rest = format!("\"item_id\":\"{id}\",\"output_index\":{index},\"delta\":{}", Value::from(piece));
        self.emit("response.function_call_arguments.delta", &rest, true, out);
    }
}

impl Place<'_> {
    fn fields(self) -> String {
        let Self { id, item, part } = self;
        format!("\"item_id\":\"{id}\",\"output_index\":{item},\"content_index\":{part}")
    }
}

fn thought(id: &str, index: usize) -> String {
    format!("\"item_id\":\"{id}\",\"output_index\":{index},\"summary_index\":0")
}
