//! Counting a prompt: bounds that cost nothing, counts where a bound cannot decide.
//!
//! A byte-level tokenizer never makes more tokens than it gets bytes, so a prompt whose bytes fit needs no count. The
//! vocabularies are loaded by the first count that needs them (tens of milliseconds, nine megabytes), shared, and given
//! back when no count has needed them for ten turns of [`turn`]. Counting is work for a thread that may block: a megabyte
//! takes tens of milliseconds, whatever is in it.

mod attached;
mod classes;
mod items;
mod memory;
mod pieces;
mod rendering;
mod room;
mod shelf;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod vocabulary;

use serde_json::Value;

use crate::{Api, Body};
pub use attached::Attached;
use memory::Kind;
pub use shelf::IDLE_TURNS;
use template::{CALL, Own, Template};
use text::Counter;
pub use told::{Told, Turns, is_told, remember, told, turns};

/// Which tokenizer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Of OpenAI's models since GPT-4o.
    O200k,
    /// Of gpt-oss: the same for any text, in a template that has a system message of its own.
    Harmony,
    Cl100k,
    /// Of Qwen 2, 2.5 and 3.
    Qwen,
    /// Of DeepSeek V3 and R1, and what came of them.
    DeepSeek,
    /// Of Mistral's models since Nemo.
    Tekken,
    /// No tokenizer is known.
    Estimate,
}

// === impl Encoding ===

impl Encoding {
    /// As users write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Harmony => "o200k_harmony",
            Self::Cl100k => "cl100k_base",
            Self::Qwen => "qwen2",
            Self::DeepSeek => "deepseek_v3",
            Self::Tekken => "tekken",
            Self::Estimate => "estimate",
        }
    }
}

/// The prompt has at least `lower` tokens in the template of an encoding that is known, and at least `least` in any; its text
/// has at most `upper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub lower: u64,
    pub least: u64,
    pub upper: u64,
    pub attached: Attached,
}

/// A prompt's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub tokens: u64,
    /// False for estimates: no tokenizer, an image, or a text too long to be worth the time.
    pub exact: bool,
}

/// What OpenAI's template puts around a message.
const PER_MESSAGE: u64 = Encoding::O200k.template().message;

/// What an image costs where its size is not looked at: OpenAI's price for low detail, and for one tile of four in high.
const IMAGE: u64 = 85;
const IMAGE_HIGH: u64 = 765;

/// More than a template or a provider's own instructions about tools put around the prompt, whatever is in it.
const SLACK: u64 = 16;
const TOOLS_SLACK: u64 = 600;

/// Bounds from lengths alone, which are known since the prompt was read: it is not looked at again.
#[must_use]
pub fn bounds(api: Api, body: &Body) -> Bounds {
    let keys: &[&str] = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => {
            &["messages", "system", "tools", "functions", "response_format"]
        }
        Api::Completions => &["prompt", "suffix"],
        Api::Embeddings => &["input"],
        Api::Responses => &["input", "instructions", "tools", "text"],
        // What of it is a prompt, and what that comes to, only the provider knows; and who asks to count wants no bounds.
        Api::Tokenize | Api::Pass(_) => &[],
    };
    let mut upper: u64 = keys.iter().filter_map(|key| body.get_bytes(key)).map(|raw| raw.len() as u64).sum();
    let least = least(body);
    let attached = attached::find(api, body);
    let messages = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => body.array_len("messages").unwrap_or(0) as u64,
        Api::Responses => body.array_len("input").unwrap_or(0) as u64 + 2,
        Api::Completions | Api::Embeddings => {
            return Bounds { lower: least, least, upper, attached };
        }
        Api::Tokenize | Api::Pass(_) => return Bounds { lower: 0, least: 0, upper, attached },
    };
    // No image is read as the text that it is sent as.
    upper = upper.saturating_sub(attached.bytes) + SLACK + messages * 2 * PER_MESSAGE;
    if body.array_len("tools").is_some() || body.array_len("functions").is_some() {
        upper += TOOLS_SLACK;
    }
    // Several items of a response can be one message, and what of them is text depends on what they are.
    let lower = match api {
        Api::Responses if body.array_len("input").is_some() => 0,
        Api::Responses => least,
        _ => messages * PER_MESSAGE + least,
    };
    Bounds { lower, least, upper, attached }
}

/// No token of any encoding stands for more bytes than the longest.
fn least(body: &Body) -> u64 {
    let text: usize = ["messages", "system", "prompt", "input"].iter().map(|key| body.text_len(key)).sum();
    (text / vocabulary::LONGEST) as u64
}

/// Counts the prompt, as OpenAI's own recipe and LiteLLM's counter do.
#[must_use]
pub fn count(api: Api, body: &Body, encoding: Encoding) -> Count {
    count_while(api, body, encoding, &|| true)
}

/// [`count`] until `goes_on` says no, which it is asked every few kilobytes. The rest is estimated.
#[must_use]
pub fn count_while(api: Api, body: &Body, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> Count {
    let mut counter = Counter::new(encoding, goes_on);
    match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => chat(body, &mut counter),
        Api::Completions => prompt(&body.value("prompt").unwrap_or_default(), &mut counter),
        Api::Embeddings => prompt(&body.value("input").unwrap_or_default(), &mut counter),
        Api::Responses => items::count(body, &mut counter),
        Api::Tokenize => any(body, &mut counter),
        Api::Pass(_) => {}
    }
    counter.total()
}

/// Counts each of some elements of `messages`, or of a response's `input`, the template around it included; as
/// [`count_while`] does, and what one of them has counted the other does not count again.
#[must_use]
pub fn count_parts(api: Api, parts: &[&[u8]], encoding: Encoding, goes_on: &dyn Fn() -> bool) -> Vec<u64> {
    let mut counter = Counter::new(encoding, goes_on);
    let mut count = |part: &&[u8]| {
        let before = counter.total().tokens;
        match api {
            Api::Responses => counter.part(Kind::Item, part, items::add),
            _ => counter.part(Kind::Message, part, add_message),
        };
        counter.total().tokens - before
    };
    parts.iter().map(&mut count).collect()
}

/// Counts a text alone, and remembers it.
#[must_use]
pub fn count_text(text: &str, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> u64 {
    let mut counter = Counter::new(encoding, goes_on);
    counter.remembered(text);
    counter.total().tokens
}

/// Counts one message of `messages`, or one item of a response's `input`, the template around it included; as
/// [`count_while`] does.
#[must_use]
pub fn count_message(message: &Value, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> u64 {
    let mut counter = Counter::new(encoding, goes_on);
    if message["type"].is_string() {
        items::add(message, &mut counter);
    } else {
        add_message(message, &mut counter);
    }
    counter.total().tokens
}

/// Says that a turn is over: the caller's clock decides how long one is. What no count has needed for [`IDLE_TURNS`] of
/// them goes. Says how many vocabularies are in memory still.
pub fn turn() -> usize {
    text::MEMORY.turn();
    shelf::SHELF.turn()
}

fn chat(body: &Body, counter: &mut Counter<'_>) {
    counter.add(counter.template().prompt);
    let mut has_system = false;
    if let Some(system) = body.get_bytes("system").filter(|system| *system != b"null") {
        has_system = true;
        counter.part(Kind::System, system, add_system);
    }
    for message in body.elements("messages") {
        has_system |= counter.part(Kind::Message, message, add_message);
    }
    add_own(has_system, counter);
    add_tools(body, has_system, counter);
}

/// What the template says of its own.
fn add_own(has_system: bool, counter: &mut Counter<'_>) {
    if let Some(Own { always, alone, .. }) = counter.template().own {
        counter.guess(if has_system { always } else { always + alone });
    }
}

/// Whatever a model may be asked: a conversation, the input of a response, or mere text.
fn any(body: &Body, counter: &mut Counter<'_>) {
    let is_items = |input: &Value| input.as_array().is_some_and(|items| items.iter().any(Value::is_object));
    match (body.get("messages"), body.value("prompt"), body.value("input")) {
        (Some(_), _, _) => chat(body, counter),
        (None, Some(text), _) => prompt(&text, counter),
        (None, None, Some(input)) if is_items(&input) => items::count(body, counter),
        (None, None, input) => prompt(&input.unwrap_or_default(), counter),
    }
}

fn add_system(system: &Value, counter: &mut Counter<'_>) {
    counter.message();
    counter.text("system");
    add_content(system, counter);
}

fn add_tools(body: &Body, has_system: bool, counter: &mut Counter<'_>) {
    if body.array_len("tools").is_some_and(|tools| tools > 0) {
        let tools = body.get_bytes("tools").unwrap_or_default();
        counter.part(Kind::Tools, tools, |tools, counter| match counter.template().own {
            Some(Own { tools: Some(around), .. }) => {
                counter.text(&tools.to_string());
                counter.guess(around);
            }
            _ => counter.text(&rendering::tools(tools)),
        });
        counter.add(if has_system { 5 } else { 9 });
        add_choice(&body.value("tool_choice").unwrap_or_default(), counter);
    }
}

fn add_choice(choice: &Value, counter: &mut Counter<'_>) {
    if choice == "none" {
        counter.add(1);
    } else if let Some(name) = choice["function"]["name"].as_str().or_else(|| choice["name"].as_str()) {
        counter.add(7);
        counter.text(name);
    }
}

fn add_message(message: &Value, counter: &mut Counter<'_>) {
    counter.message();
    for (key, value) in message.as_object().into_iter().flatten() {
        match key.as_str() {
            "content" => add_content(value, counter),
            "tool_calls" => value.as_array().into_iter().flatten().for_each(|call| add_call(call, counter)),
            "function_call" => counter.text(value["arguments"].as_str().unwrap_or_default()),
            "name" => {
                counter.add(1);
                counter.text(value.as_str().unwrap_or_default());
            }
            _ => counter.text(value.as_str().unwrap_or_default()),
        }
    }
}

/// A call that was made. OpenAI's recipe knows the arguments alone.
fn add_call(call: &Value, counter: &mut Counter<'_>) {
    counter.text(call["function"]["arguments"].as_str().unwrap_or_default());
    if let Template { own: Some(Own { tools: Some(_), .. }), .. } = counter.template() {
        counter.text(call["function"]["name"].as_str().unwrap_or_default());
        counter.guess(CALL);
    }
}

/// A string, or parts in either dialect's words.
fn add_content(content: &Value, counter: &mut Counter<'_>) {
    match content {
        Value::String(text) => counter.text(text),
        Value::Array(parts) => parts.iter().for_each(|part| add_part(part, counter)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

fn add_part(part: &Value, counter: &mut Counter<'_>) {
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
        // Whatever it is, its text is read.
        _ => counter.text(part["text"].as_str().or_else(|| part.as_str()).unwrap_or_default()),
    }
}

/// Text, a list of texts, tokens, or a list of lists of tokens.
fn prompt(value: &Value, counter: &mut Counter<'_>) {
    match value {
        Value::String(text) => {
            counter.add(counter.template().text);
            counter.text(text);
        }
        Value::Number(_) => counter.add(1),
        Value::Array(items) => items.iter().for_each(|item| prompt(item, counter)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}
