//! What a response repeats of the request it answers.
//!
//! Clients that are strict about types want these fields, and a conversation's log is complete with them.

use std::fmt::Write;

use bytes::Bytes;

use crate::{Answer, Api, Body};

/// Fields of the request, and what stands for those it left out.
const FIELDS: [(&str, &str); 15] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("user", "null"),
];

/// The same of every response that was a chat underneath.
const FIXED: &str = r#""background":false,"previous_response_id":null,"store":false,"truncation":"disabled""#;

/// The fields as the inside of a JSON object.
pub(crate) fn of(request: &Body) -> String {
    let mut out = FIXED.to_owned();
    for (key, default) in FIELDS {
        let raw = request.get(key).filter(|raw| *raw != "null").unwrap_or(default);
        // Writing to a string cannot fail.
        _ = write!(out, ",\"{key}\":{raw}");
    }
    out
}

impl Answer {
    /// Lets a translated response repeat what was asked for. Every other answer stays as it is.
    #[must_use]
    pub fn repeating(mut self, api: Api, request: &Body) -> Self {
        if api != Api::Responses {
            return self;
        }
        let answer = Body::parse_answer(self.body.clone());
        // A provider with the API repeats it itself.
        let Some(object) = answer.ok().filter(|answer| answer.get_bytes("tools").is_none()) else { return self };
        let bytes = object.to_bytes();
        if let Some(open) = bytes.trim_ascii_end().strip_suffix(b"}").filter(|open| open.len() > 1) {
            self.body = Bytes::from([open, b",", of(request).as_bytes(), b"}"].concat());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_response_repeats_its_request_once() {
        let request = Body::parse(r#"{"model":"m","temperature":0.50,"metadata":null,"tools":[{}]}"#.into()).unwrap();
        let answer = |body: &Value| Answer { body: body.to_string().into(), usage: None };
        let repeated = answer(&json!({"id": "resp_1"})).repeating(Api::Responses, &request);
        let got: Value = serde_json::from_slice(&repeated.body).unwrap();
        assert_eq!((&got["temperature"], &got["metadata"], &got["tools"]), (&json!(0.5), &json!({}), &json!([{}])));
        assert_eq!((&got["id"], &got["top_p"], &got["store"]), (&json!("resp_1"), &json!(1.0), &json!(false)));
        for (api, body) in [
            (Api::Responses, json!({"id": "resp_1", "tools": []})),
            (Api::ChatCompletions, json!({"id": "chatcmpl-1"})),
            (Api::Responses, json!({})),
        ] {
            assert_eq!(answer(&body).repeating(api, &request).body, body.to_string(), "{api:?}");
        }
    }
}
