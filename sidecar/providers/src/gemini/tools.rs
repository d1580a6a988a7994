//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::schema::subset;
use crate::choice::Choice;
use crate::{BadRequest, Target, function};

/// Tools as Gemini declares them: all functions in one, and its own beside it.
pub(super) fn tools(tools: Value, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<Vec<Value>, BadRequest> {
    let Value::Array(tools) = tools else { return Err(BadRequest::at("tools", "\"tools\" must be an array")) };
    let (mut declarations, mut own) = (Vec::new(), Vec::new());
    for (index, tool) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        match &tool["function"] {
            Value::Object(function) => declarations.push(declaration(function, &at)?),
            // One of Gemini's own (`googleSearch`, `codeExecution`), or one yet to come: none of them has a type.
            _ if tool.is_object() && tool["type"].is_null() => own.push(tool),
            _ => own.extend(function::foreign(tool, &at, target, dropped)?),
        }
    }
    if !declarations.is_empty() {
        own.insert(0, json!({"functionDeclarations": declarations}));
    }
    Ok(own)
}

/// `functions`, the old spelling.
pub(super) fn functions(
    functions: &Value,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Value>, BadRequest> {
    let wrapped = functions.as_array().into_iter().flatten().map(|function| json!({"function": function}));
    tools(wrapped.collect(), target, dropped)
}

fn declaration(function: &Map<String, Value>, at: &str) -> Result<Value, BadRequest> {
    let name = function::name(function.get("name"), at)?;
    let mut out = json!({"name": name});
    if let Some(Value::String(text)) = function.get("description") {
        out["description"] = text.as_str().into();
    }
    if let Some(schema) = function.get("parameters").filter(|schema| schema.is_object()) {
        match subset(schema) {
            Some(schema) => out["parameters"] = schema,
            None => out["parametersJsonSchema"] = schema.clone(),
        }
    }
    Ok(out)
}

/// `tool_choice`, or `function_call`.
pub(super) fn choice(choice: &Value) -> Result<Value, BadRequest> {
    let config = match Choice::read(choice)? {
        Choice::Auto => json!({"mode": "AUTO"}),
        Choice::None => json!({"mode": "NONE"}),
        Choice::Any => json!({"mode": "ANY"}),
        Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    Ok(json!({"functionCallingConfig": config}))
}
