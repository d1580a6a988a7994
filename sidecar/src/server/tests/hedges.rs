//! Two backends at once, where the first one is silent.

use serde_json::json;

use crate::server::fake::*;

/// Two first choices; the second is asked when the first has been silent for 30 ms. Streams are held back as a whole.
async fn hedged() -> World {
    World::new(|config| {
        let route = route(config);
        route["backends"][1]["role"] = json!("Primary");
        route["hedge"] = json!({"after_ms": 30, "max_ratio_ppm": 1_000_000});
        route["streaming"] = json!({"first_token_timeout_ms": 2_000, "idle_timeout_ms": 200, "hold_bytes": 1 << 20});
    })
    .await
}

#[tokio::test]
async fn a_backend_that_has_begun_is_not_silent_although_its_answer_is_held_back() {
    let world = hedged().await;
    // Content, and then signs of life until its time is over.
    world.provider.then([Act::events_and_drip(&[&piece("slowly")], ": still here\n\n")]);
    let got = world.chat(&streamed()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-hedged")), (504, ""), "{got:?}");
    assert_eq!(world.provider.models(), ["small-1"]);
    let half = reply(200, &[], &answer_body()).replace("content-length: ", "content-length: 9");
    world.provider.then([Act::WriteAndHang(half)]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-hedged")), (504, ""), "{got:?}");
}

#[tokio::test]
async fn what_has_no_prompt_is_not_asked_twice_at_once_and_an_attempt_that_is_lost_is_counted() {
    let world = World::new(|config| {
        let route = route(config);
        route["backends"][1]["role"] = json!("Primary");
        route["hedge"] = json!({"after_ms": 30, "max_ratio_ppm": 1_000_000});
        config["providers"]["ai/fake"]["timeouts"]["first_byte_ms"] = 200.into();
    })
    .await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    let got = world.post("/v1/images/generations", json!({"model": "chat", "prompt": "x"}).to_string().into()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-hedged")), (504, ""), "{got:?}");
    assert_eq!(world.provider.models(), ["small-1"]);
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.unpriced, totals.cost_nanos), (1, 1, 0), "it had the request, so it may bill");
}

#[tokio::test]
async fn who_loses_is_charged_what_it_said_it_billed() {
    let world = hedged().await;
    // Usage is no content.
    world.provider.then([Act::events(&[&usage(77)], false), Act::events(&[&piece("good"), &stop(), "[DONE]"], true)]);
    let got = world.chat(&streamed()).await;
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-hedged")), ("large", "true"), "{got:?}");
    let lines = world.runtime.usage.lines();
    let of = |name: &str| lines.iter().find(|line| line.key.backend == name).unwrap().totals;
    assert_eq!((of("small").requests, of("small").input_tokens), (0, 77), "{lines:?}");
    assert_eq!(of("large").requests, 1);
}
