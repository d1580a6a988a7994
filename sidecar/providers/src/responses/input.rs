//! A conversation, from this API's items to a chat's messages.
//!
//! What a chat's assistant says in one message is several items here: its thoughts, its words, and each of its calls. They
//! are put together again, because a chat's results of tools have to follow the message that called for them.

use serde_json::{Map, Value, json};

use super::foreign;
use crate::item::{self, Kind};
use crate::{BadRequest, Dialect};

/// The messages as they grow.
#[derive(Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Value>,
    /// Thoughts whose words or calls are yet to come.
    thoughts: Thoughts,
    /// Results that came with their calls: their place is behind all calls of the turn.
    answers: Vec<Value>,
    /// What tools have shown to a model that cannot be told so: its place is behind all results.
    shown: Vec<Value>,
    /// Results of tools can hold images.
    rich: bool,
    /// Items that a chat has no word for: traces of tools that a provider ran itself.
    pub(super) left_out: Vec<String>,
}

#[derive(Default)]
struct Thoughts {
    text: String,
    /// With signatures, as they were given.
    blocks: Vec<Value>,
}

// === impl Conversation ===

impl Conversation {
    pub(super) fn read(instructions: Option<Value>, input: Value, dialect: Dialect) -> Result<Self, BadRequest> {
        let rich = matches!(dialect, Dialect::Anthropic | Dialect::BedrockInvoke | Dialect::Bedrock);
        let mut conversation = Self { rich, ..Self::default() };
        match instructions {
            None => {}
            Some(Value::String(text)) => conversation.messages.push(json!({"role": "system", "content": text})),
            Some(_) => return Err(BadRequest::at("instructions", "\"instructions\" must be a string")),
        }
        match input {
            Value::String(text) => conversation.messages.push(json!({"role": "user", "content": text})),
            Value::Array(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    conversation.item(item, &format!("input[{index}]"))?;
                }
            }
            _ => return Err(BadRequest::at("input", "\"input\" must be a text or a list of items")),
        }
        conversation.settle();
        Ok(conversation)
    }

    fn item(&mut self, mut item: Value, at: &str) -> Result<(), BadRequest> {
        if !item.is_object() {
            let message = format!("{at} must be an item, an object like {{\"role\": \"user\", \"content\": \"…\"}}");
            return Err(BadRequest::at(at, message));
        }
        let kind = item["type"].as_str().unwrap_or("message").to_owned();
        match (item::kind(&item), kind.as_str()) {
            (_, "message") => self.message(item, at),
            (_, "reasoning") => {
                self.thoughts.add(&mut item);
                Ok(())
            }
            (Kind::Call, "function_call") => self.call(item, at),
            (Kind::Call, kind) => self.call(foreign::call(&item, kind), at),
            (Kind::Answered, kind) => {
                self.call(foreign::call(&item, kind), at)?;
                self.answers.push(foreign::answer(&item));
                Ok(())
            }
            (Kind::Result, _) => self.result(foreign::result(item), at),
            (Kind::Trace, _) => {
                self.left_out.push(at.to_owned());
                Ok(())
            }
            (Kind::Other, other) => {
                let message =
                    format!("{at} is a {other:?}, which only backends with a Responses API of their own take");
                Err(BadRequest::at(at, message))
            }
        }
    }

    fn message(&mut self, mut item: Value, at: &str) -> Result<(), BadRequest> {
        let role = match item["role"].as_str().unwrap_or_default() {
            role @ ("user" | "assistant" | "system" | "developer") => role.to_owned(),
            other => {
                return Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}")));
            }
        };
        let content = content(item["content"].take(), &format!("{at}.content"))?;
        self.settle();
        if role != "assistant" {
            self.thoughts = Thoughts::default();
            self.messages.push(json!({"role": role, "content": content}));
            return Ok(());
        }
        self.assistant(|last| last["content"].is_null(), |message| _ = message.insert("content".into(), content));
        Ok(())
    }

    fn call(&mut self, mut item: Value, at: &str) -> Result<(), BadRequest> {
        let mut text = |key: &str| match item.get_mut(key).map(Value::take) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(BadRequest::at(at, format!("{at} has no {key:?}"))),
        };
        let function = json!({"name": text("name")?, "arguments": text("arguments")?});
        let mut call = json!({"id": text("call_id")?, "type": "function", "function": function});
        // What the provider wants back beside it.
        if let Some(extra) = item.get_mut("extra_content").map(Value::take).filter(|extra| !extra.is_null()) {
            call["extra_content"] = extra;
        }
        if !self.shown.is_empty() {
            self.settle();
        }
        self.assistant(|_| true, |message| append(message, "tool_calls", vec![call]));
        Ok(())
    }

    /// Writes an assistant's next item into the message it belongs to: the last one, if it is the assistant's and fits.
    fn assistant(&mut self, fits: impl FnOnce(&Value) -> bool, write: impl FnOnce(&mut Map<String, Value>)) {
        let continues = self.messages.last().is_some_and(|last| last["role"] == "assistant" && fits(last));
        if !continues {
            self.messages.push(json!({"role": "assistant", "content": null}));
        }
        let thoughts = std::mem::take(&mut self.thoughts);
        if let Some(Value::Object(message)) = self.messages.last_mut() {
            thoughts.add_to(message);
            write(message);
        }
    }

    fn result(&mut self, mut item: Value, at: &str) -> Result<(), BadRequest> {
        let Some(Value::String(id)) = item.get_mut("call_id").map(Value::take) else {
            return Err(BadRequest::at(at, format!("{at} has no \"call_id\"")));
        };
        let content = match item["output"].take() {
            Value::Array(list) => self.output(list, &format!("{at}.output"))?,
            Value::String(text) => text.into(),
            Value::Null => return Err(BadRequest::at(at, format!("{at} has no \"output\""))),
            other => other.to_string().into(),
        };
        self.messages.append(&mut self.answers);
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
        Ok(())
    }

    /// A tool's result: with its images and files where it can hold them, else as text, and they follow in the user's words.
    fn output(&mut self, list: Vec<Value>, at: &str) -> Result<Value, BadRequest> {
        let parts = list.into_iter().enumerate().map(|(index, item)| part(item, &format!("{at}[{index}]")));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        if self.rich && parts.iter().any(|part| part["type"] != "text") {
            return Ok(parts.into());
        }
        let mut texts = Vec::new();
        for mut part in parts {
            match part.get_mut("text").map(Value::take) {
                Some(Value::String(text)) => texts.push(text),
                _ => self.shown.push(part),
            }
        }
        Ok(texts.join("\n").into())
    }

    /// All calls and all results are there.
    fn settle(&mut self) {
        self.messages.append(&mut self.answers);
        let shown = std::mem::take(&mut self.shown);
        if !shown.is_empty() {
            self.messages.push(json!({"role": "user", "content": shown}));
        }
    }
}

// === impl Thoughts ===

impl Thoughts {
    fn add(&mut self, item: &mut Value) {
        for list in ["summary", "content"] {
            for part in item[list].as_array().into_iter().flatten() {
                self.text.push_str(part["text"].as_str().unwrap_or_default());
            }
        }
        // Ours are blocks in plain sight; a provider's own are for itself alone.
        let blocks = item["encrypted_content"].as_str().and_then(|text| serde_json::from_str(text).ok());
        if let Some(Value::Array(blocks)) = blocks {
            self.blocks.extend(blocks);
        }
    }

    fn add_to(self, message: &mut Map<String, Value>) {
        if !self.text.is_empty() {
            match message.get_mut("reasoning_content") {
                Some(Value::String(earlier)) => earlier.push_str(&self.text),
                _ => _ = message.insert("reasoning_content".into(), self.text.into()),
            }
        }
        if !self.blocks.is_empty() {
            append(message, "thinking_blocks", self.blocks);
        }
    }
}

fn append(message: &mut Map<String, Value>, key: &str, more: Vec<Value>) {
    match message.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.extend(more),
        None => _ = message.insert(key.into(), more.into()),
    }
}

fn content(content: Value, at: &str) -> Result<Value, BadRequest> {
    let list = match content {
        Value::String(text) => return Ok(text.into()),
        Value::Array(list) => list,
        _ => return Err(BadRequest::at(at, format!("{at} must be a text or a list of parts"))),
    };
    let parts = list.into_iter().enumerate().map(|(index, item)| part(item, &format!("{at}[{index}]")));
    let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
    match parts.as_mut_slice() {
        // The plain form is the one every server takes.
        [part] if part["type"] == "text" => Ok(part["text"].take()),
        _ => Ok(parts.into()),
    }
}

fn part(mut part: Value, at: &str) -> Result<Value, BadRequest> {
    match part["type"].as_str().unwrap_or_default() {
        "input_text" | "output_text" | "text" => Ok(json!({"type": "text", "text": part["text"].take()})),
        "refusal" => Ok(json!({"type": "text", "text": part["refusal"].take()})),
        "input_image" => image(part, at),
        "input_file" => file(&mut part, at),
        "input_audio" => Ok(json!({"type": "input_audio", "input_audio": part["input_audio"].take()})),
        "" => Err(BadRequest::at(at, format!("{at} has no \"type\""))),
        other => Err(BadRequest::at(at, format!("{at} is a {other:?}, want input_text, input_image or input_file"))),
    }
}

fn image(mut part: Value, at: &str) -> Result<Value, BadRequest> {
    let url = match part.get_mut("image_url").map(Value::take) {
        Some(Value::String(url)) => url,
        _ if part["file_id"].is_string() => return Err(elsewhere(at, "\"image_url\"")),
        _ => return Err(BadRequest::at(at, format!("{at} has no \"image_url\""))),
    };
    let mut image = json!({"url": url});
    if let Some(detail) = part.get_mut("detail").map(Value::take).filter(Value::is_string) {
        image["detail"] = detail;
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

/// A file, or where it is: whether its provider fetches it, the chat's dialect knows.
fn file(part: &mut Value, at: &str) -> Result<Value, BadRequest> {
    let given = ["file_data", "file_url"].into_iter().find(|key| part[*key].is_string());
    let Some(data) = given.and_then(|key| part[key].as_str()) else {
        return Err(elsewhere(at, "\"file_data\""));
    };
    let end = data.split(['?', '#']).next().and_then(|path| path.rsplit('/').next());
    let called = end.filter(|end| given == Some("file_url") && end.contains('.')).unwrap_or("file.pdf");
    let name = part["filename"].as_str().unwrap_or(called);
    Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
}

fn elsewhere(at: &str, key: &str) -> BadRequest {
    let message =
        format!("{at} is kept elsewhere, and this model's provider does not fetch it (send it as {key}, in base64)");
    BadRequest::at(at, message)
}
