//! Items of the Responses API that are named instead of sent: kept when they are told, put in their place when they are named.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use spillway_providers::{Api, Body};

use super::{
    attempt::{Answer, Reply},
    resolve::Call,
};
use crate::runtime::{Items, Runtime};

const REFERENCE: &str = "item_reference";
/// The event that tells an item whole.
const DONE: &[u8] = b"response.output_item.done";
/// It is read where others wait.
const MAX_ANSWER_BYTES: usize = 512 << 10;

/// A whole answer, as far as it matters here.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    output: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Puts known items where they are named.
pub(super) fn fill(items: &Items, api: Api, body: &mut Body) {
    if api == Api::Responses {
        put(items, body);
    }
}

/// Each only once, so that a small request stays one.
fn put(items: &Items, body: &mut Body) {
    if body.get_bytes("input").is_none_or(|raw| memmem::find(raw, REFERENCE.as_bytes()).is_none()) {
        return;
    }
    let Some(Value::Array(mut input)) = body.value("input") else { return };
    let mut filled: Vec<String> = Vec::new();
    for item in &mut input {
        let Some(id) = item["id"].as_str().filter(|_| item["type"] == REFERENCE) else { continue };
        let known = items.recall(id).filter(|_| !filled.iter().any(|other| other == id));
        if let Some(known) = known.and_then(|known| serde_json::from_slice(&known).ok()) {
            filled.push(id.to_owned());
            *item = known;
        }
    }
    if !filled.is_empty() {
        body.set("input", &input.into());
    }
}

/// Keeps what an answer says, unless the application has asked for the opposite.
pub(super) fn listen(runtime: &Runtime, call: &Call, reply: &mut Reply) {
    if call.api != Api::Responses || call.body.get_bytes("store") == Some(b"false") {
        return;
    }
    match &mut reply.body {
        // In longer ones there is little that is short enough to be kept.
        Answer::Whole(bytes) if bytes.len() > MAX_ANSWER_BYTES => {}
        Answer::Whole(bytes) => {
            let told: Option<Told<'_>> = serde_json::from_slice(bytes).ok();
            told.iter().flat_map(|told| &told.output).for_each(|item| keep(&runtime.items, item));
        }
        Answer::Stream(started) => started.is_kept = true,
        Answer::Through(_) => {}
    }
}

/// The same of what is told bit by bit. `events` are whole ones.
pub(super) fn hear(items: &Items, events: &[u8]) {
    if memmem::find(events, DONE).is_none() {
        return;
    }
    for line in events.split(|byte| *byte == b'\n') {
        let data = line.strip_prefix(b"data:").filter(|data| memmem::find(data, DONE).is_some());
        if let Some(event) = data.and_then(|data| serde_json::from_slice::<Event<'_>>(data).ok()) {
            keep(items, event.item);
        }
    }
}

fn keep(items: &Items, item: &RawValue) {
    if let Ok(Named { id }) = serde_json::from_str(item.get()) {
        items.keep(&id, item.get().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_stream_told_stands_where_it_is_named_and_only_once() {
        let items = Items::default();
        let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]});
        let event = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
        hear(&items, format!("event: response.output_item.done\ndata: {event}\n\n").as_bytes());
        hear(&items, b"data: {\"type\":\"response.output_item.done\",\"item\":{\"id\":7}}\n\ndata: broken\n\n");
        let named = |id: &str| json!({"type": "item_reference", "id": id});
        let input =
            json!([named("msg_1"), named("msg_2"), named("msg_1"), {"role": "user", "content": "item_reference"}]);
        let mut body = Body::parse(json!({"model": "m", "input": input}).to_string().into()).unwrap();
        put(&items, &mut body);
        let want = json!([item, named("msg_2"), named("msg_1"), input[3]]);
        assert_eq!(body.value("input"), Some(want));
    }
}
