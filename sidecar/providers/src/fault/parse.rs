//! What an error body says, whatever its shape.
//!
//! | who | shape |
//! | --- | --- |
//! | OpenAI, Azure, most of the family | `{"error": {message, type, code, innererror: {code}}}` |
//! | Anthropic | `{"type": "error", "error": {type, message}}` |
//! | Google | `{"error": {code, message, status, details}}`, also in an array |
//! | AWS | `{"message"}` or `{"Message", "__type"}`, the type in a header |
//! | Cohere, FastAPI | `{"message"}`, `{"detail"}` |
//! | Mistral, vLLM, Cerebras | flat, `message` may be an object |
//! | OpenRouter | `error.metadata.raw` is the error of the provider behind it |
//! | xAI, TGI, Ollama | `{"error": "text"}`, with a `code` or an `error_type` |
//! | Databricks | `{"error_code", "message"}` |
//! | Cloudflare | `{"success": false, "errors": [{code, message}]}` |

use serde_json::{Map, Value};

use super::quote::Asked;
use super::redact;

/// An error in the words of its provider. Absent parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) message: String,
    /// `code`, or the code of an inner error.
    pub(super) code: String,
    /// What Azure's inner error says: its code, or that a filter refused.
    pub(super) inner_code: String,
    /// All of that error, fit to be shown.
    pub(super) inner: String,
    /// `type`, or what others call it.
    pub(super) kind: String,
    /// `param`: what of the request it is about, if that is a name.
    pub(super) param: String,
    /// A status the body itself names: errors inside a 200 do.
    pub(super) status: Option<u16>,
    /// `n_ctx`: llama.cpp says what its window is.
    pub(super) window: Option<u64>,
    /// `n_prompt_tokens`: and how long the prompt is.
    pub(super) prompt: Option<u64>,
    /// Everything that was said, in lower case, for the rules to look through.
    pub(super) text: String,
    /// What had been asked, whose words prove nothing. Empty until it is looked at.
    pub(super) asked: Asked,
}

/// Where the words are, first found first.
const WORDS: &[&str] = &["message", "Message", "error", "detail", "msg", "errors", "title"];

/// No parameter has a longer name.
const MAX_NAME_BYTES: usize = 64;

/// A longer inner error is left out. Azure's has a tenth of it.
const MAX_INNER_BYTES: usize = 4 << 10;

/// Where Azure says what each of its filters found.
const FILTERS: &[&str] = &["content_filter_result", "content_filter_results"];

/// What providers quote of a prompt or of an answer. It is no word of theirs.
const ECHOES: &[&str] = &["/error/failed_generation", "/error/metadata/flagged_input"];

// === impl Report ===

impl Report {
    pub(super) fn from_text(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value = serde_json::from_str::<Value>(text).ok();
        let report = value.as_ref().and_then(Self::from_value);
        report.unwrap_or_else(|| Self { message: text.to_owned(), text: text.to_lowercase(), ..Self::default() })
    }

    /// The error inside an answer that says 200. None if it holds none.
    pub(super) fn from_error(value: &Value) -> Option<Self> {
        let value = value.get(0).unwrap_or(value);
        let is_error = match value.get("error") {
            Some(Value::Null | Value::Bool(false)) | None => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        };
        let is_flat = value.get("object").or_else(|| value.get("type")) == Some(&Value::from("error"));
        let is_coded = value.get("error_code").is_some_and(Value::is_string) && value.get("message").is_some();
        let is_list = value.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty());
        if is_error || is_flat || is_coded || is_list { Self::from_value(value) } else { None }
    }

    /// With the type that came in a header, as AWS sends it: `ValidationException:http://…`.
    pub(super) fn of_type(self, header: &str) -> Self {
        let kind = bare_type(header);
        if kind.is_empty() { self } else { Self { kind, ..self } }
    }

    fn from_value(value: &Value) -> Option<Self> {
        // Some wrap the error into an array.
        let value = value.get(0).unwrap_or(value);
        let outer = value.as_object()?;
        let inner = outer.get("error").and_then(Value::as_object).unwrap_or(outer);
        let mut report = Self::from_object(inner);
        report.status = report.status.or_else(|| said_status(outer));
        report.text = said(value);
        if let Some(raw) = inner.get("metadata").and_then(|metadata| metadata.get("raw")) {
            report.add_raw(raw, inner.get("metadata").and_then(|metadata| metadata.get("provider_name")));
        }
        Some(report)
    }

    fn from_object(error: &Map<String, Value>) -> Self {
        let inner = ["innererror", "inner_error"].iter().find_map(|key| error.get(*key)?.as_object());
        let inner_code = inner_code(error, inner);
        let own = error.get("code").or_else(|| error.get("error_code"));
        let first =
            |keys: &[&str]| keys.iter().find_map(|key| error.get(*key).map(word).filter(|word| !word.is_empty()));
        let message = WORDS.iter().find_map(|key| error.get(*key)).map(words);
        Self {
            message: message.unwrap_or_default(),
            code: own.map(word).filter(|code| !code.is_empty()).unwrap_or_else(|| inner_code.clone()),
            inner_code,
            inner: inner.map(shown).filter(|inner| inner.len() <= MAX_INNER_BYTES).unwrap_or_default(),
            kind: first(&["type", "error_type", "__type", "status"]).map(|kind| bare_type(&kind)).unwrap_or_default(),
            param: error.get("param").and_then(name).unwrap_or_default(),
            status: said_status(error),
            window: error.get("n_ctx").and_then(Value::as_u64),
            prompt: error.get("n_prompt_tokens").and_then(Value::as_u64),
            text: String::new(),
            asked: Asked::default(),
        }
    }

    /// What the provider behind a gateway said. The gateway's own words around it are `Provider returned error`.
    fn add_raw(&mut self, raw: &Value, provider: Option<&Value>) {
        let raw = match raw {
            Value::String(text) => Self::from_text(text),
            other => Self::from_value(other).unwrap_or_default(),
        };
        if !raw.message.is_empty() {
            let provider = provider.and_then(Value::as_str).map_or_else(String::new, |name| format!(" ({name})"));
            self.message = format!("{}{provider}: {}", self.message, raw.message);
        }
        if self.code.is_empty() && self.kind.is_empty() {
            (self.code, self.kind) = (raw.code, raw.kind);
        }
        self.window = self.window.or(raw.window);
        self.text.push(' ');
        self.text.push_str(&raw.text);
    }
}

/// The code of an inner error, or the word for a filter that refused and has none.
fn inner_code(error: &Map<String, Value>, inner: Option<&Map<String, Value>>) -> String {
    let code = inner.and_then(|inner| inner.get("code")).map(word).unwrap_or_default();
    let filters = [Some(error), inner].into_iter().flatten().flat_map(|said| FILTERS.iter().map(|key| said.get(*key)));
    let mut found = filters.flatten().filter_map(Value::as_object).flat_map(Map::values);
    if code.is_empty() && found.any(|found| found["filtered"] == true) { "content_filter".to_owned() } else { code }
}

/// A value as JSON, its texts fit to be shown.
fn shown(value: &Map<String, Value>) -> String {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = redact::message(text),
            Value::Array(values) => values.iter_mut().for_each(clean),
            Value::Object(fields) => fields.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = Value::Object(value.clone());
    clean(&mut value);
    value.to_string()
}

/// Everything in a body but what it quotes, in lower case.
fn said(value: &Value) -> String {
    let mut value = value.clone();
    for echo in ECHOES {
        if let Some(echo) = value.pointer_mut(echo) {
            *echo = Value::Null;
        }
    }
    value.to_string().to_lowercase()
}

/// A value in words: those of an object are its message, those of a list are all of them.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(words).filter(|words| !words.is_empty()).collect();
            items.join("; ")
        }
        Value::Object(object) => {
            let said = WORDS.iter().find_map(|key| object.get(*key)).map_or_else(|| value.to_string(), words);
            match object.get("loc").and_then(Value::as_array) {
                Some(path) => format!("{}: {said}", path.iter().map(words).collect::<Vec<_>>().join(".")),
                None => said,
            }
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A code. A number is a status said twice, and tells nothing a status does not; a sentence is no code.
fn word(value: &Value) -> String {
    let word = value.as_str().unwrap_or_default();
    let is_code = !word.contains(char::is_whitespace) && !word.bytes().all(|byte| byte.is_ascii_digit());
    if is_code { word.to_owned() } else { String::new() }
}

/// The name of a parameter, or a path to one: `messages[0].content`. What is longer or has other characters is none.
fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']');
    (name.len() <= MAX_NAME_BYTES && name.bytes().all(plain)).then(|| name.to_owned())
}

/// `com.amazon.coral.service#AccessDeniedException` and `AccessDeniedException:http://…` without what is around it.
fn bare_type(kind: &str) -> String {
    let kind = kind.rsplit_once('#').map_or(kind, |(_, kind)| kind);
    let end = if kind.starts_with("urn:") { None } else { kind.split_once(':') };
    end.map_or(kind, |(kind, _)| kind).trim().to_owned()
}

fn said_status(error: &Map<String, Value>) -> Option<u16> {
    let keys = ["code", "status", "status_code", "statusCode", "http_status_code", "error_code"];
    keys.iter().find_map(|key| status(error.get(*key)))
}

fn status(value: Option<&Value>) -> Option<u16> {
    let number = match value? {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number.filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests;
