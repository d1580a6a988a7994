//! JSON schemas without references, for those who read none: what is referred to is written out where it stands.

use std::{collections::HashSet, ptr};

use serde_json::{Map, Value};

use crate::BadRequest;

/// References may double at every level; what is written out ends here, and what is left out may be anything. A schema people
/// write has a few hundred parts.
const MAX_PARTS: usize = 10_000;

/// What may be written out of a request's references, in bytes: a long description that is referred to a thousand times is
/// a thousand descriptions.
pub(crate) const ROOM: usize = 1 << 20;

/// Of that, for each part beside its text.
const PART_BYTES: usize = 16;

/// References within references.
const MAX_DEPTH: usize = 48;

/// How often what refers to itself is written out within itself. What would be there after that may be anything.
const WITHIN_ITSELF: usize = 2;

/// Deeper than this nobody looks for a reference that leads back.
const MAX_SEARCH: usize = 256;

/// Where definitions are.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// There is not enough room for what is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The schema with its references written out, and without the definitions nobody refers to any more. What they take is taken
/// from `room`.
pub(crate) fn written_out(schema: &Value, room: &mut usize) -> Result<Value, NoRoom> {
    let mut writer = Writer { root: schema, left: MAX_PARTS, room, inside: Vec::new() };
    let mut out = writer.write(schema, 0)?;
    if let Some(out) = out.as_object_mut() {
        out.retain(|key, _| !DEFINITIONS.contains(&key.as_str()));
    }
    Ok(out)
}

/// A reference that leads back to itself: what it refers to has no end. None: all of them can be written out.
pub(crate) fn circle(schema: &Value) -> Option<&str> {
    let mut search = Search { root: schema, inside: vec![schema], ended: HashSet::new() };
    search.value(schema, 0)
}

struct Writer<'a> {
    root: &'a Value,
    left: usize,
    room: &'a mut usize,
    /// What is being written out.
    inside: Vec<&'a Value>,
}

struct Search<'a> {
    root: &'a Value,
    /// What has been referred to on the way.
    inside: Vec<&'a Value>,
    /// What is known to lead nowhere back.
    ended: HashSet<*const Value>,
}

// === impl NoRoom ===

impl NoRoom {
    /// In words, for whoever sent it. `what` is written as `who` wants it.
    pub(crate) fn refuse(self, at: &str, what: &str, who: &str) -> BadRequest {
        let message = format!(
            "{at}: {what:.100} are too long where references are written out, as {who} wants them: $refs of one request may \
             take {ROOM} bytes (refer to less, or shorten the descriptions under $defs)",
        );
        BadRequest::at(at, message)
    }
}

// === impl Writer ===

impl<'a> Writer<'a> {
    /// What stands there anyway takes no room.
    fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if !self.inside.is_empty() {
            *self.room = self.room.checked_sub(bytes).ok_or(NoRoom)?;
        }
        Ok(())
    }

    fn write(&mut self, schema: &'a Value, depth: usize) -> Result<Value, NoRoom> {
        self.take(PART_BYTES + schema.as_str().map_or(0, str::len))?;
        self.left = self.left.saturating_sub(usize::from(!self.inside.is_empty()));
        let ends = depth > MAX_DEPTH || self.left == 0;
        match schema {
            Value::Object(_) if ends && !self.inside.is_empty() => Ok(Value::Object(Map::new())),
            Value::Object(schema) => self.object(schema, depth),
            Value::Array(items) => items.iter().map(|item| self.write(item, depth + 1)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(schema.clone()),
        }
    }

    fn object(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Result<Value, NoRoom> {
        let target = referred(schema, self.root).map(|(_, target)| target);
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

    fn referred(&mut self, target: &'a Value, depth: usize) -> Result<Value, NoRoom> {
        if self.inside.iter().filter(|it| ptr::eq(**it, target)).count() >= WITHIN_ITSELF {
            return Ok(Value::Object(Map::new()));
        }
        self.inside.push(target);
        let mut out = self.write(target, depth + 1);
        self.inside.pop();
        if ptr::eq(target, self.root)
            && let Ok(Value::Object(out)) = &mut out
        {
            out.retain(|key, _| !DEFINITIONS.contains(&key.as_str()));
        }
        out
    }
}

// === impl Search ===

impl<'a> Search<'a> {
    fn value(&mut self, value: &'a Value, depth: usize) -> Option<&'a str> {
        match value {
            Value::Object(schema) => self.object(schema, depth),
            Value::Array(items) => items.iter().find_map(|item| self.value(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn object(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Option<&'a str> {
        if let Some((name, target)) = referred(schema, self.root) {
            if depth > MAX_SEARCH || self.inside.iter().any(|it| ptr::eq(*it, target)) {
                return Some(name);
            }
            if self.ended.insert(target) {
                self.inside.push(target);
                let found = self.value(target, depth + 1);
                self.inside.pop();
                if found.is_some() {
                    return found;
                }
            }
        }
        // What nobody refers to is not sent.
        let counts = |key: &str| depth > 0 || !DEFINITIONS.contains(&key);
        schema.iter().filter(|(key, _)| counts(key)).find_map(|(_, value)| self.value(value, depth + 1))
    }
}

/// What an object refers to, by which name: `#/$defs/Name`, or `#`, which is the whole schema.
fn referred<'a>(schema: &'a Map<String, Value>, root: &'a Value) -> Option<(&'a str, &'a Value)> {
    let name = schema.get("$ref")?.as_str()?;
    Some((name, root.pointer(name.strip_prefix('#')?)?))
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
    fn a_reference_that_leads_back_is_found_wherever_it_stands() {
        let object =
            |fields: Value, definitions: Value| json!({"type": "object", "properties": fields, "$defs": definitions});
        let of = |name: &str| json!({"$ref": name});
        let rows = [
            (object(json!({"next": of("#")}), json!({})), Some("#")),
            (object(json!({"tree": of("#/$defs/T")}), json!({"T": {"items": of("#/$defs/T")}})), Some("#/$defs/T")),
            (
                object(json!({"a": of("#/$defs/A")}), json!({"A": {"not": of("#/$defs/B")}, "B": of("#/$defs/A")})),
                Some("#/$defs/A"),
            ),
            (object(json!({"a": {"items": of("#/properties/a")}}), json!({})), Some("#/properties/a")),
            // Twice is no circle, and what nobody refers to is not sent.
            (object(json!({"a": of("#/$defs/A"), "b": of("#/$defs/A")}), json!({"A": {"type": "string"}})), None),
            (object(json!({"a": {}}), json!({"T": of("#/$defs/T")})), None),
            (object(json!({"a": of("https://a/b"), "c": of("#/$defs/None")}), json!({})), None),
            (json!(true), None),
        ];
        for (schema, want) in rows {
            assert_eq!(circle(&schema), want, "{schema}");
        }
        let chain: Map<_, _> = (0..5_000).map(|n| (format!("d{n}"), of(&format!("#/$defs/d{}", n + 1)))).collect();
        assert!(circle(&object(json!({"a": of("#/$defs/d0")}), chain.into())).is_some(), "nobody reads so far");
    }

    #[test]
    fn what_refers_to_itself_is_written_out_a_few_times() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "$defs": {"Unused": {}}});
        let level = |next: Value| json!({"type": "object", "properties": {"next": next}});
        assert_eq!(written_out(&schema, &mut ROOM.clone()), Ok(level(level(level(json!({}))))));
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
