//! Providers that want their requests elsewhere and otherwise, and answer in words of their own.

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
        "usage": {"tokens": {"input_tokens": 10, "output_tokens": 5}}});
    let own: Value = serde_json::from_str(&answer_body()).unwrap();
    let rows = [
        ("Gemini", "Gemini", "GoogApiKey", "/v1/models/small-1:generateContent", "x-goog-api-key: sk-canary", &gemini),
        ("Cohere", "Cohere", "Bearer", "/v1/chat", "authorization: Bearer sk-canary", &cohere),
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
async fn an_error_of_another_dialect_has_its_class() {
    let overflow = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT",
        "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}});
    let world = World::new(|config| turn(config, "Gemini", "Gemini", "GoogApiKey")).await;
    world.provider.then([Act::Write(reply(400, &[], &overflow.to_string()))]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code()), (400, "context_length_exceeded".to_owned()), "{got:?}");
    assert_eq!(got.header("x-spillway-error-class"), "ContextWindowExceeded");
}
