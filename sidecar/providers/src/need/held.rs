//! What is in a request's messages, as far as it asks for something of a backend.

use serde_json::Value;

use crate::item::{self, Kind};
use crate::{Api, Body, loose};

/// Whether any part of any message is an image. Only a body that has the name of one somewhere pays for a look.
pub(super) fn has_images(api: Api, body: &Body) -> bool {
    let key = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens | Api::Tokenize => "messages",
        Api::Responses => "input",
        Api::Completions | Api::Embeddings | Api::Pass(_) => return false,
    };
    if !body.may_have_images() {
        return false;
    }
    let messages = body.value(key).unwrap_or_default();
    let holds = |message: &Value| is_image(&message["content"]) || is_image(&message["output"]);
    messages.as_array().is_some_and(|messages| messages.iter().any(holds))
}

/// Whether a tool has been called in the conversation so far. Only a body that has the name of that somewhere pays for a look.
pub(super) fn has_calls(api: Api, body: &Body) -> bool {
    let key = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens => "messages",
        Api::Responses => "input",
        Api::Completions | Api::Embeddings | Api::Tokenize | Api::Pass(_) => return false,
    };
    body.may_have_calls() && body.elements(key).into_iter().filter_map(loose).any(|message| is_of_tools(&message))
}

fn is_of_tools(message: &Value) -> bool {
    let is = |value: &Value, kinds: &[&str]| value.as_str().is_some_and(|kind| kinds.contains(&kind));
    let calls = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let mut blocks = message["content"].as_array().into_iter().flatten();
    calls
        || message["function_call"].is_object()
        || is(&message["role"], &["tool", "function"])
        || matches!(item::kind(message), Kind::Call | Kind::Answered | Kind::Result)
        || blocks.any(|block| is(&block["type"], &["tool_use", "tool_result"]))
}

/// An image part, or a list (a tool's result may hold another one) with an image in it.
fn is_image(content: &Value) -> bool {
    match content {
        Value::Array(parts) => parts.iter().any(is_image),
        Value::Object(part) => match part.get("type").and_then(Value::as_str) {
            Some("image_url" | "input_image" | "image") => true,
            Some("tool_result") => part.get("content").is_some_and(is_image),
            _ => false,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::read;

    #[test]
    fn a_conversation_in_which_tools_were_called_needs_tools_and_one_about_them_does_not() {
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let rows = [
            (Api::ChatCompletions, json!({"role": "assistant", "tool_calls": [call]}), true),
            (Api::ChatCompletions, json!({"role": "assistant", "tool_calls": []}), false),
            (Api::ChatCompletions, json!({"role": "assistant", "function_call": {"name": "f"}}), true),
            (Api::ChatCompletions, json!({"role": "tool", "tool_call_id": "1", "content": "x"}), true),
            (Api::ChatCompletions, json!({"role": "user", "content": "tool_calls"}), false),
            (Api::Messages, json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}), true),
            (Api::Messages, json!({"role": "user", "content": [{"type": "tool_result"}]}), true),
            (Api::Messages, json!({"role": "user", "content": [{"type": "text", "text": "tool"}]}), false),
            (Api::Responses, json!({"type": "function_call", "call_id": "1"}), true),
            (Api::Responses, json!({"type": "function_call_output", "call_id": "1"}), true),
            (Api::Responses, json!({"type": "shell_call", "call_id": "1", "action": {}}), true),
            (Api::Responses, json!({"type": "local_shell_call_output", "id": "1", "output": "x"}), true),
            (Api::Responses, json!({"type": "computer_call_output", "call_id": "1"}), true),
            (Api::Responses, json!({"type": "mcp_call", "id": "1", "name": "t", "output": "x"}), true),
            (Api::Responses, json!({"type": "web_search_call", "id": "1"}), false),
            (Api::Responses, json!({"role": "user", "content": "shell_call"}), false),
        ];
        for (api, message, want) in rows {
            let body = json!({"model": "m", "max_tokens": 1, "messages": [message], "input": [message],
                "parallel_tool_calls": true});
            let need = read(api, &Body::parse(body.to_string().into()).unwrap()).unwrap();
            assert_eq!((need.tools, need.parallel_tools), (want, false), "{body}");
        }
    }

    #[test]
    fn an_image_is_a_part_and_not_a_word() {
        let rows = [
            (Api::ChatCompletions, json!("what is \"image_url\"?"), false),
            (Api::ChatCompletions, json!("image_url"), false),
            (Api::ChatCompletions, json!([{"type": "image_url"}]), true),
            (Api::Messages, json!([{"type": "text", "text": "image"}]), false),
            (Api::Messages, json!([{"type": "image", "source": {}}]), true),
            (Api::Messages, json!([{"type": "tool_result", "content": [{"type": "image"}]}]), true),
            (Api::Responses, json!([{"type": "input_image"}]), true),
        ];
        for (api, content, want) in rows {
            let messages = json!([{"role": "user", "content": content}]);
            let body = json!({"model": "m", "max_tokens": 1, "messages": messages, "input": messages});
            let body = Body::parse(body.to_string().into()).unwrap();
            assert_eq!(has_images(api, &body), want, "{messages}");
        }
    }
}
