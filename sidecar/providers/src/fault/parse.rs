//! What an error body says, whatever its shape.

use serde_json::{Map, Value};

/// An error in the words of its provider. Absent parts are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) message: String,
    /// `code`, or the code of an inner error.
    pub(super) code: String,
    /// `type`.
    pub(super) kind: String,
    /// A status the body itself names: errors inside a 200 do.
    pub(super) status: Option<u16>,
    /// `n_ctx`: llama.cpp says what its window is.
    pub(super) window: Option<u64>,
    /// Everything that was said, in lower case, for the rules to look through.
    pub(super) text: String,
}

// === impl Report ===

impl Report {
    pub(super) fn from_text(text: &str) -> Self {
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
        if is_error || is_flat { Self::from_value(value) } else { None }
    }

    fn from_value(value: &Value) -> Option<Self> {
        // Some wrap the error into an array.
        let value = value.get(0).unwrap_or(value);
        let outer = value.as_object()?;
        let mut report = match outer.get("error") {
            Some(Value::Object(inner)) => Self::from_object(inner),
            Some(Value::String(message)) => Self { message: message.clone(), ..Self::from_object(outer) },
            _ => Self::from_object(outer),
        };
        report.status =
            report.status.or_else(|| status(outer.get("status_code")).or_else(|| status(outer.get("code"))));
        report.text = value.to_string().to_lowercase();
        Some(report)
    }

    fn from_object(error: &Map<String, Value>) -> Self {
        let message =
            ["message", "Message", "error", "detail", "msg"].iter().find_map(|key| error.get(*key)).map(plain);
        let inner = ["innererror", "inner_error"].iter().find_map(|key| error.get(*key)?.get("code"));
        // A number is a status said twice, and tells nothing a status does not.
        let code = error.get("code").filter(|code| code.is_string()).or(inner);
        Self {
            message: message.unwrap_or_default(),
            code: code.map(plain).unwrap_or_default(),
            kind: error.get("type").or_else(|| error.get("error_type")).map(plain).unwrap_or_default(),
            status: status(error.get("code")).or_else(|| status(error.get("status"))),
            window: error.get("n_ctx").and_then(Value::as_u64),
            text: String::new(),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn status(value: Option<&Value>) -> Option<u16> {
    let number = match value? {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number.filter(|status| (400..600).contains(status))
}
