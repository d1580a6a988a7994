//! What a prompt says, for those who choose by it.

use serde_json::{Value, value::RawValue};

use crate::{Api, Body};

/// Who the application says it asks for: `user`, or `metadata.user_id` of Anthropic's API.
#[must_use]
pub fn user(api: Api, body: &Body) -> Option<String> {
    let user = match api {
        Api::Messages | Api::CountTokens => body.value("metadata")?.get("user_id")?.clone(),
        Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Responses | Api::Tokenize | Api::Pass(_) => {
            body.value("user")?
        }
    };
    if let Value::String(user) = user { Some(user) } else { None }
}

/// The text of the last user message, or of the prompt or input, up to a number of bytes. Only the last messages are read
/// as a tree, however long the conversation is.
#[must_use]
pub fn last_text(api: Api, body: &Body, max_bytes: usize) -> String {
    let mut text = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens | Api::Tokenize => {
            last_message(body, "messages").unwrap_or_default()
        }
        Api::Responses if body.array_len("input").is_some() => last_message(body, "input").unwrap_or_default(),
        Api::Completions => joined(&body.value("prompt").unwrap_or_default()),
        Api::Embeddings | Api::Responses => joined(&body.value("input").unwrap_or_default()),
        Api::Pass(_) => ["prompt", "input", "query"]
            .iter()
            .find_map(|key| body.value(key))
            .map_or_else(String::new, |text| joined(&text)),
    };
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

fn last_message(body: &Body, key: &str) -> Option<String> {
    let messages: Vec<&RawValue> = serde_json::from_slice(body.get_bytes(key)?).ok()?;
    let mut messages = messages.iter().rev().filter_map(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    messages.find(|message| message["role"] == "user").map(|message| joined(&message["content"]))
}

/// A text, or the texts among a list's parts.
fn joined(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn body(value: &Value) -> Body {
        Body::parse(Bytes::from(value.to_string())).unwrap()
    }

    #[test]
    fn the_last_thing_a_user_said_is_found_in_every_api() {
        let chat = |messages: Value| (Api::ChatCompletions, json!({ "messages": messages }));
        let rows = [
            (chat(json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])), "b"),
            (chat(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])), "a"),
            (chat(json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}])), "a"),
            (chat(json!([{"role": "system", "content": "a"}])), ""),
            (chat(json!("a")), ""),
            (chat(json!([{"role": "user", "content": "äöü"}])), "ä"),
            ((Api::Completions, json!({"prompt": "a"})), "a"),
            ((Api::Embeddings, json!({"input": ["a", "b"]})), "a\nb"),
            ((Api::Embeddings, json!({"input": [1, 2]})), ""),
            ((Api::Responses, json!({"input": "a"})), "a"),
            ((Api::Responses, json!({"input": [{"role": "user", "content": "a"}, {"type": "reasoning"}]})), "a"),
        ];
        for ((api, value), want) in rows {
            assert_eq!(last_text(api, &body(&value), 3), want, "{value}");
        }
    }

    #[test]
    fn a_user_is_named_where_the_api_has_it() {
        let value = json!({"user": "u1", "metadata": {"user_id": "u2"}});
        assert_eq!(user(Api::ChatCompletions, &body(&value)).as_deref(), Some("u1"));
        assert_eq!(user(Api::Messages, &body(&value)).as_deref(), Some("u2"));
        assert_eq!(user(Api::Messages, &body(&json!({"user": "u1"}))), None);
    }
}
