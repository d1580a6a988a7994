//! Answers of the Responses API.

use serde_json::{Value, json};

use super::{INPUT_TOKENS, OUTPUT_TOKENS};

const CREATED: u64 = 1_767_225_600;

pub(super) fn answer(model: &str, text: &str, tools: bool) -> String {
    response(model, "completed", &json!([item(text, tools)])).to_string()
}

fn item(text: &str, tools: bool) -> Value {
    if tools {
        return json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
            "name": "look_up", "arguments": "{\"city\":\"Zürich\"}"});
    }
    let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]})
}

fn response(model: &str, status: &str, output: &Value) -> Value {
    let usage = json!({
        "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
    });
    json!({
        "id": "resp_scripted", "object": "response", "created_at": CREATED, "status": status, "error": null,
        "incomplete_details": null, "model": model, "output": output, "tools": [], "tool_choice": "auto",
        "parallel_tool_calls": true, "usage": if status == "completed" { usage } else { Value::Null },
    })
}

/// The announcement, the item with a piece for every word, and the end.
pub(super) fn events(model: &str, text: &str, tools: bool) -> Vec<String> {
    let mut events = Vec::new();
    let mut event = |name: &str, mut value: Value| {
        value["type"] = name.into();
        value["sequence_number"] = events.len().into();
        events.push(format!("event: {name}\ndata: {value}\n\n"));
    };
    let whole = item(text, tools);
    event("response.created", json!({"response": response(model, "in_progress", &json!([]))}));
    let mut begun = whole.clone();
    begun["status"] = "in_progress".into();
    let empty = if tools { ("arguments", json!("")) } else { ("content", json!([])) };
    begun[empty.0] = empty.1;
    event("response.output_item.added", json!({"output_index": 0, "item": begun}));
    if tools {
        let delta = json!({"item_id": "fc_1", "output_index": 0, "delta": whole["arguments"]});
        event("response.function_call_arguments.delta", delta);
    } else {
        for word in text.split_inclusive(' ') {
            let delta = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word});
            event("response.output_text.delta", delta);
        }
    }
    event("response.output_item.done", json!({"output_index": 0, "item": whole}));
    event("response.completed", json!({"response": response(model, "completed", &json!([whole]))}));
    events
}
