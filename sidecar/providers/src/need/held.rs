//! What is in a request's messages, as far as it asks for something of a backend.

use serde_json::Value;

use crate::item::{self, Kind};
use crate::{Api, Body, loose};

/// How images are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Images {
    None,
    /// They are all in the request, or kept by the provider.
    Inline,
    /// Some are where their URLs say.
    ByUrl,
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

// === impl Images ===

impl Images {
    /// Of all parts of all messages. Only a body that has the name of an image somewhere pays for a look.
    pub(super) fn of(api: Api, body: &Body) -> Self {
        let key = match api {
            Api::ChatCompletions | Api::Messages | Api::CountTokens | Api::Tokenize => "messages",
            Api::Responses => "input",
            Api::Completions | Api::Embeddings | Api::Pass(_) => return Self::None,
        };
        if !body.may_have_images() {
            return Self::None;
        }
        let messages = body.value(key).unwrap_or_default();
        let messages = messages.as_array().into_iter().flatten();
        messages
            .flat_map(|message| [&message["content"], &message["output"]])
            .map(Self::inside)
            .max()
            .unwrap_or(Self::None)
    }

    /// Of an image part, or of a list (a tool's result may hold another one).
    fn inside(content: &Value) -> Self {
        match content {
            Value::Array(parts) => parts.iter().map(Self::inside).max().unwrap_or(Self::None),
            Value::Object(part) => match part.get("type").and_then(Value::as_str) {
                Some("image_url" | "input_image" | "image") => {
                    if is_by_url(content) {
                        Self::ByUrl
                    } else {
                        Self::Inline
                    }
                }
                Some("tool_result") => part.get("content").map_or(Self::None, Self::inside),
                _ => Self::None,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Self::None,
        }
    }
}

/// Whether an image is given by its URL, in the words of any API.
fn is_by_url(part: &Value) -> bool {
    let url = [&part["image_url"]["url"], &part["image_url"], &part["source"]["url"]];
    let is_far = |url: &str| ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    url.into_iter().find_map(Value::as_str).is_some_and(is_far)
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
        let url = "https://example.com/a.png";
        let inline = "data:image/png;base64,QUJD";
        let rows = [
            (Api::ChatCompletions, json!("what is \"image_url\"?"), Images::None),
            (Api::ChatCompletions, json!("image_url"), Images::None),
            (Api::ChatCompletions, json!([{"type": "image_url"}]), Images::Inline),
            (Api::ChatCompletions, json!([{"type": "image_url", "image_url": {"url": inline}}]), Images::Inline),
            (Api::ChatCompletions, json!([{"type": "image_url", "image_url": {"url": url}}]), Images::ByUrl),
            (Api::ChatCompletions, json!([{"type": "image_url", "image_url": url}, {"type": "text"}]), Images::ByUrl),
            (Api::Messages, json!([{"type": "text", "text": "image"}]), Images::None),
            (Api::Messages, json!([{"type": "image", "source": {}}]), Images::Inline),
            (Api::Messages, json!([{"type": "image", "source": {"type": "url", "url": url}}]), Images::ByUrl),
            (Api::Messages, json!([{"type": "tool_result", "content": [{"type": "image"}]}]), Images::Inline),
            (Api::Responses, json!([{"type": "input_image"}]), Images::Inline),
            (Api::Responses, json!([{"type": "input_image", "file_id": "f"}]), Images::Inline),
            (Api::Responses, json!([{"type": "input_image", "image_url": url}]), Images::ByUrl),
        ];
        for (api, content, want) in rows {
            let messages = json!([{"role": "user", "content": content}]);
            let body = json!({"model": "m", "max_tokens": 1, "messages": messages, "input": messages});
            let body = Body::parse(body.to_string().into()).unwrap();
            assert_eq!(Images::of(api, &body), want, "{messages}");
            let need = read(api, &body).unwrap();
            assert_eq!((need.images, need.image_urls), (want != Images::None, want == Images::ByUrl));
        }
    }
}
