//! Counting a prompt that is a list of items: what OpenAI calls the input of a response.

use serde_json::Value;

use super::{
    add_message, add_own, add_schema, add_system, add_tools, attached, memory::Kind, parts::add_content, text::Counter,
};
use crate::Body;

pub(super) fn count(body: &Body, counter: &mut Counter<'_>) {
    counter.add(counter.template().prompt);
    let mut has_system = false;
    if let Some(instructions) = body.get_bytes("instructions").filter(|instructions| *instructions != b"null") {
        has_system = true;
        counter.part(Kind::System, instructions, add_system);
    }
    if body.get_bytes("input").is_some_and(|input| input.starts_with(b"\"")) {
        counter.message();
        counter.text("user");
        add_content(&body.value("input").unwrap_or_default(), counter);
    }
    for item in body.elements("input") {
        has_system |= counter.part(Kind::Item, item, add);
    }
    add_own(has_system, counter);
    add_tools(body, has_system, counter);
    add_schema(body, "text", counter);
    if attached::is_kept(body) {
        // How long it is its provider knows.
        counter.guess(0);
    }
}

/// One item. What only names it is no part of the prompt.
pub(super) fn add(item: &Value, counter: &mut Counter<'_>) {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    match item["type"].as_str() {
        None => add_message(item, counter),
        Some("message") => {
            counter.message();
            counter.text(text("role"));
            add_content(&item["content"], counter);
        }
        Some("function_call") => {
            counter.message();
            counter.text(text("name"));
            counter.text(text("arguments"));
        }
        Some("reasoning") => {
            for part in [&item["summary"], &item["content"]].into_iter().filter_map(Value::as_array).flatten() {
                counter.text(part["text"].as_str().unwrap_or_default());
            }
            // Sealed, it is three bytes of base64 for two of text, in words nobody can count.
            counter.guess(text("encrypted_content").len() as u64 / 6);
        }
        _ => {
            counter.message();
            match &item["output"] {
                output @ (Value::String(_) | Value::Array(_)) => add_content(output, counter),
                _ => counter.guess(item.to_string().len() as u64 / 4),
            }
        }
    }
}
