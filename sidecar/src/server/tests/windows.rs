//! Prompts that do not fit.

use serde_json::{Value, json};

use crate::server::fake::*;

/// A conversation of about `tokens` tokens in ten turns, a system prompt first.
pub(super) fn long(tokens: usize) -> Value {
    let turn = json!({"role": "user", "content": "word ".repeat(tokens / 10)});
    let mut messages = vec![json!({"role": "system", "content": "be brief"})];
    messages.extend(std::iter::repeat_n(turn, 10));
    json!({"model": "chat", "messages": messages})
}

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

/// Its route makes prompts fit in this way, or moves them to these backends.
pub(super) async fn world(mode: &str, to: &[&str]) -> World {
    World::new(|config| {
        route(config)["context_window"]["on_exceeded"] = json!(mode);
        route(config)["fallbacks"] = json!([{"on": ["ContextWindowExceeded"], "to": to}]);
    })
    .await
}

#[tokio::test]
async fn a_prompt_known_to_be_too_long_is_refused_moved_or_shortened_before_anybody_is_asked() {
    let rows = [
        ("Reject", &["large"][..], 400, "", "set contextWindow.onExceeded"),
        ("LargerModel", &["large"], 200, "large", ""),
        ("LargerModel", &[], 400, "", "no backend with a larger window"),
        ("Hybrid", &["large"], 200, "large", ""),
        ("Hybrid", &[], 200, "small", ""),
        ("Truncate", &["large"], 200, "small", ""),
    ];
    for (mode, to, status, backend, said) in rows {
        let world = world(mode, to).await;
        let got = world.chat(&long(2_000)).await;
        assert_eq!(
            (got.status.as_u16(), got.header("x-spillway-backend")),
            (status, backend),
            "{mode} {to:?}: {got:?}"
        );
        assert!(got.text.contains(said), "{mode} {to:?}: {}", got.text);
        assert_eq!(world.provider.seen().len(), usize::from(status == 200), "{mode} {to:?}");
        if status == 400 {
            assert_eq!(got.code(), "context_length_exceeded");
            assert!(got.text.contains("\\\"small\\\" (small-1) of \\\"chat\\\" takes 1000"), "{}", got.text);
        }
        if backend == "small" {
            let messages = body_of(&world.provider.seen()[0])["messages"].as_array().unwrap().clone();
            let dropped: usize = got.header("x-spillway-truncated-messages").parse().unwrap();
            assert_eq!((messages.len(), &messages[0]["role"]), (11 - dropped, &json!("system")), "{mode} {to:?}");
        }
    }
}

#[tokio::test]
async fn a_responses_items_are_left_out_like_messages_and_a_call_never_without_its_output() {
    let say = |words: usize| json!({"role": "user", "content": "word ".repeat(words)});
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str, words: usize| json!({"type": "function_call_output", "call_id": id, "output": "word ".repeat(words)});
    let input = [
        json!({"role": "system", "content": "be brief"}),
        say(300),
        json!({"type": "reasoning", "summary": []}),
        call("1"),
        call("2"),
        output("1", 300),
        output("2", 300),
        say(300),
        say(100),
    ];
    let kept = [&input[0], &input[7], &input[8]];
    let world = world("Truncate", &[]).await;
    let body = json!({"model": "chat", "input": input});
    let got = world.post("/v1/responses", body.to_string().into()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-truncated-messages")), (200, "6"), "{got:?}");
    assert_eq!(body_of(&world.provider.seen()[0])["input"], json!(kept));
    let body = json!({"model": "chat", "input": "hi", "instructions": "word ".repeat(3_000)});
    let got = world.post("/v1/responses", body.to_string().into()).await;
    assert_eq!((got.status.as_u16(), &got.json()["error"]["param"]), (400, &json!("input")), "{got:?}");
}

#[tokio::test]
async fn what_must_stay_is_kept_and_the_refusal_says_how_much_that_is() {
    let world = world("Truncate", &[]).await;
    let said = |role: &str, words: usize| json!({"role": role, "content": "word ".repeat(words)});
    let longer = json!({"model": "chat", "messages": [said("system", 950), said("user", 500), said("user", 1)]});
    let got = world.chat(&longer).await;
    assert!(got.status == 400 && got.text.contains(" and 100 are kept for the answer"), "{got:?}");
    let got = world.chat(&json!({"model": "chat", "messages": [said("system", 3_000), said("user", 1)]})).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "context_length_exceeded"), "{got:?}");
    assert!(
        got.text.contains("(set keepSystem to false in contextWindow.truncate of a FallbackPolicy"),
        "{}",
        got.text
    );
}

#[tokio::test]
async fn a_refusal_says_only_what_can_help() {
    let say = |words: usize| json!({"role": "user", "content": "word ".repeat(words)});
    // Arguments are a document, of which nothing is cut.
    let call = |words: usize| {
        let arguments = json!({"a": "word ".repeat(words)}).to_string();
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}});
        [
            json!({"role": "assistant", "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "1", "content": "x"}),
        ]
    };
    let calls = |count: usize, words: usize| {
        let calls = (0..count).flat_map(|_| call(words));
        std::iter::once(say(3)).chain(calls).collect::<Vec<_>>()
    };
    let tool = json!([{"type": "function", "function": {"name": "f", "description": "word ".repeat(3_000)}}]);
    let chat = "/v1/chat/completions";
    let rows = [
        ("/v1/completions", json!({"prompt": "word ".repeat(3_000)}), "send a shorter text, or add a backend"),
        ("/v1/embeddings", json!({"input": "word ".repeat(3_000)}), "send a shorter text, or add a backend"),
        (chat, json!({"messages": [say(3)], "tools": tool}), "send fewer or shorter ones, or add a backend"),
        (chat, json!({"messages": calls(1, 3_000)}), "send shorter messages, or add a backend"),
        (
            chat,
            json!({"messages": calls(7, 300)}),
            "set keepLast lower in contextWindow.truncate of FallbackPolicy shop/fp",
        ),
    ];
    let world = World::new(|config| {
        let route = route(config);
        route["policy"] = "shop/fp".into();
        route["context_window"]["on_exceeded"] = "Truncate".into();
        route["context_window"]["truncate"]["keep_last"] = 14.into();
    })
    .await;
    for (path, mut body, part) in rows {
        body["model"] = "chat".into();
        let got = world.post(path, body.to_string().into()).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "context_length_exceeded"), "{path}: {got:?}");
        assert!(got.text.contains(part), "{part}: {}", got.text);
        assert!(part.contains("keep") || !got.text.contains("keep"), "{}", got.text);
    }
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
async fn what_is_kept_goes_on_as_it_came_whatever_is_in_it() {
    let input = r#"{"q":12345678901234567890123,"x":1.50}"#;
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    for half in ["x", r"\ud800"] {
        let world = World::new(|config| {
            route(config)["context_window"]["on_exceeded"] = "Truncate".into();
            let provider = &mut config["providers"]["ai/fake"];
            for (key, value) in [("kind", "Anthropic"), ("dialect", "Anthropic"), ("auth", "XApiKey")] {
                provider[key] = value.into();
            }
        })
        .await;
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let say = |role: &str, content: &str| format!(r#"{{"role":"{role}","content":{content}}}"#);
        let messages = [
            say("user", &format!("\"{half} {}\"", "word ".repeat(3_000))),
            say("assistant", "\"ok\""),
            say("user", &format!("\"{half}\"")),
            say("assistant", &format!(r#"[{{"type":"tool_use","id":"1","name":"f","input":{input}}}]"#)),
            say("user", r#"[{"type":"tool_result","tool_use_id":"1","content":"x"}]"#),
        ];
        let body = format!(r#"{{"model":"chat","max_tokens":9,"messages":[{}]}}"#, messages.join(","));
        let got = world.post("/v1/messages", body.into()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-truncated-messages")), (200, "2"), "{got:?}");
        let sent = &world.provider.seen()[0];
        assert!(messages[2..].iter().all(|message| sent.contains(message)), "{sent}");
    }
}

#[tokio::test]
async fn a_message_is_cut_inside_when_nothing_else_is_left() {
    let world = world("Truncate", &[]).await;
    let text = format!("first {}last?", "word ".repeat(3_000));
    let got = world.chat(&json!({"model": "chat", "messages": [{"role": "user", "content": text}]})).await;
    let told = [got.header("x-spillway-truncated-messages"), got.header("x-spillway-fallback-reason")];
    assert_eq!((got.status.as_u16(), told), (200, ["1", "ContextWindowExceeded"]), "{got:?}");
    let sent = body_of(&world.provider.seen()[0])["messages"][0]["content"].as_str().unwrap().to_owned();
    assert!(sent.starts_with("first word") && sent.ends_with("last?") && sent.contains("left out"), "{sent}");
    // Of 900 tokens nearly all are used.
    assert!((3_500..4_600).contains(&sent.len()), "{}", sent.len());
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
async fn of_two_larger_models_the_smaller_is_asked_and_of_two_alike_the_cheaper_and_whoever_can_do_it() {
    let price = |input: u64| json!({"input_nanos": input, "output_nanos": input});
    let world = World::new(|config| {
        let route = route(config);
        route["context_window"]["on_exceeded"] = json!("LargerModel");
        let mut more: Vec<Value> = (0..4).map(|_| route["backends"][1].clone()).collect();
        for (at, (name, window, input)) in
            [("huge", 1_000_000, 1), ("dear", 50_000, 9_000_000), ("cheap", 50_000, 2_000_000), ("serial", 20_000, 1)]
                .into_iter()
                .enumerate()
        {
            more[at]["name"] = json!(name);
            more[at]["model"]["context_window_tokens"] = json!(window);
            more[at]["model"]["price"] = price(input);
            more[at]["model"]["parallel_tools"] = json!(name != "serial");
        }
        route["backends"].as_array_mut().unwrap().extend(more);
        let to = ["huge", "dear", "cheap", "serial", "blind"];
        route["fallbacks"] = json!([{"on": ["ContextWindowExceeded"], "to": to}]);
    })
    .await;
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let rows = [
        (json!({}), "serial"),
        (json!({"tools": tool}), "serial"),
        (json!({"tools": tool, "parallel_tool_calls": true}), "cheap"),
        (json!({"max_tokens": 40_000}), "cheap"),
        (json!({"max_tokens": 70_000}), "blind"),
        (json!({"max_tokens": 70_000, "tools": tool}), "huge"),
    ];
    for (more, backend) in rows {
        let mut body = long(2_000);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(world.chat(&body).await.header("x-spillway-backend"), backend, "{more}");
    }
}

/// The same, whose tokenizers nobody knows.
pub(super) async fn strange(mode: &str, to: &[&str]) -> World {
    World::new(|config| {
        route(config)["context_window"]["on_exceeded"] = json!(mode);
        route(config)["fallbacks"] = json!([{"on": ["ContextWindowExceeded"], "to": to}]);
        for backend in [0, 1] {
            route(config)["backends"][backend]["model"]["tokenizer"] = "Estimate".into();
            // Models of its own: what providers have said of prompts is the process's.
            route(config)["backends"][backend]["model"]["name"] = format!("strange-{backend}").into();
        }
        route(config)["backends"][1]["model"]["context_window_tokens"] = 4_000.into();
    })
    .await
}

#[tokio::test]
async fn by_an_estimate_a_prompt_is_refused_if_it_is_far_too_long_and_else_the_largest_window_decides() {
    // Ten words are estimated at more than fourteen tokens.
    let rows = [
        ("Reject", &[][..], 1_000, 200, "small"),
        ("Reject", &[], 3_000, 400, ""),
        ("Reject", &[], 15_000, 400, ""),
        ("LargerModel", &["large"], 1_000, 200, "large"),
        ("LargerModel", &["large"], 4_000, 200, "large"),
        ("LargerModel", &["large"], 9_000, 400, ""),
    ];
    for (mode, to, words, status, backend) in rows {
        let world = strange(mode, to).await;
        let got = world.chat(&long(words)).await;
        let found = (got.status.as_u16(), got.header("x-spillway-backend"));
        assert_eq!(found, (status, backend), "{mode} {words}: {}", got.text);
        assert_eq!(world.provider.seen().len(), usize::from(status == 200), "{mode} {words}");
    }
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
