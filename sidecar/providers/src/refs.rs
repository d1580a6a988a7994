//! JSON schemas without references, for those who read none: what is referred to is written out where it stands.

use serde_json::{Map, Value};

/// References may refer to themselves, or double at every level; what is written out ends here, and what is left out may be
/// anything. A schema people write has a few hundred parts.
const MAX_PARTS: usize = 10_000;

/// References within references.
const MAX_DEPTH: usize = 48;

/// Where definitions are.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// The schema with its references written out, and without the definitions nobody refers to any more.
pub(crate) fn written_out(schema: &Value) -> Value {
    let definitions = DEFINITIONS.iter().find_map(|key| schema.get(*key));
    let Some(definitions) = definitions else { return schema.clone() };
    let mut writer = Writer { definitions, left: MAX_PARTS };
    let mut out = writer.write(schema, 0);
    if let Some(out) = out.as_object_mut() {
        out.retain(|key, _| !DEFINITIONS.contains(&key.as_str()));
    }
    out
}

struct Writer<'a> {
    definitions: &'a Value,
    left: usize,
}

// === impl Writer ===

impl Writer<'_> {
    fn write(&mut self, schema: &Value, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        match schema {
            Value::Object(_) if depth > MAX_DEPTH || self.left == 0 => Value::Object(Map::new()),
            Value::Object(schema) => self.object(schema, depth),
            Value::Array(items) => items.iter().map(|item| self.write(item, depth + 1)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let definitions = self.definitions;
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|name| resolve(name, definitions));
        let mut out = match target.map(|target| self.write(target, depth + 1)) {
            Some(Value::Object(out)) => out,
            // `true`, which has no room for what stands beside the reference.
            Some(other) => return other,
            None => Map::new(),
        };
        for (key, value) in schema {
            match key.as_str() {
                "$ref" if target.is_some() => {}
                // At the top, where they are left out in the end.
                "$defs" | "definitions" if depth == 0 => {}
                _ => {
                    let value = self.write(value, depth + 1);
                    out.insert(key.clone(), value);
                }
            }
        }
        Value::Object(out)
    }
}

/// `#/$defs/Name`
fn resolve<'a>(name: &str, definitions: &'a Value) -> Option<&'a Value> {
    let name = DEFINITIONS.iter().find_map(|key| name.strip_prefix("#/")?.strip_prefix(key)?.strip_prefix('/'))?;
    definitions.get(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_referred_to_stands_where_it_was_named() {
        let schema = json!({
            "type": "object",
            "properties": {
                "home": {"$ref": "#/$defs/Place", "description": "Where."},
                "lost": {"$ref": "#/$defs/Nowhere"},
                "any": {"$ref": "#/$defs/Any"},
            },
            "$defs": {
                "Place": {"type": "object", "properties": {"in": {"$ref": "#/$defs/Country"}}},
                "Country": {"type": "string"},
                "Any": true,
            },
        });
        let want = json!({
            "type": "object",
            "properties": {
                "home": {"type": "object", "properties": {"in": {"type": "string"}}, "description": "Where."},
                "lost": {"$ref": "#/$defs/Nowhere"},
                "any": true,
            },
        });
        assert_eq!(written_out(&schema), want);
        for plain in [json!({"type": "string"}), json!(true), json!(null)] {
            assert_eq!(written_out(&plain), plain);
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree: Map<_, _> = (0..20).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Tree"}))).collect();
        let schema = json!({"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": tree}}});
        assert!(written_out(&schema).to_string().len() < 100 * MAX_PARTS);
    }
}
