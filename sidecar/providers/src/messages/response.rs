//! A whole answer of the OpenAI family, as Anthropic gives it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{REFUSAL, stop_reason};
use crate::anthropic::part::is_signed;
use crate::openai::answer::{no_answer, parse, usage};
use crate::openai::stand_in;
use crate::{Answer, Fault, Stamp, citations, gemini};

/// Translates an answer.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let mut body = parse(bytes)?;
    stand_in::answer(&mut body);
    let choices = body.value("choices").unwrap_or_default();
    let Some(choice) = choices.get(0) else { return Err(no_answer(&body, "choices")) };
    let content = blocks(&choice["message"])?;
    let calls_tools = content.iter().any(|block| block["type"] == "tool_use");
    let finish = choice["finish_reason"].as_str().ok_or_else(Fault::unfinished)?;
    let refused = choice["message"]["refusal"].as_str().is_some_and(|text| !text.is_empty());
    let reason = if refused { REFUSAL } else { stop_reason(finish, calls_tools) };
    let usage = usage(&body);
    let model = if shown_model.is_empty() { body.value("model").unwrap_or_default() } else { shown_model.into() };
    let answer = json!({
        "id": message_id(body.value("id").as_ref(), stamp.id()),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": null,
        "usage": usage.unwrap_or_default().to_anthropic(),
    });
    Ok(Answer { body: answer.to_string().into(), usage })
}

/// An id of Anthropic's kind. `own` is for an answer that has none.
pub(super) fn message_id(id: Option<&Value>, own: &str) -> String {
    format!("msg_{}", id.and_then(Value::as_str).filter(|id| !id.is_empty()).unwrap_or(own))
}

fn blocks(message: &Value) -> Result<Vec<Value>, Fault> {
    let mut blocks = Vec::new();
    thoughts(message, &mut blocks);
    match &message["content"] {
        Value::String(text) if !text.is_empty() => blocks.push(cited(text, &message["annotations"])),
        Value::Array(parts) => blocks.extend(parts.iter().filter_map(listed)),
        // What was spoken is text as well.
        _ => blocks.extend(message["audio"]["transcript"].as_str().map(|text| json!({"type": "text", "text": text}))),
    }
    if let Some(refusal) = message["refusal"].as_str().filter(|text| !text.is_empty()) {
        blocks.push(json!({"type": "text", "text": refusal}));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        blocks.push(json!({"type": "tool_use", "id": call["id"], "name": function["name"], "input": input(function)?}));
    }
    Ok(blocks)
}

/// The text with what it rests on.
fn cited(text: &str, annotations: &Value) -> Value {
    let mut block = json!({"type": "text", "text": text});
    let citations = citations::for_messages(annotations.as_array().map_or(&[], Vec::as_slice));
    if !citations.is_empty() {
        block["citations"] = citations.into();
    }
    block
}

/// What was thought, as it was signed, or as text with whatever signature its calls have.
fn thoughts(message: &Value, blocks: &mut Vec<Value>) {
    let signed = message["thinking_blocks"].as_array().filter(|signed| signed.iter().all(is_signed));
    if let Some(signed) = signed.filter(|signed| !signed.is_empty()) {
        return blocks.extend(signed.iter().cloned());
    }
    let signature = signature(&message["tool_calls"][0]);
    let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|key| message[*key].as_str());
    let thinking = reasoning.unwrap_or_default();
    if !thinking.is_empty() || signature.is_some() {
        let signature = signature.unwrap_or_default();
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": signature}));
    }
}

/// The signature of a thought of Gemini's, which came with a call, as a block of thinking keeps it.
pub(super) fn signature(call: &Value) -> Option<String> {
    Some(format!("{}{}", gemini::SIGNED, call.pointer(gemini::SIGNATURE)?.as_str()?))
}

/// A part of content that comes as a list: Mistral's thinking does.
fn listed(part: &Value) -> Option<Value> {
    match part["type"].as_str()? {
        "text" => Some(json!({"type": "text", "text": part["text"]})),
        "thinking" => {
            let inner = part["thinking"].as_array().into_iter().flatten();
            let text: String = inner.filter_map(|inner| inner["text"].as_str()).collect();
            Some(json!({"type": "thinking", "thinking": text, "signature": ""}))
        }
        _ => None,
    }
}

/// The model wrote the arguments; what is no object cannot be said in Anthropic's words.
fn input(function: &Value) -> Result<Value, Fault> {
    let arguments = match &function["arguments"] {
        Value::String(text) if text.trim().is_empty() => return Ok(json!({})),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        Value::Null => return Ok(json!({})),
        other => other.clone(),
    };
    if arguments.is_object() {
        return Ok(arguments);
    }
    let text = function["arguments"].to_string();
    Err(Fault::garbage("the model called a tool with arguments that are no JSON object", text.as_bytes()))
}
