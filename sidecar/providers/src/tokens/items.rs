//! Counting a prompt that is a list of items: what OpenAI calls the input of a response.

use serde_json::Value;

use super::text::Counter;
use super::{PER_MESSAGE, PER_PROMPT, add_content, add_message, add_tools};
use crate::Body;

pub(super) fn count(body: &Body, counter: &mut Counter) {
    counter.add(PER_PROMPT);
    let instructions = body.value("instructions");
    if let Some(instructions) = &instructions {
        counter.add(PER_MESSAGE);
        counter.text("system");
        add_content(instructions, counter);
    }
    let input = body.value("input").unwrap_or_default();
    let items = input.as_array().map(Vec::as_slice).unwrap_or_default();
    if input.is_string() {
        counter.add(PER_MESSAGE);
        counter.text("user");
        add_content(&input, counter);
    }
    for item in items {
        add(item, counter);
    }
    add_tools(body, instructions.is_some() || items.iter().any(|item| item["role"] == "system"), counter);
}

/// One item. What only names it is no part of the prompt.
pub(super) fn add(item: &Value, counter: &mut Counter) {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    match item["type"].as_str() {
        None => add_message(item, counter),
        Some("message") => {
            counter.add(PER_MESSAGE);
            counter.text(text("role"));
            add_content(&item["content"], counter);
        }
        Some("function_call") => {
            counter.add(PER_MESSAGE);
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
            counter.add(PER_MESSAGE);
            match &item["output"] {
                output @ (Value::String(_) | Value::Array(_)) => add_content(output, counter),
                _ => counter.guess(item.to_string().len() as u64 / 4),
            }
        }
    }
}
