//! A whole answer of Gemini's, as OpenAI gives it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{SIGNED, finish_reason, is_blocked, is_malformed, usage};
use crate::openai::answer::parse;
use crate::{Answer, Dialect, Fault, Stamp, citations, fault};

/// Translates an answer. When it was made Gemini does not say, nor always what it is called.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    let choices = choices(&answer, stamp)?;
    if choices.is_empty() {
        let inside = fault::inside(Dialect::Gemini, &answer);
        return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"candidates\"", &bytes)));
    }
    let usage = usage(&answer);
    let model = if shown_model.is_empty() { answer["modelVersion"].clone() } else { shown_model.into() };
    let mut out = json!({
        "id": chat_id(&answer, stamp.id()),
        "object": "chat.completion",
        "created": stamp.created,
        "model": model,
        "choices": choices,
    });
    if let Some(usage) = usage {
        out["usage"] = usage.to_openai();
    }
    Ok(Answer { body: out.to_string().into(), usage })
}

pub(super) fn chat_id(answer: &Value, id: &str) -> String {
    format!("chatcmpl-{}", answer["responseId"].as_str().unwrap_or(id))
}

/// Ids for the calls of one answer: Gemini's older models have none, and a call must be told from those of other answers.
pub(super) fn call_id(answer: &Value, id: &str, count: usize) -> String {
    format!("call_{}_{count}", answer["responseId"].as_str().unwrap_or(id))
}

/// What a prompt was refused for.
pub(super) fn block_reason(answer: &Value) -> Option<&str> {
    answer.pointer("/promptFeedback/blockReason")?.as_str()
}

fn choices(answer: &Value, stamp: Stamp<'_>) -> Result<Vec<Value>, Fault> {
    if block_reason(answer).is_some() {
        let message = json!({"role": "assistant", "content": null, "refusal": null});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "content_filter"});
        return Ok(vec![choice]);
    }
    let mut calls = 0;
    let candidates = answer["candidates"].as_array().into_iter().flatten().enumerate();
    candidates.map(|(index, candidate)| choice(answer, candidate, index, stamp, &mut calls)).collect()
}

fn choice(
    answer: &Value,
    candidate: &Value,
    index: usize,
    stamp: Stamp<'_>,
    calls: &mut usize,
) -> Result<Value, Fault> {
    let mut read = Parts::default();
    for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
        read.add(part, || {
            *calls += 1;
            call_id(answer, stamp.id(), *calls)
        });
    }
    let Some(reason) = candidate["finishReason"].as_str() else { return Err(Fault::unfinished()) };
    if is_malformed(reason) && !read.answers() {
        return Err(Fault::failed(reason, candidate["finishMessage"].as_str()));
    }
    if is_blocked(reason) {
        read = Parts::default();
    }
    let finish = finish_reason(reason, !read.calls.is_empty());
    read.annotations = citations::of_gemini(&candidate["groundingMetadata"], read.text.as_deref().unwrap_or_default());
    let logprobs = logprobs(&candidate["logprobsResult"]);
    Ok(json!({"index": index, "message": read.into_message(), "logprobs": logprobs, "finish_reason": finish}))
}

/// How likely each token was, and what could have stood there.
pub(super) fn logprobs(result: &Value) -> Value {
    let Some(chosen) = result["chosenCandidates"].as_array() else { return Value::Null };
    let token = |candidate: &Value| {
        let text = candidate["token"].as_str().unwrap_or_default();
        json!({"token": text, "logprob": candidate["logProbability"], "bytes": text.as_bytes()})
    };
    let tokens = chosen.iter().enumerate().map(|(index, candidate)| {
        let others = result["topCandidates"][index]["candidates"].as_array().into_iter().flatten();
        let mut out = token(candidate);
        out["top_logprobs"] = others.map(token).collect();
        out
    });
    json!({"content": tokens.collect::<Vec<_>>(), "refusal": null})
}

/// Parts by kind.
#[derive(Default)]
struct Parts {
    text: Option<String>,
    thoughts: String,
    thinking: Vec<Value>,
    calls: Vec<Value>,
    images: Vec<Value>,
    annotations: Vec<Value>,
}

impl Parts {
    fn add(&mut self, part: &Value, id: impl FnOnce() -> String) {
        let signature = part["thoughtSignature"].as_str();
        if let Some(text) = part["text"].as_str() {
            if part["thought"] == true {
                self.thoughts.push_str(text);
                let mut block = json!({"type": "thinking", "thinking": text});
                if let Some(signature) = signature {
                    block["signature"] = format!("{SIGNED}{signature}").into();
                }
                self.thinking.push(block);
            } else {
                self.text.get_or_insert_default().push_str(text);
            }
        }
        if part["functionCall"].is_object() {
            self.calls.push(call(&part["functionCall"], signature, id));
        }
        if let Some(image) = image(part) {
            self.images.push(image);
        }
    }

    /// Whether there is anything but thoughts.
    fn answers(&self) -> bool {
        self.text.as_ref().is_some_and(|text| !text.is_empty()) || !self.calls.is_empty() || !self.images.is_empty()
    }

    fn into_message(self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), self.text.into());
        message.insert("refusal".into(), Value::Null);
        if !self.annotations.is_empty() {
            message.insert("annotations".into(), self.annotations.into());
        }
        if !self.thoughts.is_empty() {
            message.insert("reasoning_content".into(), self.thoughts.into());
            message.insert("thinking_blocks".into(), self.thinking.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into());
        }
        if !self.images.is_empty() {
            message.insert("images".into(), self.images.into());
        }
        Value::Object(message)
    }
}

/// A call, with the signature its result has to come back with.
pub(super) fn call(call: &Value, signature: Option<&str>, id: impl FnOnce() -> String) -> Value {
    let id = call["id"].as_str().map_or_else(id, str::to_owned);
    let arguments = if call["args"].is_object() { call["args"].to_string() } else { "{}".to_owned() };
    let mut out = json!({"id": id, "type": "function", "function": {"name": call["name"], "arguments": arguments}});
    if let Some(signature) = signature {
        out["extra_content"] = json!({"google": {"thought_signature": signature}});
    }
    out
}

/// A picture the model drew.
pub(super) fn image(part: &Value) -> Option<Value> {
    let data = part.get("inlineData")?;
    let (mime_type, data) = (data["mimeType"].as_str()?, data["data"].as_str()?);
    let url = format!("data:{mime_type};base64,{data}");
    mime_type.starts_with("image/").then(|| json!({"type": "image_url", "image_url": {"url": url}}))
}
