//! Functions and their calls, as OpenAI's messages have them and every other dialect reads them.

use serde_json::{Value, json};

use crate::{BadRequest, Target, Unsupported};

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

/// A tool of a kind that a dialect does not have: dropped, refused or given back to be passed, as the route says.
pub(crate) fn foreign(
    tool: Value,
    at: &str,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<Option<Value>, BadRequest> {
    let kind = tool["type"].as_str().unwrap_or("function");
    match target.unsupported {
        Unsupported::Pass if tool.is_object() => return Ok(Some(tool)),
        _ if !tool.is_object() => return Err(BadRequest::at(at, format!("{at} must be an object"))),
        _ if kind == "function" => return Err(BadRequest::at(at, format!("{at} has no \"function\""))),
        Unsupported::Reject => {
            let message = format!(
                "{at} is a {kind:?} tool, which model {:?} cannot be given (declare a function in its place, or set \
                 request.unsupported: Drop)",
                target.model
            );
            return Err(BadRequest::at(at, message));
        }
        Unsupported::Drop | Unsupported::Pass => dropped.push(at.to_owned()),
    }
    Ok(None)
}

/// Tools where there are functions and nothing else.
pub(crate) fn functions_alone(
    tools: Vec<Value>,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Value>, BadRequest> {
    let mut out = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        if tool["function"].is_object() {
            out.push(tool);
        } else {
            out.extend(foreign(tool, &format!("tools[{index}]"), target, dropped)?);
        }
    }
    Ok(out)
}

/// What a tool said that failed, for those who have no other word for it: a model that takes an error for the answer goes on
/// from it.
pub(crate) fn failed(said: &str) -> String {
    match said {
        "" => "Error".to_owned(),
        said if said.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) => said.to_owned(),
        said => format!("Error: {said}"),
    }
}

/// The id of a call in the old spelling, which has none.
pub(crate) fn id(count: usize) -> String {
    format!("call_function_{count}")
}

/// Ids there may hold any character; elsewhere only letters, digits, `_` and `-`.
pub(crate) fn plain_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}
