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
