//! One part of a message's content, from OpenAI's words to Gemini's.

use serde_json::{Map, Value, json};

use super::model::Traits;
use crate::BadRequest;

/// Content, a string or a list of parts, as Gemini's parts.
pub(super) fn parts(content: Value, traits: Traits, at: &str) -> Result<Vec<Value>, BadRequest> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![json!({"text": text})]),
        Value::Array(parts) => {
            let parts = parts.into_iter().enumerate();
            parts.map(|(index, part)| self::part(part, traits, &format!("{at}[{index}]"))).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(BadRequest::at(at, format!("{at} must be a string or a list of parts")))
        }
    }
}

/// The text of a content, its parts glued together.
pub(super) fn text(content: &Value, at: &str) -> Result<String, BadRequest> {
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.as_str().or_else(|| part.get("text").and_then(Value::as_str)))
            .map(|text| text.ok_or_else(|| BadRequest::at(at, format!("{at} may hold nothing but text here"))))
            .collect(),
        other => Ok(other.to_string()),
    }
}

fn part(part: Value, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    let Value::Object(mut part) = part else {
        return match part {
            Value::String(text) => Ok(json!({"text": text})),
            _ => Err(BadRequest::at(at, format!("{at} must be an object"))),
        };
    };
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" | "input_text" | "output_text" => Ok(json!({"text": take(&mut part, "text", at)?})),
        "refusal" => Ok(json!({"text": take(&mut part, "refusal", at)?})),
        "image_url" => image(&mut part, traits, at),
        "input_audio" => {
            let Some(Value::Object(mut audio)) = part.remove("input_audio") else {
                return Err(missing(at, "input_audio"));
            };
            let format = take(&mut audio, "format", at)?;
            Ok(inline(format!("audio/{format}"), take(&mut audio, "data", at)?))
        }
        "file" => file(&mut part, at),
        "" => Err(BadRequest::at(at, format!("{at} has no \"type\""))),
        other => Err(BadRequest::at(at, format!("{at} is a {other:?}, which Gemini models have no word for"))),
    }
}

fn missing(at: &str, key: &str) -> BadRequest {
    BadRequest::at(at, format!("{at} has no {key:?}"))
}

fn take(part: &mut Map<String, Value>, key: &str, at: &str) -> Result<String, BadRequest> {
    match part.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(missing(at, key)),
    }
}

fn inline(mime_type: String, data: String) -> Value {
    json!({"inlineData": {"mimeType": mime_type, "data": data}})
}

fn image(part: &mut Map<String, Value>, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    let (url, detail) = match part.remove("image_url") {
        Some(Value::String(url)) => (url, Value::Null),
        Some(Value::Object(mut image)) => (take(&mut image, "url", at)?, image.remove("detail").unwrap_or_default()),
        _ => return Err(missing(at, "image_url")),
    };
    let mut image = data(&url, at)?;
    let level = match detail.as_str() {
        Some("low") => "MEDIA_RESOLUTION_LOW",
        Some("medium") => "MEDIA_RESOLUTION_MEDIUM",
        Some("high") => "MEDIA_RESOLUTION_HIGH",
        _ => return Ok(image),
    };
    if traits.resolution {
        image["mediaResolution"] = json!({"level": level});
    }
    Ok(image)
}

/// A PDF, a sound or a text, inline or by the address of an upload.
fn file(part: &mut Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
    let Some(Value::Object(mut file)) = part.remove("file") else { return Err(missing(at, "file")) };
    if let Some(Value::String(url)) = file.remove("file_data") {
        return data(&url, at);
    }
    let id = take(&mut file, "file_id", at)?;
    match file.remove("format") {
        Some(Value::String(mime_type)) => Ok(json!({"fileData": {"mimeType": mime_type, "fileUri": id}})),
        _ => Ok(json!({"fileData": {"fileUri": id}})),
    }
}

/// A data URL, or a place Gemini itself reads from.
fn data(url: &str, at: &str) -> Result<Value, BadRequest> {
    const OWN: [&str; 2] = ["gs://", "https://generativelanguage.googleapis.com/"];
    if OWN.iter().any(|prefix| url.starts_with(prefix)) {
        return Ok(json!({"fileData": {"fileUri": url}}));
    }
    let parsed = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')).and_then(|(head, data)| {
        let mime_type = head.strip_suffix(";base64")?.split(';').next()?;
        mime_type.contains('/').then(|| inline(mime_type.to_owned(), data.to_owned()))
    });
    parsed.ok_or_else(|| {
        let message = "is no base64 data URL (data:image/png;base64,…), and Gemini models fetch no other URLs";
        BadRequest::at(at, format!("{at} {message}"))
    })
}
