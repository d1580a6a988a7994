//! What each item of a response's input is, as far as leaving it out is concerned.
//!
//! A call and its output are items of their own, with others between them: thoughts before, further calls, whatever the
//! application puts there. What lies from the first to the last of them stays or goes together, as one call does with its
//! results.

use std::collections::HashMap;

use serde_json::Value;
use spillway_policy::truncate::Part;

pub(super) fn parts(items: &[Value]) -> Vec<Part> {
    let outputs = outputs(items);
    // Up to where everything is glued to a call before it.
    let mut glued = 0;
    let part = |(index, item): (usize, &Value)| {
        let part = if index > 0 && index <= glued { Part::Result } else { part(item) };
        let last = match item["type"].as_str().unwrap_or_default() {
            // Thoughts are of what comes next; one without the other is refused.
            "reasoning" => index + 1,
            "function_call_output" => index,
            _ => item["call_id"].as_str().and_then(|id| outputs.get(id).copied()).unwrap_or(index),
        };
        glued = glued.max(last);
        part
    };
    items.iter().enumerate().map(part).collect()
}

/// Where the output of each call is; of several, the last.
fn outputs(items: &[Value]) -> HashMap<&str, usize> {
    let outputs = items.iter().enumerate().filter(|(_, item)| is_output(item));
    outputs.filter_map(|(index, item)| Some((item["call_id"].as_str()?, index))).collect()
}

fn is_output(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with("_output"))
}

fn part(item: &Value) -> Part {
    match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
        ("message", Some("system" | "developer")) => Part::System,
        ("message", Some("assistant")) => Part::Assistant,
        ("message", _) => Part::User,
        (kind, _) if kind.ends_with("_output") => Part::Result,
        _ => Part::Call,
    }
}

#[cfg(test)]
mod tests {
    use Part::{Assistant as A, Call as C, Result as R, System as S, User as U};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_together_is_one_call_and_its_results() {
        let user = || json!({"role": "user", "content": "x"});
        let said = || json!({"type": "message", "role": "assistant", "content": []});
        let call = |id: &str| json!({"type": "function_call", "call_id": id});
        let output = |id: &str| json!({"type": "function_call_output", "call_id": id});
        let thought = || json!({"type": "reasoning", "summary": []});
        let rows = [
            ("words", vec![json!({"role": "system"}), user(), said()], vec![S, U, A]),
            ("a call", vec![user(), call("1"), output("1"), said()], vec![U, C, R, A]),
            ("two at once", vec![call("1"), call("2"), output("1"), output("2"), user()], vec![C, R, R, R, U]),
            ("two in turn", vec![call("1"), output("1"), call("2"), output("2")], vec![C, R, C, R]),
            ("thoughts", vec![thought(), said(), thought(), call("1"), output("1")], vec![C, R, C, R, R]),
            ("something between", vec![call("1"), user(), output("1"), user()], vec![C, R, R, U]),
            ("no output", vec![call("1"), user()], vec![C, U]),
            ("the last is a thought", vec![user(), thought()], vec![U, C]),
        ];
        for (row, items, want) in rows {
            assert_eq!(parts(&items), want, "{row}");
        }
    }
}
