//! What the provider says.

use serde_json::json;

/// Events as they go over the wire.
pub(super) fn written(events: &[&str]) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for event in events {
        let event = format!("data: {event}\n\n");
        text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    text
}

/// A whole answer as it goes over the wire.
pub(crate) fn reply(status: u16, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// What it says.
pub(crate) fn answer_body() -> String {
    json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "small-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    })
    .to_string()
}

/// A piece of a streamed answer.
pub(crate) fn piece(text: &str) -> String {
    let delta = json!({"role": "assistant", "content": text});
    json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    .to_string()
}

/// The last piece.
pub(crate) fn stop() -> String {
    json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small-1",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    .to_string()
}

/// What a provider says in the middle that it bills for the prompt.
pub(crate) fn usage(prompt_tokens: u64) -> String {
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": 1, "total_tokens": prompt_tokens + 1});
    json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small-1", "choices": [], "usage": usage})
        .to_string()
}
