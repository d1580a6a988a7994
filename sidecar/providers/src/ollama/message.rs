//! A conversation, from OpenAI's words to Ollama's: text and pictures apart, arguments as objects, and results by the name
//! of their tool.

use serde_json::{Map, Value, json};

use crate::{BadRequest, function};

/// Text of a message, and pictures as base64.
#[derive(Debug, Default)]
struct Content {
    text: String,
    images: Vec<Value>,
}

/// Ids and names of the calls so far.
type Calls = Vec<(String, String)>;

pub(super) fn messages(messages: Vec<Value>) -> Result<Vec<Value>, BadRequest> {
    let mut calls = Calls::new();
    let messages = messages.into_iter().enumerate();
    messages.map(|(index, message)| self::message(message, &mut calls, &format!("messages[{index}]"))).collect()
}

fn message(mut message: Value, calls: &mut Calls, at: &str) -> Result<Value, BadRequest> {
    let role = match message["role"].as_str().unwrap_or_default() {
        "system" | "developer" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" | "function" => "tool",
        other => return Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}"))),
    };
    let content = message.get_mut("content").map(Value::take).unwrap_or_default();
    let Content { mut text, images } = self::content(content, &format!("{at}.content"))?;
    text.push_str(message["refusal"].as_str().unwrap_or_default());
    let mut out = Map::new();
    out.insert("role".into(), role.into());
    if let Some(thoughts) = message["reasoning_content"].as_str().filter(|text| !text.is_empty()) {
        out.insert("thinking".into(), thoughts.into());
    }
    out.insert("content".into(), text.into());
    if !images.is_empty() {
        out.insert("images".into(), images.into());
    }
    match role {
        "assistant" => {
            let made = made(&message, calls, at)?;
            if !made.is_empty() {
                out.insert("tool_calls".into(), made.into());
            }
        }
        "tool" => {
            let id = message["tool_call_id"].as_str().filter(|id| !id.is_empty());
            let called = calls.iter().rev().find(|(called, _)| id.is_some_and(|id| id == called));
            let name = called.map(|(_, name)| name.as_str()).or_else(|| message["name"].as_str());
            // Templates find the result's call by the one or by the other.
            out.extend(id.map(|id| ("tool_call_id".into(), id.into())));
            out.extend(name.map(|name| ("tool_name".into(), name.into())));
        }
        _ => {}
    }
    Ok(Value::Object(out))
}

/// The calls of an assistant's message, in the old spelling too.
fn made(message: &Value, calls: &mut Calls, at: &str) -> Result<Vec<Value>, BadRequest> {
    let mut made = Vec::new();
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let id = call["id"].as_str().unwrap_or_default();
        made.push(self::call(&call["function"], id, calls, &format!("{at}.tool_calls[{index}]"))?);
    }
    if message["function_call"].is_object() {
        made.push(call(&message["function_call"], "", calls, &format!("{at}.function_call"))?);
    }
    Ok(made)
}

fn call(function: &Value, id: &str, calls: &mut Calls, at: &str) -> Result<Value, BadRequest> {
    let name = function::name(function.get("name"), at)?;
    calls.push((id.to_owned(), name.to_owned()));
    Ok(json!({"function": {"name": name, "arguments": function::arguments(function)}}))
}

fn content(content: Value, at: &str) -> Result<Content, BadRequest> {
    match content {
        Value::Null => Ok(Content::default()),
        Value::String(text) => Ok(Content { text, ..Content::default() }),
        Value::Array(parts) => {
            let mut content = Content::default();
            for (index, part) in parts.iter().enumerate() {
                content.add(part, &format!("{at}[{index}]"))?;
            }
            Ok(content)
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(BadRequest::at(at, format!("{at} must be a string or a list of parts")))
        }
    }
}

// === impl Content ===

impl Content {
    fn add(&mut self, part: &Value, at: &str) -> Result<(), BadRequest> {
        match part["type"].as_str() {
            Some("text" | "input_text" | "output_text") => {
                let text = part["text"].as_str();
                self.text.push_str(text.ok_or_else(|| BadRequest::at(at, format!("{at} has no \"text\"")))?);
            }
            Some("refusal") => self.text.push_str(part["refusal"].as_str().unwrap_or_default()),
            Some("image_url") => self.images.push(image(&part["image_url"], at)?.into()),
            Some(other) => {
                let message = format!("{at} is a {other:?}, and Ollama's models take text and pictures only");
                return Err(BadRequest::at(at, message));
            }
            None => match part.as_str() {
                Some(text) => self.text.push_str(text),
                None => return Err(BadRequest::at(at, format!("{at} has no \"type\""))),
            },
        }
        Ok(())
    }
}

/// The base64 of a picture.
fn image<'a>(image: &'a Value, at: &str) -> Result<&'a str, BadRequest> {
    let url = image.as_str().or_else(|| image["url"].as_str());
    let url = url.ok_or_else(|| BadRequest::at(at, format!("{at} has no \"image_url\"")))?;
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).map(|(_, data)| data);
    data.ok_or_else(|| {
        BadRequest::at(
            at,
            format!("{at} is no base64 data URL (data:image/png;base64,…), and Ollama fetches no others"),
        )
    })
}
