//! A JSON schema as Anthropic's structured answers take it.
//!
//! They know no bounds (`minimum`, `maxLength`, …) and no references, and want every object closed. Bounds become words in
//! the description, so that the model still reads them; references are written out where they stand.

use serde_json::{Map, Value};

use crate::{BadRequest, refs};

/// Bounds that become words.
const BOUNDS: &[(&str, &str)] = &[
    ("minimum", "minimum value"),
    ("maximum", "maximum value"),
    ("exclusiveMinimum", "exclusive minimum value"),
    ("exclusiveMaximum", "exclusive maximum value"),
    ("minLength", "minimum length"),
    ("maxLength", "maximum length"),
    ("minItems", "minimum number of items"),
    ("maxItems", "maximum number of items"),
];

/// Err: it is too long where its references are written out.
pub(crate) fn strict(schema: &Value) -> Result<Value, BadRequest> {
    let written = refs::written_out(schema, &mut refs::ROOM.clone());
    let written = written.map_err(|no| no.refuse("response_format", "the schema's parts", "Anthropic"))?;
    let mut cleaned = clean(written);
    if let Some(schema) = cleaned.as_object_mut() {
        schema.shift_remove("$schema");
    }
    Ok(cleaned)
}

/// Refuses a schema that has no end, for those who take none: whatever stood in for it would be asked for, paid for and then
/// found not to fit.
pub(crate) fn no_circle(schema: &Value, who: &str) -> Result<(), BadRequest> {
    let Some(name) = refs::circle(schema) else { return Ok(()) };
    let message = format!(
        "the schema of response_format refers to itself by {name:?}, and {who} takes none that does (write out as many \
         levels as an answer may have)"
    );
    Err(BadRequest::at("response_format", message))
}

/// Whether some object of a schema may have fields nobody named: a map. Structured answers want every object closed, so that
/// of a map nothing but the empty one would be left.
pub(crate) fn is_open(schema: &Value) -> bool {
    match schema {
        Value::Object(schema) => schema.iter().any(|(key, value)| match (key.as_str(), value) {
            ("additionalProperties", value) => *value == Value::Bool(true) || value.is_object(),
            ("patternProperties", Value::Object(fields)) => !fields.is_empty(),
            ("properties" | "$defs" | "definitions", Value::Object(fields)) => fields.values().any(is_open),
            ("enum" | "const" | "default" | "examples" | "required", _) => false,
            (_, value) => is_open(value),
        }),
        Value::Array(items) => items.iter().any(is_open),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn clean(schema: Value) -> Value {
    match schema {
        Value::Object(schema) => clean_object(schema),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema,
    }
}

fn clean_object(schema: Map<String, Value>) -> Value {
    let mut out = Map::new();
    let mut notes = Vec::new();
    for (key, value) in schema {
        let cleaned = match (key.as_str(), value) {
            ("$defs" | "definitions", _) => continue,
            // Names of properties are no keywords: only their schemas are looked into.
            ("properties", Value::Object(fields)) => {
                fields.into_iter().map(|(name, schema)| (name, clean(schema))).collect()
            }
            ("enum" | "const" | "default" | "examples" | "required", value) => value,
            (key, value) => match BOUNDS.iter().find(|(bound, _)| *bound == key && value.is_number()) {
                Some((_, words)) => {
                    notes.push(format!("{words}: {value}"));
                    continue;
                }
                None => clean(value),
            },
        };
        out.insert(key, cleaned);
    }
    describe(&mut out, &notes);
    if out.get("type") == Some(&"object".into()) {
        out.insert("additionalProperties".into(), Value::Bool(false));
    }
    Value::Object(out)
}

fn describe(schema: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let note = format!("Note: {}.", notes.join(", "));
    let text = match schema.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text} {note}"),
        None => note,
    };
    schema.insert("description".into(), text.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_become_words_and_references_are_written_out() {
        let schema = json!({
            "$schema": "x", "type": "object",
            "properties": {
                "minimum": {"type": "integer", "minimum": 0, "maximum": 9, "description": "Age."},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "home": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
            },
            "required": ["minimum"],
            "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string", "enum": ["a"]}}}},
        });
        let want = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer", "description": "Age. Note: minimum value: 0, maximum value: 9."},
                "tags": {"type": "array", "items": {"type": "string"}, "description": "Note: minimum number of items: 1."},
                "home": {"anyOf": [
                    {"type": "object", "properties": {"city": {"type": "string", "enum": ["a"]}},
                        "additionalProperties": false},
                    {"type": "null"},
                ]},
            },
            "required": ["minimum"], "additionalProperties": false,
        });
        assert_eq!(strict(&schema).unwrap(), want);
    }

    #[test]
    fn a_map_is_told_from_an_object_whose_fields_are_known() {
        let field = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
        let rows = [
            (field(json!({"type": "object", "additionalProperties": {"type": "integer"}})), true),
            (field(json!({"type": "array", "items": {"type": "object", "additionalProperties": true}})), true),
            (field(json!({"anyOf": [{"type": "object", "patternProperties": {"^x": {}}}, {"type": "null"}]})), true),
            (json!({"$ref": "#/$defs/M", "$defs": {"M": {"type": "object", "additionalProperties": {}}}}), true),
            (json!({"type": "object", "additionalProperties": false}), false),
            (field(json!({"default": {"additionalProperties": true}})), false),
            (json!({"type": "object", "properties": {"additionalProperties": {"type": "string"}}}), false),
        ];
        for (schema, want) in rows {
            assert_eq!(is_open(&schema), want, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_is_too_long_without_its_references_is_refused_with_the_bound() {
        let fields: Map<_, _> = (0..2_000).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Long"}))).collect();
        let long = json!({"type": "string", "description": "a".repeat(1_000)});
        let refused = strict(&json!({"type": "object", "properties": fields, "$defs": {"Long": long}})).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("response_format"));
        assert!(
            refused.message.contains("Anthropic") && refused.message.contains("1048576 bytes"),
            "{}",
            refused.message
        );
    }
}
