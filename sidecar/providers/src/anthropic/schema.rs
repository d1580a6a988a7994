//! A JSON schema as Anthropic's structured answers take it.
//!
//! They know no bounds (`minimum`, `maxLength`, …) and no references, and want every object closed. Bounds become words in
//! the description, so that the model still reads them; references are written out where they stand.

use serde_json::{Map, Value};

/// References may refer to themselves, or double at every level; what is written out ends here, and what is left out may be
/// anything. A schema people write has a few hundred parts.
const MAX_PARTS: usize = 10_000;

/// References within references.
const MAX_DEPTH: usize = 48;

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

pub(crate) fn strict(schema: &Value) -> Value {
    let definitions = ["$defs", "definitions"].iter().find_map(|key| schema.get(*key));
    let mut cleaner = Cleaner { definitions: definitions.unwrap_or(&Value::Null), left: MAX_PARTS };
    let mut cleaned = cleaner.clean(schema, 0);
    if let Some(schema) = cleaned.as_object_mut() {
        schema.shift_remove("$schema");
    }
    cleaned
}

struct Cleaner<'a> {
    definitions: &'a Value,
    left: usize,
}

// === impl Cleaner ===

impl Cleaner<'_> {
    fn clean(&mut self, schema: &Value, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        match schema {
            Value::Object(_) if depth > MAX_DEPTH || self.left == 0 => Value::Object(Map::new()),
            Value::Object(schema) => self.clean_object(schema, depth),
            Value::Array(items) => items.iter().map(|item| self.clean(item, depth + 1)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
        }
    }

    fn clean_object(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let definitions = self.definitions;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|name| resolve(name, definitions)) {
            return self.clean(target, depth + 1);
        }
        let mut out = Map::new();
        let mut notes = Vec::new();
        for (key, value) in schema {
            let cleaned = match key.as_str() {
                "$defs" | "definitions" => continue,
                // Names of properties are no keywords: only their schemas are looked into.
                "properties" => self.properties(value, depth),
                "enum" | "const" | "default" | "examples" | "required" => value.clone(),
                key => match BOUNDS.iter().find(|(bound, _)| *bound == key && value.is_number()) {
                    Some((_, words)) => {
                        notes.push(format!("{words}: {value}"));
                        continue;
                    }
                    None => self.clean(value, depth + 1),
                },
            };
            out.insert(key.clone(), cleaned);
        }
        describe(&mut out, &notes);
        if out.get("type") == Some(&"object".into()) {
            out.insert("additionalProperties".into(), Value::Bool(false));
        }
        Value::Object(out)
    }

    fn properties(&mut self, value: &Value, depth: usize) -> Value {
        let Value::Object(properties) = value else { return value.clone() };
        properties.iter().map(|(name, schema)| (name.clone(), self.clean(schema, depth + 1))).collect()
    }
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

/// `#/$defs/Name`
fn resolve<'a>(name: &str, definitions: &'a Value) -> Option<&'a Value> {
    let name = name.strip_prefix("#/$defs/").or_else(|| name.strip_prefix("#/definitions/"))?;
    definitions.get(name)
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
        assert_eq!(strict(&schema), want);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree: serde_json::Map<_, _> = (0..20).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Tree"}))).collect();
        let schema = json!({"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": tree}}});
        assert!(strict(&schema).to_string().len() < 100 * MAX_PARTS);
    }
}
