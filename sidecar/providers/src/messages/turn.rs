//! One message of a conversation, from Anthropic's words to OpenAI's.
//!
//! One of Anthropic's turns can be several of OpenAI's messages: the results of tools are messages of their own there, and
//! come before what the user says, because they answer the call in front of them.

use serde_json::{Map, Value, json};

use super::part::parts;
use crate::anthropic::part::{is_signed, marked};
use crate::{BadRequest, Dialect, Target, function, gemini};

/// The messages a turn becomes.
pub(super) fn messages(mut turn: Value, target: &Target<'_>, at: &str) -> Result<Vec<Value>, BadRequest> {
    let dialect = target.dialect;
    let role = turn["role"].as_str().unwrap_or_default().to_owned();
    let content = turn.get_mut("content").map(Value::take).unwrap_or_default();
    let blocks = match content {
        Value::String(text) => return Ok(vec![json!({"role": known(&role, at)?, "content": text})]),
        Value::Array(blocks) => blocks,
        _ => return Err(BadRequest::at(at, format!("{at}.content must be a string or a list of blocks"))),
    };
    match known(&role, at)? {
        "assistant" if dialect == Dialect::Bedrock => {
            Ok(in_order(blocks).into_iter().flat_map(|blocks| assistant(blocks, dialect)).collect())
        }
        "assistant" => Ok(assistant(blocks, dialect)),
        role => user(role, blocks, target, at),
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

/// A turn in pieces, of which each is thought, then said, then done, as messages are read: Claude wants its signed thoughts
/// back where they were, and neighbours become one turn again.
fn in_order(blocks: Vec<Value>) -> Vec<Vec<Value>> {
    let mut pieces: Vec<Vec<Value>> = vec![Vec::new()];
    let mut reached = 0;
    for block in blocks {
        let place = match block["type"].as_str().unwrap_or_default() {
            "thinking" | "redacted_thinking" => 0,
            "tool_use" => 2,
            _ => 1,
        };
        if place < reached {
            pieces.push(Vec::new());
        }
        reached = place;
        if let Some(piece) = pieces.last_mut() {
            piece.push(block);
        }
    }
    pieces
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

fn user(role: &str, blocks: Vec<Value>, target: &Target<'_>, at: &str) -> Result<Vec<Value>, BadRequest> {
    let mut messages = Vec::new();
    let mut said = Vec::new();
    for (index, mut block) in blocks.into_iter().enumerate() {
        let at = format!("{at}.content[{index}]");
        if block["type"] == "tool_result" {
            let (content, is_error) = (block["content"].take(), block["is_error"] == true);
            let mut answer = json!({"role": "tool", "tool_call_id": block["tool_use_id"]});
            if target.dialect == Dialect::Bedrock {
                // It has Anthropic's words for both.
                answer["content"] = shown(content, target, &at)?;
                answer["is_error"] = is_error.into();
            } else {
                let (text, images) = result(content, target, &at)?;
                answer["content"] = if is_error { function::failed(&text) } else { text }.into();
                said.extend(images);
            }
            messages.push(marked(answer, block.get_mut("cache_control").map(Value::take)));
        } else {
            said.extend(parts(block, target, &at)?);
        }
    }
    if said.is_empty() {
        return Ok(messages);
    }
    let content = match said.as_mut_slice() {
        // The plain form is the one every server takes.
        [part] if part["type"] == "text" && part["cache_control"].is_null() => part["text"].take(),
        _ => Value::Array(said),
    };
    messages.push(json!({"role": role, "content": content}));
    Ok(messages)
}

/// A tool's result as text; its images, which a tool's message cannot hold, follow in the user's.
fn result(content: Value, target: &Target<'_>, at: &str) -> Result<(String, Vec<Value>), BadRequest> {
    let blocks = match content {
        Value::Array(blocks) => blocks,
        Value::Null => return Ok((String::new(), Vec::new())),
        Value::String(text) => return Ok((text, Vec::new())),
        other => return Ok((other.to_string(), Vec::new())),
    };
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for block in blocks {
        for mut part in parts(block, target, at)? {
            if part["type"] == "text" {
                texts.extend(take_text(&mut part));
            } else {
                images.push(part);
            }
        }
    }
    Ok((texts.join("\n"), images))
}

/// A tool's result with all that is in it, as the parts of a message.
fn shown(content: Value, target: &Target<'_>, at: &str) -> Result<Value, BadRequest> {
    match content {
        Value::Array(blocks) => {
            let parts = blocks.into_iter().map(|block| parts(block, target, at));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.concat().into())
        }
        Value::Null | Value::String(_) => Ok(content),
        other => Ok(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Body, encode, read};

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
            for dialect in [Dialect::OpenAi, Dialect::Gemini, Dialect::Cohere] {
                let sent = messages(turn.clone(), &Target::new(dialect, "m"), "messages[0]").unwrap();
                assert_eq!(sent[0]["content"], want, "{turn}");
            }
        }
    }

    /// What Converse is sent for a conversation in Anthropic's words.
    fn converse(model: &str, assistant: &Value, result: &Value) -> Value {
        let mut result = result.clone();
        result["type"] = "tool_result".into();
        result["tool_use_id"] = "c1".into();
        let request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": assistant},
            {"role": "user", "content": [result, {"type": "text", "text": "go on"}]}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::Messages, &body).unwrap();
        let out = encode(Api::Messages, &body, &need, &Target::new(Dialect::Bedrock, model)).unwrap();
        serde_json::from_slice::<Value>(&out.body).unwrap()["messages"].take()
    }

    #[test]
    fn bedrock_hears_that_a_tool_failed_and_sees_what_it_showed() {
        let call = json!([{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]);
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}});
        let result = json!({"is_error": true, "content": [{"type": "text", "text": "boom"}, image]});
        let (text, picture) =
            (json!({"text": "boom"}), json!({"image": {"format": "png", "source": {"bytes": "QUJD"}}}));
        let go_on = json!({"text": "go on"});
        let taken = json!({"toolUseId": "c1", "content": [text, picture], "status": "error"});
        let plain = json!({"toolUseId": "c1", "content": [{"text": "Error: boom"}]});
        let rows = [
            ("eu.anthropic.claude-sonnet-4-5-v1:0", json!([{"toolResult": taken}, go_on])),
            ("amazon.nova-pro-v1:0", json!([{"toolResult": taken}, go_on])),
            ("meta.llama3-3-70b-instruct-v1:0", json!([{"toolResult": plain}, picture, go_on])),
        ];
        for (model, want) in rows {
            assert_eq!(converse(model, &call, &result)[2]["content"], want, "{model}");
        }
        let fine = converse("anthropic.claude-sonnet-4-5-v1:0", &call, &json!({"content": "ok"}));
        let want = json!({"toolUseId": "c1", "content": [{"text": "ok"}]});
        assert_eq!(fine[2]["content"][0]["toolResult"], want);
    }

    #[test]
    fn signed_thoughts_go_back_to_claude_in_their_places() {
        let thought = |text: &str| json!({"type": "thinking", "thinking": text, "signature": text});
        let turn = json!([thought("one"), {"type": "text", "text": "let me see"}, thought("two"),
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}}]);
        let back = |text: &str| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": text}}});
        let want = json!([back("one"), {"text": "let me see"}, back("two"),
            {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}]);
        let sent = converse("anthropic.claude-sonnet-4-5-v1:0", &turn, &json!({"content": "ok"}));
        assert_eq!(sent[1]["content"], want, "{sent}");
    }
}
