//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::model::Traits;
use super::part::Reader;
use crate::anthropic::{JSON_TOOL, schema};
use crate::choice::Choice;
use crate::refs::{self, NoRoom};
use crate::{BadRequest, Target, function};

/// Tools as Converse declares them, with marks of what to cache between them.
pub(super) fn tools(
    tools: Value,
    traits: Traits,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Value>, BadRequest> {
    let Value::Array(tools) = tools else { return Err(BadRequest::at("tools", "\"tools\" must be an array")) };
    let reader = Reader::new(traits);
    let mut out = Vec::with_capacity(tools.len());
    let mut room = refs::ROOM;
    for (index, tool) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        match &tool["function"] {
            Value::Object(function) => {
                out.push(declaration(function, traits, &at, &mut room)?);
                let mark = tool.get("cache_control").or_else(|| function.get("cache_control"));
                out.extend(reader.mark(mark));
            }
            // In Converse's own words (`toolSpec`, `systemTool`), or one yet to come: none of them has a type.
            _ if tool.is_object() && tool["type"].is_null() => out.push(tool),
            _ => out.extend(function::foreign(tool, &at, target, dropped)?),
        }
    }
    Ok(out)
}

/// `functions`, the old spelling.
pub(super) fn functions(
    functions: &Value,
    traits: Traits,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Value>, BadRequest> {
    let wrapped = functions.as_array().into_iter().flatten().map(|function| json!({"function": function}));
    tools(wrapped.collect(), traits, target, dropped)
}

fn declaration(function: &Map<String, Value>, traits: Traits, at: &str, room: &mut usize) -> Result<Value, BadRequest> {
    let name = function::name(function.get("name"), at)?;
    // An empty description is refused, and none at all by some models.
    let text = function.get("description").and_then(Value::as_str).filter(|text| !text.is_empty());
    let parameters = function.get("parameters").unwrap_or(&Value::Null);
    let spec = spec(name, text.unwrap_or(name), parameters, traits, room);
    let mut tool = spec.map_err(|no| no.refuse(at, &format!("the parameters of {name:?}"), "Bedrock"))?;
    if traits.strict && function.get("strict") == Some(&Value::Bool(true)) {
        tool["toolSpec"]["strict"] = true.into();
    }
    Ok(tool)
}

fn spec(name: &str, description: &str, parameters: &Value, traits: Traits, room: &mut usize) -> Result<Value, NoRoom> {
    let schema = input_schema(parameters, traits, room)?;
    Ok(json!({"toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}}))
}

/// An object's schema with its references written out. Most models take only three keywords at its top.
fn input_schema(parameters: &Value, traits: Traits, room: &mut usize) -> Result<Value, NoRoom> {
    let Value::Object(mut schema) = refs::written_out(parameters, room)? else {
        return Ok(json!({"type": "object", "properties": {}, "required": []}));
    };
    schema.shift_remove("$schema");
    if !traits.strict {
        schema.retain(|key, _| matches!(key.as_str(), "type" | "properties" | "required"));
    }
    for (key, value) in [("type", "object".into()), ("properties", json!({})), ("required", json!([]))] {
        schema.entry(key).or_insert(value);
    }
    Ok(Value::Object(schema))
}

/// The tool whose arguments are the answer, for models that take no schema.
pub(super) fn json_tool(schema: &Value, traits: Traits) -> Result<Value, BadRequest> {
    let description = "Gives the answer. Call it once, with the whole answer as its arguments.";
    schema::no_circle(schema, "Bedrock")?;
    let spec = spec(JSON_TOOL, description, schema, traits, &mut refs::ROOM.clone());
    spec.map_err(|no| no.refuse("response_format", "the schema's parts", "Bedrock"))
}

/// Declared for a conversation that used tools before a request that offers none: without a declaration such a history is
/// refused, and there is no word for "call none".
pub(super) fn stand_in() -> Value {
    let schema = json!({"type": "object", "properties": {}});
    json!({"toolSpec": {"name": "dummy_tool", "description": "This is a dummy tool call", "inputSchema": {"json": schema}}})
}

/// Nova's own search.
pub(super) fn web_search() -> Value {
    json!({"systemTool": {"name": "nova_grounding"}})
}

/// A choice as `toolConfig.toolChoice`. None: it has no word for it.
pub(super) fn in_converse(choice: &Choice) -> Option<Value> {
    match choice {
        Choice::Auto => Some(json!({"auto": {}})),
        Choice::None => None,
        Choice::Any => Some(json!({"any": {}})),
        Choice::Named(name) => Some(json!({"tool": {"name": name}})),
    }
}

/// A choice in Claude's own words, which also say whether it may call several tools at once.
pub(super) fn in_claudes_words(choice: &Choice, parallel: bool) -> Value {
    let mut said = match choice {
        Choice::Auto | Choice::None => json!({"type": "auto"}),
        Choice::Any => json!({"type": "any"}),
        Choice::Named(name) => json!({"type": "tool", "name": name}),
    };
    said["disable_parallel_tool_use"] = (!parallel).into();
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    #[test]
    fn a_tool_whose_references_are_too_long_written_out_is_refused_by_name() {
        let fields: Map<_, _> = (0..4_000).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Long"}))).collect();
        let long = json!({"type": "string", "description": "a".repeat(1 << 20)});
        let schema = json!({"type": "object", "properties": fields, "$defs": {"Long": long}});
        let target = Target::new(Dialect::Bedrock, "amazon.nova-pro-v1:0");
        let traits = Traits::of(&target);
        let tool = json!({"type": "function", "function": {"name": "search_all", "parameters": schema}});
        let rows = [
            ("tools[0]", "\"search_all\"", tools(json!([tool]), traits, &target, &mut Vec::new()).unwrap_err()),
            ("response_format", "the schema's parts", json_tool(&schema, traits).unwrap_err()),
        ];
        for (at, what, refused) in rows {
            assert_eq!(refused.param.as_deref(), Some(at));
            assert!(refused.message.contains(what) && refused.message.contains("1048576 bytes"), "{}", refused.message);
        }
    }
}
