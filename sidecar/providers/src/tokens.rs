//! Counting a prompt: bounds that cost nothing, counts where a bound cannot decide.
//!
//! A byte-level tokenizer never makes more tokens than it gets bytes, so a prompt whose bytes fit needs no count. The
//! vocabularies are loaded by the first count that needs them (tens of milliseconds, nine megabytes), shared, and given
//! back when no count has needed them for ten turns of [`turn`]. Counting is work for a thread that may block: a megabyte
//! takes tens of milliseconds, whatever is in it.

mod attached;
mod classes;
mod estimate;
mod items;
mod memory;
mod parts;
mod pieces;
mod rendering;
mod room;
mod shelf;
mod special;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod vocabulary;

use memchr::memmem;
use serde_json::Value;

use crate::{Api, Body};
pub use attached::Attached;
use memory::Kind;
use parts::{add_content, add_other};
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
    /// It is a list of prompts, each of which has a window to itself.
    pub is_list: bool,
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

/// What only a request for a response has.
const RESPONSE: [&str; 5] = ["instructions", "tools", "text", "previous_response_id", "conversation"];

/// More than a template or a provider's own instructions about tools put around the prompt, whatever is in it.
const SLACK: u64 = 16;
const TOOLS_SLACK: u64 = 600;

/// Bounds from lengths alone, which are known since the prompt was read: it is not looked at again.
#[must_use]
pub fn bounds(api: Api, body: &Body) -> Bounds {
    let keys: &[&str] = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => {
            &["messages", "system", "tools", "functions", "response_format", "output_config", "output_format"]
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
            let is_list = keys.first().is_some_and(|key| is_list(body, key));
            return Bounds { lower: least, least, upper, attached, is_list };
        }
        Api::Tokenize | Api::Pass(_) => return Bounds { lower: 0, least: 0, upper, attached, is_list: false },
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
    Bounds { lower, least, upper, attached, is_list: false }
}

/// Whether a field is a list of texts, or of lists of tokens.
fn is_list(body: &Body, key: &str) -> bool {
    let inside = body.get_bytes(key).and_then(|raw| raw.strip_prefix(b"["));
    inside.is_some_and(|inside| matches!(inside.trim_ascii_start().first(), Some(b'"' | b'[')))
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
    counted(api, body, encoding, goes_on).total()
}

/// The same, and what the longest of several prompts comes to: each has a window to itself.
#[must_use]
pub fn count_list_while(api: Api, body: &Body, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> (Count, u64) {
    let counter = counted(api, body, encoding, goes_on);
    (counter.total(), counter.longest())
}

fn counted<'a>(api: Api, body: &Body, encoding: Encoding, goes_on: &'a dyn Fn() -> bool) -> Counter<'a> {
    let mut counter = Counter::new(encoding, goes_on);
    match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => chat(body, &mut counter),
        Api::Completions => {
            prompt(&body.value("prompt").unwrap_or_default(), Counter::raw, &mut counter);
            counter.text(body.value("suffix").as_ref().and_then(Value::as_str).unwrap_or_default());
        }
        Api::Embeddings => prompt(&body.value("input").unwrap_or_default(), Counter::text, &mut counter),
        Api::Responses => items::count(body, &mut counter),
        Api::Tokenize => any(body, &mut counter),
        Api::Pass(_) => {}
    }
    counter
}

/// Counts each of some elements of `messages`, or of a response's `input`, the template around it included; as
/// [`count_while`] does, and what one of them has counted the other does not count again.
#[must_use]
pub fn count_parts(api: Api, parts: &[&[u8]], encoding: Encoding, goes_on: &dyn Fn() -> bool) -> Vec<u64> {
    let mut counter = Counter::new(encoding, goes_on);
    let (kind, add) = part_of(api);
    let mut count = |part: &&[u8]| {
        let before = counter.total().tokens;
        counter.part(kind, part, add);
        counter.total().tokens - before
    };
    parts.iter().map(&mut count).collect()
}

/// What a part of a conversation is, and how it is counted: the one who would read it decides, and not what is in it.
fn part_of<'a>(api: Api) -> (Kind, fn(&Value, &mut Counter<'a>)) {
    if api == Api::Responses { (Kind::Item, items::add) } else { (Kind::Message, add_message) }
}

/// Counts a text alone, and remembers it.
#[must_use]
pub fn count_text(text: &str, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> u64 {
    let mut counter = Counter::new(encoding, goes_on);
    counter.remembered(text);
    counter.total().tokens
}

/// Counts one of them, which is not written down.
#[must_use]
pub fn count_message(api: Api, message: &Value, encoding: Encoding, goes_on: &dyn Fn() -> bool) -> u64 {
    let mut counter = Counter::new(encoding, goes_on);
    let (_, add) = part_of(api);
    add(message, &mut counter);
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
    for key in ["response_format", "output_config", "output_format"] {
        add_schema(body, key, counter);
    }
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
    let is_given = |key: &&str| body.get_bytes(key).is_some_and(|raw| raw != b"null");
    match (body.get("messages"), body.value("prompt"), body.value("input")) {
        (Some(_), _, _) => chat(body, counter),
        (None, Some(text), _) => prompt(&text, Counter::raw, counter),
        (None, None, Some(input)) if is_items(&input) || RESPONSE.iter().any(is_given) => items::count(body, counter),
        (None, None, input) => prompt(&input.unwrap_or_default(), Counter::text, counter),
    }
}

fn add_system(system: &Value, counter: &mut Counter<'_>) {
    counter.message();
    counter.text("system");
    add_content(system, counter);
}

fn add_tools(body: &Body, has_system: bool, counter: &mut Counter<'_>) {
    for (key, choice) in [("tools", "tool_choice"), ("functions", "function_call")] {
        let tools = body.get_bytes(key).unwrap_or_default();
        match body.array_len(key) {
            Some(0) => continue,
            Some(_) => {}
            // Whatever it is, it is no list of tools.
            None => {
                counter.guess_json(if tools == b"null" { 0 } else { tools.len() });
                continue;
            }
        }
        counter.part(Kind::Tools, tools, |tools, counter| match counter.template().own {
            Some(Own { tools: Some(around), .. }) => {
                counter.text(&tools.to_string());
                counter.guess(around);
            }
            _ => {
                counter.text(&rendering::tools(tools));
                counter.guess_json(rendering::unread(tools));
            }
        });
        counter.add(if has_system { 5 } else { 9 });
        add_choice(&body.value(choice).unwrap_or_default(), counter);
    }
}

/// What the answer has to look like. How a model is told is its provider's to know.
fn add_schema(body: &Body, key: &str, counter: &mut Counter<'_>) {
    let raw = body.get_bytes(key).filter(|raw| memmem::find(raw, b"schema").is_some());
    counter.guess_json(raw.map_or(0, <[u8]>::len));
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
            "tool_calls" if value.is_array() => {
                value.as_array().into_iter().flatten().for_each(|call| add_call(call, counter));
            }
            "function_call" => counter.text(value["arguments"].as_str().unwrap_or_default()),
            "name" => {
                counter.add(1);
                counter.text(value.as_str().unwrap_or_default());
            }
            // What was cited, and what is kept of the prompt, is nothing that is said; and thoughts are said once.
            "annotations" | "cache_control" | "thinking_blocks" => {}
            _ => add_other(value, counter),
        }
    }
    if !message.is_object() {
        add_other(message, counter);
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

/// Text, a list of texts, tokens, or a list of lists of tokens.
fn prompt<'a>(value: &Value, text: fn(&mut Counter<'a>, &str), counter: &mut Counter<'a>) {
    match value {
        Value::String(words) => {
            counter.add(counter.template().text);
            text(counter, words);
        }
        Value::Number(_) => counter.add(1),
        Value::Array(items) => items.iter().for_each(|item| counter.one_of(|counter| prompt(item, text, counter))),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}
