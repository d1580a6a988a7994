//! One message of a conversation, from Anthropic's words to OpenAI's.
//!
//! One of Anthropic's turns can be several of OpenAI's messages: the results of tools are messages of their own there, and
//! come before what the user says, because they answer the call in front of them.

use serde_json::{Map, Value, json};

use crate::anthropic::part::{is_signed, marked};
use crate::{BadRequest, Dialect, gemini};

/// The messages a turn becomes.
pub(super) fn messages(mut turn: Value, dialect: Dialect, at: &str) -> Result<Vec<Value>, BadRequest> {
    let role = turn["role"].as_str().unwrap_or_default().to_owned();
    let content = turn.get_mut("content").map(Value::take).unwrap_or_default();
    let blocks = match content {
        Value::String(text) => return Ok(vec![json!({"role": known(&role, at)?, "content": text})]),
        Value::Array(blocks) => blocks,
        _ => return Err(BadRequest::at(at, format!("{at}.content must be a string or a list of blocks"))),
    };
    match known(&role, at)? {
        "assistant" => Ok(assistant(blocks, dialect)),
        role => user(role, blocks, dialect, at),
    }
}

fn known(role: &str, at: &str) -> Result<&'static str, BadRequest> {
    match role {
        "user" => Ok("user"),
        "assistant" => Ok("assistant"),
        "system" => Ok("system"),
        other => Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}"))),
    }
}

/// Text of several blocks as one string, or nothing.
fn joined(texts: Vec<String>) -> Value {
    if texts.is_empty() { Value::Null } else { texts.concat().into() }
}

/// Thinking goes on as text; a signature goes on to those alone who can have signed it.
fn assistant(blocks: Vec<Value>, dialect: Dialect) -> Vec<Value> {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    let mut thoughts = String::new();
    let mut signature = None;
    let mut signed = Vec::new();
    let is_claude = !matches!(dialect, Dialect::OpenAi | Dialect::Gemini | Dialect::Cohere | Dialect::Ollama);
    for mut block in blocks {
        match block["type"].as_str().unwrap_or_default() {
            "text" => texts.extend(take_text(&mut block)),
            "thinking" => {
                thoughts.push_str(block["thinking"].as_str().unwrap_or_default());
                if let Some(own) = block["signature"].as_str().and_then(|text| text.strip_prefix(gemini::SIGNED)) {
                    signature = Some(own.to_owned());
                } else if is_claude && is_signed(&block) {
                    signed.push(block);
                }
            }
            "redacted_thinking" if is_claude => signed.push(block),
            "tool_use" => calls.push(json!({
                "id": block["id"],
                "type": "function",
                "function": {"name": block["name"], "arguments": block["input"].to_string()},
            })),
            _ => {}
        }
    }
    // The first of several calls has the signature of them all.
    if let (Some(call), Some(signature)) = (calls.first_mut(), signature.filter(|_| dialect == Dialect::Gemini)) {
        call["extra_content"] = json!({"google": {"thought_signature": signature}});
    }
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    message.insert("content".into(), joined(texts));
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    if message["content"].is_null() && !message.contains_key("tool_calls") {
        return Vec::new();
    }
    if !thoughts.is_empty() {
        message.insert("reasoning_content".into(), thoughts.into());
    }
    if !signed.is_empty() {
        message.insert("thinking_blocks".into(), signed.into());
    }
    vec![Value::Object(message)]
}

fn take_text(block: &mut Value) -> Option<String> {
    match block.get_mut("text").map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn user(role: &str, blocks: Vec<Value>, dialect: Dialect, at: &str) -> Result<Vec<Value>, BadRequest> {
    let mut messages = Vec::new();
    let mut parts = Vec::new();
    for (index, mut block) in blocks.into_iter().enumerate() {
        let at = format!("{at}.content[{index}]");
        if block["type"] == "tool_result" {
            let (text, images) = result(block["content"].take(), dialect, &at)?;
            let text = if block["is_error"] == true { failed(text) } else { text };
            let answer = json!({"role": "tool", "tool_call_id": block["tool_use_id"], "content": text});
            messages.push(marked(answer, block.get_mut("cache_control").map(Value::take)));
            parts.extend(images);
        } else {
            parts.push(part(block, dialect, &at)?);
        }
    }
    if parts.is_empty() {
        return Ok(messages);
    }
    let content = match parts.as_mut_slice() {
        // The plain form is the one every server takes.
        [part] if part["type"] == "text" && part["cache_control"].is_null() => part["text"].take(),
        _ => Value::Array(parts),
    };
    messages.push(json!({"role": role, "content": content}));
    Ok(messages)
}

/// A tool that failed. Nobody else has a word for it, so it is said in front of what the tool said: a model that takes an
/// error for the answer goes on from it.
fn failed(text: Value) -> Value {
    match text.as_str().unwrap_or_default() {
        "" => "Error".into(),
        said if said.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) => text,
        said => format!("Error: {said}").into(),
    }
}

/// A tool's result as text; its images, which a tool's message cannot hold, follow in the user's.
fn result(content: Value, dialect: Dialect, at: &str) -> Result<(Value, Vec<Value>), BadRequest> {
    let blocks = match content {
        Value::Array(blocks) => blocks,
        Value::Null => return Ok(("".into(), Vec::new())),
        Value::String(text) => return Ok((text.into(), Vec::new())),
        other => return Ok((other.to_string().into(), Vec::new())),
    };
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for mut block in blocks {
        match block["type"].as_str() {
            Some("text") => texts.extend(take_text(&mut block)),
            _ => images.push(part(block, dialect, at)?),
        }
    }
    Ok((texts.join("\n").into(), images))
}

pub(super) fn part(mut block: Value, dialect: Dialect, at: &str) -> Result<Value, BadRequest> {
    let mark = block.get_mut("cache_control").map(Value::take);
    Ok(marked(unmarked(block, dialect, at)?, mark))
}

fn unmarked(mut block: Value, dialect: Dialect, at: &str) -> Result<Value, BadRequest> {
    match block["type"].as_str().unwrap_or_default() {
        "text" => Ok(json!({"type": "text", "text": block["text"].take()})),
        "image" => Ok(json!({"type": "image_url", "image_url": {"url": url(&block["source"], at)?}})),
        "document" => document(&block, dialect, at),
        "" => Err(BadRequest::at(at, format!("{at} has no \"type\""))),
        other => Err(BadRequest::at(at, format!("{at} is a {other:?}, which nobody but Anthropic can take"))),
    }
}

fn url(source: &Value, at: &str) -> Result<String, BadRequest> {
    let text = |key: &str| source[key].as_str();
    match (text("type"), text("media_type"), text("data"), text("url")) {
        (Some("url"), _, _, Some(url)) => Ok(url.to_owned()),
        (Some("base64"), Some(media_type), Some(data), _) => Ok(format!("data:{media_type};base64,{data}")),
        _ => Err(BadRequest::at(at, format!("{at}.source is neither base64 nor a URL (files stay at their provider)"))),
    }
}

fn document(block: &Value, dialect: Dialect, at: &str) -> Result<Value, BadRequest> {
    let source = &block["source"];
    if source["type"] == "text" {
        return Ok(json!({"type": "text", "text": source["data"]}));
    }
    if source["type"] == "url" && dialect == Dialect::Gemini {
        return Ok(json!({"type": "file", "file": {"file_data": source["url"], "format": "application/pdf"}}));
    }
    if source["type"] == "url" {
        let message = format!("{at} is a document by URL, which this backend does not fetch (send it as base64)");
        return Err(BadRequest::at(at, message));
    }
    let name = block["title"].as_str().unwrap_or("document.pdf");
    Ok(json!({"type": "file", "file": {"filename": name, "file_data": url(source, at)?}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_failed_is_known_to_have_failed_whoever_is_asked() {
        let rows = [
            (json!(true), json!("boom"), "Error: boom"),
            (json!(true), json!([{"type": "text", "text": "no such file"}]), "Error: no such file"),
            (json!(true), json!("ERROR 7"), "ERROR 7"),
            (json!(true), json!("é"), "Error: é"),
            (json!(true), json!(null), "Error"),
            (json!(false), json!("boom"), "boom"),
            (json!(null), json!("boom"), "boom"),
        ];
        for (is_error, content, want) in rows {
            let block = json!({"type": "tool_result", "tool_use_id": "c1", "is_error": is_error, "content": content});
            let turn = json!({"role": "user", "content": [block]});
            for dialect in [Dialect::OpenAi, Dialect::Gemini, Dialect::Bedrock] {
                let sent = messages(turn.clone(), dialect, "messages[0]").unwrap();
                assert_eq!(sent[0]["content"], want, "{turn}");
            }
        }
    }
}
