//! What comes back.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use spillway_providers::{Api, Dialect, Fault, StreamDecoder, decode};

use crate::data::{rows, text};
use crate::errors::class_of;
use crate::items;
use crate::normal::{Difference, arguments, differences, without_null};
use crate::score::Verdict;
use crate::subject::subject;

/// Small enough to cut every event, and to cut characters.
const PIECE: usize = 7;

/// Not one that says how the recording failed.
fn is_whole(row: &Value) -> bool {
    row["exception"]["class"] != "ModuleNotFoundError"
}

pub(crate) fn verdicts() -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in rows("responses").into_iter().filter(is_whole) {
        let Some(subject) = subject(text(&row, "provider")) else { continue };
        let differences = chat(&row, subject.dialect);
        verdicts.push(Verdict { id: text(&row, "id").to_owned(), provider: subject.name.to_owned(), differences });
    }
    for row in rows("responses_other").into_iter().filter(is_whole) {
        let Some(subject) = subject(text(&row, "provider")) else { continue };
        // Where an application's words are passed on as they came, the recording is of another API.
        let path = text(&row, "upstream_path");
        if !path.ends_with("/chat/completions") && subject.dialect == Dialect::OpenAi {
            continue;
        }
        let endpoint = text(&row, "endpoint");
        let provider = format!("{endpoint}/{}", subject.name);
        let differences = if endpoint == "messages" {
            messages(&row, subject.dialect)
        } else {
            items::differences(&row, subject.dialect)
        };
        verdicts.push(Verdict { id: text(&row, "id").to_owned(), provider, differences });
    }
    verdicts
}

pub(crate) fn upstream(row: &Value) -> Bytes {
    match row["upstream_body_b64"].as_str() {
        Some(binary) => STANDARD.decode(binary).expect("a recorded body is base64").into(),
        None => Bytes::copy_from_slice(text(row, "upstream_body").as_bytes()),
    }
}

/// The frames of a stream, cut into small pieces, and how it ended.
pub(crate) fn stream(api: Api, dialect: Dialect, bytes: &Bytes) -> (String, Option<Fault>) {
    let mut decoder = StreamDecoder::new(api, dialect, "", true);
    let mut frames = Vec::new();
    let mut pieces = bytes.chunks(PIECE);
    let pushed = pieces.try_for_each(|piece| decoder.push(Bytes::copy_from_slice(piece), &mut frames));
    let ended = pushed.and_then(|()| decoder.end(&mut frames));
    let text = frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes)).collect();
    (text, ended.err())
}

pub(crate) fn events(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// A fault where they raised an exception is the same when its class is.
pub(crate) fn failed(row: &Value, fault: Option<&Fault>) -> Option<Vec<Difference>> {
    let exception = row.get("exception").filter(|exception| !exception.is_null());
    let theirs = exception.map(|exception| {
        class_of(exception["original_class"].as_str().or(exception["class"].as_str()).unwrap_or_default())
    });
    let ours = fault.map(|fault| format!("{:?}", fault.class));
    match (&ours, theirs) {
        (None, None) => None,
        (Some(ours), Some(theirs)) if ours == theirs => Some(Vec::new()),
        _ => Some(vec![Difference::new("$fault", json!([ours, fault.map(|fault| &fault.message)]), json!(theirs))]),
    }
}

fn chat(row: &Value, dialect: Dialect) -> Vec<Difference> {
    if row["stream"] == true {
        let (frames, fault) = stream(Api::ChatCompletions, dialect, &upstream(row));
        return failed(row, fault.as_ref())
            .unwrap_or_else(|| differences(&assembled(&events(&frames)), &view(&row["assembled"])));
    }
    match decode(Api::ChatCompletions, dialect, "", upstream(row)) {
        Err(fault) => failed(row, Some(&fault)).unwrap_or_default(),
        Ok(answer) => failed(row, None).unwrap_or_else(|| {
            let ours = serde_json::from_slice(&answer.body).expect("an answer is JSON");
            differences(&view(&ours), &view(&row["openai_response"]))
        }),
    }
}

fn messages(row: &Value, dialect: Dialect) -> Vec<Difference> {
    if row["stream"] == true {
        let (frames, fault) = stream(Api::Messages, dialect, &upstream(row));
        return failed(row, fault.as_ref()).unwrap_or_else(|| {
            let theirs: String = row["output"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            differences(&assembled_message(&events(&frames)), &assembled_message(&events(&theirs)))
        });
    }
    match decode(Api::Messages, dialect, "", upstream(row)) {
        Err(fault) => failed(row, Some(&fault)).unwrap_or_default(),
        Ok(answer) => failed(row, None).unwrap_or_else(|| {
            let ours = serde_json::from_slice(&answer.body).expect("an answer is JSON");
            differences(&message_view(&ours), &message_view(&row["output"]))
        }),
    }
}

/// What an application reads of a chat's answer.
fn view(answer: &Value) -> Value {
    let choices = answer["choices"].as_array().into_iter().flatten().map(|choice| {
        let message = &choice["message"];
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let calls: Vec<_> = calls.map(|call| json!({"function": call["function"]})).collect();
        json!({
            "finish_reason": choice["finish_reason"],
            "content": compact(message["content"].as_str().unwrap_or_default()),
            "reasoning": message["reasoning_content"].as_str().or(message["reasoning"].as_str()).unwrap_or_default(),
            "thinking_blocks": message["thinking_blocks"].as_array().filter(|blocks| !blocks.is_empty()),
            "tool_calls": calls,
        })
    });
    arguments(without_null(&json!({
        "choices": choices.collect::<Vec<_>>(),
        "usage": usage(&answer["usage"]),
    })))
}

/// An answer that is a JSON object compares as one.
fn compact(text: &str) -> String {
    serde_json::from_str::<Map<String, Value>>(text)
        .map_or_else(|_| text.to_owned(), |map| Value::from(map).to_string())
}

/// The counts that are billed.
fn usage(usage: &Value) -> Value {
    if usage.is_null() {
        return Value::Null;
    }
    let cached = usage.pointer("/prompt_tokens_details/cached_tokens").and_then(Value::as_u64).unwrap_or(0);
    json!({"prompt": usage["prompt_tokens"], "completion": usage["completion_tokens"], "cached": cached})
}

/// The answer that chunks add up to.
fn assembled(chunks: &[Value]) -> Value {
    let mut choices: Vec<Value> = Vec::new();
    let mut usage = Value::Null;
    for chunk in chunks {
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0) as usize;
            while choices.len() <= index {
                let message = json!({"content": "", "reasoning_content": "", "tool_calls": [], "thinking_blocks": []});
                choices.push(json!({"message": message, "unsigned": ""}));
            }
            let whole = &mut choices[index];
            if !choice["finish_reason"].is_null() {
                whole["finish_reason"] = choice["finish_reason"].clone();
            }
            let mut unsigned = whole["unsigned"].take();
            let (delta, message) = (&choice["delta"], &mut whole["message"]);
            think(message, delta, &mut unsigned);
            append(&mut message["content"], &delta["content"]);
            append(&mut message["reasoning_content"], &delta["reasoning_content"]);
            append(&mut message["reasoning_content"], &delta["reasoning"]);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = call["index"].as_u64().unwrap_or(0) as usize;
                let calls = message["tool_calls"].as_array_mut().expect("made above");
                while calls.len() <= index {
                    calls.push(json!({"function": {"name": "", "arguments": ""}}));
                }
                append(&mut calls[index]["function"]["name"], &call["function"]["name"]);
                append(&mut calls[index]["function"]["arguments"], &call["function"]["arguments"]);
            }
            whole["unsigned"] = unsigned;
        }
    }
    view(&json!({"choices": choices, "usage": usage}))
}

/// A block of thinking ends with its signature; what was thought before it, and since the last one, is its text.
fn think(message: &mut Value, delta: &Value, unsigned: &mut Value) {
    append(unsigned, &delta["reasoning_content"]);
    for block in delta["thinking_blocks"].as_array().into_iter().flatten() {
        let mut block = block.clone();
        if block["type"] == "thinking" {
            // Some repeat at the end what came in pieces, so that the block is whole.
            if block["thinking"] != *unsigned {
                append(unsigned, &block["thinking"]);
            }
            block["thinking"] = std::mem::replace(unsigned, "".into());
        }
        block.as_object_mut().map(|block| block.shift_remove("index"));
        message["thinking_blocks"].as_array_mut().expect("made above").push(block);
    }
}

fn append(whole: &mut Value, part: &Value) {
    if let (Value::String(whole), Some(part)) = (whole, part.as_str()) {
        whole.push_str(part);
    }
}

/// What an application reads of a message.
fn message_view(message: &Value) -> Value {
    let blocks = message["content"].as_array().into_iter().flatten().map(|block| {
        let mut block: Map<String, Value> = block.as_object().cloned().unwrap_or_default();
        for key in ["id", "citations", "caller", "provider_specific_fields"] {
            block.shift_remove(key);
        }
        Value::Object(block)
    });
    let usage = &message["usage"];
    without_null(&json!({
        "content": blocks.collect::<Vec<_>>(),
        "stop_reason": message["stop_reason"],
        "usage": {"input": usage["input_tokens"], "output": usage["output_tokens"]},
    }))
}

/// The message that events add up to.
fn assembled_message(events: &[Value]) -> Value {
    let (mut blocks, mut stop, mut usage): (Vec<Value>, Value, Map<String, Value>) = Default::default();
    for event in events {
        let counts = event.pointer("/message/usage").or(event.get("usage")).and_then(Value::as_object);
        usage.extend(counts.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        match text(event, "type") {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let Some(block) = blocks.get_mut(event["index"].as_u64().unwrap_or(0) as usize) else { continue };
                for (from, to) in
                    [("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "input")]
                {
                    let Some(part) = event["delta"][from].as_str() else { continue };
                    let whole = format!("{}{part}", block[to].as_str().unwrap_or_default());
                    block[to] = whole.into();
                }
            }
            "message_delta" => stop = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    for block in &mut blocks {
        if let Some(Ok(input)) = block["input"].as_str().map(serde_json::from_str::<Value>) {
            block["input"] = input;
        }
    }
    message_view(&json!({"content": blocks, "stop_reason": stop, "usage": usage}))
}
