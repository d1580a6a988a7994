//! The structural half: types, required and unknown fields, bounds, patterns, enums.

use regex::Regex;
use serde_json::Value;

use super::{Violation, words};
use crate::quote::quote;

/// Walks `object` along `schema`.
pub(super) fn check(schema: &Value, object: &Value) -> Vec<Violation> {
    let mut walk = Walk { found: Vec::new() };
    let path = String::new();
    // apiVersion, kind and metadata are in every object, whether the schema describes them or not.
    if let (Some(fields), Value::Object(_)) = (schema["properties"].as_object(), object) {
        for (name, value) in object.as_object().into_iter().flatten() {
            match fields.get(name) {
                Some(field) => walk.value(field, value, name.clone()),
                None if ["apiVersion", "kind", "metadata"].contains(&name.as_str()) => {}
                None => walk.unknown(&path, name, fields.keys()),
            }
        }
        walk.required(schema, object, &path);
    } else {
        walk.say(&path, "must be an object".to_owned());
    }
    walk.found
}

struct Walk {
    found: Vec<Violation>,
}

impl Walk {
    fn say(&mut self, path: &str, message: String) {
        self.found.push(Violation { path: path.to_owned(), message });
    }

    fn value(&mut self, schema: &Value, value: &Value, path: String) {
        if schema["x-kubernetes-preserve-unknown-fields"] == true && schema.get("type").is_none() {
            return;
        }
        if value.is_null() {
            // The API server drops a null that the schema does not allow, as if the field were not there.
            return;
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(_)) => self.object(schema, value, &path),
            (Some("array"), Value::Array(items)) => self.array(schema, items, &path),
            (Some("string"), Value::String(text)) => self.string(schema, text, &path),
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(schema, number.as_f64(), value, &path);
            }
            (Some("number"), Value::Number(number)) => self.number(schema, number.as_f64(), value, &path),
            (Some("boolean"), Value::Bool(_)) | (None, _) => {}
            // A key that somebody forgot to quote is a number.
            (Some("string"), Value::Number(_)) => {
                self.say(&path, "must be of type string, got a number: put it in quotes".to_owned());
            }
            (Some(kind), _) => self.say(&path, format!("must be of type {kind}, got {}", brief(value))),
        }
        if let Some(options) = schema["enum"].as_array()
            && !options.contains(value)
        {
            let known: Vec<String> = options.iter().map(brief).collect();
            self.say(&path, format!("{} is not one of {}", brief(value), known.join(", ")));
        }
    }

    fn object(&mut self, schema: &Value, value: &Value, path: &str) {
        let entries = value.as_object().into_iter().flatten();
        let count = value.as_object().map_or(0, serde_json::Map::len);
        self.bounds(schema, ("minProperties", "maxProperties"), count, "entries", path);
        let fields = schema["properties"].as_object();
        for (name, entry) in entries {
            let inner = join(path, name);
            match (fields.and_then(|fields| fields.get(name)), &schema["additionalProperties"]) {
                (Some(field), _) => self.value(field, entry, inner),
                (None, values @ Value::Object(_)) => self.value(values, entry, inner),
                (None, Value::Bool(true)) => {}
                (None, _) if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                (None, _) => self.unknown(path, name, fields.into_iter().flatten().map(|(name, _)| name)),
            }
        }
        self.required(schema, value, path);
    }

    fn required(&mut self, schema: &Value, value: &Value, path: &str) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none_or(Value::is_null) {
                self.say(&join(path, name), "is required".to_owned());
            }
        }
    }

    fn unknown<'a>(&mut self, path: &str, name: &str, known: impl Iterator<Item = &'a String>) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let list = if known.is_empty() { String::new() } else { format!(" (known: {})", known.join(", ")) };
        self.say(&join(path, name), format!("is not a field{list}"));
    }

    fn array(&mut self, schema: &Value, items: &[Value], path: &str) {
        self.bounds(schema, ("minItems", "maxItems"), items.len(), "items", path);
        for (index, item) in items.iter().enumerate() {
            self.value(&schema["items"], item, format!("{path}[{index}]"));
        }
        self.map_keys(schema, items, path);
    }

    /// A list of type `map` may not hold two items with equal keys.
    fn map_keys(&mut self, schema: &Value, items: &[Value], path: &str) {
        let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else { return };
        let key_of =
            |item: &Value| keys.iter().filter_map(Value::as_str).map(|key| item[key].clone()).collect::<Vec<_>>();
        for (index, item) in items.iter().enumerate() {
            if items.iter().take(index).any(|earlier| key_of(earlier) == key_of(item)) {
                let keys: Vec<String> = key_of(item).iter().map(brief).collect();
                self.say(&format!("{path}[{index}]"), format!("repeats {}", keys.join(", ")));
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, path: &str) {
        self.bounds(schema, ("minLength", "maxLength"), text.chars().count(), "characters", path);
        if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
        {
            self.say(path, format!("{} {}", quote(text), words::wanted(pattern)));
        }
    }

    fn number(&mut self, schema: &Value, number: Option<f64>, value: &Value, path: &str) {
        let Some(number) = number else { return };
        if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
            self.say(path, format!("{} is less than {least}", brief(value)));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
            self.say(path, format!("{} is more than {most}", brief(value)));
        }
    }

    fn bounds(&mut self, schema: &Value, (least, most): (&str, &str), count: usize, unit: &str, path: &str) {
        let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(least) = bound(least).filter(|least| count < *least) {
            self.say(path, format!("has {count} {unit}, needs at least {least}"));
        }
        if let Some(most) = bound(most).filter(|most| count > *most) {
            self.say(path, format!("has {count} {unit}, takes at most {most}"));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value short enough for a message. Of one that has parts it is not said what they are: there may be a secret among them.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => quote(text),
        plain => plain.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"properties": {"spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]*$"},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "mode": {"type": "string", "enum": ["Fast", "Safe"]},
                "on": {"type": "boolean"},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
                "map": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
                "list": {"type": "array", "maxItems": 2, "x-kubernetes-list-map-keys": ["id"],
                         "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
            },
        }}, "required": ["spec"]})
    }

    #[test]
    fn a_sound_object_has_no_violations() {
        let object = json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "x"}, "spec": {
            "name": "abc", "count": 3, "mode": "Fast", "on": true, "free": {"a": [1]}, "map": {"k": "v"},
            "list": [{"id": "a"}, {"id": "b"}],
        }});
        assert_eq!(check(&schema(), &object), vec![]);
    }

    #[test]
    fn each_violation_names_its_place_and_its_bound() {
        let rows = [
            (json!({}), "spec: is required"),
            (json!({"spec": {}}), "spec.name: is required"),
            (json!({"spec": {"name": "a"}, "stauts": {}}), "stauts: is not a field (known: spec)"),
            (json!({"spec": {"name": "toolong"}}), "spec.name: has 7 characters, takes at most 5"),
            (json!({"spec": {"name": ""}}), "spec.name: has 0 characters, needs at least 1"),
            (json!({"spec": {"name": "A"}}), "spec.name: \"A\" does not fit the regular expression ^[a-z]*$"),
            (json!({"spec": {"name": 3}}), "spec.name: must be of type string, got a number: put it in quotes"),
            (json!({"spec": {"name": {"key": "canary"}}}), "spec.name: must be of type string, got an object"),
            (
                json!({"spec": {"name": "a", "mode": "x://u:canary@h"}}),
                "spec.mode: \"x://…@h\" is not one of \"Fast\", \"Safe\"",
            ),
            (json!({"spec": {"name": "a", "count": 0}}), "spec.count: 0 is less than 1"),
            (json!({"spec": {"name": "a", "count": 10}}), "spec.count: 10 is more than 9"),
            (json!({"spec": {"name": "a", "count": 1.5}}), "spec.count: must be of type integer, got 1.5"),
            (json!({"spec": {"name": "a", "mode": "Slow"}}), "spec.mode: \"Slow\" is not one of \"Fast\", \"Safe\""),
            (json!({"spec": {"name": "a", "on": "yes"}}), "spec.on: must be of type boolean, got \"yes\""),
            (json!({"spec": {"name": "a", "map": {"a": "1", "b": "2"}}}), "spec.map: has 2 entries, takes at most 1"),
            (
                json!({"spec": {"name": "a", "map": {"a": 1}}}),
                "spec.map.a: must be of type string, got a number: put it in quotes",
            ),
            (json!({"spec": {"name": "a", "list": [{"di": "x"}]}}), "spec.list[0].di: is not a field (known: id)"),
            (json!({"spec": {"name": "a", "list": [{"id": "x"}, {"id": "x"}]}}), "spec.list[1]: repeats \"x\""),
        ];
        for (object, want) in rows {
            let found: Vec<String> = check(&schema(), &object).iter().map(ToString::to_string).collect();
            assert_eq!(found, [want], "{object}");
        }
    }
}
