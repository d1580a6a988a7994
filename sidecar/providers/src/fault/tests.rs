use proptest::prelude::*;
use serde_json::json;

use super::{Class::*, *};

#[test]
fn a_status_alone_has_one_class_at_every_provider() {
    let rows = [
        (400, BadRequest),
        (401, Authentication),
        (402, BadRequest),
        (403, PermissionDenied),
        (404, NotFound),
        (405, BadRequest),
        (408, Timeout),
        (409, InternalServerError),
        (413, BadRequest),
        (415, BadRequest),
        (422, UnprocessableEntity),
        (424, InternalServerError),
        (429, RateLimited),
        (499, BadRequest),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, ServiceUnavailable),
        (504, Timeout),
        (520, InternalServerError),
        (529, InternalServerError),
    ];
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for (status, class) in rows {
            for body in ["", "oops", "{}", "<html><body>oops</body></html>", r#"{"error":{"message":"oops"}}"#] {
                let fault = classify(dialect, status, body.as_bytes());
                assert_eq!((fault.class, fault.status), (class, Some(status)), "{dialect:?} {status} {body}");
                assert!(!fault.message.is_empty());
            }
        }
    }
}

#[test]
fn words_and_codes_say_more_than_the_status() {
    let rows = [
        (400, r#"{"error":{"message":"shorten it","code":"context_length_exceeded"}}"#, ContextWindowExceeded),
        (422, r#"{"error":{"message":"This model's maximum context length is 8 tokens."}}"#, ContextWindowExceeded),
        (400, r#"{"error":"the input length exceeds the context length"}"#, ContextWindowExceeded),
        (400, r#"{"error":{"code":400,"metadata":{"raw":"prompt is too long"}}}"#, ContextWindowExceeded),
        (429, r#"{"error":{"message":"Limit 6000, maximum context length"}}"#, RateLimited),
        (400, r#"{"error":{"message":"string too long. expected","code":"string_above_max_length"}}"#, BadRequest),
        (413, r#"{"error":{"message":"Request too large","type":"tokens","code":"rate_limit_exceeded"}}"#, RateLimited),
        (498, r#"{"error":{"message":"Flex tier","type":"capacity_exceeded"}}"#, RateLimited),
        (400, r#"{"error":{"message":"no","code":"content_policy_violation"}}"#, ContentPolicyViolation),
        (400, r#"{"error":{"code":"content_filter","innererror":{"code":"x"}}}"#, ContentPolicyViolation),
        (403, r#"{"code":"no permission","error":"Content violates usage guidelines."}"#, ContentPolicyViolation),
        (403, r#"{"error":{"message":"Input flagged by moderation","code":403}}"#, ContentPolicyViolation),
        (400, r#"{"code":"invalid","error":"Incorrect API key provided: sk-1"}"#, Authentication),
        (401, r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#, Authentication),
        (400, r#"{"error":{"message":"gone","code":"model_not_found"}}"#, NotFound),
        (400, r#"{"error":{"message":"invalid token 429 in prompt"}}"#, BadRequest),
        (520, "Web server is returning an unknown error", InternalServerError),
    ];
    for (status, body, class) in rows {
        assert_eq!(classify(Dialect::OpenAi, status, body.as_bytes()).class, class, "{body}");
    }
}

#[test]
fn an_error_says_itself_how_long_to_wait() {
    let rows = [
        (r#"{"error":{"details":[{"@type":"x"},{"retryDelay":"21s"}]}}"#, Some(21_000)),
        (r#"[{"error":{"details":[{"retryDelay":"0.25s"}]}}]"#, Some(250)),
        (r#"{"error":{"details":[{"retryDelay":"-1s"}]}}"#, None),
        (r#"{"error":{"details":[{"retryDelay":"soon"}]}}"#, None),
        (r#"{"error":"21s"}"#, None),
        ("", None),
    ];
    for (body, want) in rows {
        assert_eq!(wait(body.as_bytes()), want.map(std::time::Duration::from_millis), "{body}");
    }
}

#[test]
fn an_error_in_a_list_is_one() {
    let fault = inside(Dialect::Gemini, &json!([{"error": {"code": 400, "message": "API key not valid. Pass one."}}]));
    assert_eq!(fault.map(|fault| fault.class), Some(Authentication));
}

#[test]
fn an_overflow_teaches_the_window() {
    let rows = [
        (Dialect::OpenAi, r#"{"error":{"message":"This model's maximum context length is 128,000 tokens."}}"#, 128_000),
        (
            Dialect::OpenAi,
            r#"{"error":{"type":"exceed_context_size_error","n_ctx":4096,"n_prompt_tokens":9000}}"#,
            4096,
        ),
        (Dialect::OpenAi, r#"{"error":"the request exceeds the available context size (2048 tokens)"}"#, 2048),
        (
            Dialect::OpenAi,
            r#"{"error":"Prompt has 9 tokens, too large for model with 32768 maximum context length"}"#,
            32_768,
        ),
        (Dialect::OpenAi, r#"{"error":"The prompt is too long: 9000, model maximum context length: 8191"}"#, 8191),
        (Dialect::OpenAi, r#"{"error":"(length 9000) is longer than the maximum model length of 4096."}"#, 4096),
        (Dialect::Anthropic, r#"{"error":{"message":"prompt is too long: 213462 tokens > 200000 maximum"}}"#, 200_000),
        (
            Dialect::Anthropic,
            r#"{"error":{"message":"exceed context limit: 199200 + 8192 > 200000, decrease"}}"#,
            200_000,
        ),
    ];
    for (dialect, body, window) in rows {
        let fault = classify(dialect, 400, body.as_bytes());
        assert_eq!((fault.class, fault.window), (ContextWindowExceeded, Some(window)), "{body}");
    }
    let unknown = classify(Dialect::OpenAi, 400, br#"{"error":{"code":"context_length_exceeded"}}"#);
    assert_eq!((unknown.class, unknown.window), (ContextWindowExceeded, None));
}

#[test]
fn an_error_inside_a_200_is_one_and_an_answer_is_none() {
    let rows = [
        (Dialect::OpenAi, json!({"error": {"code": 429, "message": "slow"}}), Some(RateLimited)),
        (Dialect::OpenAi, json!({"error": {"message": "no"}, "status_code": 400}), Some(BadRequest)),
        (Dialect::OpenAi, json!({"error": "broken"}), Some(InternalServerError)),
        (Dialect::OpenAi, json!({"object": "error", "message": "x", "code": 404}), Some(NotFound)),
        (Dialect::OpenAi, json!({"error": {"type": "invalid_request_error", "message": "x"}}), Some(BadRequest)),
        (
            Dialect::Anthropic,
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
            Some(InternalServerError),
        ),
        (Dialect::Anthropic, json!({"type": "error", "error": {"type": "rate_limit_error"}}), Some(RateLimited)),
        (Dialect::Anthropic, json!({"type": "error", "error": {"type": "permission_error"}}), Some(PermissionDenied)),
        (Dialect::OpenAi, json!({"error": null, "choices": []}), None),
        (Dialect::OpenAi, json!({"choices": []}), None),
        (Dialect::OpenAi, json!([1]), None),
    ];
    for (dialect, value, class) in rows {
        assert_eq!(
            inside(dialect, &value).map(|fault| (fault.class, fault.status)),
            class.map(|class| (class, None)),
            "{value}"
        );
    }
}

proptest! {
    #[test]
    fn garbage_is_classified_and_never_panics(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let fault = classify(Dialect::OpenAi, status, &body);
        prop_assert!(fault.message.len() <= 512);
    }
}
