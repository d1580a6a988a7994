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
             contains 3897 input tokens.",
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

/// A message, the window or the longest prompt that it names, and how long it says the prompt is.
type Row = (&'static str, Option<u64>, Option<Length>);

const fn tokens(tokens: u64) -> Option<Length> {
    Some(Length::Tokens(tokens))
}

const fn at_least(tokens: u64) -> Option<Length> {
    Some(Length::AtLeast(tokens))
}

/// Of servers of one's own, gateways and others that speak OpenAI's API.
const WORDS: &[Row] = &[
    (
        "This model's maximum context length is 4096 tokens. However, you requested 200 output tokens and your prompt contains \
         at least 3897 input tokens, for a total of at least 4097 tokens.",
        Some(4_096),
        at_least(3_897),
    ),
    (
        "This model's maximum context length is 4096 tokens. However, you requested 200 output tokens and your prompt contains \
         99999 characters (more than 32000 characters, which is the upper bound for 3896 input tokens).",
        Some(4_096),
        None,
    ),
    (
        "You passed 3897 input tokens and requested 200 output tokens. However, the model's context length is only 4096 tokens, \
         resulting in a maximum input length of 3896 tokens.",
        Some(4_096),
        at_least(3_897),
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 3000. This model's maximum context length is 4096 tokens and \
         your request has 2000 input tokens (3000 > 4096 - 2000).",
        Some(4_096),
        tokens(2_000),
    ),
    (
        "max_tokens=9000 cannot be greater than max_model_len=4096. Please request fewer output tokens.",
        Some(4_096),
        None,
    ),
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please \
         reduce the length of the messages.",
        Some(4_096),
        tokens(5_000),
    ),
    (
        "Input length (5000 tokens) exceeds the maximum allowed length (4095 tokens). Use a shorter input.",
        Some(4_095),
        tokens(5_000),
    ),
    ("Input length 5000 exceeds the maximum allowed input length of 4095 tokens.", Some(4_095), tokens(5_000)),
    (
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        Some(4_096),
        tokens(5_000),
    ),
    ("input (5000 tokens) is larger than the max context size (4096 tokens). skipping", Some(4_096), tokens(5_000)),
    ("the prompt is longer than the context length currently available to the model; shorten the prompt", None, None),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 512 \
         `max_new_tokens`",
        Some(4_096),
        tokens(4_000),
    ),
    ("Input validation error: `inputs` must have less than 4096 tokens. Given: 9000", Some(4_096), tokens(9_000)),
    (
        "The number of tokens to keep from the initial prompt (9800) is greater than the context length (8192).",
        Some(8_192),
        at_least(9_800),
    ),
    ("length of prompt_tokens (9000) must be less than max_seq_len (8192).", Some(8_192), tokens(9_000)),
    ("Prompt sequence length is greater than 4096, perhaps consider using `truncate_sequence`?", Some(4_096), None),
    ("request (9000 tokens) exceeds max_total_tokens (8192)", Some(8_192), tokens(9_000)),
    ("max_total_tokens exceeded", None, None),
    ("maximum input tokens is 8192, got 9000", Some(8_192), None),
    (
        "litellm.ContextWindowExceededError: Context Window exceeded for given call. No models have context window large \
         enough.",
        None,
        None,
    ),
    (
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (6000 of text input, \
         2500 of tool input, 500 in the output).",
        Some(8_192),
        tokens(8_500),
    ),
    (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 289650 tokens.",
        Some(272_000),
        tokens(289_650),
    ),
    (
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        Some(131_072),
        tokens(537_812),
    ),
    (
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        Some(32_768),
        tokens(40_000),
    ),
    ("prompt token count of 391491 exceeds the limit of 128000", Some(128_000), tokens(391_491)),
    ("prompt tokens (9000) exceed model maximum (8192) for m", Some(8_192), tokens(9_000)),
    ("Please reduce the length of the messages or completion.", None, None),
    ("Input token count + max_tokens parameter must be less than the context length of the model.", None, None),
    ("Total tokens of image and text exceed max message tokens", None, None),
    ("invalid params, context window exceeds limit (2013)", None, None),
    ("<400> InvalidParameter: Range of input length should be [1, 98304]", Some(98_304), None),
    ("Prompt 超长", None, None),
    ("输入内容超过模型最大上下文长度", None, None),
    ("超出了模型最大token限制。", None, None),
    ("Prompt tokens too long", None, None),
    ("Input token length too long", None, None),
    (
        "Unable to submit request because the input token count is 9000 but the model only supports up to 8192.",
        Some(8_192),
        tokens(9_000),
    ),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try a shorter prompt.",
        Some(4_081),
        tokens(4_292),
    ),
    (
        "too many tokens: size limit exceeded by 8512 tokens. Try using shorter or fewer inputs. The limit for this model is \
         132000 tokens.",
        Some(132_000),
        tokens(140_512),
    ),
    ("too many tokens: size limit exceeded by 11326 tokens.", None, Some(Length::Over(11_326))),
];

/// Gateways pass on the words of others, so every family knows all of them, and what numbers are in them.
#[test]
fn whoever_says_that_a_prompt_is_too_long_is_understood() {
    for (dialect, (said, window, prompt)) in
        Dialect::ALL.into_iter().flat_map(|dialect| WORDS.iter().map(move |row| (dialect, row)))
    {
        let body = json!({"error": {"message": said}}).to_string();
        let fault = classify(dialect, 400, "", body.as_bytes());
        let got = (fault.class, fault.window.or(fault.longest), fault.prompt);
        assert_eq!(got, (ContextWindowExceeded, *window, *prompt), "{dialect:?} {said}");
        assert_eq!(classify(dialect, 429, "", body.as_bytes()).class, RateLimited, "{dialect:?} {said}");
    }
    let of_prompts = classify(Dialect::OpenAi, 400, "", br#"{"error": "Range of input length should be [1, 98304]"}"#);
    assert_eq!((of_prompts.window, of_prompts.longest), (None, Some(98_304)), "there may be room for an answer beside");
    let glm = r#"{"type":"error","error":{"type":"invalid_request_error","code":"1261","message":"x"}}"#;
    for dialect in Dialect::ALL {
        assert_eq!(classify(dialect, 400, "", glm.as_bytes()).class, ContextWindowExceeded, "{dialect:?}");
    }
}

#[test]
fn what_a_shorter_prompt_would_not_change_is_no_overflow() {
    let rows = [
        "max_tokens is too large: 200000. This model supports at most 16384 completion tokens, whereas you provided 200000.",
        "`max_tokens` must be less than or equal to `16384`, the maximum value for `max_tokens` is less than the \
         `context_window` for this model",
        "max_tokens (393216) exceeds model's maximum output tokens (131072) for model m",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet",
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.",
        "Range of max_tokens should be [1, 8192]",
        "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 to 8193.",
        "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 50000. The input or output tokens must \
         be reduced in order to run successfully.",
        "You have exceeded your token limit for today: 1000000 tokens per day",
        "tools.0.custom.description: input too long",
        "Invalid 'messages[0].name': the name exceeds the maximum allowed length (64)",
        "messages: 120 images exceed the limit of 100",
    ];
    for (dialect, said) in Dialect::ALL.into_iter().flat_map(|dialect| rows.map(|said| (dialect, said))) {
        let body = json!({"error": {"message": said}}).to_string();
        assert_eq!(classify(dialect, 400, "", body.as_bytes()).class, BadRequest, "{dialect:?} {said}");
    }
}
