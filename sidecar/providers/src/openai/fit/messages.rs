//! Messages made fit for a provider's row.
//!
//! Most requests go to providers that take messages as they are; those are not looked into unless the scan saw a word that
//! asks for it.

use serde_json::{Map, Value, json};

use crate::Body;
use crate::body::{holds_any, values_of};
use crate::openai::family::Family;
use crate::openai::table::{Members, Names, Row, Thoughts};

/// Two habits of applications that only some backends forgive: the role `developer`, which only OpenAI's reasoning models
/// tell from `system`, and an image's URL without its object. The rest is the row's.
pub(crate) fn messages(out: &mut Body, family: Family, row: &Row) {
    let developer = family != Family::OSeries && out.may_have_developer();
    let bare_image = out.may_have_images() && out.get_bytes("messages").is_some_and(has_bare_image);
    if !developer && !bare_image && (row.keeps_messages() || out.get_bytes("messages").is_none_or(is_plain)) {
        return;
    }
    out.edit("messages", |message| {
        let Value::Object(fields) = message else { return true };
        if developer && fields.get("role").is_some_and(|role| role == "developer") {
            fields.insert("role".into(), "system".into());
        }
        for part in fields.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            if part["image_url"].is_string() {
                part["image_url"] = json!({"url": part["image_url"].take()});
            }
        }
        fit(fields, row);
        row.empty_turns || says_something(message)
    });
}

/// One message, by the row.
fn fit(message: &mut Map<String, Value>, row: &Row) {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    let named = match row.names {
        Names::Any => true,
        Names::Users => role == "user",
        Names::Tools => matches!(role, "tool" | "function"),
        Names::NotTools => !matches!(role, "tool" | "function"),
    };
    if !named {
        message.shift_remove("name");
    }
    if !row.cache_marks {
        unmark(message);
    }
    if row.thoughts != Thoughts::Kept {
        message.shift_remove("thinking_blocks");
    }
    match row.thoughts {
        Thoughts::Kept | Thoughts::Plain => {}
        Thoughts::Renamed => {
            if let Some(thoughts) = message.shift_remove("reasoning_content") {
                message.entry("reasoning").or_insert(thoughts);
            }
        }
        Thoughts::Left => {
            message.shift_remove("reasoning_content");
            message.shift_remove("reasoning");
        }
    }
    if row.members != Members::Any && message.get("role").is_some_and(|role| role == "assistant") {
        ask(message);
    }
    if let Members::Only(words) = row.members {
        message.retain(|word, _| words.contains(&word.as_str()));
    }
    if row.flat_text
        && let Some(text) = message.get("content").and_then(joined)
    {
        message.insert("content".into(), text.into());
    }
}

/// An earlier answer without what a request has no use for. What was said in a refusal or aloud is its text, if it has none.
fn ask(message: &mut Map<String, Value>) {
    let refusal = message.shift_remove("refusal");
    let spoken = message.shift_remove("audio").and_then(|mut audio| audio.get_mut("transcript").map(Value::take));
    let said = [refusal, spoken].into_iter().flatten().find(|text| text.as_str().is_some_and(|text| !text.is_empty()));
    if let Some(said) = said.filter(|_| message.get("content").is_none_or(Value::is_null)) {
        message.insert("content".into(), said);
    }
    message.shift_remove("annotations");
    message.retain(|word, value| word == "content" || !value.is_null());
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(call) = call {
            call.shift_remove("extra_content"); // Gemini's signature.
        }
    }
}

/// The text of a list that holds nothing else. A list with an image stays one: the provider says itself that it has no eyes.
fn joined(content: &Value) -> Option<String> {
    content.as_array()?.iter().map(|part| part.get("text").and_then(Value::as_str)).collect()
}

fn unmark(message: &mut Map<String, Value>) {
    message.shift_remove("cache_control");
    for part in message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(part) = part {
            part.shift_remove("cache_control");
        }
    }
}

/// Not an assistant's turn without a word and without a call.
fn says_something(message: &Value) -> bool {
    let empty = match &message["content"] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(parts) => parts.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let calls = !message["tool_calls"].is_null() || !message["function_call"].is_null();
    message["role"] != "assistant" || !empty || calls
}

/// Messages of a role and a text each, and nothing in them that any row asks about.
fn is_plain(raw: &[u8]) -> bool {
    const ASKED: [&[u8]; 7] = [
        b"\"type\"",
        b"\"name\"",
        b"\"cache_control\"",
        b"\"thinking_blocks\"",
        b"\"reasoning_content\"",
        b"\"reasoning\"",
        b"\"assistant\"",
    ];
    !holds_any(raw, &ASKED)
}

/// `"image_url": "…"`, where an object belongs.
fn has_bare_image(raw: &[u8]) -> bool {
    values_of(raw, b"\"image_url\"").any(|value| value.starts_with(b"\""))
}
