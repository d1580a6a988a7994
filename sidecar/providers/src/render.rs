//! Errors of our own in the words of the API that was called.

use bytes::Bytes;
use serde_json::json;

use crate::Api;

/// A JSON error body: OpenAI's shape, Anthropic's on [`Api::Messages`].
#[must_use]
pub fn error_body(_api: Api, _status: u16, kind: &str, code: &str, message: &str, param: Option<&str>) -> Bytes {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string().into()
}

/// The same as an event, for a stream that has begun. No `[DONE]` follows it.
#[must_use]
pub fn error_event(api: Api, status: u16, kind: &str, code: &str, message: &str, param: Option<&str>) -> Bytes {
    let body = error_body(api, status, kind, code, message, param);
    format!("data: {}\n\n", String::from_utf8_lossy(&body)).into()
}
