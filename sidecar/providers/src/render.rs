//! Errors of our own in the words of the API that was called.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Api;

/// What an error says, in OpenAI's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    pub kind: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub param: Option<&'a str>,
    /// Azure's `innererror`, as JSON.
    pub inner: Option<&'a str>,
}

/// A JSON error body: OpenAI's shape, Anthropic's where its API was called. Anthropic has one word for the kind and the
/// code, and it follows from the status.
#[must_use]
pub fn error_body(api: Api, status: u16, told: Told<'_>) -> Bytes {
    value(api, status, told).to_string().into()
}

/// The same as an event, for a stream that has begun. No terminal event follows it: a cut stream is never complete.
/// `sequence` is its number, where events have one.
#[must_use]
pub fn error_event(api: Api, sequence: u64, status: u16, told: Told<'_>) -> Bytes {
    let mut value = value(api, status, told);
    match api {
        Api::Messages | Api::CountTokens => format!("event: error\ndata: {value}\n\n"),
        Api::Responses => {
            // SDKs raise what is under `error`; the rest is what the API's description says of the event.
            for (key, field) in [("type", "error".into()), ("sequence_number", sequence.into())] {
                value[key] = field;
            }
            for key in ["code", "message", "param"] {
                value[key] = value["error"][key].clone();
            }
            format!("event: error\ndata: {value}\n\n")
        }
        Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Tokenize | Api::Pass(_) => {
            format!("data: {value}\n\n")
        }
    }
    .into()
}

fn value(api: Api, status: u16, told: Told<'_>) -> Value {
    let Told { kind, code, message, param, inner } = told;
    match api {
        Api::Messages | Api::CountTokens => {
            json!({"type": "error", "error": {"type": anthropic_type(status), "message": message}})
        }
        Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Responses | Api::Tokenize | Api::Pass(_) => {
            let mut value = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
            if let Some(inner) = inner.and_then(|inner| serde_json::from_str(inner).ok()) {
                value["error"]["innererror"] = inner;
            }
            value
        }
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: Told<'static> =
        Told { kind: "invalid_request_error", code: "model_not_found", message: "no \"x\"", param: None, inner: None };

    #[test]
    fn each_api_reads_errors_in_its_own_shape() {
        let body = error_body(Api::ChatCompletions, 404, UNKNOWN);
        let want =
            r#"{"error":{"message":"no \"x\"","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
        assert_eq!(body, want);
        let inner = Some(r#"{"code":"ResponsibleAIPolicyViolation"}"#);
        let body = error_body(Api::Responses, 400, Told { inner, ..UNKNOWN });
        assert_eq!(body, want.replace("}}", r#","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#));
        let body = error_body(Api::Messages, 404, Told { param: Some("model"), inner, ..UNKNOWN });
        assert_eq!(body, r#"{"type":"error","error":{"type":"not_found_error","message":"no \"x\""}}"#);
    }

    #[test]
    fn an_error_in_a_stream_is_one_event() {
        let told = |message| Told { kind: "server_error", code: "upstream_error", message, ..Told::default() };
        let event = error_event(Api::Completions, 0, 502, told("two\nlines"));
        assert!(event.starts_with(b"data: {\"error\""));
        assert!(event.ends_with(b"}\n\n"));
        assert_eq!(event.iter().filter(|byte| **byte == b'\n').count(), 2, "newlines in text are escaped");
        let event = error_event(Api::Messages, 0, 529, told("busy"));
        let want = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        assert_eq!(event, want);
        let event = error_event(Api::Responses, 7, 502, told("busy"));
        let value: Value = serde_json::from_slice(event.strip_prefix(b"event: error\ndata: ").unwrap()).unwrap();
        assert_eq!((&value["type"], &value["sequence_number"]), (&json!("error"), &json!(7)));
        assert_eq!((&value["error"]["message"], &value["message"]), (&json!("busy"), &json!("busy")));
    }
}
