//! What each message of a chat is, as far as leaving it out is concerned.

use serde_json::Value;
use spillway_policy::truncate::Part;

pub(super) fn part(message: &Value) -> Part {
    let has_block = |kind: &str| {
        let blocks = message["content"].as_array();
        blocks.is_some_and(|blocks| blocks.iter().any(|block| block["type"] == kind))
    };
    let calls = || {
        message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) || message["function_call"].is_object()
    };
    match message["role"].as_str().unwrap_or_default() {
        "system" | "developer" => Part::System,
        "assistant" if calls() || has_block("tool_use") => Part::Call,
        "assistant" => Part::Assistant,
        "tool" | "function" => Part::Result,
        _ if has_block("tool_result") => Part::Result,
        _ => Part::User,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_dialects_tool_calls_and_results_are_recognised() {
        let rows = [
            (json!({"role": "system", "content": "x"}), Part::System),
            (json!({"role": "developer", "content": "x"}), Part::System),
            (json!({"role": "user", "content": "x"}), Part::User),
            (json!({"role": "user", "content": [{"type": "text", "text": "x"}]}), Part::User),
            (json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}), Part::Result),
            (json!({"role": "assistant", "content": "x", "tool_calls": []}), Part::Assistant),
            (json!({"role": "assistant", "tool_calls": [{"id": "1"}]}), Part::Call),
            (json!({"role": "assistant", "function_call": {"name": "f"}}), Part::Call),
            (json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}), Part::Call),
            (json!({"role": "tool", "content": "x"}), Part::Result),
        ];
        for (message, want) in rows {
            assert_eq!(part(&message), want, "{message}");
        }
    }
}
