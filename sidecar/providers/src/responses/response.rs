//! A chat's whole answer as a response.

use bytes::Bytes;
use serde_json::{Value, json};

use super::output::{Item, Kind, Part, output};
use super::{id, incomplete, native};
use crate::openai::answer::{no_answer, parse, usage};
use crate::{Answer, Fault, Stamp};

/// An answer of the OpenAI family: a response, or the chat that was asked for where there are none. It says itself which.
pub(crate) fn decode_either(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let body = parse(bytes)?;
    if body.get_bytes("choices").is_none() {
        return native::decode(shown_model, body);
    }
    decode(shown_model, stamp, body.to_bytes())
}

/// Translates a chat's answer. `stamp` is for those that do not say when it was made, or what it is called.
pub(crate) fn decode(shown_model: &str, stamp: Stamp<'_>, bytes: Bytes) -> Result<Answer, Fault> {
    let body = parse(bytes)?;
    let choices = body.value("choices").unwrap_or_default();
    // There is no way to ask for more than one answer.
    let Some(choice) = choices.get(0) else { return Err(no_answer(&body, "choices")) };
    let chat = body.value("id").unwrap_or_default();
    let chat = chat.as_str().filter(|chat| !chat.is_empty()).unwrap_or(stamp.id());
    let items = items(choice, chat);
    let reason = incomplete(choice["finish_reason"].as_str().ok_or_else(Fault::unfinished)?);
    let usage = usage(&body);
    let model = if shown_model.is_empty() { body.value("model").unwrap_or_default() } else { shown_model.into() };
    let mut response = json!({
        "id": id("resp", chat),
        "object": "response",
        "created_at": body.value("created").and_then(|created| created.as_u64()).unwrap_or(stamp.created),
        "status": if reason.is_some() { "incomplete" } else { "completed" },
        "error": null,
        "incomplete_details": reason.map(|reason| json!({"reason": reason})),
        "model": model,
        "output": output(&items, reason.is_none()),
        "usage": usage.map(crate::Usage::to_responses),
    });
    if let Some(tier) = body.value("service_tier").filter(Value::is_string) {
        response["service_tier"] = tier;
    }
    Ok(Answer { body: response.to_string().into(), usage })
}

/// Thoughts come before words, and words before calls: the order in which they are thought, said and done.
fn items(choice: &Value, chat: &str) -> Vec<Item> {
    let message = &choice["message"];
    let mut items = Vec::new();
    let (mut thoughts, mut parts) = (String::new(), Vec::new());
    let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|key| message[*key].as_str());
    thoughts.push_str(reasoning.unwrap_or_default());
    match &message["content"] {
        Value::String(text) if !text.is_empty() => parts.push(text_part(text, choice)),
        Value::Array(list) => {
            for part in list {
                parts.extend(part["text"].as_str().map(|text| Part::new(Kind::Text, text.to_owned())));
                let inner = part["thinking"].as_array().into_iter().flatten();
                inner.for_each(|inner| thoughts.push_str(inner["text"].as_str().unwrap_or_default()));
            }
        }
        // What was spoken is text as well.
        _ => {
            let spoken = message["audio"]["transcript"].as_str();
            parts.extend(spoken.map(|text| Part::new(Kind::Text, text.to_owned())));
        }
    }
    if let Some(refusal) = message["refusal"].as_str().filter(|text| !text.is_empty()) {
        parts.push(Part::new(Kind::Refusal, refusal.to_owned()));
    }
    let blocks = message["thinking_blocks"].as_array().cloned().unwrap_or_default();
    if !thoughts.is_empty() || !blocks.is_empty() {
        items.push(Item::Reasoning { id: id("rs", chat), text: thoughts, blocks });
    }
    if !parts.is_empty() {
        items.push(Item::Message { id: id("msg", chat), parts });
    }
    items.extend(message["tool_calls"].as_array().into_iter().flatten().map(Item::call));
    let pictures = message["images"].as_array().into_iter().flatten().filter_map(picture);
    let pictures: Vec<_> = pictures.enumerate().collect();
    items.extend(
        pictures.into_iter().map(|(index, data)| Item::Image { id: id("ig", &format!("{chat}_{index}")), data }),
    );
    items
}

fn text_part(text: &str, choice: &Value) -> Part {
    let annotations = choice["message"]["annotations"].as_array().into_iter().flatten().filter_map(annotation);
    let logprobs = choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
    Part { annotations: annotations.collect(), logprobs, ..Part::new(Kind::Text, text.to_owned()) }
}

/// A citation, which a chat wraps into an object of its kind.
pub(super) fn annotation(chat: &Value) -> Option<Value> {
    let mut out = chat["url_citation"].as_object()?.clone();
    out.insert("type".into(), "url_citation".into());
    Some(out.into())
}

/// A picture that the model drew, as a chat shows it: a data URL.
fn picture(image: &Value) -> Option<String> {
    let (_, data) = image["image_url"]["url"].as_str()?.split_once(";base64,")?;
    Some(data.to_owned())
}
