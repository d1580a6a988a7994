//! What each item of a response's input is, as far as leaving it out is concerned.

use serde_json::Value;
use spillway_policy::truncate::Part;

use super::pairs::{Names, bind};

pub(super) fn parts(items: &[Value]) -> Vec<Part> {
    let mut parts: Vec<Part> = items.iter().map(part).collect();
    // Thoughts are of what comes next; one without the other is refused.
    bind(items, &mut parts, names, |item| usize::from(item["type"] == "reasoning"));
    parts
}

/// A call is answered under an id that both have for it; leave is given under the id of the item that asks for it.
fn names(item: &Value) -> Names<'_> {
    let name = |key: &str| item[key].as_str();
    if is_output(item) {
        Names { answers: name("call_id").or_else(|| name("id")).into_iter().collect(), ..Names::default() }
    } else {
        let asks = [name("call_id"), name("id")].into_iter().flatten().collect();
        Names { asks, answers: name("approval_request_id").into_iter().collect() }
    }
}

fn is_output(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with("_output"))
}

fn part(item: &Value) -> Part {
    match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
        ("message", Some("system" | "developer")) => Part::System,
        ("message", Some("assistant")) => Part::Assistant,
        ("message", _) => Part::User,
        ("mcp_approval_response", _) => Part::Result,
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
        let asked = |id: &str| json!({"type": "mcp_approval_request", "id": id});
        let given = |id: &str| json!({"type": "mcp_approval_response", "approval_request_id": id});
        let used = |id: &str| json!({"type": "mcp_call", "id": "other", "approval_request_id": id});
        let rows = [
            ("words", vec![json!({"role": "system"}), user(), said()], vec![S, U, A]),
            ("a call", vec![user(), call("1"), output("1"), said()], vec![U, C, R, A]),
            ("two at once", vec![call("1"), call("2"), output("1"), output("2"), user()], vec![C, R, R, R, U]),
            ("two in turn", vec![call("1"), output("1"), call("2"), output("2")], vec![C, R, C, R]),
            ("thoughts", vec![thought(), said(), thought(), call("1"), output("1")], vec![C, R, C, R, R]),
            ("something between", vec![call("1"), user(), output("1"), user()], vec![C, R, R, U]),
            ("the system between", vec![call("1"), json!({"role": "developer"}), output("1")], vec![C, S, R]),
            ("an id used again", vec![call("1"), output("1"), user(), call("1"), output("1")], vec![C, R, U, C, R]),
            ("leave that is given", vec![asked("1"), given("1"), user()], vec![C, R, U]),
            ("and what came of it", vec![asked("1"), user(), given("1"), used("1"), user()], vec![C, R, R, R, U]),
            ("leave that nobody gave", vec![asked("1"), user()], vec![C, U]),
            ("no output", vec![call("1"), user()], vec![C, U]),
            ("the last is a thought", vec![user(), thought()], vec![U, C]),
        ];
        for (row, items, want) in rows {
            assert_eq!(parts(&items), want, "{row}");
        }
    }
}
