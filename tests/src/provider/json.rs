//! Models that are asked for a document: `json-right`, `json-wrong`, `json-fenced`, `json-prose`, and `json-mends`, which
//! is wrong until it is told so.

use serde_json::{Value, json};

use super::Seen;

/// Fits `{"name": string, "age": integer}`.
pub const RIGHT: &str = r#"{"name": "Ada", "age": 36}"#;
/// Does not.
pub const WRONG: &str = r#"{"name": "Ada", "age": "thirty-six"}"#;

/// What such a model says.
pub(super) fn text(seen: &Seen) -> Option<String> {
    let turns = seen.body["messages"].as_array().into_iter().flatten();
    let told = turns.filter(|turn| turn["role"] == "assistant").count() > 0;
    Some(match seen.model().strip_prefix("json-")? {
        "right" => RIGHT.to_owned(),
        "mends" if told => RIGHT.to_owned(),
        "fenced" => format!("```json\n{RIGHT}\n```"),
        "prose" => format!("Here you are: {RIGHT}"),
        _ => WRONG.to_owned(),
    })
}

/// The tool that the request makes the model call, and what it is called with.
pub(super) fn forced(seen: &Seen, text: &str) -> Option<Value> {
    let name = seen.body["tool_choice"]["name"].as_str()?;
    let input: Value = serde_json::from_str(text).ok()?;
    Some(json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": input}))
}
