//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::JSON_TOOL;
use super::part::marked;
use crate::choice::Choice;
use crate::{BadRequest, Target, function};

/// Tools as Anthropic declares them.
pub(super) fn tools(tools: Value, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<Vec<Value>, BadRequest> {
    let Value::Array(tools) = tools else { return Err(BadRequest::at("tools", "\"tools\" must be an array")) };
    let mut out = Vec::with_capacity(tools.len());
    for (index, value) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        if value["function"].is_object() && value["type"].as_str().is_none_or(|kind| kind == "function") {
            out.push(tool(value, &at)?);
        } else if is_own(&value) {
            out.push(value);
        } else {
            out.extend(function::foreign(value, &at, target, dropped)?);
        }
    }
    Ok(out)
}

/// Whether a tool is one in Anthropic's words: with its schema beside its name, or one that Anthropic runs, whose type ends
/// in the day it came (`web_search_20250305`). OpenAI has a type `custom`, too, which has no schema.
pub(crate) fn is_own(tool: &Value) -> bool {
    let dated = |kind: &str| {
        let day = kind.rsplit_once('_').map_or("", |(_, day)| day);
        day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit())
    };
    match tool["type"].as_str() {
        None => tool.is_object(),
        Some("custom") => tool["input_schema"].is_object(),
        Some(kind) => kind == "mcp_toolset" || dated(kind),
    }
}

fn tool(mut tool: Value, at: &str) -> Result<Value, BadRequest> {
    let mark = tool.get_mut("cache_control").map(Value::take);
    let mut function = tool["function"].take();
    let mut out = Map::new();
    out.insert("name".into(), function::name(function.get("name"), at)?.into());
    if let Some(Value::String(text)) = function.get_mut("description").map(Value::take) {
        out.insert("description".into(), text.into());
    }
    out.insert("input_schema".into(), input_schema(function["parameters"].take()));
    let mark = mark.or_else(|| function.get_mut("cache_control").map(Value::take));
    Ok(marked(Value::Object(out), mark))
}

/// Anthropic wants an object and has no use for the dialect of the schema.
pub(super) fn input_schema(parameters: Value) -> Value {
    let Value::Object(mut schema) = parameters else { return json!({"type": "object", "properties": {}}) };
    schema.shift_remove("$schema");
    if !schema.contains_key("type") {
        schema.insert("type".into(), "object".into());
    }
    if schema["type"] == "object" && !schema.contains_key("properties") {
        schema.insert("properties".into(), json!({}));
    }
    Value::Object(schema)
}

/// The choice, with what `parallel_tool_calls` says folded in.
pub(super) fn choice(choice: Option<&Value>, parallel: Option<bool>) -> Result<Option<Value>, BadRequest> {
    let mut out = match choice {
        None => match parallel {
            // Only the choice can carry the wish.
            Some(_) => json!({"type": "auto"}),
            None => return Ok(None),
        },
        Some(choice) => named_choice(choice)?,
    };
    if let Some(parallel) = parallel.filter(|_| out["type"] != "none") {
        out["disable_parallel_tool_use"] = (!parallel).into();
    }
    Ok(Some(out))
}

fn named_choice(choice: &Value) -> Result<Value, BadRequest> {
    Ok(match Choice::read(choice)? {
        Choice::Auto => json!({"type": "auto"}),
        Choice::None => json!({"type": "none"}),
        Choice::Any => json!({"type": "any"}),
        Choice::Named(name) => json!({"type": "tool", "name": name}),
    })
}

/// The tool whose arguments are the answer, for models that take no schema.
pub(super) fn json_tool(schema: Value) -> Value {
    json!({
        "name": JSON_TOOL,
        "description": "Gives the answer. Call it once, with the whole answer as its arguments.",
        "input_schema": input_schema(schema),
    })
}

/// Declared for a conversation that used tools before a request that declares none: Anthropic refuses such a history
/// without a declaration, and an application that offers no tools must not get a call, hence the choice `none` with it.
pub(super) fn stand_in() -> Value {
    json!({
        "name": "dummy_tool",
        "description": "This is a dummy tool call",
        "input_schema": {"type": "object", "properties": {}},
    })
}

/// How many searches are allowed where OpenAI's option says how much is to be found.
pub(crate) fn searches(options: &Value) -> u32 {
    match options["search_context_size"].as_str() {
        Some("low") => 1,
        Some("high") => 10,
        _ => 5,
    }
}

/// OpenAI's option as Anthropic's tool.
pub(super) fn web_search(options: &Value) -> Value {
    let uses = searches(options);
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": uses});
    if let Some(place) = options["user_location"]["approximate"].as_object() {
        let mut place = place.clone();
        place.insert("type".into(), "approximate".into());
        tool["user_location"] = Value::Object(place);
    }
    tool
}
