//! Cheap first: who answers when an answer is not good enough, and who is paid.

use serde_json::{Value, json};

use crate::server::fake::*;

async fn cascade(escalate_when: &str) -> World {
    World::new(|config| {
        let route = route(config);
        route["strategy"] = json!({"Cascade": {"escalate_when": escalate_when}});
        route["backends"][1]["role"] = json!("Primary");
    })
    .await
}

/// A whole answer that bills 10 tokens in and 5 out.
fn says(text: &str) -> Act {
    let mut body: Value = serde_json::from_str(&answer_body()).unwrap();
    body["choices"][0]["message"]["content"] = json!(text);
    Act::Write(reply(200, &[], &body.to_string()))
}

#[tokio::test]
async fn an_answer_that_is_not_good_enough_is_paid_for_and_another_one_is_given() {
    let world = cascade("response.text.size() < 5 || response.refusal || !response.schemaValid").await;
    world.provider.then([says("well enough")]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-attempts")), ("small", "1"), "{got:?}");
    world.provider.then([says("no"), says("much better")]);
    let got = world.chat(&chat()).await;
    let rows = [
        ("x-spillway-backend", "large"),
        ("x-spillway-attempts", "2"),
        ("x-spillway-fallback-reason", "Escalated"),
        // Twice 10 tokens at $1 and 5 at $10 per million.
        ("x-spillway-cost-usd", "0.00012"),
    ];
    for (name, want) in rows {
        assert_eq!(got.header(name), want, "{name} of {got:?}");
    }
    assert!(got.text.contains("much better"));
    let totals = |backend: &str| {
        let lines = world.runtime.usage.lines();
        let line = lines.into_iter().find(|line| line.key.backend == backend).unwrap();
        (line.totals.requests, line.totals.errors, line.totals.cost_nanos)
    };
    assert_eq!((totals("small"), totals("large")), ((1, 0, 120_000), (1, 0, 60_000)), "one request each, three bills");
    let metrics = world.runtime.telemetry.render();
    let line = r#"spillway_sidecar_escalations_total{backend="small",outcome="escalated",route="shop/chat"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn an_answer_is_better_than_none() {
    let world = cascade("response.text.size() < 5").await;
    world.provider.then([says("no"), says("nor")]);
    let got = world.chat(&chat()).await;
    assert!(got.text.contains("nor"), "the last backend's answer is given, whatever it is: {got:?}");
    world.provider.then([says("no"), Act::status(500, &[], "broken")]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "small"), "{got:?}");
    assert!(got.text.contains("\"no\"") && got.header("x-spillway-cost-usd") == "0.00006", "{got:?}");
}

#[tokio::test]
async fn a_stream_is_judged_as_a_whole_and_given_as_the_stream_it_was() {
    let world = cascade("response.text.size() < 5 && response.finishReason == 'stop'").await;
    let usage = r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
    let (no, well, enough, stop) = (piece("no"), piece("well "), piece("enough"), stop());
    world.provider.then([
        Act::events(&[&no, &stop, usage, "[DONE]"], true),
        Act::events(&[&well, &enough, &stop, usage, "[DONE]"], true),
    ]);
    let got = world.chat(&streamed()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
    assert!(got.text.contains("well ") && !got.text.contains("\"no\"") && got.text.contains("[DONE]"), "{got:?}");
    let costs: Vec<u64> = world.runtime.usage.lines().iter().map(|line| line.totals.cost_nanos).collect();
    assert_eq!(costs, [60_000, 60_000], "both are paid");
}

#[tokio::test]
async fn an_application_that_leaves_pays_for_the_answer_it_would_have_had() {
    let world = cascade("true").await;
    world.provider.then([says("no"), Act::WriteAndHang(String::new())]);
    world.leave(&chat(), || world.provider.seen().len() >= 2).await;
    let lines = world.runtime.usage.lines();
    let small = lines.iter().find(|line| line.key.backend == "small").unwrap();
    assert_eq!((small.totals.requests, small.totals.cost_nanos), (0, 60_000), "{lines:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_good_enough_is_no_failure_of_whoever_gave_it() {
    let world = World::new(|config| {
        let route = route(config);
        route["strategy"] = json!({"Cascade": {"escalate_when": "response.text.size() < 5"}});
        route["backends"][1]["role"] = json!("Primary");
        route["breaker"] = json!({"failure_threshold": 2, "failure_ratio_ppm": 1_000_000, "min_requests": 100,
            "window_ms": 10_000, "success_threshold": 1, "open_for_ms": 60_000});
    })
    .await;
    let bad = || Act::status(503, &[], "no");
    world.provider.then([bad(), says("no"), says("much better"), bad(), says("well enough")]);
    let rows = [(503, "small"), (200, "large"), (503, "small"), (200, "small")];
    for (number, (status, backend)) in rows.into_iter().enumerate() {
        let got = world.chat(&chat()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (status, backend), "{number}: {got:?}");
    }
}
