use proptest::prelude::*;
use serde_json::json;

use super::{Class::*, *};

mod overflows;

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
                let fault = classify(dialect, status, "", body.as_bytes());
                assert_eq!((fault.class, fault.status), (class, Some(status)), "{dialect:?} {status} {body}");
                assert!(!fault.message.is_empty());
            }
        }
    }
}

#[test]
fn an_inner_error_is_kept_without_keys_and_its_code_is_no_quotation() {
    let inner = |text: &str| {
        json!({"code": "ResponsibleAIPolicyViolation", "details": [text],
        "content_filter_result": {"jailbreak": {"filtered": true, "detected": true}}})
    };
    let said = |inner: &Value| {
        let error = json!({"message": "filtered", "code": "content_filter", "param": "prompt", "innererror": inner});
        classify(Dialect::OpenAi, 400, "", json!({"error": error}).to_string().as_bytes())
    };
    let fault = said(&inner("of sk-abcdefghijklmnop1234 it"));
    assert_eq!((fault.class, fault.code.as_deref()), (ContentPolicyViolation, Some("content_filter")));
    assert_eq!(fault.inner(), Some(&*inner("of [redacted] it").to_string()));
    assert!(!fault.may_quote(), "a request that has the word in it changes nothing");
    assert_eq!(said(&inner(&"x y ".repeat(5_000))).inner().map(|inner| inner.len() < 1_000), Some(true));
    assert_eq!(said(&json!({"details": vec!["long words"; 1_000]})).inner(), None, "no more than an error needs");
    assert_eq!(said(&json!("x")).inner(), None);
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
        (
            400,
            r#"{"error":{"code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentPolicyViolation,
        ),
        (
            400,
            r#"{"error":{"code":"400","innererror":{"content_filter_result":{"hate":{"filtered":true}}}}}"#,
            ContentPolicyViolation,
        ),
        (
            400,
            r#"{"error":{"code":"400","innererror":{"content_filter_result":{"hate":{"filtered":false}}}}}"#,
            BadRequest,
        ),
        (500, r#"{"error":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, InternalServerError),
        (403, r#"{"code":"no permission","error":"Content violates usage guidelines."}"#, ContentPolicyViolation),
        (403, r#"{"error":{"message":"Input flagged by moderation","code":403}}"#, ContentPolicyViolation),
        (400, r#"{"code":"invalid","error":"Incorrect API key provided: sk-1"}"#, Authentication),
        (401, r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#, Authentication),
        (400, r#"{"error":{"message":"gone","code":"model_not_found"}}"#, NotFound),
        (400, r#"{"error":{"message":"invalid token 429 in prompt"}}"#, BadRequest),
        (520, "Web server is returning an unknown error", InternalServerError),
    ];
    for (status, body, class) in rows {
        assert_eq!(classify(Dialect::OpenAi, status, "", body.as_bytes()).class, class, "{body}");
    }
}

/// Gateways pass on the words of others, so every family knows all of them.
#[test]
fn a_prompt_that_is_too_long_is_known_in_every_family_and_never_under_429() {
    let words = [
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "Your input exceeds the context window of this model.",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "The prompt is too long: 9000, model maximum context length: 8191",
        "This endpoint's maximum context length is 131072 tokens.",
        "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
        "the input length exceeds the context length",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 9000",
        "prompt is too long: 213462 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199200 + 8192 > 200000",
        "Input is too long for requested model.",
        "Too many input tokens. Max input tokens: 300000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Please reduce the length. Current length is 9000 while limit is 8192",
        "prompt too long; exceeded max context length by 100 tokens",
        "Requested tokens (4000) exceed context window of 1000",
        "Prompt exceeds max length",
        "Prompt has 2000 tokens, but the configured context size is 1000 tokens",
        "Input exceeds the context limit",
        "context length exceeded",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "The sum of prompt length (5000.0), query length (0) should be less than max_num_tokens (4096)",
        "The requested input length 5000 exceeds the maximum input length 4096",
        "Input length 5000 exceeds maximum context size 4096",
        "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
    ];
    for (dialect, said) in Dialect::ALL.into_iter().flat_map(|dialect| words.map(|said| (dialect, said))) {
        let whole = |status: u16, body: Value| classify(dialect, status, "", body.to_string().as_bytes()).class;
        let event = |value: Value| inside(dialect, &value).map(|fault| fault.class);
        let bodies = [json!({"error": {"message": said}}), json!({"error": said}), json!({"message": said})];
        for body in bodies {
            assert_eq!(whole(400, body.clone()), ContextWindowExceeded, "{dialect:?} {body}");
            assert_eq!(whole(422, body.clone()), ContextWindowExceeded, "{dialect:?} {body}");
            assert_eq!(whole(429, body.clone()), RateLimited, "{dialect:?} {body}");
        }
        assert_eq!(event(json!({"error": {"message": said}})), Some(ContextWindowExceeded), "{dialect:?} {said}");
        assert_eq!(event(json!({"error": said})), Some(ContextWindowExceeded), "{dialect:?} {said}");
        assert_eq!(event(json!({"error": {"code": 429, "message": said}})), Some(RateLimited), "{dialect:?} {said}");
    }
    let coded = br#"{"error":{"message":"shorten it","code":"context_length_exceeded"}}"#;
    for dialect in Dialect::ALL {
        assert_eq!(classify(dialect, 400, "", coded).class, ContextWindowExceeded, "{dialect:?}");
        assert_eq!(classify(dialect, 429, "", coded).class, RateLimited, "{dialect:?}");
    }
}

#[test]
fn a_chat_that_is_too_large_is_a_prompt_that_is_and_anything_else_is_a_bad_request() {
    let plain = |status, body: &str| classify(Dialect::OpenAi, status, "", body.as_bytes());
    let limit = r#"{"error":{"message":"Request too large for model `m` on tokens per min (TPM)","code":"rate_limit_exceeded"}}"#;
    let rows = [
        (plain(413, "Request Entity Too Large"), Api::ChatCompletions, ContextWindowExceeded),
        (plain(413, ""), Api::Messages, ContextWindowExceeded),
        (plain(413, "{}"), Api::Responses, ContextWindowExceeded),
        (plain(413, ""), Api::Embeddings, BadRequest),
        (plain(400, "too large"), Api::ChatCompletions, BadRequest),
        (plain(413, limit), Api::ChatCompletions, RateLimited),
    ];
    for (fault, api, class) in rows {
        let told = format!("{api:?} {fault:?}");
        assert_eq!(fault.of_api(api).class, class, "{told}");
    }
    let glm = r#"{"error":{"code":"1261","message":"too much"}}"#;
    assert_eq!(plain(400, glm).class, ContextWindowExceeded);
}

#[test]
fn a_refused_key_is_one_in_every_family() {
    let rows = [
        (401, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#),
        (401, r#"{"error":{"message":"prompt is too long","code":"rate_limit_exceeded"}}"#),
        (400, r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: sk***st."}"#),
        (400, r#"{"error":{"code":400,"message":"API key not valid. Pass one.","status":"INVALID_ARGUMENT"}}"#),
        (400, r#"{"error":{"code":400,"message":"x","details":[{"reason":"API_KEY_INVALID"}]}}"#),
    ];
    for (dialect, (status, body)) in Dialect::ALL.into_iter().flat_map(|dialect| rows.map(|row| (dialect, row))) {
        assert_eq!(classify(dialect, status, "", body.as_bytes()).class, Authentication, "{dialect:?} {body}");
    }
}

#[test]
fn members_of_a_family_have_habits_of_their_own() {
    let rows = [
        (
            Dialect::OpenAi,
            403,
            r#"{"error":{"message":"no","code":403,"metadata":{"reasons":["x"]}}}"#,
            ContentPolicyViolation,
        ),
        (Dialect::OpenAi, 403, r#"{"error":{"message":"no","code":403,"metadata":{}}}"#, PermissionDenied),
        (Dialect::OpenAi, 400, r#"{"error":{"message":"Content Exists Risk"}}"#, ContentPolicyViolation),
        (
            Dialect::OpenAi,
            403,
            r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#,
            Authentication,
        ),
        (Dialect::OpenAi, 404, r#"{"error":{"code":"DeploymentNotFound","message":"gone"}}"#, NotFound),
        (
            Dialect::OpenAi,
            413,
            r#"{"error":{"code":"tokens_limit_reached","message":"Request body too large"}}"#,
            ContextWindowExceeded,
        ),
        (
            Dialect::OpenAi,
            400,
            r#"{"error":{"code":"tool_use_failed","failed_generation":"prompt is too long"}}"#,
            BadRequest,
        ),
        (Dialect::OpenAi, 400, r#"{"error":"must have less than 4 stop sequences"}"#, BadRequest),
        (Dialect::OpenAi, 502, r#"{"error":{"message":"Rate-limit of the provider"}}"#, RateLimited),
        (Dialect::OpenAi, 502, r#"{"error":{"code":429,"message":"x"}}"#, RateLimited),
        (Dialect::Gemini, 500, r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, RateLimited),
        (Dialect::Gemini, 403, r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#, PermissionDenied),
        (Dialect::Gemini, 503, r#"{"error":{"message":"The model is overloaded."}}"#, InternalServerError),
        (Dialect::Bedrock, 429, r#"{"message":"Too many tokens, please wait before trying again."}"#, RateLimited),
        (Dialect::Bedrock, 400, r#"{"message":"too many tokens"}"#, ContextWindowExceeded),
        (Dialect::Bedrock, 400, r#"{"message":"no","__type":"com.amazon#ExpiredTokenException"}"#, Authentication),
        (Dialect::Cohere, 400, r#"{"message":"too many tokens: total number of tokens"}"#, ContextWindowExceeded),
        (Dialect::Cohere, 401, r#"{"message":"no api key supplied"}"#, Authentication),
        (Dialect::Ollama, 500, r#"{"error":"model 'x' not found, try pulling it first"}"#, NotFound),
    ];
    for (dialect, status, body, class) in rows {
        assert_eq!(classify(dialect, status, "", body.as_bytes()).class, class, "{body}");
    }
    let kind = "ExpiredTokenException:http://internal.amazon.com/";
    assert_eq!(classify(Dialect::Bedrock, 403, kind, br#"{"message":"no"}"#).class, Authentication);
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
        (Dialect::OpenAi, json!({"error_code": "PERMISSION_DENIED", "message": "x"}), Some(PermissionDenied)),
        (Dialect::OpenAi, json!({"success": false, "errors": [{"message": "x"}]}), Some(InternalServerError)),
        (Dialect::Gemini, json!({"error": {"status": "UNAVAILABLE", "message": "x"}}), Some(ServiceUnavailable)),
        (Dialect::Ollama, json!({"error": "model 'x' not found"}), Some(NotFound)),
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
        let fault = classify(Dialect::OpenAi, status, "", &body);
        prop_assert!(fault.message.len() <= 512);
    }
}
