//! Prompts that do not fit.

use serde_json::{Value, json};

use crate::server::fake::*;

/// A conversation of about `tokens` tokens in ten turns, a system prompt first.
fn long(tokens: usize) -> Value {
    let turn = json!({"role": "user", "content": "word ".repeat(tokens / 10)});
    let mut messages = vec![json!({"role": "system", "content": "be brief"})];
    messages.extend(std::iter::repeat_n(turn, 10));
    json!({"model": "chat", "messages": messages})
}

async fn world(mode: &str, to: &[&str]) -> World {
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
            assert!(got.text.contains("\\\"chat\\\" takes 1000"), "{}", got.text);
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
    let body = json!({"model": "chat", "input": "word ".repeat(3_000)});
    let got = world.post("/v1/responses", body.to_string().into()).await;
    assert_eq!((got.status.as_u16(), &got.json()["error"]["param"]), (400, &json!("input")), "{got:?}");
}

#[tokio::test]
async fn what_must_stay_is_kept_and_the_refusal_says_how_much_that_is() {
    let world = world("Truncate", &[]).await;
    let got =
        world.chat(&json!({"model": "chat", "messages": [{"role": "user", "content": "word ".repeat(3_000)}]})).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "context_length_exceeded"), "{got:?}");
    assert!(got.text.contains("keepLast"), "{}", got.text);
}

#[tokio::test]
async fn an_overflow_that_only_the_provider_saw_is_handled_the_same_way() {
    let overflow = |window: u64| {
        let message = format!(
            "This model's maximum context length is {window} tokens. However, your messages resulted in 700 tokens."
        );
        let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": "messages",
            "code": "context_length_exceeded"}});
        Act::Write(reply(400, &[], &body.to_string()))
    };
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
