//! What comes back to callers of the Responses API.

use serde_json::{Value, json};
use spillway_providers::{Api, Dialect, decode};

use crate::data::text;
use crate::normal::{self, Difference, arguments, without_null};
use crate::responses::{events, failed, stream, upstream};

pub(crate) fn differences(row: &Value, dialect: Dialect) -> Vec<Difference> {
    if row["stream"] == true {
        let (frames, fault) = stream(Api::Responses, dialect, &upstream(row));
        return failed(row, fault.as_ref()).unwrap_or_else(|| {
            let ours = events(&frames);
            let mut found = numbering(&ours);
            let theirs = row["output"].as_array().map(Vec::as_slice).unwrap_or_default();
            found.extend(normal::differences(&view(last(&ours)), &view(last(theirs))));
            found.extend(normal::differences(&said(&ours), &said(theirs)));
            found
        });
    }
    match decode(Api::Responses, dialect, "", upstream(row)) {
        Err(fault) => failed(row, Some(&fault)).unwrap_or_default(),
        Ok(answer) => failed(row, None).unwrap_or_else(|| {
            let ours = serde_json::from_slice(&answer.body).expect("an answer is JSON");
            normal::differences(&view(&ours), &view(&row["output"]))
        }),
    }
}

/// Ours have numbers without a gap; theirs have not.
fn numbering(events: &[Value]) -> Vec<Difference> {
    let odd = events.iter().enumerate().find(|(index, event)| event["sequence_number"] != *index);
    odd.map(|(index, event)| Difference::new("$sequence", event["sequence_number"].clone(), index))
        .into_iter()
        .collect()
}

/// The response that the last event holds.
fn last(events: &[Value]) -> &Value {
    events.last().map_or(&Value::Null, |event| &event["response"])
}

/// What the pieces of the stream add up to.
fn said(events: &[Value]) -> Value {
    let glued = |kind: &str| -> String {
        let pieces = events.iter().filter(|event| event["type"] == kind).filter_map(|event| event["delta"].as_str());
        pieces.collect()
    };
    json!({
        "text": glued("response.output_text.delta"),
        "thoughts": glued("response.reasoning_summary_text.delta"),
        "arguments": glued("response.function_call_arguments.delta").replace(' ', ""),
    })
}

/// What an application reads of a response.
fn view(response: &Value) -> Value {
    let items = response["output"].as_array().into_iter().flatten().filter_map(item);
    let usage = &response["usage"];
    let cached = usage.pointer("/input_tokens_details/cached_tokens").and_then(Value::as_u64).unwrap_or(0);
    arguments(without_null(&json!({
        "status": response["status"],
        "reason": response["incomplete_details"]["reason"],
        "output": items.collect::<Vec<_>>(),
        "usage": {"input": usage["input_tokens"], "output": usage["output_tokens"], "cached": cached},
    })))
}

/// A message without a word is none.
fn item(item: &Value) -> Option<Value> {
    let parts =
        |key: &str| -> String { item[key].as_array().into_iter().flatten().map(|part| text(part, "text")).collect() };
    match text(item, "type") {
        "message" => Some(parts("content")).filter(|text| !text.is_empty()).map(|text| json!({"message": text})),
        "reasoning" => Some(json!({
            "thoughts": format!("{}{}", parts("summary"), parts("content")),
            "sealed": item["encrypted_content"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()),
        })),
        "function_call" => Some(json!({"call": item["name"], "arguments": item["arguments"]})),
        other => Some(json!({"other": other})),
    }
}
