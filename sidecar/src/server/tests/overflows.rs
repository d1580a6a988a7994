//! Prompts that do not fit, by the word of whoever was asked.

use serde_json::{Value, json};

use super::windows::{long, strange, world};
use crate::server::fake::*;

fn refusal(window: u64) -> String {
    let message = format!(
        "This model's maximum context length is {window} tokens. However, your messages resulted in 700 tokens."
    );
    json!({"error": {"message": message, "type": "invalid_request_error", "param": "messages",
        "code": "context_length_exceeded"}})
    .to_string()
}

fn overflow(window: u64) -> Act {
    Act::Write(reply(400, &[], &refusal(window)))
}

#[tokio::test]
async fn what_was_tried_is_no_hint() {
    for (mode, hinted) in [("Truncate", false), ("Reject", true)] {
        let world = World::new(|config| {
            route(config)["policy"] = "shop/fp".into();
            route(config)["context_window"]["on_exceeded"] = mode.into();
        })
        .await;
        world.provider.then([overflow(600), overflow(600)]);
        let got = world.chat(&long(700)).await;
        assert_eq!((got.status.as_u16(), got.text.contains("hint")), (400, hinted), "{mode}: {}", got.text);
        assert!(!hinted || got.text.contains("or Hybrid in FallbackPolicy shop/fp helps"), "{}", got.text);
    }
}

/// What providers say of a prompt that is too long, in words that few others have.
#[tokio::test]
async fn an_overflow_in_anybodys_words_leads_to_a_larger_model() {
    let rows = [
        (400, "prompt too long; exceeded max context length by 100 tokens"),
        (400, "Requested tokens (4000) exceed context window of 600"),
        (400, "Prompt exceeds max length"),
        (413, "Request Entity Too Large"),
    ];
    for (status, said) in rows {
        let world = world("LargerModel", &["large"]).await;
        world.provider.then([Act::status(status, &[], said)]);
        let got = world.chat(&long(700)).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{said}: {got:?}");
    }
}

#[tokio::test]
async fn an_overflow_that_only_the_provider_saw_is_handled_the_same_way() {
    let rows = [
        ("Reject", &[][..], 400, &["small-1"][..], 600),
        ("Reject", &["large"], 200, &["small-1", "large-1"], 600),
        ("LargerModel", &["large"], 200, &["small-1", "large-1"], 600),
        ("LargerModel", &["large"], 400, &["small-1"], 200_000),
        ("Truncate", &[], 200, &["small-1", "small-1"], 600),
        ("Hybrid", &["large"], 200, &["small-1", "large-1"], 600),
        ("Hybrid", &[], 200, &["small-1", "small-1"], 600),
    ];
    for (mode, to, status, models, window) in rows {
        let world = world(mode, to).await;
        world.provider.then([overflow(window)]);
        let got = world.chat(&long(700)).await;
        assert_eq!(got.status, status, "{mode} {to:?} {window}: {got:?}");
        assert_eq!(world.provider.models(), models, "{mode} {to:?} {window}");
        let dropped: u32 = got.header("x-spillway-truncated-messages").parse().unwrap_or(0);
        assert_eq!(dropped > 0, models == ["small-1", "small-1"], "{mode} {to:?} {window}");
    }
}

#[tokio::test]
async fn a_provider_that_never_finds_it_short_enough_is_asked_twice_and_no_more() {
    let world = world("Truncate", &[]).await;
    let overflow = || Act::status(400, &[], "This model's maximum context length is 600 tokens, you requested more");
    world.provider.then([overflow(), overflow(), overflow()]);
    let got = world.chat(&long(700)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "context_length_exceeded"), "{got:?}");
    assert_eq!(world.provider.seen().len(), 2);
}

#[tokio::test]
async fn an_overflow_in_the_first_event_of_a_stream_is_one_like_any_other() {
    let llama = json!({"code": 400, "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error", "n_prompt_tokens": 700, "n_ctx": 600});
    let llama = format!("error: {llama}\n\n");
    let llama = format!("{:x}\r\n{llama}\r\n0\r\n\r\n", llama.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let events = || Act::events(&[&refusal(600)], true);
    let rows = [
        ("Truncate", &[][..], ["small-1", "small-1"], events()),
        ("Hybrid", &["large"], ["small-1", "large-1"], events()),
        ("Hybrid", &["large"], ["small-1", "large-1"], Act::Write(head + &llama)),
    ];
    for (mode, to, models, overflow) in rows {
        let world = world(mode, to).await;
        let answer = Act::events(&[&piece("hi"), &stop(), "[DONE]"], true);
        world.provider.then([overflow, answer]);
        let mut body = long(700);
        body["stream"] = true.into();
        let got = world.chat(&body).await;
        assert_eq!(
            (got.status.as_u16(), world.provider.models()),
            (200, models.map(str::to_owned).to_vec()),
            "{got:?}"
        );
        assert!(got.text.contains("hi") && got.text.contains("[DONE]"), "{got:?}");
        assert_eq!(got.header("x-spillway-fallback-reason"), "ContextWindowExceeded");
    }
}

#[tokio::test]
async fn a_window_that_proved_smaller_is_gone_by_from_then_on_until_the_config_says_something_new() {
    let world = world("LargerModel", &["large"]).await;
    world.provider.then([overflow(600)]);
    for models in [&["small-1", "large-1"][..], &["large-1"], &["large-1"]] {
        let before = world.provider.seen().len();
        assert_eq!(world.chat(&long(700)).await.status, 200);
        assert_eq!(world.provider.models()[before..], *models);
    }
    assert_eq!(world.chat(&long(300)).await.header("x-spillway-backend"), "small", "what fits is still its own");
    let generation = world.runtime.generation().unwrap();
    assert_eq!(generation.routes[0].learnt_windows(crate::clock::now()), [(0, 600)]);
    let apply = |change: fn(&mut Value)| {
        let mut config = serde_json::to_value(&*generation.snapshot).unwrap();
        change(&mut config);
        world.runtime.apply(serde_json::from_value(config).unwrap()).unwrap();
        world.runtime.generation().unwrap().routes[0].learnt_windows(crate::clock::now())
    };
    assert_eq!(apply(|config| route(config)["hedge"] = Value::Null), [(0, 600)], "nothing new about the window");
    let window = |config: &mut Value| route(config)["backends"][0]["model"]["context_window_tokens"] = json!(900);
    assert_eq!(apply(window), []);
}

#[tokio::test]
async fn a_refusal_of_a_prompt_that_must_have_fitted_teaches_nothing() {
    let world = world("Reject", &[]).await;
    world.provider.then([overflow(900)]);
    let mut body = chat();
    body["max_tokens"] = 10.into();
    assert_eq!(world.chat(&body).await.status, 400);
    assert_eq!(world.runtime.generation().unwrap().routes[0].learnt_windows(crate::clock::now()), []);
}

#[tokio::test]
async fn a_prompt_that_its_provider_has_counted_and_refused_is_not_sent_there_again() {
    let world = strange("Reject", &[]).await;
    let mut prompt = long(630);
    prompt["messages"][0]["content"] = "be told".into();
    world.provider.then([overflow(650)]);
    for _ in 0..2 {
        let got = world.chat(&prompt).await;
        assert_eq!((got.status.as_u16(), got.code()), (400, "context_length_exceeded".into()), "{got:?}");
    }
    assert_eq!(world.provider.seen().len(), 1);
}

/// Refuses a prompt of so many tokens, in words of OpenAI's.
fn too_long(message: &str) -> Act {
    let error = json!({"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"});
    Act::Write(reply(400, &[], &json!({ "error": error }).to_string()))
}

#[tokio::test]
async fn a_limit_that_is_all_that_does_not_fit_is_lowered_by_what_the_provider_has_counted() {
    let said = "This model's maximum context length is 1000 tokens. However, you requested 1150 tokens (850 in the messages, \
        300 in the completion).";
    for mode in ["Reject", "LargerModel", "Truncate", "Hybrid"] {
        let world = strange(mode, &[]).await;
        let mut prompt = long(400);
        // What was told of a prompt is known to every world of this process.
        prompt["messages"][0]["content"] = format!("be told for {mode}").into();
        prompt["max_tokens"] = 300.into();
        world.provider.then([too_long(said)]);
        let got = world.chat(&prompt).await;
        let told = ["x-spillway-max-output-tokens", "x-spillway-truncated-messages"].map(|name| got.header(name));
        assert_eq!((got.status.as_u16(), told), (200, ["150", ""]), "{mode}: {got:?}");
        let limits: Vec<Value> = world.provider.seen().iter().map(|seen| body_of(seen)["max_tokens"].clone()).collect();
        assert_eq!(limits, [300, 150], "{mode}");
    }
}

#[tokio::test]
async fn a_limit_that_nobody_asked_for_leaves_room_for_the_prompt_and_is_lowered_as_well() {
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    for (longest, first) in [(json!(600), 600..=600), (Value::Null, 500..=700)] {
        let world = World::new(|config| {
            let model = &mut route(config)["backends"][0]["model"];
            model["name"] = format!("claude-of-{longest}").into();
            (model["tokenizer"], model["max_output_tokens"]) = ("Estimate".into(), longest.clone());
            let provider = &mut config["providers"]["ai/fake"];
            for (key, value) in [("kind", "Anthropic"), ("dialect", "Anthropic"), ("auth", "XApiKey")] {
                provider[key] = value.into();
            }
        })
        .await;
        let said = "input length and `max_tokens` exceed context limit: 500 + 600 > 1000, decrease input length";
        let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": said}});
        let answer = Act::Write(reply(200, &[], &message.to_string()));
        world.provider.then([Act::Write(reply(400, &[], &error.to_string())), answer]);
        let words = "word ".repeat(220);
        let got = world.chat(&json!({"model": "chat", "messages": [{"role": "user", "content": words}]})).await;
        assert_eq!(got.status, 200, "{longest}: {got:?}");
        let limit = |index: usize| body_of(&world.provider.seen()[index])["max_tokens"].as_u64().unwrap();
        assert!(first.contains(&limit(0)) && limit(1) == 500, "{longest}: {} {}", limit(0), limit(1));
    }
}

#[tokio::test]
async fn where_the_window_is_not_what_was_too_small_less_is_sent_again_and_no_window_learnt() {
    let rows = [
        "Input tokens exceed the configured limit of 600 tokens. Your messages resulted in 750 tokens.",
        // It fits the window that is known: what else is too small is not said.
        "Your messages resulted in 850 tokens.",
    ];
    for (number, said) in rows.into_iter().enumerate() {
        let world = strange("Truncate", &[]).await;
        let mut prompt = long(450);
        prompt["messages"][0]["content"] = format!("be told of a limit, {number}").into();
        world.provider.then([too_long(said)]);
        let got = world.chat(&prompt).await;
        assert_eq!((got.status.as_u16(), world.provider.seen().len()), (200, 2), "{said}: {got:?}");
        let dropped: usize = got.header("x-spillway-truncated-messages").parse().unwrap();
        let sent = body_of(&world.provider.seen()[1])["messages"].as_array().unwrap().len();
        assert!(dropped > 1 && sent == 11 - dropped, "{said}: {dropped}");
        assert_eq!(world.runtime.generation().unwrap().routes[0].learnt_windows(crate::clock::now()), [], "{said}");
    }
}

#[tokio::test]
async fn a_window_that_proved_smaller_is_the_one_that_is_told() {
    let world = world("Reject", &[]).await;
    world.provider.then([overflow(600)]);
    for window in [1_000, 600] {
        let models = world.send("GET", "/v1/models/chat", "", "").await.json();
        let told = world.post("/v1/tokenize", chat().to_string().into()).await.json();
        let pointers = ["/spillway/context_window", "/spillway/backends/0/context_window"];
        let said = pointers.map(|pointer| models.pointer(pointer).cloned().unwrap_or_default());
        assert_eq!((said, &told["context_window"]), ([json!(window), json!(window)], &json!(window)));
        assert_eq!(world.chat(&long(700)).await.status, 400);
    }
}

#[tokio::test]
async fn what_a_list_of_prompts_adds_up_to_says_nothing_of_a_window() {
    let world = world("Reject", &[]).await;
    let now = crate::clock::now();
    let generation = world.runtime.generation().unwrap();
    assert!(generation.routes[0].backends[0].model_state.window.teach(600, Some(1_000), now));
    let answer = json!({"object": "list", "model": "x", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 900, "total_tokens": 900}});
    for (input, learnt) in [(json!(vec!["word ".repeat(300); 3]), &[(0, 600)][..]), (json!("word ".repeat(300)), &[])] {
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let body = json!({"model": "chat", "input": input});
        let got = world.post("/v1/embeddings", body.to_string().into()).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(generation.routes[0].learnt_windows(now), learnt, "{input}");
    }
}

/// All places to count at are taken, and stay so.
#[tokio::test]
async fn a_prompt_that_nobody_has_the_time_to_shorten_is_for_later() {
    let world = World::new(|config| {
        route(config)["context_window"]["on_exceeded"] = "Truncate".into();
        route(config)["request"]["timeout_ms"] = 400.into();
    })
    .await;
    let mut taken = Vec::new();
    while let Some(place) = world.runtime.aside.to_count(crate::clock::now()).await {
        taken.push(place);
    }
    // By its length alone it is far too long.
    let got = world.chat(&long(9_000)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "overloaded"), "{got:?}");
    assert!(got.text.contains("too long and there was no time to shorten it") && !got.header("retry-after").is_empty());
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn what_may_be_thought_stays_below_a_limit_that_is_lowered() {
    // Of 1,000 tokens 100 are the reserve; a prompt has seven more than words.
    let rows = [("Reject", 500, 200, Some(493)), ("Reject", 700, 400, None), ("Truncate", 700, 400, Some(401))];
    for (mode, words, thought, limit) in rows {
        let world = World::new(|config| {
            route(config)["context_window"]["on_exceeded"] = mode.into();
            route(config)["backends"][0]["model"]["name"] = "claude-sonnet-4-5".into();
            let provider = &mut config["providers"]["ai/fake"];
            for (key, value) in [("kind", "Anthropic"), ("dialect", "Anthropic"), ("auth", "XApiKey")] {
                provider[key] = value.into();
            }
        })
        .await;
        let text = vec!["word"; words].join(" ");
        let body = json!({"model": "chat", "max_tokens": 2_000, "messages": [{"role": "user", "content": text}],
            "thinking": {"type": "enabled", "budget_tokens": thought}});
        let got = world.post("/v1/messages", body.to_string().into()).await;
        let sent = world.provider.seen().first().map(|seen| body_of(seen));
        let limits =
            sent.as_ref().map(|sent| (sent["max_tokens"].as_u64(), sent["thinking"]["budget_tokens"].as_u64()));
        let found = limits.map(|(most, of_thoughts)| most.unwrap().max(of_thoughts.unwrap() + 1));
        assert!(found.is_some() == limit.is_some() && found >= limit, "{mode} {words}: {limits:?} {got:?}");
    }
}

#[tokio::test]
async fn a_prompt_that_was_too_long_costs_no_more_than_a_request_may() {
    // A thousand tokens cost a million nano-dollars.
    let rows = [("Truncate", "O200kBase", 2_000), ("Reject", "Estimate", 1_000)];
    for (mode, tokenizer, words) in rows {
        let world = |most: u64| {
            World::new(move |config| {
                let route = route(config);
                route["context_window"]["on_exceeded"] = mode.into();
                route["max_cost_nanos"] = most.into();
                route["backends"][0]["model"]["tokenizer"] = tokenizer.into();
                route["backends"][0]["model"]["name"] = "dear-1".into();
            })
        };
        let mut prompt = long(words);
        prompt["max_tokens"] = 10.into();
        let (poor, rich) = (world(900_000).await, world(9_000_000).await);
        let got = poor.chat(&prompt).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "cost_limit_exceeded"), "{mode}: {got:?}");
        assert!(poor.provider.seen().is_empty(), "{mode}");
        assert_eq!(rich.chat(&prompt).await.status, 200, "{mode}");
    }
}
