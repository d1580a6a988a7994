//! The texts inside a message, and cutting them.

use serde_json::Value;
use spillway_providers::{
    Api,
    tokens::{self, Encoding},
};

use super::GoesOn;

/// Stands where a piece of a text was.
const MARK: &str = "\n[... a part of this text was left out, it did not fit ...]\n";

/// More than the mark has, with a few words around it. No text is cut further.
const LEAST: u64 = 32;

/// How often a cut is tried before nothing but the mark is left. Each try comes closer; the first is seldom far off.
const TRIES: u32 = 8;

/// No token of a text is longer on average: it is where the search begins.
const BYTES_PER_TOKEN: u64 = 8;

/// What a message would have if all of its texts were cut as far as may be.
pub(super) fn least(message: &mut Value, tokens: u64, encoding: Encoding, goes_on: GoesOn<'_>) -> u64 {
    let long = |text: &&mut String| text.len() as u64 > LEAST;
    let spare = |text: &mut String| tokens::count_text(text, encoding, goes_on).saturating_sub(LEAST);
    texts(message).into_iter().filter(long).map(spare).fold(tokens, u64::saturating_sub)
}

/// Cuts the longest texts of a message to one length, so that it has no more than `to` tokens. Returns how many it has.
pub(in crate::pipeline) fn cut(api: Api, message: &mut Value, to: u64, encoding: Encoding, goes_on: GoesOn<'_>) -> u64 {
    let whole: Vec<String> = texts(message).into_iter().map(|text| text.clone()).collect();
    let longest = whole.iter().map(String::len).max().unwrap_or(0) as u64;
    let mut length = longest.min(to.saturating_mul(BYTES_PER_TOKEN));
    let mut now = u64::MAX;
    for left in (0..=TRIES).rev() {
        let bytes = if left == 0 { 0 } else { usize::try_from(length).unwrap_or(usize::MAX) };
        for (text, whole) in texts(message).into_iter().zip(&whole) {
            *text = shortened(whole, bytes);
        }
        now = tokens::count_message(api, message, encoding, goes_on);
        if now <= to {
            break;
        }
        // A little more than the share of it that is too much: no two pieces of a text have the same length in tokens.
        length = u64::try_from(u128::from(length) * u128::from(to) / u128::from(now)).unwrap_or(0) / 64 * 63;
    }
    now
}

/// The beginning and the end of a text, of so many bytes together.
fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes.saturating_add(MARK.len()) {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(bytes / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - bytes / 2)..];
    format!("{head}{MARK}{tail}")
}

/// The texts of a message that may be cut: neither the arguments of a call, which are a document, nor thoughts, which are
/// signed.
fn texts(message: &mut Value) -> Vec<&mut String> {
    let mut found = Vec::new();
    for (key, value) in message.as_object_mut().into_iter().flatten() {
        if matches!(key.as_str(), "content" | "output") {
            collect(value, &mut found);
        }
    }
    found
}

fn collect<'a>(content: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match content {
        Value::String(text) => found.push(text),
        Value::Array(parts) => {
            for part in parts {
                let inside = match part["type"].as_str() {
                    Some("text" | "input_text" | "output_text") => part.get_mut("text").filter(|text| text.is_string()),
                    Some("tool_result") => part.get_mut("content"),
                    _ => None,
                };
                if let Some(inside) = inside {
                    collect(inside, found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// A message in words, for whoever is to summarize it.
pub(in crate::pipeline) fn told(message: &Value) -> String {
    let mut words = String::new();
    tell(message, &mut words);
    let who = match (message["type"].as_str(), message["role"].as_str()) {
        (Some("function_call"), _) => "assistant",
        (Some(kind), None) if kind.ends_with("_output") => "tool",
        (Some("reasoning"), _) => "assistant (thinking)",
        (_, role) => role.unwrap_or("user"),
    };
    format!("{who}: {}\n\n", words.trim())
}

fn tell(value: &Value, words: &mut String) {
    let mut say = |text: &Value, around: [&str; 2]| {
        let text =
            text.as_str().map_or_else(|| if text.is_null() { String::new() } else { text.to_string() }, str::to_owned);
        if !text.is_empty() {
            words.push_str(&format!("{}{text}{}\n", around[0], around[1]));
        }
    };
    match value {
        Value::String(_) => say(value, ["", ""]),
        Value::Array(parts) => parts.iter().for_each(|part| tell(part, words)),
        Value::Object(_) => match value["type"].as_str() {
            Some("text" | "input_text" | "output_text" | "summary_text") => say(&value["text"], ["", ""]),
            Some("image" | "image_url" | "input_image") => words.push_str("[image]\n"),
            Some("tool_use" | "function_call") => {
                say(&value["name"], ["calls ", ""]);
                say(if value["input"].is_null() { &value["arguments"] } else { &value["input"] }, ["with ", ""]);
            }
            Some("function") => {
                say(&value["function"]["name"], ["calls ", ""]);
                say(&value["function"]["arguments"], ["with ", ""]);
            }
            Some("thinking" | "redacted_thinking") => {}
            _ => ["content", "output", "tool_calls", "summary"].iter().for_each(|key| tell(&value[*key], words)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_cut_in_its_middle_between_two_characters_and_says_so() {
        let text = "αβγδε".repeat(40);
        for bytes in 0..40 {
            let short = shortened(&text, bytes);
            let (head, tail) = short.split_once(MARK).unwrap();
            assert!(text.starts_with(head) && text.ends_with(tail), "{short}");
            assert!(head.len() + tail.len() <= bytes && head.len() + tail.len() + 4 > bytes, "{bytes}: {short}");
        }
        assert_eq!(shortened("short", 0), "short", "the mark would be longer");
    }

    #[test]
    fn only_texts_are_cut_and_as_far_as_need_be() {
        let long = "word ".repeat(2_000);
        let rows = [
            json!({"role": "user", "content": long}),
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}},
                {"type": "text", "text": long}, {"type": "text", "text": "what is it?"}]}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": long}]}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1",
                "content": [{"type": "text", "text": long}]}]}),
            json!({"role": "tool", "tool_call_id": "1", "content": long}),
            json!({"type": "function_call_output", "call_id": "1", "output": long}),
        ];
        for message in rows {
            let api = if message.get("role").is_some() { Api::ChatCompletions } else { Api::Responses };
            for encoding in [Encoding::Estimate, Encoding::Cl100k] {
                let mut short = message.clone();
                let tokens = tokens::count_message(api, &message, encoding, &|| true);
                assert!(least(&mut short, tokens, encoding, &|| true) < tokens / 4, "{message}");
                assert_eq!(short, message);
                let now = cut(api, &mut short, 500, encoding, &|| true);
                assert!((400..=500).contains(&now), "{encoding:?} {now}: {short}");
                assert_eq!(now, tokens::count_message(api, &short, encoding, &|| true));
                assert!(short.to_string().contains("left out"), "{short}");
            }
        }
        let mut call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": format!("{{\"a\": \"{}\"}}", "x ".repeat(900))}}]});
        let tokens = tokens::count_message(Api::ChatCompletions, &call, Encoding::Estimate, &|| true);
        assert_eq!(least(&mut call, tokens, Encoding::Estimate, &|| true), tokens, "arguments are a document");
    }

    #[test]
    fn a_summary_is_made_of_what_was_said_done_and_found() {
        let rows = [
            (json!({"role": "user", "content": "hi"}), "user: hi"),
            (
                json!({"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "image"}]}),
                "user: what is\n[image]",
            ),
            (
                json!({"role": "assistant", "content": "I look", "tool_calls": [{"id": "1", "type": "function",
                    "function": {"name": "look", "arguments": "{\"at\":1}"}}]}),
                "assistant: I look\ncalls look\nwith {\"at\":1}",
            ),
            (json!({"role": "tool", "content": "found"}), "tool: found"),
            (
                json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"},
                    {"type": "tool_use", "name": "look", "input": {"at": 1}}]}),
                "assistant: calls look\nwith {\"at\":1}",
            ),
            (
                json!({"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "found"}]}]}),
                "user: found",
            ),
            (json!({"type": "function_call", "name": "look", "arguments": "{}"}), "assistant: calls look\nwith {}"),
            (json!({"type": "function_call_output", "output": "found"}), "tool: found"),
        ];
        for (message, want) in rows {
            assert_eq!(told(&message).trim(), want);
        }
    }
}
