//! Prompts that are too long by some number of tokens, and nothing else is said of them.

use serde_json::{Value, json};

use crate::server::fake::*;

fn world_of(window: u64, name: &str) -> impl Future<Output = World> {
    World::new(move |config| {
        route(config)["context_window"]["on_exceeded"] = json!("Truncate");
        let model = &mut route(config)["backends"][0]["model"];
        // Models of its own: what providers have said of prompts is the process's.
        (model["name"], model["context_window_tokens"]) = (name.into(), window.into());
    })
}

/// So many turns of a hundred tokens.
fn talk(turns: usize, last: &str) -> Value {
    let mut messages: Vec<Value> =
        (0..turns).map(|turn| json!({"role": "user", "content": format!("{turn} {}", "word ".repeat(95))})).collect();
    messages.push(json!({"role": "user", "content": last}));
    json!({"model": "chat", "messages": messages, "max_tokens": 10})
}

fn too_long(by: u64) -> Act {
    Act::status(400, &[], &format!("prompt too long; exceeded max context length by {by} tokens"))
}

#[tokio::test]
async fn as_much_is_left_out_as_the_prompt_is_too_long() {
    let world = world_of(8_000, "over-1").await;
    world.provider.then([too_long(1_000)]);
    let got = world.chat(&talk(40, "hi")).await;
    assert_eq!((got.status.as_u16(), world.provider.seen().len()), (200, 2), "{got:?}");
    let left = body_of(&world.provider.seen()[1])["messages"].as_array().unwrap().len();
    // A tenth more than what is too much: no two tokenizers count alike.
    assert!((27..=31).contains(&left), "{left} of 41 messages are left");
}

#[tokio::test]
async fn a_number_that_the_request_names_itself_says_nothing() {
    let world = world_of(8_000, "over-2").await;
    world.provider.then([too_long(3_900)]);
    let got = world.chat(&talk(40, "exceeded by 3900 tokens")).await;
    assert_eq!(got.status, 200, "{got:?}");
    let left = body_of(&world.provider.seen()[1])["messages"].as_array().unwrap().len();
    assert!((28..=32).contains(&left), "a quarter less, as where nothing is said: {left}");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_by_some_is_so_much_longer_than_the_window_and_not_sent_there_again() {
    let world = World::new(|config| {
        let model = &mut route(config)["backends"][0]["model"];
        (model["name"], model["context_window_tokens"]) = ("over-3".into(), 4_000.into());
        model["tokenizer"] = "Estimate".into();
    })
    .await;
    world.provider.then([too_long(100), too_long(100)]);
    for _ in 0..2 {
        let got = world.chat(&talk(27, "be counted")).await;
        assert_eq!((got.status.as_u16(), got.code()), (400, "context_length_exceeded".into()), "{got:?}");
    }
    assert_eq!(world.provider.seen().len(), 1);
}
