//! A JSON schema as Gemini takes it in a tool's declaration.
//!
//! `parameters` is a subset of OpenAPI; `parametersJsonSchema` is JSON schema itself, which older models read less well. So a
//! schema goes as the one where nothing of it is lost, and else as the other.

use serde_json::{Map, Value};

/// What the subset knows.
const KNOWN: &[&str] = &[
    "type",
    "description",
    "title",
    "enum",
    "format",
    "nullable",
    "default",
    "example",
    "items",
    "properties",
    "required",
    "propertyOrdering",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minProperties",
    "maxProperties",
    "pattern",
    "anyOf",
];

/// What says nothing a caller has to keep to.
const SILENT: &[&str] = &["$schema", "$id", "additionalProperties", "strict"];

/// The schema in the subset. None: it says what the subset cannot.
pub(super) fn subset(schema: &Value) -> Option<Value> {
    let fields = schema.as_object()?;
    let mut out = Map::new();
    for (key, value) in fields {
        let value = match key.as_str() {
            key if SILENT.contains(&key) && !value.is_object() => continue,
            "type" if !value.is_string() => return None,
            "format" if !is_known_format(value) => continue,
            // An object without any is refused when it says so.
            "properties" if value.as_object().is_some_and(Map::is_empty) => continue,
            "properties" => {
                let properties = value.as_object()?.iter();
                let properties: Option<Map<_, _>> =
                    properties.map(|(name, schema)| Some((name.clone(), subset(schema)?))).collect();
                Value::Object(properties?)
            }
            "items" => subset(value)?,
            "anyOf" => value.as_array()?.iter().map(subset).collect::<Option<Value>>()?,
            key if KNOWN.contains(&key) => value.clone(),
            _ => return None,
        };
        out.insert(key.clone(), value);
    }
    Some(Value::Object(out))
}

fn is_known_format(format: &Value) -> bool {
    ["enum", "date-time", "float", "double", "int32", "int64"].iter().any(|known| format == known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_subset_can_say_stays_and_what_it_cannot_goes_whole() {
        let rows = [
            (json!({"type": "object", "additionalProperties": false, "$schema": "x"}), Some(json!({"type": "object"}))),
            (json!({"type": "string", "format": "uri"}), Some(json!({"type": "string"}))),
            (
                json!({"type": "array", "items": {"type": "string", "strict": true}}),
                Some(json!({"type": "array", "items": {"type": "string"}})),
            ),
            (
                json!({"properties": {"const": {"type": "string"}}}),
                Some(json!({"properties": {"const": {"type": "string"}}})),
            ),
            (json!({"properties": {"a": {"$ref": "#/$defs/A"}}}), None),
            (json!({"type": ["string", "null"]}), None),
            (json!({"const": 3}), None),
            (json!({"additionalProperties": {"type": "string"}}), None),
            (json!({"anyOf": [{"type": "string"}, {"oneOf": []}]}), None),
            (json!(true), None),
        ];
        for (schema, want) in rows {
            assert_eq!(subset(&schema), want, "{schema}");
        }
    }
}
