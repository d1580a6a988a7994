//! Summaries in place of what does not fit.

use serde_json::{Value, json};

use crate::server::fake::*;

/// So many turns of some 60 tokens.
fn long(turns: usize) -> Value {
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("turn {number} {}", "word ".repeat(50))})
    };
    let messages: Vec<Value> = (0..turns | 1).map(turn).collect();
    json!({"model": "chat", "messages": messages})
}

async fn world(change: impl FnOnce(&mut Value)) -> World {
    World::new(|config| {
        let window = &mut route(config)["context_window"];
        window["on_exceeded"] = json!("Summarize");
        window["summarize"] = json!({"backend": "large", "keep_last": 3, "max_tokens": 80});
        change(config);
    })
    .await
}

fn count(world: &World, model: &str) -> usize {
    world.provider.models().iter().filter(|asked| *asked == model).count()
}

fn measured(world: &World, line: &str) -> bool {
    world.runtime.telemetry.render().lines().any(|measured| measured == format!("spillway_sidecar_{line}"))
}

#[tokio::test]
async fn the_older_part_is_summarized_and_what_that_costs_is_booked_on_whoever_wrote_it() {
    let world = world(|_| ()).await;
    let got = world.chat(&long(30)).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "small"), "{got:?}");
    assert_eq!(world.provider.models(), ["large-1", "small-1"]);
    let told = ["x-spillway-summary-tokens", "x-spillway-fallback-reason", "x-spillway-cost-usd"];
    // 60,000 nano-dollars each.
    assert_eq!(told.map(|name| got.header(name)), ["5", "ContextWindowExceeded", "0.00012"], "{got:?}");
    let [asked, sent] = [0, 1].map(|at| body_of(&world.provider.seen()[at]));
    assert_eq!(asked["max_tokens"].as_u64().or(asked["max_completion_tokens"].as_u64()), Some(80), "{asked}");
    let words = asked["messages"][1]["content"].as_str().unwrap();
    assert!(words.starts_with("user: turn 0 word") && words.contains("assistant: turn 1 "), "{words}");
    let sent = sent["messages"].as_array().unwrap();
    let first = sent[0]["content"].as_str().unwrap();
    assert!(first.contains("Summary") && first.contains("hi") && sent[0]["role"] == "user", "{first}");
    let gone: usize = got.header("x-spillway-truncated-messages").parse().unwrap();
    assert_eq!(sent.len(), 31 - gone);
    assert!(!words.contains(&format!("turn {gone} ")) && first.contains(&format!("turn {gone} ")), "{words}");
    let lines = world.runtime.usage.lines();
    let spent: Vec<_> =
        lines.iter().map(|line| (line.key.backend.as_str(), line.totals.requests, line.totals.cost_nanos)).collect();
    assert_eq!(spent, [("large", 1, 60_000), ("small", 1, 60_000)]);
    assert!(measured(&world, "overflows_total{outcome=\"summarized\",route=\"shop/chat\"} 1"));
    let cost =
        "summary_nano_dollars_total{backend=\"large\",model=\"large-1\",provider=\"ai/fake\",route=\"shop/chat\"}";
    assert!(measured(&world, &format!("{cost} 60000")), "{}", world.runtime.telemetry.render());
}

#[tokio::test]
async fn a_conversation_that_grows_is_summarized_once_per_step() {
    let world = world(|_| ()).await;
    for turns in (21..41).step_by(2) {
        let got = world.chat(&long(turns)).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-summary-tokens")), (200, "5"), "{turns}: {got:?}");
    }
    // Ten requests of 120 tokens more each are 1,200 tokens, and a step has 250.
    let summaries = count(&world, "large-1");
    assert!((4..=6).contains(&summaries), "{summaries} summaries");
    assert_eq!(count(&world, "small-1"), 10);
    let later = world.provider.seen().iter().rev().map(|seen| body_of(seen)).find(|seen| seen["model"] == "large-1");
    let words = later.unwrap()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(words.starts_with("summary of what came before: hi"), "{words}");
    assert!(!words.contains("turn 0 "), "what is in the summary before is not told again: {words}");
}

#[tokio::test]
async fn those_who_come_at_once_share_one_summary() {
    let world = world(|_| ()).await;
    let body = long(30);
    let all = futures::future::join_all((0..5).map(|_| world.chat(&body))).await;
    assert!(all.iter().all(|got| got.status == 200 && got.header("x-spillway-summary-tokens") == "5"), "{all:?}");
    assert_eq!((count(&world, "large-1"), count(&world, "small-1")), (1, 5));
}

#[tokio::test]
async fn where_there_is_no_summary_messages_are_left_out() {
    let empty = || Act::Write(reply(200, &[], &answer_body().replace("\"hi\"", "\"\"")));
    let rows = [
        ("the writer fails", vec![Act::status(500, &[], "broken")], "failed"),
        ("it says nothing", vec![empty()], "empty"),
        ("it is too slow", vec![Act::WriteAndHang(String::new())], "failed"),
    ];
    for (row, acts, outcome) in rows {
        let world = world(|config| route(config)["request"]["timeout_ms"] = json!(3_000)).await;
        world.provider.then(acts);
        let got = world.chat(&long(30)).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-summary-tokens")), (200, ""), "{row}: {got:?}");
        assert!(
            got.header("x-spillway-truncated-messages").parse::<u32>().is_ok_and(|gone| gone > 0),
            "{row}: {got:?}"
        );
        let line = format!("summaries_total{{backend=\"large\",outcome=\"{outcome}\",route=\"shop/chat\"}} 1");
        assert!(measured(&world, &line), "{row}: {}", world.runtime.telemetry.render());
        let again = world.chat(&long(30)).await;
        assert_eq!((again.status.as_u16(), count(&world, "large-1")), (200, 1), "{row}: not asked again at once");
    }
}

#[tokio::test]
async fn what_is_too_long_for_its_writer_is_cut_first_and_what_it_may_not_cost_is_not_asked_for() {
    let writer = |config: &mut Value, key: &str, value: Value| route(config)["backends"][1]["model"][key] = value;
    let world = world(|config| writer(config, "context_window_tokens", json!(700))).await;
    assert_eq!(world.chat(&long(40)).await.header("x-spillway-summary-tokens"), "5");
    let words = body_of(&world.provider.seen()[0])["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(words.contains("left out") && words.contains("turn 0 ") && words.len() < 3_500, "{words}");

    let dear = World::new(|config| {
        let window = &mut route(config)["context_window"];
        window["on_exceeded"] = json!("Summarize");
        window["summarize"] = json!({"backend": "large", "keep_last": 3, "max_tokens": 80});
        route(config)["max_cost_nanos"] = json!(60_000_000);
        let price = json!({"input_nanos": 1_000_000_000_000u64, "output_nanos": 1_000_000_000_000u64});
        writer(config, "price", price);
    })
    .await;
    assert_eq!(dear.chat(&long(30)).await.status, 200);
    assert_eq!(dear.provider.models(), ["small-1"]);
}

#[tokio::test]
async fn an_overflow_that_the_provider_saw_is_summarized_as_well_plain_and_streamed() {
    let overflow = || Act::status(400, &[], "This model's maximum context length is 600 tokens, you requested more");
    for stream in [false, true] {
        let world = world(|_| ()).await;
        let answer = if stream { Act::events(&[&piece("yes"), &stop(), "[DONE]"], true) } else { Act::answer() };
        world.provider.then([overflow(), Act::answer(), answer]);
        let mut body = long(13);
        body["stream"] = stream.into();
        let got = world.chat(&body).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-summary-tokens")), (200, "5"), "{got:?}");
        assert_eq!(world.provider.models(), ["small-1", "large-1", "small-1"]);
    }
}

#[tokio::test]
async fn whoever_leaves_while_a_summary_is_written_pays_for_what_was_asked() {
    let world = world(|_| ()).await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    world.leave(&long(30), || !world.provider.seen().is_empty()).await;
    let lines = world.runtime.usage.lines();
    let large = lines.iter().find(|line| line.key.backend == "large").unwrap();
    assert!(large.totals.input_tokens > 300 && large.totals.cost_nanos > 0, "{lines:?}");
    assert_eq!(world.chat(&long(30)).await.header("x-spillway-summary-tokens"), "5", "and the next one has it written");
}
