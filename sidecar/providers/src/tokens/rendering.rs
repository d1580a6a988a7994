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
