use super::*;

#[test]
fn an_overflow_teaches_the_window() {
    let rows = [
        (Dialect::OpenAi, r#"{"error":{"message":"This model's maximum context length is 128,000 tokens."}}"#, 128_000),
        (Dialect::OpenAi, r#"{"error":{"message":"Current length is 9000 while limit is 8192"}}"#, 8192),
        (
            Dialect::Gemini,
            r#"{"error":{"message":"exceeds the maximum number of tokens allowed (1048576)."}}"#,
            1_048_576,
        ),
        (Dialect::Cohere, r#"{"message":"too many tokens: total tokens in the prompt cannot exceed 128000"}"#, 128_000),
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
        let fault = classify(dialect, 400, "", body.as_bytes());
        assert_eq!((fault.class, fault.window), (ContextWindowExceeded, Some(window)), "{body}");
    }
    let unknown = classify(Dialect::OpenAi, 400, "", br#"{"error":{"code":"context_length_exceeded"}}"#);
    assert_eq!((unknown.class, unknown.window), (ContextWindowExceeded, None));
}

#[test]
fn an_overflow_of_a_server_of_ones_own_teaches_the_window() {
    let rows = [
        ("Requested tokens (4000) exceed context window of 1000", 1000),
        ("Prompt has 2000 tokens, but the configured context size is 1000 tokens", 1000),
        ("The sum of prompt length (5000.0), query length (0) should be less than max_num_tokens (4096)", 4096),
        ("The requested input length 5000 exceeds the maximum input length 4096", 4096),
        ("The input (5000 tokens) is longer than the model's context length (1000 tokens).", 1000),
    ];
    for (said, window) in rows {
        let fault = classify(Dialect::OpenAi, 400, "", json!({ "error": said }).to_string().as_bytes());
        assert_eq!((fault.class, fault.window), (ContextWindowExceeded, Some(window)), "{said}");
    }
}

#[test]
fn an_overflow_says_how_long_the_prompt_is() {
    let rows = [
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (5000 in the messages, \
             4000 in the completion).",
            Some(5_000),
        ),
        (
            "This model's maximum context length is 512 tokens. However, your messages resulted in 9,012 tokens.",
            Some(9_012),
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 200 output tokens and your prompt \
             contains at least 3897 input tokens.",
            Some(3_897),
        ),
        ("Requested token count exceeds the model's maximum context length of 131072 tokens.", None),
        ("This model's maximum context length is 600 tokens, you requested more", None),
        ("Requested tokens (4000) exceed context window of 1000", Some(4_000)),
        ("Prompt has 2000 tokens, but the configured context size is 1000 tokens", Some(2_000)),
        ("The requested input length 5000 exceeds the maximum input length 4096", Some(5_000)),
        ("The sum of prompt length (5000.0), query length (0) should be less than max_num_tokens (4096)", Some(5_000)),
        ("Prompt exceeds max length", None),
    ];
    for (message, prompt) in rows {
        let fault = classify(Dialect::OpenAi, 400, "", json!({"error": {"message": message}}).to_string().as_bytes());
        let want = (ContextWindowExceeded, prompt.map(Length::Tokens));
        assert_eq!((fault.class, fault.prompt), want, "{message}");
    }
    let rows = [
        (
            Dialect::OpenAi,
            r#"{"error":{"type":"exceed_context_size_error","n_ctx":4096,"n_prompt_tokens":9000}}"#,
            9_000,
        ),
        (Dialect::Anthropic, r#"{"error":{"message":"prompt is too long: 213462 tokens > 200000 maximum"}}"#, 213_462),
        (
            Dialect::Gemini,
            r#"{"error":{"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}"#,
            1_200_000,
        ),
    ];
    for (dialect, body, prompt) in rows {
        let fault = classify(dialect, 400, "", body.as_bytes());
        assert_eq!(fault.prompt, Some(Length::Tokens(prompt)), "{body}");
    }
}

#[test]
fn an_overflow_that_only_says_by_how_much_says_that() {
    for said in
        ["prompt too long; exceeded max context length by 200 tokens", "request exceeds context window by 200 tokens"]
    {
        let body = json!({ "error": said }).to_string();
        let fault = classify(Dialect::Ollama, 400, "", body.as_bytes());
        assert_eq!(
            (fault.class, fault.window, fault.prompt),
            (ContextWindowExceeded, None, Some(Length::Over(200))),
            "{said}"
        );
        let quoting = json!({"error": format!("no role '{said}', prompt is too long")}).to_string();
        let request = Body::parse(json!({"messages": [{"role": said}]}).to_string().into()).unwrap();
        let fault = classify(Dialect::Ollama, 400, "", quoting.as_bytes());
        assert_eq!((fault.prompt, fault.without_quotes(&request).prompt), (Some(Length::Over(200)), None), "{said}");
    }
}
