//! Messages made fit for a provider's row.
//!
//! Most requests go to providers that take messages as they are; those are not looked into unless the scan saw a word that
//! asks for it.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use serde_json::{Map, Value, json};

use crate::Body;
use crate::body::{Cursor, values_of};
use crate::openai::family::Family;
use crate::openai::table::{Members, Names, Row, Thoughts};

/// Two habits of applications that only some backends forgive: the role `developer`, which only OpenAI's reasoning models
/// tell from `system`, and an image's URL without its object. The rest is the row's.
pub(crate) fn messages(out: &mut Body, family: Family, row: &Row) {
    let developer = family != Family::OSeries && out.may_have_developer();
    let bare_image = out.may_have_images() && out.get_bytes("messages").is_some_and(has_bare_image);
    if !developer && !bare_image && (row.keeps_messages() || out.get("messages").is_none_or(is_plain)) {
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
    if row.short_ids {
        shorten(message);
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
    for word in ["annotations", "parsed"] {
        message.shift_remove(word);
    }
    message.retain(|word, value| word == "content" || !value.is_null());
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        // Not Gemini's signature, nor a stream's number, nor what a client has read.
        if let Value::Object(call) = call {
            call.retain(|word, _| matches!(word.as_str(), "id" | "type" | "function" | "custom"));
        }
        if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
            function.retain(|word, _| matches!(word.as_str(), "name" | "arguments"));
        }
    }
}

/// Ids of calls, and of what they are answered by, that are others': the same short one wherever one stands.
fn shorten(message: &mut Map<String, Value>) {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
        call.get_mut("id").into_iter().for_each(short);
    }
    message.get_mut("tool_call_id").into_iter().for_each(short);
}

fn short(id: &mut Value) {
    const LENGTH: usize = 9;
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some(given) = id.as_str() else { return };
    if given.len() == LENGTH && given.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    let mut left = FixedState::default().hash_one(given);
    let digits = (0..LENGTH).map(|_| {
        let digit = DIGITS[usize::try_from(left % 62).unwrap_or(0)];
        left /= 62;
        char::from(digit)
    });
    *id = digits.collect::<String>().into();
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

/// Messages of a role and a text each, and nothing else that any row could ask about.
fn is_plain(json: &str) -> bool {
    let mut plain = true;
    let is_list = Cursor::new(json).elements(|cursor| {
        let is_object = cursor.members(|cursor, key| {
            let value = cursor.value();
            plain &= match key {
                "role" => true,
                "content" => value.starts_with('"') && value.len() > 2,
                _ => false,
            };
        });
        plain &= is_object;
    });
    plain && is_list
}

/// `"image_url": "…"`, where an object belongs.
fn has_bare_image(raw: &[u8]) -> bool {
    values_of(raw, b"\"image_url\"").any(|value| value.starts_with(b"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, Target, encode, read, row};

    fn sent(kind: &str, messages: &Value) -> Value {
        let request = json!({"model": "m", "messages": messages});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let dialect = if kind == "Cohere" { Dialect::Cohere } else { Dialect::OpenAi };
        let out = encode(Api::ChatCompletions, &body, &need, &Target { row: row(kind), ..Target::new(dialect, "m") });
        serde_json::from_slice::<Value>(&out.unwrap().body).unwrap()["messages"].take()
    }

    #[test]
    fn strict_servers_get_no_member_that_they_do_not_know_of_any_message() {
        let call = |more: Value| {
            let mut call = json!({"id": "abcdefgh1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
            call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            call
        };
        let mut parsed = call(json!({"index": 0, "extra_content": {"google": {}}}));
        parsed["function"]["parsed_arguments"] = json!({});
        let given = json!([
            {"role": "system", "content": "be kind", "id": "m0"},
            {"role": "user", "content": "a", "status": "completed"},
            {"role": "assistant", "content": "b", "parsed": {"x": 1}, "images": [], "citations": [], "tool_calls": [parsed]},
            {"role": "tool", "tool_call_id": "abcdefgh1", "content": "c", "id": "m3"}]);
        let want = json!([
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "tool_calls": [call(json!({}))]},
            {"role": "tool", "tool_call_id": "abcdefgh1", "content": "c"}]);
        for kind in ["Groq", "Mistral", "Cerebras"] {
            assert_eq!(sent(kind, &given), want, "{kind}");
        }
        let plain = json!([{"role": "user", "content": "a", "id": "m1"}]);
        for kind in ["Groq", "Mistral", "Cerebras", "Cohere"] {
            assert_eq!(sent(kind, &plain), json!([{"role": "user", "content": "a"}]), "{kind}");
        }
        assert_eq!(sent("OpenAI", &given), given);
    }

    #[test]
    fn ids_of_calls_are_mistrals_at_mistral_and_stay_pairs() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "c"});
        let ids = ["call_abcdefghijklmnopqrstuvwx", "toolu_01", "call_r-1_0", "ABCdef123", "short", ""];
        let mut messages = vec![json!({"role": "user", "content": "a"})];
        messages.push(json!({"role": "assistant", "content": "b", "tool_calls": ids.map(call)}));
        messages.extend(ids.map(result));
        let got = sent("Mistral", &json!(messages));
        let mut seen = std::collections::BTreeSet::new();
        for (number, id) in ids.iter().enumerate() {
            let short = got[1]["tool_calls"][number]["id"].as_str().unwrap();
            assert!(short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}: {short}");
            assert_eq!(got[2 + number]["tool_call_id"], short, "{id}");
            assert!(seen.insert(short.to_owned()), "{id}: {short} stands for another as well");
        }
        assert_eq!(got[1]["tool_calls"][3]["id"], "ABCdef123");
        assert_eq!(sent("Groq", &json!(messages)), json!(messages));
    }

    #[test]
    fn plain_is_what_has_a_role_and_a_text_and_nothing_else() {
        let rows = [
            (r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#, true),
            (r#"[ { "content" : "name" , "role" : "user" } ]"#, true),
            ("[]", true),
            (r#"[{"role":"assistant","content":""}]"#, false),
            (r#"[{"role":"assistant","content":null}]"#, false),
            (r#"[{"role":"user","content":[]}]"#, false),
            (r#"[{"role":"user","content":"a","name":"n"}]"#, false),
            (r#"[{"role":"user","content":"a","n\u0061me":"n"}]"#, false),
            (r#"[7]"#, false),
            ("{}", false),
        ];
        for (json, want) in rows {
            assert_eq!(is_plain(json), want, "{json}");
        }
    }
}
