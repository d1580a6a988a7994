//! How long a prompt is, for those who ask.

use serde_json::{Value, json};

use crate::server::fake::*;

const PATH: &str = "/v1/messages/count_tokens";

fn prompt() -> bytes::Bytes {
    json!({"model": "chat", "messages": [{"role": "user", "content": "hello world"}]}).to_string().into()
}

fn anthropic(config: &mut Value) {
    route(config)["backends"][0]["model"]["tokenizer"] = "Estimate".into();
    let provider = &mut config["providers"]["ai/fake"];
    for (key, value) in [("kind", "Anthropic"), ("dialect", "Anthropic"), ("auth", "XApiKey")] {
        provider[key] = value.into();
    }
}

#[tokio::test]
async fn a_provider_that_counts_is_asked_and_anybody_elses_prompt_is_counted_here() {
    let world = World::new(anthropic).await;
    world.provider.then([Act::Write(reply(200, &[], r#"{"input_tokens":42}"#))]);
    let got = world.post(PATH, prompt()).await;
    assert_eq!((got.text.as_str(), got.header("x-spillway-tokens")), (r#"{"input_tokens":42}"#, "exact"), "{got:?}");
    let seen = &world.provider.seen()[0];
    assert!(seen.starts_with("POST /v1/messages/count_tokens HTTP/1.1\r\n"), "{seen}");
    assert_eq!(body_of(seen)["model"], "small-1");

    for (tokenizer, word) in [("O200kBase", "exact"), ("Estimate", "estimate")] {
        let world = World::new(|config| route(config)["backends"][0]["model"]["tokenizer"] = tokenizer.into()).await;
        let got = world.post(PATH, prompt()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-tokens")), (200, word), "{got:?}");
        assert!(got.json()["input_tokens"].as_u64().is_some_and(|tokens| (5..20).contains(&tokens)), "{got:?}");
        assert!(world.provider.seen().is_empty(), "{tokenizer}");
    }
}

#[tokio::test]
async fn a_count_is_estimated_where_its_provider_fails_and_refused_where_the_request_is_wrong() {
    let rows = [(429, 200), (500, 200), (404, 200), (400, 400), (401, 401)];
    for (theirs, ours) in rows {
        let world = World::new(anthropic).await;
        world.provider.then([Act::status(theirs, &["retry-after: 60"], "no")]);
        let got = world.post(PATH, prompt()).await;
        let word = if ours == 200 { "estimate" } else { "" };
        assert_eq!((got.status.as_u16(), got.header("x-spillway-tokens")), (ours, word), "{theirs}: {got:?}");
        assert_eq!(world.runtime.usage.lines().iter().map(|line| line.totals.cost_nanos).sum::<u64>(), 0, "{theirs}");
        // Counts have limits of their own: what was said of them keeps nobody from the model.
        let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "small-1", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
        world.provider.then([Act::Write(reply(200, &[], &message.to_string()))]);
        assert_eq!(world.chat(&chat()).await.status, 200, "{theirs}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_get_to_count_is_not_waited_for() {
    let world = World::new(anthropic).await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    let begun = crate::clock::now();
    let got = world.post(PATH, prompt()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-tokens")), (200, "estimate"), "{got:?}");
    let took = crate::clock::now().saturating_duration_since(begun);
    assert!(took.as_secs() < 8, "two seconds, and not all that an answer may take: {took:?}");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_counted_all_the_same_and_costs_no_tokens() {
    let limits = json!([{"name": "tpm", "per": "Pod", "tokens": 50, "window_ms": 60_000}]);
    let world = World::new(|config| {
        route(config)["limits"] = limits;
        route(config)["max_cost_nanos"] = 1.into();
        route(config)["request"]["set"] = json!({"temperature": 0.5});
    })
    .await;
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": "word ".repeat(5_000)}]});
    let got = world.post(PATH, body.to_string().into()).await;
    assert!(got.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 4_000), "{got:?}");
    assert_eq!(got.header("x-ratelimit-remaining-tokens"), "50");
}

#[tokio::test]
async fn a_prompt_in_any_words_is_counted_for_the_model_that_would_answer_it() {
    let world = World::new(|_| {}).await;
    let tools = json!([{"type": "function", "function": {"name": "ping"}}]);
    let message = json!([{"role": "user", "content": "hello world"}]);
    let rows = [
        (json!({"messages": message}), 9),
        (json!({"messages": message, "system": "hello world"}), 15),
        (json!({"messages": message, "tools": tools}), 9 + 9 + 14),
        (json!({"input": "hello world"}), 2),
        (json!({"input": message}), 9),
        (json!({"prompt": ["hello", "hello world"]}), 3),
    ];
    for (mut asked, tokens) in rows {
        asked["model"] = "chat".into();
        let got = world.post("/v1/tokenize", asked.to_string().into()).await;
        let said = got.json();
        assert_eq!(
            (got.status.as_u16(), &said["tokens"], &said["exact"]),
            (200, &json!(tokens), &json!(true)),
            "{asked}: {got:?}"
        );
        assert_eq!((&said["encoding"], &said["model"]), (&json!("o200k_base"), &json!("small-1")), "{got:?}");
        assert!(said["context_window"].is_u64(), "{got:?}");
    }
    assert!(world.provider.seen().is_empty(), "nobody is asked");

    let world = World::new(|config| route(config)["backends"][0]["model"]["tokenizer"] = "Estimate".into()).await;
    let got = world.post("/v1/tokenize", json!({"model": "chat", "prompt": "hello world"}).to_string().into()).await;
    assert_eq!((&got.json()["exact"], &got.json()["encoding"]), (&json!(false), &json!("estimate")), "{got:?}");
    let wrong = [
        (json!({"prompt": "x"}), 400, "model is no text"),
        (json!({"model": "chat"}), 400, "there is nothing to count"),
        (json!({"model": "chat", "messages": 5}), 400, "messages must be a list"),
        (json!({"model": "chat", "messages": [{}, "x"]}), 400, "messages[1] must be an object"),
        (json!({"model": "chat", "input": {"a": 1}}), 400, "input must be a text"),
        (json!({"model": "chat", "input": ["x", true]}), 400, "input[1] must be a text"),
        (json!({"model": "chat", "prompt": [{}]}), 400, "prompt[0] must be a text"),
        (json!({"model": "nobody", "prompt": "x"}), 404, "no route serves model"),
    ];
    for (asked, status, words) in wrong {
        let got = world.post("/v1/tokenize", asked.to_string().into()).await;
        assert!(got.status.as_u16() == status && got.text.contains(words), "{asked}: {got:?}");
    }
}

/// A route whose providers count where lengths do not decide.
fn counted_there(config: &mut Value) {
    anthropic(config);
    route(config)["context_window"]["count"] = "Provider".into();
    route(config)["context_window"]["on_exceeded"] = "LargerModel".into();
    route(config)["fallbacks"] = json!([{"on": ["ContextWindowExceeded"], "to": ["large"]}]);
}

/// Of some 1,300 bytes, which a window of 1,000 tokens may hold or not.
fn doubtful(turns: usize) -> Value {
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("{number} {}", "word ".repeat(80))})
    };
    json!({"model": "chat", "max_tokens": 10, "messages": (0..turns).map(turn).collect::<Vec<_>>()})
}

fn message(model: &str) -> Act {
    let body = json!({"id": "m", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    Act::Write(reply(200, &[], &body.to_string()))
}

fn count(tokens: u64) -> Act {
    Act::Write(reply(200, &[], &json!({ "input_tokens": tokens }).to_string()))
}

fn paths(world: &World) -> Vec<String> {
    let path = |seen: &String| seen.split(' ').nth(1).unwrap_or_default().to_owned();
    world.provider.seen().iter().map(path).collect()
}

#[tokio::test]
async fn where_length_does_not_decide_the_provider_does_and_is_not_asked_twice() {
    for (tokens, backend) in [(900, "small"), (995, "large")] {
        let world = World::new(counted_there).await;
        // Names of its own: what providers have said of prompts is the process's.
        let mut prompt = doubtful(3);
        prompt["system"] = format!("of {tokens}").into();
        world.provider.then([count(tokens), message("x"), message("x")]);
        for _ in 0..2 {
            let got = world.post("/v1/messages", prompt.to_string().into()).await;
            assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, backend), "{tokens}: {got:?}");
        }
        assert_eq!(paths(&world), ["/v1/messages/count_tokens", "/v1/messages", "/v1/messages"], "{tokens}");
        let asked = body_of(&world.provider.seen()[0]);
        assert!(asked.get("max_tokens").is_none() && asked["model"] == "small-1", "{asked}");
        let rendered = world.runtime.telemetry.render();
        for outcome in ["counted", "known"] {
            let line =
                format!("provider_counts_total{{backend=\"small\",outcome=\"{outcome}\",route=\"shop/chat\"}} 1");
            assert!(rendered.contains(&line), "{line}: {rendered}");
        }
    }
}

#[tokio::test]
async fn what_a_conversation_began_with_may_be_enough_to_know() {
    let world = World::new(counted_there).await;
    let talk = |turns| {
        let mut talk = doubtful(turns);
        talk["system"] = "a longer one".into();
        talk
    };
    world.provider.then([count(500), message("x"), message("x")]);
    let first = world.post("/v1/messages", talk(3).to_string().into()).await;
    assert_eq!(first.header("x-spillway-backend"), "small", "{first:?}");
    // 400 bytes more are at most as many tokens.
    let second = world.post("/v1/messages", talk(4).to_string().into()).await;
    assert_eq!(second.header("x-spillway-backend"), "small", "{second:?}");
    assert_eq!(paths(&world), ["/v1/messages/count_tokens", "/v1/messages", "/v1/messages"]);
}

#[tokio::test]
async fn who_does_not_count_is_counted_for_and_short_prompts_are_nobodys_question() {
    for act in [Act::status(404, &[], "no"), Act::status(529, &[], "busy"), count_of_nothing()] {
        let world = World::new(counted_there).await;
        world.provider.then([act.clone(), message("x")]);
        let got = world.post("/v1/messages", doubtful(3).to_string().into()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "small"), "{act:?}: {got:?}");
        assert_eq!(paths(&world).len(), 2, "{act:?}");
    }
    let world = World::new(counted_there).await;
    world.provider.then([message("x")]);
    let short = json!({"model": "chat", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(world.post("/v1/messages", short.to_string().into()).await.status, 200);
    assert_eq!(paths(&world), ["/v1/messages"]);
}

#[tokio::test]
async fn a_number_that_can_be_no_count_of_the_prompt_is_none() {
    for tokens in [0, 2_000, u64::MAX] {
        let world = World::new(counted_there).await;
        let mut prompt = doubtful(3);
        prompt["system"] = "of nothing".into();
        world.provider.then([count(tokens), message("x")]);
        let got = world.post("/v1/messages", prompt.to_string().into()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "small"), "{tokens}: {got:?}");
        let line = "provider_counts_total{backend=\"small\",outcome=\"failed\",route=\"shop/chat\"} 1";
        let rendered = world.runtime.telemetry.render();
        assert!(rendered.contains(line), "{tokens}: {rendered}");
    }
}

fn count_of_nothing() -> Act {
    Act::Write(reply(200, &[], "{}"))
}

#[tokio::test]
async fn a_count_of_messages_is_asked_of_whoever_counts_in_other_words() {
    let world = World::new(|config| {
        route(config)["context_window"]["count"] = "Provider".into();
        config["providers"]["ai/fake"]["kind"] = "LlamaCpp".into();
    })
    .await;
    world
        .provider
        .then([r#"{"prompt": "<s>hi"}"#, r#"{"tokens": [1, 2, 3]}"#].map(|text| Act::Write(reply(200, &[], text))));
    // What was told of a prompt is known to every world of this process: this one is nobody else's.
    let prompt = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    let got = world.post(PATH, prompt.to_string().into()).await;
    assert_eq!((got.text.as_str(), got.header("x-spillway-tokens")), (r#"{"input_tokens":3}"#, "exact"), "{got:?}");
    assert_eq!(paths(&world), ["/apply-template", "/tokenize"], "beside the API and not in it");
}

#[tokio::test]
async fn a_count_is_a_request_to_an_account_and_not_made_where_there_is_no_room_for_it() {
    let world = World::new(|config| {
        counted_there(config);
        config["providers"]["ai/fake"]["quota"] = json!({"requests": 600});
    })
    .await;
    let mut prompt = doubtful(3);
    prompt["system"] = "of nobody".into();
    let got = world.post("/v1/messages", prompt.to_string().into()).await;
    assert_eq!((got.status.as_u16(), paths(&world)), (429, vec![]), "{got:?}");
}
