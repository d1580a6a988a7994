//! Tools made fit for a provider's row.

use serde_json::{Map, Value, json};

use crate::Body;
use crate::body::holds_any;
use crate::openai::table::Row;

/// A schema nests no deeper than the body it came in.
const MAX_DEPTH: usize = 128;

/// Declarations without what the provider refuses in them.
pub(crate) fn tools(out: &mut Body, row: &Row) {
    search(out, row);
    let (marks, strict, schema) = (!row.cache_marks, !row.strict_tools, !row.schema_drops.is_empty());
    let own = [("cache_control", marks), ("strict", strict)].into_iter().filter(|(_, refused)| *refused);
    let refused = own.map(|(word, _)| word).chain(row.schema_drops.iter().copied());
    let refused: Vec<String> = refused.map(|word| format!("\"{word}\"")).collect();
    let words: Vec<&[u8]> = refused.iter().map(String::as_bytes).collect();
    if words.is_empty() || !out.get_bytes("tools").is_some_and(|raw| holds_any(raw, &words)) {
        return;
    }
    out.edit("tools", |tool| {
        let leave_out = |part: &mut Map<String, Value>| {
            if marks {
                part.shift_remove("cache_control");
            }
            if strict {
                part.shift_remove("strict");
            }
        };
        let Value::Object(tool) = tool else { return true };
        leave_out(tool);
        let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) else { return true };
        leave_out(function);
        if let Some(parameters) = function.get_mut("parameters").filter(|_| schema) {
            clean(parameters, row.schema_drops, MAX_DEPTH);
        }
        true
    });
}

/// A search asked for in OpenAI's words is a tool of its own elsewhere.
fn search(out: &mut Body, row: &Row) {
    let Some(name) = row.search_tool.filter(|_| out.value("web_search_options").is_some()) else { return };
    out.remove("web_search_options");
    out.insert("tools", usize::MAX, &[json!({"type": name})]);
}

/// A schema without some of its keywords. Names of properties are no keywords.
fn clean(schema: &mut Value, keywords: &[&str], depth: usize) {
    match schema {
        Value::Object(fields) if depth > 0 => {
            for keyword in keywords {
                fields.shift_remove(*keyword);
            }
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                        named.values_mut().for_each(|schema| clean(schema, keywords, depth - 1));
                    }
                    ("enum" | "const" | "default" | "examples", _) => {}
                    (_, value) => clean(value, keywords, depth - 1),
                }
            }
        }
        Value::Array(items) if depth > 0 => items.iter_mut().for_each(|item| clean(item, keywords, depth - 1)),
        _ => {}
    }
}
