//! Calls of tools that only this API has, with what they gave, as a function's: a shell's, a patch's, those of custom tools
//! and of MCP servers. Other models have no word for them, and read a conversation without them as if nothing had been done.

use serde_json::{Map, Value, json};

use crate::function;

/// What a call's item is given, by the names that the several kinds have for it.
const GIVEN: [&str; 4] = ["input", "action", "operation", "environment"];

/// A call, as a function's. Its tool is called what the item says, or what its kind is.
pub(super) fn call(item: &Value, kind: &str) -> Value {
    let name = item["name"].as_str().unwrap_or_else(|| kind.strip_suffix("_call").unwrap_or(kind));
    let arguments = match &item["arguments"] {
        Value::String(text) => text.clone(),
        _ => {
            let given = GIVEN.iter().filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone())));
            Value::Object(given.collect::<Map<_, _>>()).to_string()
        }
    };
    json!({"call_id": id(item), "name": name, "arguments": arguments})
}

/// The result of a call that has it with it, as a chat's message.
pub(super) fn answer(item: &Value) -> Value {
    let content = match (&item["output"], &item["error"]) {
        (Value::String(text), _) => text.clone(),
        (_, Value::String(error)) => function::failed(error),
        (_, error) => function::failed(error["message"].as_str().unwrap_or(&error.to_string())),
    };
    json!({"role": "tool", "tool_call_id": id(item), "content": content})
}

/// A result, as a function's.
pub(super) fn result(mut item: Value) -> Value {
    let id = id(&item);
    let output = match item["output"].take() {
        mut picture @ Value::Object(_) if picture["type"] == "computer_screenshot" => {
            picture["type"] = "input_image".into();
            json!([picture])
        }
        // What a shell said, by the command, is no part of a message.
        Value::Array(list) if list.iter().any(|part| !part["type"].is_string()) => Value::from(list).to_string().into(),
        // A patch that went well says so elsewhere.
        Value::Null if item["status"].is_string() => item["status"].take(),
        output => output,
    };
    json!({"call_id": id, "output": output})
}

/// What ties a result to its call. A local shell's result has the call's own for an id.
fn id(item: &Value) -> Value {
    if item["call_id"].is_string() { item["call_id"].clone() } else { item["id"].clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Body, Dialect, Target, encode, read};

    /// The turns that a model is sent for these items, behind a question.
    fn sent(dialect: Dialect, items: &Value) -> Vec<Value> {
        let mut input = vec![json!({"role": "user", "content": "q"})];
        input.extend(items.as_array().unwrap().clone());
        let request = json!({"model": "m", "input": input});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::Responses, &body).unwrap();
        let out = encode(Api::Responses, &body, &need, &Target::new(dialect, "claude-sonnet-4-5")).unwrap();
        assert!(out.dropped.is_empty(), "{items}: {:?}", out.dropped);
        let mut sent: Value = serde_json::from_slice(&out.body).unwrap();
        serde_json::from_value(sent["messages"].take()).unwrap()
    }

    #[test]
    fn what_a_tool_of_this_api_gave_is_a_functions_result_elsewhere() {
        let exec = json!({"type": "exec", "command": ["ls"]});
        let rows = [
            (
                json!([{"type": "custom_tool_call", "call_id": "c1", "name": "t", "input": "do"},
                    {"type": "custom_tool_call_output", "call_id": "c1", "output": "RESULT"}]),
                ("t", json!({"input": "do"}), "RESULT"),
            ),
            (
                json!([{"type": "local_shell_call", "id": "i", "call_id": "c1", "action": exec, "status": "completed"},
                    {"type": "local_shell_call_output", "id": "c1", "output": "RESULT"}]),
                ("local_shell", json!({"action": exec}), "RESULT"),
            ),
            (
                json!([{"type": "mcp_call", "id": "c1", "server_label": "s", "name": "t", "arguments": "{\"a\":1}",
                    "output": "RESULT", "error": null}]),
                ("t", json!({"a": 1}), "RESULT"),
            ),
            (
                json!([{"type": "mcp_call", "id": "c1", "name": "t", "arguments": "{}", "output": null, "error": "no"}]),
                ("t", json!({}), "Error: no"),
            ),
            (
                json!([{"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
                    {"type": "shell_call_output", "call_id": "c1", "output": [{"stdout": "x"}]}]),
                ("shell", json!({"action": {"commands": ["ls"]}}), "[{\"stdout\":\"x\"}]"),
            ),
            (
                json!([{"type": "apply_patch_call", "call_id": "c1", "operation": {"path": "f"}},
                    {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed"}]),
                ("apply_patch", json!({"operation": {"path": "f"}}), "completed"),
            ),
        ];
        for (mut items, (name, input, said)) in rows {
            items.as_array_mut().unwrap().push(json!({"role": "user", "content": "and?"}));
            let turns = sent(Dialect::Anthropic, &items);
            let call = json!({"type": "tool_use", "id": "c1", "name": name, "input": input});
            let result = json!({"type": "tool_result", "tool_use_id": "c1", "content": said});
            assert_eq!(turns[1]["content"], json!([call]), "{items}");
            assert_eq!(turns[2]["content"], json!([result, {"type": "text", "text": "and?"}]), "{items}");
        }
    }

    #[test]
    fn results_stay_behind_all_calls_of_their_turn() {
        let items = json!([
            {"type": "mcp_call", "id": "m1", "name": "t", "arguments": "{}", "output": "one"},
            {"type": "function_call", "call_id": "f1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "f1", "output": "two"},
        ]);
        let messages = sent(Dialect::OpenAi, &items);
        let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
        assert_eq!(messages[1]["tool_calls"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_picture_stays_in_its_result_where_results_hold_pictures() {
        let picture = json!({"type": "input_image", "image_url": "data:image/png;base64,QUJD"});
        let items = json!([
            {"type": "function_call", "call_id": "f1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "f2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "f1",
                "output": [{"type": "input_text", "text": "see"}, picture]},
            {"type": "function_call_output", "call_id": "f2", "output": "two"},
        ]);
        let turns = sent(Dialect::Anthropic, &items);
        let kinds: Vec<_> = turns[2]["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["tool_result", "tool_result"], "{turns:?}");
        assert_eq!(turns[2]["content"][0]["content"][1]["type"], "image");
        // A chat's tool says text alone: what it shows follows, behind all results.
        let messages = sent(Dialect::OpenAi, &items);
        let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
        assert_eq!((&messages[2]["content"], &messages[4]["content"][0]["type"]), (&json!("see"), &json!("image_url")));
    }
}
