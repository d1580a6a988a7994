//! Tools as OpenAI's models see them: a TypeScript namespace with a comment for every description.

use serde_json::Value;

/// Deeper schemas are counted as if they ended here.
const MAX_DEPTH: usize = 32;

pub(super) fn tools(tools: &Value) -> String {
    let mut lines = vec!["namespace functions {".to_owned(), String::new()];
    for tool in tools.as_array().into_iter().flatten() {
        let function = if tool["function"].is_object() { &tool["function"] } else { tool };
        lines.extend(function["description"].as_str().filter(|text| !text.is_empty()).map(comment));
        let name = function["name"].as_str().unwrap_or_default();
        let parameters =
            if function["parameters"].is_object() { &function["parameters"] } else { &function["input_schema"] };
        if has_properties(parameters) {
            lines.push(format!("type {name} = (_: {{"));
            lines.push(object(parameters, 0));
            lines.push("}) => any;".to_owned());
        } else {
            lines.push(format!("type {name} = () => any;"));
        }
        lines.push(String::new());
    }
    lines.push("} // namespace functions".to_owned());
    lines.join("\n")
}

/// Bytes of what [`tools`] does not render, and models are shown in one way or another.
pub(super) fn unread(tools: &Value) -> usize {
    let of = |tool: &Value| {
        let function = if tool["function"].is_object() { &tool["function"] } else { tool };
        if !function["name"].is_string() {
            return tool.to_string().len();
        }
        let fields = function.as_object().into_iter().flatten();
        fields.map(|(key, value)| field_unread(key, value, true, 0)).sum::<usize>()
    };
    tools.as_array().into_iter().flatten().map(of).sum()
}

/// The same of one field of a tool, or of a schema. `is_described`: its description is rendered.
fn field_unread(key: &str, value: &Value, is_described: bool, depth: usize) -> usize {
    let inside = |schema: &Value, is_described: bool| match schema.as_object() {
        Some(fields) if depth <= MAX_DEPTH && (depth == 0 || schema["type"].is_string()) => {
            fields.iter().map(|(key, value)| field_unread(key, value, is_described, depth + 1)).sum::<usize>()
        }
        // Rendered as if it were anything.
        Some(fields) if !fields.is_empty() => schema.to_string().len(),
        Some(_) | None => 0,
    };
    match (key, value) {
        ("description", Value::String(_)) if is_described => 0,
        ("parameters" | "input_schema", _) if depth == 0 => inside(value, false),
        ("items", Value::Object(_)) => inside(value, false),
        ("properties", Value::Object(properties)) => properties.values().map(|schema| inside(schema, true)).sum(),
        // One word, or a list of what is rendered; and what is of no use to a model.
        ("name" | "type" | "title" | "required" | "default" | "format" | "$schema" | "cache_control", _)
            if depth > 0 || !value.is_object() || key == "cache_control" =>
        {
            0
        }
        ("enum", Value::Array(_)) => 0,
        (_, Value::Null | Value::Bool(_) | Value::Number(_)) => 0,
        _ => value.to_string().len(),
    }
}

fn comment(text: &str) -> String {
    format!("// {text}")
}

fn has_properties(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|properties| !properties.is_empty())
}

/// The properties, a line each.
fn object(schema: &Value, depth: usize) -> String {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let indent = " ".repeat(2 * depth);
    let mut lines = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(text) = property["description"].as_str().filter(|text| !text.is_empty()) {
            lines.push(format!("{indent}{}", comment(text)));
        }
        let optional = if required.iter().any(|required| required == name) { "" } else { "?" };
        lines.push(format!("{indent}{name}{optional}: {},", kind(property, depth)));
    }
    lines.join("\n")
}

fn kind(schema: &Value, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "any".to_owned();
    }
    let choices = schema["enum"].as_array().map(|values| {
        let quoted = |value: &Value| format!("\"{}\"", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        values.iter().map(quoted).collect::<Vec<_>>().join(" | ")
    });
    match schema["type"].as_str() {
        Some("string") => choices.unwrap_or_else(|| "string".to_owned()),
        Some("integer" | "number") => choices.unwrap_or_else(|| "number".to_owned()),
        Some("boolean") => "boolean".to_owned(),
        Some("null") => "null".to_owned(),
        Some("array") => format!("{}[]", kind(&schema["items"], depth + 1)),
        Some("object") => format!("{{\n{}\n}}", object(schema, depth + 1)),
        _ => "any".to_owned(),
    }
}
