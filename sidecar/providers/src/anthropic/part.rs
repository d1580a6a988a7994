//! One part of a message's content, from OpenAI's words to Anthropic's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::model::Traits;
use crate::{BadRequest, gemini};

/// Content, a string or a list of parts, as blocks. Empty text is no block: Anthropic refuses it.
pub(super) fn blocks(content: Value, traits: Traits, at: &str) -> Result<Vec<Value>, BadRequest> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text_block(text).into_iter().collect()),
        Value::Array(parts) => {
            let parts =
                parts.into_iter().enumerate().map(|(index, part)| block(part, traits, &format!("{at}[{index}]")));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(BadRequest::at(at, format!("{at} must be a string or a list of parts")))
        }
    }
}

pub(super) fn text_block(text: String) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn block(part: Value, traits: Traits, at: &str) -> Result<Option<Value>, BadRequest> {
    let Value::Object(mut part) = part else {
        return match part {
            Value::String(text) => Ok(text_block(text)),
            _ => Err(BadRequest::at(at, format!("{at} must be an object"))),
        };
    };
    let mark = part.shift_remove("cache_control");
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let block = match kind.as_str() {
        "text" | "input_text" | "output_text" => text_block(take_text(&mut part, "text", at)?),
        "refusal" => text_block(take_text(&mut part, "refusal", at)?),
        "image_url" => Some(image(part, traits, at)?),
        "file" => Some(file(part, traits, at)?),
        "input_audio" => {
            let message = format!("{at} is audio, which Anthropic models cannot hear (send its transcript as text)");
            return Err(BadRequest::at(at, message));
        }
        "" => return Err(BadRequest::at(at, format!("{at} has no \"type\""))),
        // Blocks in Anthropic's own words, and those yet to come.
        _ => Some(Value::Object(part)),
    };
    Ok(block.map(|block| marked(block, mark)))
}

/// Whether a block of thinking is one that Claude takes back: it checks the signature, and others have none or their own.
pub(crate) fn is_signed(block: &Value) -> bool {
    match block["type"].as_str() {
        Some("thinking") => {
            let signature = block["signature"].as_str().unwrap_or_default();
            !signature.is_empty() && !signature.starts_with(gemini::SIGNED)
        }
        _ => block.is_object(),
    }
}

/// A block with its `cache_control`.
pub(crate) fn marked(mut block: Value, mark: Option<Value>) -> Value {
    if let (Some(block), Some(mark)) = (block.as_object_mut(), mark.filter(|mark| !mark.is_null())) {
        block.insert("cache_control".into(), mark);
    }
    block
}

fn take_text(part: &mut Map<String, Value>, key: &str, at: &str) -> Result<String, BadRequest> {
    match part.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(BadRequest::at(at, format!("{at} has no {key:?}"))),
    }
}

/// `{"image_url": {"url": …}}`, or the URL alone.
fn image(mut part: Map<String, Value>, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    let url = match part.remove("image_url") {
        Some(Value::String(url)) => url,
        Some(Value::Object(mut image)) => take_text(&mut image, "url", at)?,
        _ => return Err(BadRequest::at(at, format!("{at} has no \"image_url\""))),
    };
    Ok(json!({"type": "image", "source": source(&url, traits, at)?}))
}

fn source(url: &str, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    if url.starts_with("https://") || url.starts_with("http://") {
        if !traits.urls {
            let message =
                format!("{at} is a URL, which Claude fetches nowhere but at Anthropic (send it as a data URL)");
            return Err(BadRequest::at(at, message));
        }
        return Ok(json!({"type": "url", "url": url}));
    }
    let (media_type, data) = data_url(url).ok_or_else(|| {
        BadRequest::at(at, format!("{at} is neither an http(s) URL nor a base64 data URL (data:image/png;base64,…)"))
    })?;
    Ok(json!({"type": "base64", "media_type": media_type, "data": data}))
}

/// The media type and the base64 text of a data URL.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().filter(|media_type| media_type.contains('/'))?;
    // Browsers take the name that is none, providers do not.
    Some((if media_type.eq_ignore_ascii_case("image/jpg") { "image/jpeg" } else { media_type }, data))
}

/// Longer titles are refused.
const MAX_TITLE_CHARS: usize = 500;

/// A PDF or a text, inline or by the id of an upload. Its name is its title.
fn file(mut part: Map<String, Value>, traits: Traits, at: &str) -> Result<Value, BadRequest> {
    let Some(Value::Object(mut file)) = part.remove("file") else {
        return Err(BadRequest::at(at, format!("{at} has no \"file\"")));
    };
    let source = match (file.remove("file_data"), file.remove("file_id")) {
        (Some(Value::String(data)), _) => source(&data, traits, at)?,
        (_, Some(Value::String(id))) => json!({"type": "file", "file_id": id}),
        _ => return Err(BadRequest::at(at, format!("{at} has neither \"file_data\" nor \"file_id\""))),
    };
    let is_image = source["media_type"].as_str().is_some_and(|media_type| media_type.starts_with("image/"));
    if is_image {
        return Ok(json!({"type": "image", "source": source}));
    }
    let mut document = json!({"type": "document", "source": plain(source)});
    if let Some(Value::String(name)) = file.remove("filename").filter(|name| name != "") {
        document["title"] = name.chars().take(MAX_TITLE_CHARS).collect::<String>().into();
    }
    Ok(document)
}

/// A text as a text, which a document in base64 cannot be.
fn plain(source: Value) -> Value {
    let is_text = source["media_type"].as_str().is_some_and(|media_type| media_type.starts_with("text/"));
    let data = source["data"].as_str().filter(|_| is_text).and_then(|data| STANDARD.decode(data).ok());
    match data.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Target};

    #[test]
    fn a_file_keeps_its_name_and_a_text_is_one() {
        let traits = Traits::of(&Target::new(Dialect::Anthropic, "claude-sonnet-4-5"));
        let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD"});
        let png = json!({"type": "base64", "media_type": "image/png", "data": "QUJD"});
        let text = json!({"type": "text", "media_type": "text/plain", "data": "ABC"});
        let broken = json!({"type": "base64", "media_type": "text/plain", "data": "/w=="});
        let rows = [
            (
                json!({"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}),
                json!({"type": "document", "source": pdf, "title": "a.pdf"}),
            ),
            (
                json!({"filename": "", "file_data": "data:application/pdf;base64,QUJD"}),
                json!({"type": "document", "source": pdf}),
            ),
            (
                json!({"filename": "é".repeat(600), "file_id": "f"}),
                json!({"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "é".repeat(500)}),
            ),
            (
                json!({"filename": "a.md", "file_data": "data:text/markdown;base64,QUJD"}),
                json!({"type": "document", "source": text, "title": "a.md"}),
            ),
            (json!({"file_data": "data:text/plain;base64,/w=="}), json!({"type": "document", "source": broken})),
            (
                json!({"filename": "a.png", "file_data": "data:image/png;base64,QUJD"}),
                json!({"type": "image", "source": png}),
            ),
        ];
        for (file, want) in rows {
            let content = json!([{"type": "file", "file": file}]);
            assert_eq!(blocks(content, traits, "messages[0].content").unwrap(), [want], "{file}");
        }
    }
}
