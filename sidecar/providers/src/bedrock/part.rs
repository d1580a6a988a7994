//! One part of a message's content, from OpenAI's words to Converse's.

use serde_json::{Map, Value, json};

use super::model::Traits;
use crate::BadRequest;
use crate::anthropic::part::data_url;

/// Formats of documents, by media type.
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
];

/// Longer names of documents are refused.
const MAX_NAME_CHARS: usize = 200;

/// Reads parts. Documents have names, which are told apart.
#[derive(Debug)]
pub(super) struct Reader {
    traits: Traits,
    names: Vec<String>,
}

// === impl Reader ===

impl Reader {
    pub(super) const fn new(traits: Traits) -> Self {
        Self { traits, names: Vec::new() }
    }

    /// Content, a string or a list of parts, as blocks. Empty text is no block: it is refused there.
    pub(super) fn blocks(&mut self, content: Value, at: &str) -> Result<Vec<Value>, BadRequest> {
        match content {
            Value::Null => Ok(Vec::new()),
            Value::String(text) => Ok(text_block(text).into_iter().collect()),
            Value::Array(parts) => {
                let mut blocks = Vec::with_capacity(parts.len());
                for (index, part) in parts.into_iter().enumerate() {
                    self.part(part, &format!("{at}[{index}]"), &mut blocks)?;
                }
                Ok(blocks)
            }
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Err(BadRequest::at(at, format!("{at} must be a string or a list of parts")))
            }
        }
    }

    fn part(&mut self, part: Value, at: &str, blocks: &mut Vec<Value>) -> Result<(), BadRequest> {
        let mut part = match part {
            Value::Object(part) => part,
            Value::String(text) => {
                blocks.extend(text_block(text));
                return Ok(());
            }
            _ => return Err(BadRequest::at(at, format!("{at} must be an object"))),
        };
        let mark = part.shift_remove("cache_control");
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let block = match kind.as_str() {
            "text" | "input_text" | "output_text" => text_block(take(&mut part, "text", at)?),
            "refusal" => text_block(take(&mut part, "refusal", at)?),
            "image_url" => Some(image(&mut part, at)?),
            "file" => Some(self.file(&mut part, at)?),
            "input_audio" => Some(self.audio(&mut part, at)?),
            "document" if self.traits.cites => Some(self.document(&part, at)?),
            "search_result" if self.traits.cites => Some(found(&part, at)?),
            "" => return Err(BadRequest::at(at, format!("{at} has no \"type\""))),
            other => return Err(BadRequest::at(at, format!("{at} is a {other:?}, which Bedrock has no word for"))),
        };
        if let Some(block) = block {
            blocks.push(block);
            blocks.extend(self.mark(mark.as_ref()));
        }
        Ok(())
    }

    /// The block that `cache_control` becomes: it stands behind what is to be kept.
    pub(super) fn mark(&self, mark: Option<&Value>) -> Option<Value> {
        let mark = mark.filter(|mark| self.traits.cache && mark.is_object())?;
        let mut point = json!({"type": "default"});
        if let Some(ttl) = mark["ttl"].as_str() {
            point["ttl"] = ttl.into();
        }
        Some(json!({"cachePoint": point}))
    }

    fn audio(&self, part: &mut Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
        if !self.traits.audio {
            let message = format!("{at} is audio, which Claude cannot hear (send its transcript as text)");
            return Err(BadRequest::at(at, message));
        }
        let Some(Value::Object(mut audio)) = part.remove("input_audio") else { return Err(missing(at, "input_audio")) };
        let format = take(&mut audio, "format", at)?;
        Ok(json!({"audio": {"format": format, "source": {"bytes": take(&mut audio, "data", at)?}}}))
    }

    /// A document, or an image that was sent as one.
    fn file(&mut self, part: &mut Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
        let Some(Value::Object(mut file)) = part.remove("file") else { return Err(missing(at, "file")) };
        let Some(Value::String(url)) = file.remove("file_data") else {
            let message = format!("{at} has no \"file_data\": Bedrock keeps no files (send it as a data URL)");
            return Err(BadRequest::at(at, message));
        };
        let (media_type, bytes) = data(&url, at)?;
        if media_type.starts_with("image/") {
            return picture(media_type, bytes, at);
        }
        let format = format(media_type, at)?;
        let name = self.name(file.get("filename").and_then(Value::as_str));
        Ok(json!({"document": {"format": format, "name": name, "source": {"bytes": bytes}}}))
    }

    /// A document in Anthropic's own words, with what is said of it.
    fn document(&mut self, part: &Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
        let source = part.get("source").unwrap_or(&Value::Null);
        let text = |key: &str| source[key].as_str().filter(|text| !text.is_empty());
        let (format, source) = match (source["type"].as_str(), text("media_type"), text("data")) {
            (Some("text"), _, Some(text)) => ("txt", json!({"text": text})),
            (Some("content"), ..) => ("txt", json!({"content": texts(&source["content"], at)?})),
            (Some("base64"), Some(media_type), Some(data)) => (format(media_type, at)?, json!({"bytes": data})),
            _ => {
                let message = format!("{at}.source is neither text nor base64, and Bedrock fetches nothing else");
                return Err(BadRequest::at(at, message));
            }
        };
        let name = self.name(part.get("title").and_then(Value::as_str));
        let mut document = json!({"format": format, "name": name, "source": source});
        if let Some(context) =
            part.get("context").filter(|context| context.as_str().is_some_and(|text| !text.is_empty()))
        {
            document["context"] = context.clone();
        }
        cite(&mut document, part);
        Ok(json!({"document": document}))
    }

    /// A name of letters, digits and a few marks, which no other document has.
    fn name(&mut self, given: Option<&str>) -> String {
        let is_format = |end: &str| DOCUMENTS.iter().any(|(_, format)| end.eq_ignore_ascii_case(format));
        let named = given.map(|given| (given, given.rsplit_once('.').filter(|(_, end)| is_format(end))));
        let stem = named.map_or("", |(given, cut)| cut.map_or(given, |(stem, _)| stem));
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
        let words: String = stem.chars().map(plain).collect();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut name: String = words.chars().take(MAX_NAME_CHARS - " (1000)".len()).collect();
        if name.is_empty() {
            name.push_str("document");
        }
        let same = self.names.iter().filter(|other| **other == name).count();
        self.names.push(name.clone());
        if same > 0 { format!("{name} ({})", same + 1) } else { name }
    }
}

/// Whether a block of Anthropic's is to be cited, and all of it can be shown here.
pub(super) fn is_cited(block: &Value) -> bool {
    let source = &block["source"];
    let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(|part| part["type"] == "text"));
    let can_be = match (block["type"].as_str(), source["type"].as_str()) {
        (Some("search_result"), _) => texts(&block["content"]),
        (Some("document"), Some("content")) => source["content"].is_string() || texts(&source["content"]),
        (Some("document"), Some("text" | "base64")) => true,
        _ => false,
    };
    can_be && cites(&block["citations"])
}

fn cites(citations: &Value) -> bool {
    citations["enabled"] == true
}

fn cite(block: &mut Value, part: &Map<String, Value>) {
    if part.get("citations").is_some_and(cites) {
        block["citations"] = json!({"enabled": true});
    }
}

/// What a search found, in Anthropic's own words.
fn found(part: &Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
    let said = |key: &str| part.get(key).and_then(Value::as_str).ok_or_else(|| missing(at, key));
    let content = texts(part.get("content").unwrap_or(&Value::Null), at)?;
    let mut found = json!({"source": said("source")?, "title": said("title")?, "content": content});
    cite(&mut found, part);
    Ok(json!({"searchResult": found}))
}

/// A text, or several of which each can be cited.
fn texts(content: &Value, at: &str) -> Result<Vec<Value>, BadRequest> {
    let all = match content {
        Value::String(text) => Some(vec![json!({"text": text})]),
        Value::Array(parts) => parts.iter().map(|part| Some(json!({"text": part["text"].as_str()?}))).collect(),
        _ => None,
    };
    all.ok_or_else(|| BadRequest::at(at, format!("{at} holds something else than text, which Claude cannot cite")))
}

fn format(media_type: &str, at: &str) -> Result<&'static str, BadRequest> {
    let format = DOCUMENTS.iter().find(|(known, _)| *known == media_type).map(|(_, format)| *format);
    format.ok_or_else(|| {
        let formats = "pdf, txt, md, csv, html, doc, docx, xls and xlsx";
        BadRequest::at(at, format!("{at} is a {media_type:?}, Bedrock reads {formats}"))
    })
}

pub(super) fn text_block(text: String) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"text": text}))
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

/// `{"image_url": {"url": …}}`, or the URL alone.
fn image(part: &mut Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
    let url = match part.remove("image_url") {
        Some(Value::String(url)) => url,
        Some(Value::Object(mut image)) => take(&mut image, "url", at)?,
        _ => return Err(missing(at, "image_url")),
    };
    let (media_type, bytes) = data(&url, at)?;
    picture(media_type, bytes, at)
}

fn picture(media_type: &str, bytes: &str, at: &str) -> Result<Value, BadRequest> {
    let format = match media_type {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        other => return Err(BadRequest::at(at, format!("{at} is a {other:?}, Bedrock takes png, jpeg, gif and webp"))),
    };
    Ok(json!({"image": {"format": format, "source": {"bytes": bytes}}}))
}

/// The media type and the base64 text of a data URL. Bedrock fetches nothing.
fn data<'a>(url: &'a str, at: &str) -> Result<(&'a str, &'a str), BadRequest> {
    data_url(url).ok_or_else(|| {
        let message = format!(
            "{at} is no base64 data URL, and Bedrock fetches no others (send it as data:image/png;base64,… or the like, or \
             ask a backend that fetches)"
        );
        BadRequest::at(at, message)
    })
}
