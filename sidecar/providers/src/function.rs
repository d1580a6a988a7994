//! Functions and their calls, as OpenAI's messages have them and every other dialect reads them.

use serde_json::{Value, json};

use crate::BadRequest;

/// The name that a function, or the call of one, is given. `at` is where it stands.
pub(crate) fn name<'a>(name: Option<&'a Value>, at: &str) -> Result<&'a str, BadRequest> {
    name.and_then(Value::as_str).ok_or_else(|| BadRequest::at(at, format!("{at} has no function name")))
}

/// What a call is given: JSON in a string there, and an object for everybody else. `whose` is who takes nothing else, with
/// the verb.
pub(crate) fn arguments(call: &Value, at: &str, whose: &str) -> Result<Value, BadRequest> {
    let value = match &call["arguments"] {
        Value::Null => return Ok(json!({})),
        Value::String(text) if text.trim().is_empty() => return Ok(json!({})),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    };
    if value.is_object() {
        return Ok(value);
    }
    let at = format!("{at}.function.arguments");
    Err(BadRequest::at(at.clone(), format!("{at} is no JSON object, and {whose} nothing else")))
}

/// The id of a call in the old spelling, which has none.
pub(crate) fn id(count: usize) -> String {
    format!("call_function_{count}")
}

/// Ids there may hold any character; elsewhere only letters, digits, `_` and `-`.
pub(crate) fn plain_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}
