//! JSON schemas without references, for those who read none: what is referred to is written out where it stands.

use serde_json::{Map, Value};

/// References may refer to themselves, or double at every level; what is written out ends here, and what is left out may be
/// anything. A schema people write has a few hundred parts.
const MAX_PARTS: usize = 10_000;

/// What may be written out of a request's references, in bytes: a long description that is referred to a thousand times is
/// a thousand descriptions.
pub(crate) const ROOM: usize = 1 << 20;

/// Of that, for each part beside its text.
const PART_BYTES: usize = 16;

/// References within references.
const MAX_DEPTH: usize = 48;

/// Where definitions are.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// There is not enough room for what is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The schema with its references written out, and without the definitions nobody refers to any more. What they take is taken
/// from `room`.
pub(crate) fn written_out(schema: &Value, room: &mut usize) -> Result<Value, NoRoom> {
    let definitions = DEFINITIONS.iter().find_map(|key| schema.get(*key));
    let Some(definitions) = definitions else { return Ok(schema.clone()) };
    let mut writer = Writer { definitions, left: MAX_PARTS, room, inside: 0 };
    let mut out = writer.write(schema, 0)?;
    if let Some(out) = out.as_object_mut() {
        out.retain(|key, _| !DEFINITIONS.contains(&key.as_str()));
    }
    Ok(out)
}

struct Writer<'a> {
    definitions: &'a Value,
    left: usize,
    room: &'a mut usize,
    /// References that are being written out.
    inside: usize,
}

// === impl Writer ===

impl Writer<'_> {
    /// What stands there anyway takes no room.
    fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if self.inside > 0 {
            *self.room = self.room.checked_sub(bytes).ok_or(NoRoom)?;
        }
        Ok(())
    }

    fn write(&mut self, schema: &Value, depth: usize) -> Result<Value, NoRoom> {
        self.left = self.left.saturating_sub(1);
        self.take(PART_BYTES + schema.as_str().map_or(0, str::len))?;
        match schema {
            Value::Object(_) if depth > MAX_DEPTH || self.left == 0 => Ok(Value::Object(Map::new())),
            Value::Object(schema) => self.object(schema, depth),
            Value::Array(items) => items.iter().map(|item| self.write(item, depth + 1)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(schema.clone()),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, NoRoom> {
        let definitions = self.definitions;
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|name| resolve(name, definitions));
        let mut out = match target.map(|target| self.referred(target, depth)).transpose()? {
            Some(Value::Object(out)) => out,
            // `true`, which has no room for what stands beside the reference.
            Some(other) => return Ok(other),
            None => Map::new(),
        };
        for (key, value) in schema {
            match key.as_str() {
                "$ref" if target.is_some() => {}
                // At the top, where they are left out in the end.
                "$defs" | "definitions" if depth == 0 => {}
                _ => {
                    self.take(key.len())?;
                    let value = self.write(value, depth + 1)?;
                    out.insert(key.clone(), value);
                }
            }
        }
        Ok(Value::Object(out))
    }

    fn referred(&mut self, target: &Value, depth: usize) -> Result<Value, NoRoom> {
        self.inside += 1;
        let out = self.write(target, depth + 1);
        self.inside -= 1;
        out
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
        assert_eq!(written_out(&schema, &mut ROOM.clone()), Ok(want));
        for plain in [json!({"type": "string"}), json!(true), json!(null)] {
            assert_eq!(written_out(&plain, &mut 0), Ok(plain.clone()));
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree: Map<_, _> = (0..20).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Tree"}))).collect();
        let schema = json!({"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": tree}}});
        let out = written_out(&schema, &mut ROOM.clone()).unwrap();
        assert!(out.to_string().len() < 100 * MAX_PARTS);
    }

    #[test]
    fn what_is_referred_to_again_and_again_takes_no_more_than_there_is_room_for() {
        let schema = |text: usize, times: usize| {
            let fields: Map<_, _> = (0..times).map(|n| (format!("c{n}"), json!({"$ref": "#/$defs/Long"}))).collect();
            let long = json!({"type": "string", "description": "a".repeat(text)});
            json!({"type": "object", "properties": fields, "description": "b".repeat(2 * ROOM), "$defs": {"Long": long}})
        };
        for (text, times, fits) in
            [(1 << 10, 900, true), (1 << 10, 1_100, false), (1 << 20, 1, false), (1, 4_000, true)]
        {
            assert_eq!(
                written_out(&schema(text, times), &mut ROOM.clone()).is_ok(),
                fits,
                "{times} times {text} bytes"
            );
        }
        let mut room = ROOM;
        assert!(written_out(&schema(1 << 10, 900), &mut room).is_ok());
        assert_eq!(written_out(&schema(1 << 10, 900), &mut room), Err(NoRoom), "the room is one request's");
    }
}
