//! Tools and the choice among them, from this API's words to a chat's.

use serde_json::{Value, json};

use super::state::is_hosted;
use crate::need::excerpt;
use crate::{BadRequest, choice};

/// The tools of a chat. Those that a provider runs itself are refused: an answer without the search that was asked for
/// is no answer.
pub(super) fn tools(value: Value, model: &str) -> Result<Vec<Value>, BadRequest> {
    let Value::Array(tools) = value else { return Err(BadRequest::at("tools", "\"tools\" must be an array")) };
    tools.into_iter().enumerate().map(|(index, value)| tool(value, &format!("tools[{index}]"), model)).collect()
}

fn tool(mut tool: Value, at: &str, model: &str) -> Result<Value, BadRequest> {
    if is_hosted(&tool) {
        let kind = tool["type"].as_str().unwrap_or_default();
        let message = format!(
            "{at} is {kind:?}, which model {model:?} cannot be given: only backends with a Responses API of their own have \
             such tools (declare a function, or ask for a model at OpenAI)"
        );
        return Err(BadRequest::at(at, message));
    }
    let Some(name) = tool["name"].as_str() else {
        return Err(BadRequest::at(at, format!("{at} has no \"name\"")));
    };
    let mut function = json!({"name": name});
    for key in ["description", "parameters"] {
        if let Some(value) = tool.get_mut(key).map(Value::take).filter(|value| !value.is_null()) {
            function[key] = value;
        }
    }
    function["strict"] = (tool["strict"] == true).into();
    Ok(json!({"type": "function", "function": function}))
}

/// The choice of a chat. Where only some tools are allowed the others are taken out of `tools`: every dialect can say that.
pub(super) fn choice(value: &Value, tools: &mut Vec<Value>) -> Result<Value, BadRequest> {
    match (value.as_str(), value["type"].as_str()) {
        (Some("auto" | "none" | "required"), _) => Ok(value.clone()),
        (_, Some("function")) => Ok(json!({"type": "function", "function": {"name": value["name"]}})),
        (_, Some("allowed_tools")) => Ok(choice::allow(value, tools)),
        _ => {
            let message = format!(
                "\"tool_choice\" is {}, want \"auto\", \"none\", \"required\", or the type function or allowed_tools",
                excerpt(value.to_string().as_bytes())
            );
            Err(BadRequest::at("tool_choice", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_that_every_dialect_can_make() {
        let allowed =
            |mode: &str| json!({"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "b"}]});
        let rows = [
            (json!("auto"), Ok(json!("auto")), 2),
            (json!("required"), Ok(json!("required")), 2),
            (json!({"type": "function", "name": "a"}), Ok(json!({"type": "function", "function": {"name": "a"}})), 2),
            (allowed("required"), Ok(json!("required")), 1),
            (allowed("auto"), Ok(json!("auto")), 1),
            (json!({"type": "web_search"}), Err(()), 2),
            (json!("any"), Err(()), 2),
        ];
        for (value, want, left) in rows {
            let mut tools = vec![json!({"function": {"name": "a"}}), json!({"function": {"name": "b"}})];
            assert_eq!(choice(&value, &mut tools).map_err(|_| ()), want, "{value}");
            assert_eq!(tools.len(), left, "{value}");
        }
    }

    #[test]
    fn a_tool_of_the_providers_own_is_refused_by_name() {
        for kind in ["web_search", "custom"] {
            let error =
                tools(json!([{"type": "function", "name": "f"}, {"type": kind, "name": "g"}]), "m").unwrap_err();
            assert_eq!(error.param.as_deref(), Some("tools[1]"));
            assert!(error.message.contains(kind), "{}", error.message);
        }
    }
}
