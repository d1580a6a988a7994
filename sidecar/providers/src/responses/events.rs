//! The events of a response's stream, numbered one after another.

use std::fmt;

use serde_json::{Value, json};

use super::output::{Item, Kind, Part, summary};
use crate::Frame;
use crate::quoted::{Quoted, Written};

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

/// Where thoughts belong, which are all one part.
#[derive(Clone, Copy)]
struct Thought<'a> {
    id: &'a str,
    item: usize,
}

// === impl Writer ===

impl Writer {
    /// An event. `rest` is what follows its name and number: the inside of a JSON object.
    pub(super) fn emit(&mut self, name: &str, rest: fmt::Arguments<'_>, content: bool, out: &mut Vec<Frame>) {
        let event = self.begin(name, 0).format(rest).raw("}\n\n");
        out.push(Frame { bytes: event.into(), content });
    }

    /// What every event begins with. What comes then is about so many bytes long.
    fn begin(&mut self, name: &str, bytes: usize) -> Written {
        let number = self.sequence;
        self.sequence += 1;
        let event = Written::about(bytes).raw("event: ").raw(name).raw("\ndata: {\"type\":\"").raw(name);
        event.raw("\",\"sequence_number\":").json(&number).raw(",")
    }

    /// A piece of a text, as nearly every event is one. `within`: of what in its item.
    fn delta(&mut self, name: &str, (id, item): (&str, usize), within: Option<(&str, usize)>, piece: &str) -> Written {
        let event = self.begin(name, id.len() + piece.len()).raw("\"item_id\":\"").raw(id);
        let mut event = event.raw("\",\"output_index\":").json(&item);
        if let Some((what, number)) = within {
            event = event.raw(",\"").raw(what).raw("\":").json(&number);
        }
        event.raw(",\"delta\":").json(piece)
    }

    /// An item begins. A call is content from then on.
    pub(super) fn added(&mut self, index: usize, item: &Item, out: &mut Vec<Frame>) {
        let content = matches!(item, Item::Call { .. });
        let shown = item.to_json("in_progress");
        let rest = format_args!("\"output_index\":{index},\"item\":{shown}");
        self.emit("response.output_item.added", rest, content, out);
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
                let place = Thought { id, item: index };
                let rest = format_args!("{place},\"text\":{}", Quoted(text));
                self.emit("response.reasoning_summary_text.done", rest, false, out);
                let rest = format_args!("{place},\"part\":{}", summary(text));
                self.emit("response.reasoning_summary_part.done", rest, false, out);
            }
            Item::Call { id, .. } => {
                let shown = item.to_json(status);
                let (name, arguments) = (&shown["name"], &shown["arguments"]);
                let rest = format_args!(
                    "\"item_id\":\"{id}\",\"output_index\":{index},\"name\":{name},\"arguments\":{arguments}"
                );
                self.emit("response.function_call_arguments.done", rest, false, out);
            }
            Item::Reasoning { .. } | Item::Image { .. } => {}
        }
        let shown = item.to_json(status);
        let rest = format_args!("\"output_index\":{index},\"item\":{shown}");
        self.emit("response.output_item.done", rest, false, out);
    }

    pub(super) fn part_added(&mut self, place: Place<'_>, part: &Part, out: &mut Vec<Frame>) {
        let rest = format_args!("{place},\"part\":{}", part.to_json());
        self.emit("response.content_part.added", rest, false, out);
    }

    pub(super) fn part_done(&mut self, place: Place<'_>, part: &Part, out: &mut Vec<Frame>) {
        let text = Quoted(&part.text);
        match part.kind {
            Kind::Text => {
                let rest = format_args!("{place},\"text\":{text},\"logprobs\":{}", json!(part.logprobs));
                self.emit("response.output_text.done", rest, false, out);
            }
            Kind::Refusal => {
                self.emit("response.refusal.done", format_args!("{place},\"refusal\":{text}"), false, out);
            }
        }
        let rest = format_args!("{place},\"part\":{}", part.to_json());
        self.emit("response.content_part.done", rest, false, out);
    }

    /// Words.
    pub(super) fn said(&mut self, place: Place<'_>, kind: Kind, piece: &str, logprobs: &Value, out: &mut Vec<Frame>) {
        let name = match kind {
            Kind::Text => "response.output_text.delta",
            Kind::Refusal => "response.refusal.delta",
        };
        let mut event = self.delta(name, (place.id, place.item), Some(("content_index", place.part)), piece);
        event = match kind {
            Kind::Text if logprobs.is_array() => event.raw(",\"logprobs\":").json(logprobs),
            Kind::Text => event.raw(",\"logprobs\":[]"),
            Kind::Refusal => event,
        };
        out.push(Frame { bytes: event.raw("}\n\n").into(), content: true });
    }

    /// Where words come from. `index`: how many other places were named before.
    pub(super) fn annotated(&mut self, place: Place<'_>, index: usize, annotation: &Value, out: &mut Vec<Frame>) {
        let rest = format_args!("{place},\"annotation_index\":{index},\"annotation\":{annotation}");
        self.emit("response.output_text.annotation.added", rest, false, out);
    }

    pub(super) fn thoughts_added(&mut self, id: &str, index: usize, out: &mut Vec<Frame>) {
        let rest = format_args!("{},\"part\":{}", Thought { id, item: index }, summary(""));
        self.emit("response.reasoning_summary_part.added", rest, false, out);
    }

    /// Thoughts.
    pub(super) fn thought(&mut self, id: &str, index: usize, piece: &str, out: &mut Vec<Frame>) {
        let name = "response.reasoning_summary_text.delta";
        let event = self.delta(name, (id, index), Some(("summary_index", 0)), piece).raw("}\n\n");
        out.push(Frame { bytes: event.into(), content: true });
    }

    /// A piece of a call's arguments.
    pub(super) fn argued(&mut self, id: &str, index: usize, piece: &str, out: &mut Vec<Frame>) {
        let event = self.delta("response.function_call_arguments.delta", (id, index), None, piece).raw("}\n\n");
        out.push(Frame { bytes: event.into(), content: true });
    }
}

/// The fields that say where.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, item, part } = self;
        write!(f, "\"item_id\":\"{id}\",\"output_index\":{item},\"content_index\":{part}")
    }
}

impl fmt::Display for Thought<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, item } = self;
        write!(f, "\"item_id\":\"{id}\",\"output_index\":{item},\"summary_index\":0")
    }
}
