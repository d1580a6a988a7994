//! Copies for backends that nobody waits for.

use serde_json::json;

use crate::server::fake::*;

async fn shadowed(change: impl FnOnce(&mut serde_json::Value)) -> World {
    World::new(|config| {
        let shadow = &mut route(config)["backends"][1];
        shadow["role"] = json!("Shadow");
        change(shadow);
    })
    .await
}

/// Waits until the shadow's copies have been counted.
async fn counted(world: &World, outcome: &str, count: usize) {
    let labels = format!(r#"{{backend="large",outcome="{outcome}",route="shop/chat"}} {count}"#);
    while !world.runtime.telemetry.render().contains(&format!("spillway_sidecar_shadows_total{labels}")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shadow_sees_the_same_request_and_is_paid_apart() {
    let world = shadowed(|_| ()).await;
    let got = world.chat(&chat()).await;
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-attempts")), ("small", "1"), "{got:?}");
    counted(&world, "answered", 1).await;
    assert_eq!(world.provider.models(), ["small-1", "large-1"]);
    let (own, copy) = (body_of(&world.provider.seen()[0]), body_of(&world.provider.seen()[1]));
    assert_eq!(own["messages"], copy["messages"]);
    let lines = world.runtime.usage.lines();
    let spent: Vec<_> = lines.iter().map(|line| (line.key.backend.as_str(), line.totals.cost_nanos)).collect();
    assert_eq!(spent, [("large", 60_000), ("small", 60_000)]);
    assert_eq!(got.header("x-spillway-cost-usd"), "0.00006", "the application's own");
}

#[tokio::test]
async fn a_shadow_that_fails_or_hangs_is_nobodys_business() {
    let world = shadowed(|_| ()).await;
    for act in [Act::status(500, &[], "broken"), Act::WriteAndClose(String::new()), Act::status(401, &[], "no")] {
        world.provider.then([Act::answer(), act]);
        let seen = world.provider.seen().len();
        assert_eq!(world.chat(&chat()).await.status, 200);
        while world.provider.seen().len() < seen + 2 {
            tokio::task::yield_now().await;
        }
    }
    counted(&world, "failed", 3).await;
    world.provider.then([Act::answer(), Act::WriteAndHang(String::new())]);
    assert_eq!(world.chat(&chat()).await.status, 200, "and it closes no gate");
    while world.provider.seen().len() < 8 {
        tokio::task::yield_now().await;
    }
    world.runtime.end_shadows();
    counted(&world, "cut", 1).await;
    world.provider.abandoned().await;
}

#[tokio::test]
async fn a_shadow_whose_answer_breaks_off_is_paid_for() {
    let world = shadowed(|_| ()).await;
    let half = reply(200, &[], &answer_body()).replace("content-length: ", "content-length: 9");
    world.provider.then([Act::answer(), Act::WriteAndClose(half)]);
    assert_eq!(world.chat(&chat()).await.status, 200);
    counted(&world, "failed", 1).await;
    let lines = world.runtime.usage.lines();
    let line = lines.iter().find(|line| line.key.backend == "large").expect("it is booked");
    assert!(line.totals.input_tokens > 0 && line.totals.output_tokens > 0, "{:?}", line.totals);
}

#[tokio::test]
async fn a_share_is_a_share_and_a_refused_request_has_no_copy() {
    let world = shadowed(|shadow| shadow["shadow_ppm"] = json!(250_000)).await;
    for _ in 0..200 {
        assert_eq!(world.chat(&chat()).await.status, 200);
    }
    let copies = || world.provider.models().iter().filter(|model| *model == "large-1").count();
    while copies() < 25 {
        tokio::task::yield_now().await;
    }
    assert!(copies() <= 75, "about a quarter of 200: {}", copies());
    let world = shadowed(|shadow| shadow["when"] = json!("request.stream")).await;
    world.provider.then([Act::status(400, &[], "no")]);
    assert_eq!(world.chat(&chat()).await.status, 400);
    assert_eq!(world.chat(&chat()).await.status, 200, "one its expression is false of");
    let (first, last) = (piece("a"), stop());
    let events = || Act::events(&[&first, &last, "[DONE]"], true);
    world.provider.then([events(), events()]);
    assert_eq!(world.chat(&streamed()).await.status, 200);
    counted(&world, "answered", 1).await;
    assert_eq!(world.provider.models(), ["small-1", "small-1", "small-1", "large-1"]);
}
