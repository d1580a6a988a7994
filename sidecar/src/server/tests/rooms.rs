//! Room for the answer: limits that are lowered where the request fits then.

use serde_json::{Value, json};

use super::windows::{long, strange, world};
use crate::server::fake::*;

/// About so many tokens, and an answer of at most so many.
fn asking(tokens: usize, limit: u64) -> Value {
    json!({"model": "chat", "max_tokens": limit, "messages": [{"role": "user", "content": vec!["word"; tokens].join(" ")}]})
}

#[tokio::test]
async fn a_limit_is_lowered_to_what_is_left_and_not_below_the_reserve() {
    // The window has 1,000 tokens, the reserve 100; a prompt has seven more than words.
    let rows = [
        ("as asked", "Reject", 500, 400, 400, ""),
        ("lowered", "Reject", 500, 2_000, 493, "493"),
        ("as low as the reserve", "Reject", 890, 2_000, 103, "103"),
        ("lowered rather than cut", "Truncate", 500, 2_000, 493, "493"),
        ("a small one is not lowered", "Truncate", 980, 50, 50, ""),
    ];
    for (row, mode, tokens, limit, sent, told) in rows {
        let world = world(mode, &[]).await;
        let got = world.chat(&asking(tokens, limit)).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-max-output-tokens")), (200, told), "{row}: {got:?}");
        assert_eq!(body_of(&world.provider.seen()[0])["max_tokens"], json!(sent), "{row}");
    }
    let world = world("Reject", &[]).await;
    let got = world.chat(&asking(950, 2_000)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "context_length_exceeded"), "{got:?}");
    assert!(got.text.contains("957 tokens and 100 are kept for the answer"), "{}", got.text);
}

#[tokio::test]
async fn whoever_wants_a_larger_model_has_it_asked_first() {
    for (to, backend, limit) in [(&["large"][..], "large", 2_000), (&[], "small", 493)] {
        let world = world("LargerModel", to).await;
        let got = world.chat(&asking(500, 2_000)).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, backend), "{got:?}");
        assert_eq!(body_of(&world.provider.seen()[0])["max_tokens"], json!(limit), "{backend}");
    }
}

#[tokio::test]
async fn what_is_shortened_leaves_the_answer_what_it_asked_for_or_half_of_the_window() {
    for (limit, most) in [(300, 700), (2_000, 900)] {
        let world = world("Truncate", &[]).await;
        let got = world.chat(&asking(3_000, limit)).await;
        assert_eq!(got.status, 200, "{got:?}");
        let sent = body_of(&world.provider.seen()[0]);
        let words = sent["messages"][0]["content"].as_str().unwrap().split(' ').count() as u64;
        assert!(words <= most && words > most / 10 * 8, "{words} words for {most} tokens");
        let limit = sent["max_tokens"].as_u64().unwrap();
        assert!(limit >= 100 && words + limit <= 1_000, "{words} words and {limit}");
    }
}

#[tokio::test]
async fn a_provider_whose_window_is_smaller_is_asked_again_with_a_lower_limit() {
    let message = "This model's maximum context length is 600 tokens. However, you requested 711 tokens.";
    for (mode, models) in [("Reject", 2), ("Truncate", 2), ("LargerModel", 2)] {
        let world = world(mode, &[]).await;
        world.provider.then([Act::status(400, &[], message)]);
        let got = world.chat(&asking(304, 400)).await;
        assert_eq!((got.status.as_u16(), world.provider.models().len()), (200, models), "{mode}: {got:?}");
        assert_eq!(got.header("x-spillway-max-output-tokens"), "289", "{mode}: {got:?}");
        assert_eq!(got.header("x-spillway-truncated-messages"), "", "{mode}");
        assert_eq!(body_of(&world.provider.seen()[1])["max_tokens"], json!(289), "{mode}");
    }
}

#[tokio::test]
async fn each_of_a_list_has_the_window_to_itself_and_a_refusal_names_the_field() {
    let texts = |count: usize, words: usize| vec!["word ".repeat(words); count];
    let rows = [
        ("/v1/embeddings", json!({"input": texts(10, 300)}), true, ""),
        ("/v1/embeddings", json!({"input": texts(2, 1_500)}), false, "input"),
        ("/v1/embeddings", json!({"input": texts(1, 1_500)[0]}), false, "input"),
        ("/v1/completions", json!({"prompt": texts(1, 1_500)[0]}), false, "prompt"),
    ];
    let world = world("Reject", &[]).await;
    for (path, mut body, asked, param) in rows {
        body["model"] = "chat".into();
        let before = world.provider.seen().len();
        let got = world.post(path, body.to_string().into()).await;
        assert_eq!(world.provider.seen().len() > before, asked, "{path}: {got:?}");
        let refused = got.status == 400 && got.json()["error"]["param"] == param;
        assert_eq!(refused, !asked, "{path}: {}", got.text);
    }
}

/// By the estimate nothing would be left for it.
#[tokio::test]
async fn the_answers_limit_is_lowered_to_what_the_provider_says_is_left() {
    let world = strange("Reject", &[]).await;
    let mut prompt = long(400);
    prompt["messages"][0]["content"] = "be told how much".into();
    prompt["max_tokens"] = 300.into();
    let said = "This model's maximum context length is 650 tokens. However, your messages resulted in 410 tokens.";
    world.provider.then([Act::status(400, &[], said)]);
    let got = world.chat(&prompt).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(world.provider.seen()[1].contains(r#""max_tokens":240"#), "{:?}", world.provider.seen());
}
