//! Counting a prompt: bounds that cost nothing, counts where a bound cannot decide.
//!
//! A byte-level tokenizer never makes more tokens than it gets bytes, so a prompt whose bytes fit needs no count. The
//! vocabularies are loaded by the first count that needs them (a fifth of a second, tens of megabytes) and shared from
//! then on. Counting is work for a thread that may block: a hundred kilobytes take milliseconds.

mod items;
mod rendering;
#[cfg(test)]
mod tests;
mod text;

use memchr::memmem;
use serde_json::Value;

use crate::{Api, Body};
use text::Counter;

/// Which tokenizer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    O200k,
    Cl100k,
    /// No tokenizer is known.
    Estimate,
}

/// The prompt has at least `lower` and at most `upper` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub lower: u64,
    pub upper: u64,
}

/// A prompt's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub tokens: u64,
    /// False for estimates: no tokenizer, an image, or a text too long to be worth the time.
    pub exact: bool,
}

/// What a chat template puts around a message (OpenAI's own: three).
const PER_MESSAGE: u64 = 3;

/// What opens the answer.
const PER_PROMPT: u64 = 3;

/// What an image costs where its size is not looked at: OpenAI's price for low detail, and for one tile of four in high.
const IMAGE: u64 = 85;
const IMAGE_HIGH: u64 = 765;

/// More than any provider counts for one image.
const IMAGE_UPPER: u64 = 2_000;

/// More than a template or a provider's own instructions about tools put around the prompt, whatever is in it.
const SLACK: u64 = 16;
const TOOLS_SLACK: u64 = 600;

/// Bounds from the length alone.
#[must_use]
pub fn bounds(api: Api, body: &Body) -> Bounds {
    let keys: &[&str] = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => {
            &["messages", "system", "tools", "functions", "response_format"]
        }
        Api::Completions => &["prompt", "suffix"],
        Api::Embeddings => &["input"],
        Api::Responses => &["input", "instructions", "tools", "text"],
        // What of it is a prompt, and what that comes to, only the provider knows.
        Api::Pass(_) => &[],
    };
    let raw = || keys.iter().filter_map(|key| body.get_bytes(key));
    let mut upper: u64 = raw().map(|raw| raw.len() as u64).sum();
    let messages = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => body.array_len("messages").unwrap_or(0) as u64,
        Api::Responses => body.array_len("input").unwrap_or(0) as u64 + 2,
        Api::Completions | Api::Embeddings | Api::Pass(_) => return Bounds { lower: 0, upper },
    };
    upper += SLACK + messages * 2 * PER_MESSAGE;
    if body.may_have_images() {
        let images: usize = raw().map(|raw| memmem::find_iter(raw, b"\"image").count()).sum();
        upper += images as u64 * IMAGE_UPPER;
    }
    if body.array_len("tools").is_some() || body.array_len("functions").is_some() {
        upper += TOOLS_SLACK;
    }
    // Several items of a response can be one message.
    let lower = if api == Api::Responses { 0 } else { messages * PER_MESSAGE };
    Bounds { lower, upper }
}

/// Counts the prompt, as OpenAI's own recipe and LiteLLM's counter do.
#[must_use]
pub fn count(api: Api, body: &Body, encoding: Encoding) -> Count {
    let mut counter = Counter::new(encoding);
    match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => chat(body, &mut counter),
        Api::Completions => prompt(&body.value("prompt").unwrap_or_default(), &mut counter),
        Api::Embeddings => prompt(&body.value("input").unwrap_or_default(), &mut counter),
        Api::Responses => items::count(body, &mut counter),
        Api::Pass(_) => {}
    }
    counter.total()
}

/// Counts one message of `messages`, or one item of a response's `input`, the template around it included.
#[must_use]
pub fn count_message(message: &Value, encoding: Encoding) -> u64 {
    let mut counter = Counter::new(encoding);
    if message["type"].is_string() {
        items::add(message, &mut counter);
    } else {
        add_message(message, &mut counter);
    }
    counter.total().tokens
}

fn chat(body: &Body, counter: &mut Counter) {
    let messages = body.value("messages").unwrap_or_default();
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    counter.add(PER_PROMPT);
    let system = body.value("system");
    if let Some(system) = &system {
        counter.add(PER_MESSAGE);
        counter.text("system");
        add_content(system, counter);
    }
    for message in messages {
        add_message(message, counter);
    }
    add_tools(body, system.is_some() || messages.iter().any(|message| message["role"] == "system"), counter);
}

fn add_tools(body: &Body, has_system: bool, counter: &mut Counter) {
    if let Some(tools) = body.value("tools").filter(|tools| tools.as_array().is_some_and(|tools| !tools.is_empty())) {
        counter.text(&rendering::tools(&tools));
        counter.add(if has_system { 5 } else { 9 });
        add_choice(&body.value("tool_choice").unwrap_or_default(), counter);
    }
}

fn add_choice(choice: &Value, counter: &mut Counter) {
    if choice == "none" {
        counter.add(1);
    } else if let Some(name) = choice["function"]["name"].as_str().or_else(|| choice["name"].as_str()) {
        counter.add(7);
        counter.text(name);
    }
}

fn add_message(message: &Value, counter: &mut Counter) {
    counter.add(PER_MESSAGE);
    for (key, value) in message.as_object().into_iter().flatten() {
        match key.as_str() {
            "content" => add_content(value, counter),
            "tool_calls" => {
                for call in value.as_array().into_iter().flatten() {
                    counter.text(call["function"]["arguments"].as_str().unwrap_or_default());
                }
            }
            "function_call" => counter.text(value["arguments"].as_str().unwrap_or_default()),
            "name" => {
                counter.add(1);
                counter.text(value.as_str().unwrap_or_default());
            }
            _ => counter.text(value.as_str().unwrap_or_default()),
        }
    }
}

/// A string, or parts in either dialect's words.
fn add_content(content: &Value, counter: &mut Counter) {
    match content {
        Value::String(text) => counter.text(text),
        Value::Array(parts) => parts.iter().for_each(|part| add_part(part, counter)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

fn add_part(part: &Value, counter: &mut Counter) {
    match part["type"].as_str() {
        Some("image_url" | "input_image" | "image") => {
            let high = part["image_url"]["detail"] == "high";
            counter.guess(if high { IMAGE_HIGH } else { IMAGE });
        }
        Some("text" | "input_text" | "output_text") => counter.text(part["text"].as_str().unwrap_or_default()),
        Some("tool_use") => {
            counter.text(part["name"].as_str().unwrap_or_default());
            counter.text(&part["input"].to_string());
        }
        Some("tool_result") => add_content(&part["content"], counter),
        Some("thinking") => counter.text(part["thinking"].as_str().unwrap_or_default()),
        Some("file" | "input_file" | "document" | "input_audio") => {
            // Three bytes of base64 text are two of the file, and a file is mostly not its text.
            counter.guess(IMAGE + part.to_string().len() as u64 / 16);
        }
        _ => counter.text(part.as_str().unwrap_or_default()),
    }
}

/// Text, a list of texts, tokens, or a list of lists of tokens.
fn prompt(value: &Value, counter: &mut Counter) {
    match value {
        Value::String(text) => counter.text(text),
        Value::Number(_) => counter.add(1),
        Value::Array(items) => items.iter().for_each(|item| prompt(item, counter)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}
