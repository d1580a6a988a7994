//! Providers that want their requests elsewhere and otherwise, and answer in words of their own.

use http::StatusCode;
use serde_json::{Value, json};

use crate::server::fake::*;

/// Makes the provider one of another kind.
fn turn(config: &mut Value, kind: &str, dialect: &str, auth: &str) {
    let provider = &mut config["providers"]["ai/fake"];
    for (key, value) in [("kind", kind), ("dialect", dialect), ("auth", auth)] {
        provider[key] = value.into();
    }
}

#[tokio::test]
async fn each_provider_is_asked_where_it_lives_and_in_its_words() {
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}});
    let cohere = json!({"id": "c", "finish_reason": "COMPLETE", "message": {"content": [{"type": "text", "text": "hi"}]},
        "usage": {"tokens": {"input_tokens": 90, "output_tokens": 50}, "billed_units": {"input_tokens": 10, "output_tokens": 5}}});
    let ollama = json!({"message": {"content": "hi"}, "done": true, "prompt_eval_count": 10, "eval_count": 5});
    let own: Value = serde_json::from_str(&answer_body()).unwrap();
    let rows = [
        ("Gemini", "Gemini", "GoogApiKey", "/v1/models/small-1:generateContent", "x-goog-api-key: sk-canary", &gemini),
        ("Cohere", "Cohere", "Bearer", "/v1/chat", "authorization: Bearer sk-canary", &cohere),
        (
            "VertexAI",
            "VertexAi",
            "Bearer",
            "/v1/publishers/google/models/small-1:generateContent",
            "authorization: Bearer sk-canary",
            &gemini,
        ),
        ("Ollama", "Ollama", "Bearer", "/v1/api/chat", "authorization: Bearer sk-canary", &ollama),
        ("Mistral", "OpenAi", "Bearer", "/v1/chat/completions", "authorization: Bearer sk-canary", &own),
        (
            "AzureOpenAI",
            "OpenAi",
            "ApiKey",
            "/v1/openai/deployments/small-1/chat/completions?api-version=2024-10-21",
            "api-key: sk-canary",
            &own,
        ),
    ];
    for (kind, dialect, auth, path, header, answer) in rows {
        let world = World::new(|config| {
            turn(config, kind, dialect, auth);
            config["providers"]["ai/fake"]["api_version"] = "2024-10-21".into();
        })
        .await;
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let mut body = chat();
        body["max_completion_tokens"] = 7.into();
        let got = world.chat(&body).await;
        assert_eq!(got.json().pointer("/choices/0/message/content"), Some(&json!("hi")), "{kind}: {got:?}");
        assert_eq!(got.header("x-spillway-cost-usd"), "0.00006", "{kind}");
        let seen = &world.provider.seen()[0];
        assert!(seen.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{kind}: {seen}");
        assert!(seen.contains(&format!("\r\n{header}\r\n")), "{kind}: {seen}");
        if kind == "Mistral" {
            assert_eq!(body_of(seen)["max_tokens"], 7);
        }
    }
}

#[tokio::test]
async fn a_stream_of_another_dialect_reads_as_openais_and_as_anthropics() {
    let event = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]});
    let mut last = event("lo");
    last["candidates"][0]["finishReason"] = "STOP".into();
    let (first, last) = (event("Hel").to_string(), last.to_string());
    for (path, parts) in [
        ("/v1/chat/completions", ["\"content\":\"Hel\"", "\"content\":\"lo\"", "data: [DONE]"]),
        ("/v1/messages", ["\"text\":\"Hel\"", "\"text\":\"lo\"", "event: message_stop"]),
    ] {
        let world = World::new(|config| turn(config, "Gemini", "Gemini", "GoogApiKey")).await;
        world.provider.then([Act::events(&[&first, &last], true)]);
        let mut body = streamed();
        body["max_tokens"] = 9.into();
        let got = world.post(path, body.to_string().into()).await;
        assert!(got.whole && parts.iter().all(|part| got.text.contains(part)), "{path}: {got:?}");
        assert!(world.provider.seen()[0].contains("small-1:streamGenerateContent?alt=sse "), "{path}");
    }
}

#[tokio::test]
async fn a_model_at_vertex_is_spoken_to_as_its_maker_does() {
    let claude = json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 5}});
    let own: Value = serde_json::from_str(&answer_body()).unwrap();
    let rows = [
        ("claude-sonnet-4-5", "/v1/publishers/anthropic/models/claude-sonnet-4-5:rawPredict", &claude),
        ("meta/llama-4-scout", "/v1/endpoints/openapi/chat/completions", &own),
    ];
    for (model, path, answer) in rows {
        let world = World::new(|config| {
            turn(config, "VertexAI", "VertexAi", "Bearer");
            route(config)["backends"][0]["model"]["name"] = model.into();
        })
        .await;
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let got = world.chat(&chat()).await;
        assert_eq!(got.json().pointer("/choices/0/message/content"), Some(&json!("hi")), "{model}: {got:?}");
        let seen = &world.provider.seen()[0];
        assert!(seen.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{model}: {seen}");
        assert!(!seen.contains("anthropic-version: "), "{model}: {seen}");
        let version = body_of(seen)["anthropic_version"].clone();
        assert_eq!(version == "vertex-2023-10-16", model.starts_with("claude"), "{model}: {seen}");
    }
}

#[tokio::test]
async fn a_stream_of_lines_reads_as_a_stream_of_events() {
    let lines = [
        json!({"message": {"role": "assistant", "content": "Hel"}, "done": false}),
        json!({"message": {"role": "assistant", "content": "lo"}, "done": false}),
        json!({"message": {"content": ""}, "done": true, "prompt_eval_count": 10, "eval_count": 5}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole = format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    for (path, parts) in [
        ("/v1/chat/completions", ["\"content\":\"Hel\"", "\"content\":\"lo\"", "data: [DONE]"]),
        ("/v1/messages", ["\"text\":\"Hel\"", "\"text\":\"lo\"", "event: message_stop"]),
        ("/v1/completions", ["\"text\":\"Hel\"", "\"text\":\"lo\"", "data: [DONE]"]),
    ] {
        let world = World::new(|config| turn(config, "Ollama", "Ollama", "Bearer")).await;
        world.provider.then([Act::Write(whole.clone())]);
        let mut body = streamed();
        body["max_tokens"] = 9.into();
        body["prompt"] = "hi".into();
        let got = world.post(path, body.to_string().into()).await;
        assert!(got.whole && parts.iter().all(|part| got.text.contains(part)), "{path}: {got:?}");
    }
}

#[tokio::test]
async fn an_error_of_another_dialect_has_its_class() {
    let overflow = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT",
        "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}});
    let world = World::new(|config| turn(config, "Gemini", "Gemini", "GoogApiKey")).await;
    world.provider.then([Act::Write(reply(400, &[], &overflow.to_string()))]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code()), (400, "context_length_exceeded".to_owned()), "{got:?}");
    assert_eq!(got.header("x-spillway-error-class"), "ContextWindowExceeded");
}

#[tokio::test]
async fn what_a_backend_does_not_take_is_told_in_the_answer_and_counted() {
    let world = World::new(|config| turn(config, "Groq", "OpenAi", "Bearer")).await;
    world.provider.then([Act::Write(reply(200, &[], &answer_body())), Act::Write(reply(200, &[], &answer_body()))]);
    let mut body = chat();
    body["verbosity"] = "low".into();
    body["metadata"] = json!({"a": "b"});
    let got = world.chat(&body).await;
    assert_eq!((got.status, got.header("x-spillway-dropped")), (StatusCode::OK, "metadata,verbosity"), "{got:?}");
    let got = world.chat(&chat()).await;
    assert_eq!((got.status, got.header("x-spillway-dropped")), (StatusCode::OK, ""), "{got:?}");
    let metrics = world.runtime.telemetry.render();
    let line = "parameters_dropped_total{provider=\"ai/fake\",route=\"shop/chat\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_in_a_good_answer_goes_no_further() {
    let world = World::new(|_| ()).await;
    let whole = answer_body().replacen("\"usage\"", "\"debug\": \"Bearer sk-canary\", \"usage\"", 1);
    assert!(whole.contains("sk-canary"), "{whole}");
    world.provider.then([Act::Write(reply(200, &[], &whole))]);
    let got = world.chat(&chat()).await;
    assert!(got.status == 200 && got.text.contains("Bearer [redacted]") && !got.text.contains("sk-canary"), "{got:?}");

    let event = |text: &str, reason: Value| json!({"id": "1", "debug": "got sk-canary", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]});
    let (first, last) = (event("hi", Value::Null).to_string(), event("", "stop".into()).to_string());
    world.provider.then([Act::events(&[&first, &last, "[DONE]"], true)]);
    let got = world.post("/v1/chat/completions", streamed().to_string().into()).await;
    assert!(got.whole && got.text.contains("got [redacted]") && !got.text.contains("sk-canary"), "{got:?}");
}

#[tokio::test]
async fn an_overloaded_provider_is_called_so_in_the_words_of_every_api() {
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}).to_string();
    let start = json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}).to_string();
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}});
    let rows = [("/v1/messages", 529, "overloaded_error"), ("/v1/chat/completions", 503, "server_error")];
    for (path, status, kind) in rows {
        let world = World::new(|config| turn(config, "Anthropic", "Anthropic", "XApiKey")).await;
        let acts = [
            Act::status(529, &[], &overloaded),
            Act::events(&[&start, &overloaded], true),
            Act::events(&[&start, &delta.to_string(), &overloaded], true),
        ];
        world.provider.then(acts);
        let mut body = streamed();
        body["max_tokens"] = 9.into();
        for row in ["a status", "the first event"] {
            let got = world.post(path, body.to_string().into()).await;
            let error = &got.json()["error"];
            assert_eq!((got.status.as_u16(), &error["type"]), (status, &json!(kind)), "{path} {row}: {}", got.text);
            assert_eq!(got.header("x-spillway-error-class"), "InternalServerError", "{path} {row}");
        }
        let got = world.post(path, body.to_string().into()).await;
        let told = format!("\"type\":\"{kind}\"");
        assert!(got.text.contains("half") && got.text.contains(&told), "{path}: {}", got.text);
    }
}

#[tokio::test]
async fn who_fetches_no_images_is_passed_over_for_one_that_is_given_by_its_url() {
    let local = |config: &mut Value| {
        let mut provider = config["providers"]["ai/fake"].clone();
        provider["kind"] = "Ollama".into();
        config["providers"]["ai/local"] = provider;
        let backends = &mut route(config)["backends"];
        backends[0]["provider"] = "ai/local".into();
        backends[0]["model"]["context_window_tokens"] = 100_000.into();
    };
    let shown = |url: &str| {
        let content = json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]);
        json!({"model": "chat", "messages": [{"role": "user", "content": content}]})
    };
    let (inline, far) = (shown("data:image/png;base64,iVBORw0KGgo="), shown("https://example.com/a.png"));
    let world = World::new(local).await;
    assert_eq!(world.chat(&inline).await.status, StatusCode::OK);
    let got = world.chat(&far).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST, "{got:?}");
    for part in
        ["small (small-1) fetches no images", "send it as a data URL", "give the route a backend that fetches images"]
    {
        assert!(got.text.contains(part), "{part}: {got:?}");
    }
    let world = World::new(|config| {
        local(config);
        route(config)["backends"][1]["role"] = "Primary".into();
    })
    .await;
    assert_eq!([world.chat(&far).await.status, world.chat(&inline).await.status], [StatusCode::OK; 2]);
    assert_eq!(world.provider.models(), ["large-1", "small-1"]);
}

#[tokio::test]
async fn words_in_front_of_an_answer_by_a_tool_are_no_part_of_a_stream() {
    let named = |kind: &str, more: Value| {
        let mut event = json!({"type": kind});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string()
    };
    let delta = |index: u64, delta: Value| named("content_block_delta", json!({"index": index, "delta": delta}));
    let tool = json!({"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {}});
    let events = [
        named("message_start", json!({"message": {"id": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}})),
        named("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}})),
        delta(0, json!({"type": "text_delta", "text": "Sure: "})),
        named("content_block_stop", json!({"index": 0})),
        named("content_block_start", json!({"index": 1, "content_block": tool})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "{\"a\":\"b\"}"})),
        named("content_block_stop", json!({"index": 1})),
        named("message_delta", json!({"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}})),
        named("message_stop", json!({})),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let world = World::new(|config| turn(config, "Anthropic", "Anthropic", "XApiKey")).await;
    world.provider.then([Act::events(&events, true), Act::events(&events, true)]);
    let mut body = streamed();
    let plain = world.chat(&body).await;
    let schema = json!({"type": "object", "additionalProperties": {"type": "string"}});
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let held = world.chat(&body).await;
    assert!(world.provider.seen()[1].contains("json_tool_call"), "{:?}", world.provider.seen());
    assert!(plain.text.contains("Sure: ") && !held.text.contains("Sure: "), "{held:?}");
    assert!(held.whole && held.text.contains("data: [DONE]"), "{held:?}");
}
