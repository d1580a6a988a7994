//! Nothing panics on JSON that has the right words and the wrong types: every value of every golden request, answer and
//! event, replaced by one of each type.

mod cases;
mod frames;

use std::collections::HashSet;
use std::panic::catch_unwind;

use bytes::Bytes;
use cases::{DIALECTS, cases, text};
use serde_json::{Value, json};
use spillway_providers::{Api, Body, Dialect, Need, StreamDecoder, Target, decode, encode, read, row};

const APIS: [(Api, &str); 3] =
    [(Api::ChatCompletions, "chat"), (Api::Messages, "messages"), (Api::Responses, "responses")];

#[test]
fn a_request_of_wrong_types_is_translated_or_refused() {
    for (api, folder) in APIS {
        let mut seen = HashSet::new();
        for path in cases(folder, "json") {
            let text = text(&path);
            let case: Value = serde_json::from_str(&text).expect("a case is JSON");
            for wrong in wrong(&case["request"], &mut seen) {
                let body = Body::parse(wrong.to_string().into()).expect("an object");
                for (dialect, _, model) in DIALECTS {
                    let target = Target { row: row("OpenAICompatible"), ..Target::new(dialect, model) };
                    let sent = catch_unwind(|| {
                        // A policy may set fields after the request was read.
                        let need = read(api, &body).unwrap_or_else(|_| Need::default());
                        encode(api, &body, &need, &target).is_ok()
                    });
                    assert!(sent.is_ok(), "{api:?} to {dialect:?}: {wrong}");
                }
            }
        }
    }
}

#[test]
fn an_answer_of_wrong_types_is_read_or_a_fault() {
    for (dialect, folder, _) in DIALECTS {
        let mut seen = HashSet::new();
        for path in cases(&format!("answers/{folder}"), "json") {
            let text = text(&path);
            let Ok(case) = serde_json::from_str(&text) else { continue };
            for wrong in wrong(&case, &mut seen) {
                for (api, _) in APIS {
                    let answer = catch_unwind(|| decode(api, dialect, "m", wrong.to_string().into()).is_ok());
                    assert!(answer.is_ok(), "{dialect:?} as {api:?}: {wrong}");
                }
            }
        }
    }
}

#[test]
fn a_stream_of_wrong_types_is_read_or_a_fault() {
    for (dialect, folder, _) in DIALECTS {
        let mut seen = HashSet::new();
        let extension = if dialect == Dialect::Ollama { "ndjson" } else { "sse" };
        for path in cases(&format!("streams/{folder}"), extension) {
            let text = text(&path);
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            for (number, line) in lines.iter().enumerate() {
                let start = line.find('{').unwrap_or(line.len());
                let Ok(event) = serde_json::from_str::<Value>(&line[start..]) else { continue };
                for wrong in wrong(&event, &mut seen) {
                    let (before, behind) = (lines[..number].concat(), lines[number + 1..].concat());
                    let stream = format!("{before}{}{wrong}\n{behind}", &line[..start]);
                    for (api, _) in APIS {
                        let played = catch_unwind(|| play(api, dialect, &stream));
                        assert!(played.is_ok(), "{dialect:?} as {api:?}: {wrong}");
                    }
                }
            }
        }
    }
}

fn play(api: Api, dialect: Dialect, stream: &str) {
    let binary = matches!(dialect, Dialect::Bedrock | Dialect::BedrockInvoke);
    let bytes = if binary { frames::of(stream) } else { stream.as_bytes().to_vec() };
    let mut decoder = StreamDecoder::new(api, dialect, "m", true);
    let mut out = Vec::new();
    let _ = decoder.push(Bytes::from(bytes), &mut out).and_then(|()| decoder.end(&mut out));
}

/// The value with each of its own replaced by something else, but for those in a place that was `seen`.
fn wrong(value: &Value, seen: &mut HashSet<String>) -> Vec<Value> {
    let mut places = Vec::new();
    walk(value, &mut String::new(), &mut places);
    let mut out = Vec::new();
    for place in places {
        let names: Vec<_> = place.split('/').filter(|name| name.parse::<u8>().is_err()).collect();
        let of = place.rsplit_once('/').and_then(|(parent, _)| value.pointer(parent)?.get("type")?.as_str());
        if !seen.insert(format!("{names:?}{of:?}")) {
            continue;
        }
        for other in
            [json!(null), json!(true), json!(-5), json!("x"), json!([]), json!(["x"]), json!([1, {}]), json!({})]
        {
            let mut changed = value.clone();
            if let Some(value) = changed.pointer_mut(&place) {
                *value = other;
            }
            out.push(changed);
        }
    }
    out
}

fn walk(value: &Value, at: &mut String, places: &mut Vec<String>) {
    let fields: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in fields {
        let length = at.len();
        at.push('/');
        at.push_str(&key);
        places.push(at.clone());
        walk(value, at, places);
        at.truncate(length);
    }
}
