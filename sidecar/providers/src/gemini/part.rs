//! One part of a message's content, from OpenAI's words to Gemini's.

use serde_json::{Map, Value, json};

use super::model::Traits;
use crate::BadRequest;

/// Content, a string or a list of parts, as Gemini's parts. Empty text is no part: Google refuses it.
pub(super) fn parts(content: Value, traits: Traits, at: &str) -> Result<Vec<Value>, BadRequest> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text_part(text).into_iter().collect()),
        Value::Array(parts) => {
            let parts = parts.into_iter().enumerate();
            let parts = parts.map(|(index, part)| self::part(part, traits, &format!("{at}[{index}]")));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
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

pub(super) fn text_part(text: String) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"text": text}))
}

fn part(part: Value, traits: Traits, at: &str) -> Result<Option<Value>, BadRequest> {
    let Value::Object(mut part) = part else {
        return match part {
            Value::String(text) => Ok(text_part(text)),
            _ => Err(BadRequest::at(at, format!("{at} must be an object"))),
        };
    };
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" | "input_text" | "output_text" => Ok(text_part(take(&mut part, "text", at)?)),
        "refusal" => Ok(text_part(take(&mut part, "refusal", at)?)),
        "image_url" => image(&mut part, traits, at).map(Some),
        "input_audio" => {
            let Some(Value::Object(mut audio)) = part.remove("input_audio") else {
                return Err(missing(at, "input_audio"));
            };
            let format = take(&mut audio, "format", at)?;
            Ok(Some(inline(format!("audio/{format}"), take(&mut audio, "data", at)?)))
        }
        "file" => file(&mut part, traits, at).map(Some),
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
    let (url, detail, format) = match part.remove("image_url") {
        Some(Value::String(url)) => (url, Value::Null, Value::Null),
        Some(Value::Object(mut image)) => {
            let mut take_any = |key| image.remove(key).unwrap_or_default();
            let (detail, format) = (take_any("detail"), take_any("format"));
            (take(&mut image, "url", at)?, detail, format)
        }
        _ => return Err(missing(at, "image_url")),
    };
    let mut image = data(&url, format.as_str(), traits, at)?;
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
fn file(part: &mut Map<String, Value>, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    let Some(Value::Object(mut file)) = part.remove("file") else { return Err(missing(at, "file")) };
    let format = file.remove("format").unwrap_or_default();
    if let Some(Value::String(url)) = file.remove("file_data") {
        return data(&url, format.as_str(), traits, at);
    }
    let id = take(&mut file, "file_id", at)?;
    match format.as_str() {
        Some(mime_type) => Ok(json!({"fileData": {"mimeType": mime_type, "fileUri": id}})),
        None => Ok(json!({"fileData": {"fileUri": id}})),
    }
}

/// A data URL, or a place Google itself reads from: its own, or any public one.
fn data(url: &str, mime_type: Option<&str>, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    const OWN: [&str; 2] = ["gs://", "https://generativelanguage.googleapis.com/"];
    if let Some(inline) = data_url(url) {
        return Ok(inline);
    }
    let mime_type = mime_type.or_else(|| by_extension(url));
    let own = OWN.iter().any(|own| url.starts_with(own));
    let refused = match mime_type {
        Some(mime_type) if own || (traits.urls && url.starts_with("https://")) => {
            return Ok(json!({"fileData": {"mimeType": mime_type, "fileUri": url}}));
        }
        None if own => return Ok(json!({"fileData": {"fileUri": url}})),
        None if traits.urls && url.starts_with("https://") => {
            "is a URL that does not end in what it is, which Gemini wants to be told (give a \"format\" such as image/png)"
        }
        _ if traits.urls => "is neither an https URL nor a base64 data URL (data:image/png;base64,…)",
        _ => "is no base64 data URL (data:image/png;base64,…), and this model fetches no other URLs",
    };
    Err(BadRequest::at(at, format!("{at} {refused}")))
}

fn data_url(url: &str) -> Option<Value> {
    crate::anthropic::part::data_url(url).map(|(mime_type, data)| inline(mime_type.to_owned(), data.to_owned()))
}

/// What a file is, by the end of its URL.
fn by_extension(url: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 14] = [
        ("gif", "image/gif"),
        ("heic", "image/heic"),
        ("jpeg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("md", "text/markdown"),
        ("mov", "video/quicktime"),
        ("mp3", "audio/mpeg"),
        ("mp4", "video/mp4"),
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("txt", "text/plain"),
        ("wav", "audio/wav"),
        ("webm", "video/webm"),
        ("webp", "image/webp"),
    ];
    let path = url.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, mime_type)| *mime_type)
}
