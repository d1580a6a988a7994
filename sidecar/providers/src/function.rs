//! Functions and their calls, as OpenAI's messages have them and every other dialect reads them.

use memchr::memmem;
use serde_json::{Value, json};

use crate::{BadRequest, Body, Target, Unsupported};

/// The field that holds arguments which are no object.
const RAW: &str = "_raw";

/// The name that a function, or the call of one, is given. `at` is where it stands.
pub(crate) fn name<'a>(name: Option<&'a Value>, at: &str) -> Result<&'a str, BadRequest> {
    name.and_then(Value::as_str).ok_or_else(|| BadRequest::at(at, format!("{at} has no function name")))
}

/// What a call is given: JSON in a string there, and an object for everybody else. A model wrote it, and may have written
/// something else, which its history keeps for ever: that goes on as it is, as the one field of an object, so that the
/// model sees what it did wrong.
pub(crate) fn arguments(call: &Value) -> Value {
    let (value, raw) = match &call["arguments"] {
        Value::Null => return json!({}),
        Value::String(text) if text.trim().is_empty() => return json!({}),
        Value::String(text) => (serde_json::from_str(text).unwrap_or_default(), text.clone()),
        other => (other.clone(), other.to_string()),
    };
    if value.is_object() { value } else { json!({ RAW: raw }) }
}

/// A request whose calls are all of functions: a call of the type `custom` has a text for its input, which OpenAI alone has
/// a word for. None: it has no such call.
pub(crate) fn all_calls(body: &Body) -> Option<Body> {
    if !body.may_have_calls() {
        return None;
    }
    memmem::find(body.get_bytes("messages")?, b"\"custom\"")?;
    let Some(Value::Array(mut messages)) = body.value("messages") else { return None };
    let mut changed = false;
    let calls = messages.iter_mut().filter_map(|message| message.get_mut("tool_calls")?.as_array_mut()).flatten();
    for call in calls.filter(|call| call["type"] == "custom" && call["custom"].is_object()) {
        let arguments = json!({"input": call["custom"]["input"].take()}).to_string();
        let function = json!({"name": call["custom"]["name"].take(), "arguments": arguments});
        *call = json!({"id": call["id"].take(), "type": "function", "function": function});
        changed = true;
    }
    let mut plain = body.clone();
    plain.set("messages", &messages.into());
    changed.then_some(plain)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, encode, read};

    #[test]
    fn arguments_that_are_no_object_go_on_in_one() {
        let rows = [
            (json!("{\"a\":1}"), json!({"a": 1})),
            (json!(" "), json!({})),
            (json!(null), json!({})),
            (json!({"a": 1}), json!({"a": 1})),
            (json!("{\"bad"), json!({"_raw": "{\"bad"})),
            (json!("[1]"), json!({"_raw": "[1]"})),
            (json!(7), json!({"_raw": "7"})),
        ];
        for (given, want) in rows {
            assert_eq!(arguments(&json!({"arguments": given})), want, "{given}");
        }
    }

    #[test]
    fn a_custom_tools_call_is_a_functions_where_there_is_nothing_else() {
        let call = json!({"id": "c1", "type": "custom", "custom": {"name": "t", "input": "do \"it\""}});
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "RESULT"}, {"role": "user", "content": "and?"}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let sent = |dialect| {
            let out = encode(Api::ChatCompletions, &body, &need, &Target::new(dialect, "claude-sonnet-4-5")).unwrap();
            serde_json::from_slice::<Value>(&out.body).unwrap()
        };
        let input = json!({"input": "do \"it\""});
        assert_eq!(sent(Dialect::Anthropic).pointer("/messages/1/content/0/input"), Some(&input));
        assert_eq!(sent(Dialect::Bedrock).pointer("/messages/1/content/0/toolUse/input"), Some(&input));
        assert_eq!(sent(Dialect::Gemini).pointer("/contents/1/parts/0/functionCall/args"), Some(&input));
        assert_eq!(sent(Dialect::Ollama).pointer("/messages/1/tool_calls/0/function/arguments"), Some(&input));
        let cohere = sent(Dialect::Cohere);
        assert_eq!(cohere.pointer("/messages/1/tool_calls/0/function/arguments"), Some(&input.to_string().into()));
        assert_eq!(sent(Dialect::OpenAi).pointer("/messages/1/tool_calls/0"), Some(&call));
    }
}
