//! What each message of a chat is, as far as leaving it out is concerned.

use serde_json::Value;
use spillway_policy::truncate::Part;

use super::pairs::{Names, bind};

pub(super) fn parts(messages: &[Value]) -> Vec<Part> {
    let mut parts: Vec<Part> = messages.iter().map(part).collect();
    bind(messages, &mut parts, names, |_| 0);
    parts
}

/// A call is answered under its id; before there were any, under the name of the function.
fn names(message: &Value) -> Names<'_> {
    let blocks = |kind: &'static str, key: &'static str| {
        let blocks = message["content"].as_array().into_iter().flatten();
        blocks.filter(move |block| block["type"] == kind).filter_map(move |block| block[key].as_str())
    };
    let calls = message["tool_calls"].as_array().into_iter().flatten().filter_map(|call| call["id"].as_str());
    let asks = calls.chain(message["function_call"]["name"].as_str()).chain(blocks("tool_use", "id")).collect();
    let named = match message["role"].as_str() {
        Some("tool") => message["tool_call_id"].as_str(),
        Some("function") => message["name"].as_str(),
        _ => None,
    };
    Names { asks, answers: named.into_iter().chain(blocks("tool_result", "tool_use_id")).collect() }
}

fn part(message: &Value) -> Part {
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

    #[test]
    fn what_stands_between_a_call_and_its_result_belongs_to_them() {
        use Part::{Assistant as A, Call as C, Result as R, System as S, User as U};
        let say = |role: &str| json!({"role": role, "content": "x"});
        let call = |id: &str| json!({"role": "assistant", "tool_calls": [{"id": id}]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id});
        let rows = [
            ("nothing", vec![say("user"), call("1"), result("1"), say("user")], vec![U, C, R, U]),
            ("a user", vec![say("user"), call("1"), say("user"), result("1"), say("assistant")], vec![U, C, R, R, A]),
            ("the system", vec![call("1"), say("system"), result("1")], vec![C, S, R]),
            ("a call without a result", vec![call("1"), say("user"), result("2")], vec![C, U, R]),
            (
                "an id used again",
                vec![call("1"), result("1"), say("user"), call("1"), result("1")],
                vec![C, R, U, C, R],
            ),
            (
                "a function",
                vec![
                    json!({"role": "assistant", "function_call": {"name": "f"}}),
                    say("user"),
                    json!({"role": "function", "name": "f"}),
                ],
                vec![C, R, R],
            ),
        ];
        for (row, messages, want) in rows {
            assert_eq!(parts(&messages), want, "{row}");
        }
    }
}
