use serde_json::json;

use crate::{runtime::Limits, server::fake::*};

#[tokio::test]
async fn what_is_left_of_our_limits_takes_the_place_of_what_the_provider_says_is_left_of_its_own() {
    let headers = ["x-ratelimit-remaining-requests: 4999", "x-ratelimit-remaining-tokens: 7", "x-request-id: req-1"];
    let rows = [
        ("no limits", json!([]), ("4999", "7")),
        ("of requests", json!([{"name": "a", "per": "Pod", "requests": 9, "window_ms": 60_000}]), ("8", "")),
        (
            "the tightest",
            json!([
                {"name": "a", "per": "Pod", "requests": 9, "tokens": 5_000, "window_ms": 60_000},
                {"name": "b", "per": "Pod", "requests": 5, "tokens": 50_000, "window_ms": 60_000},
            ]),
            ("4", "48"),
        ),
        ("in flight only", json!([{"name": "a", "per": "Pod", "concurrency": 5}]), ("4999", "7")),
    ];
    for (row, limits, (requests, tokens)) in rows {
        let world = World::new(|config| route(config)["limits"] = limits).await;
        world.provider.then([Act::Write(reply(200, &headers, &answer_body()))]);
        let got = world.chat(&chat()).await;
        assert_eq!((got.status.as_u16(), got.header("x-request-id")), (200, "req-1"), "{row}: {got:?}");
        assert_eq!(got.header("x-ratelimit-remaining-requests"), requests, "{row}: {got:?}");
        assert!(got.header("x-ratelimit-remaining-tokens").starts_with(tokens), "{row}: {got:?}");
        assert_eq!(got.header("x-ratelimit-remaining-tokens").is_empty(), tokens.is_empty(), "{row}: {got:?}");
    }
}

#[tokio::test]
async fn a_failed_request_is_one_and_has_used_no_tokens() {
    let world = World::new(|config| {
        route(config)["limits"] =
            json!([{"name": "a", "per": "Pod", "requests": 2, "tokens": 1_000, "window_ms": 60_000}]);
    })
    .await;
    world.provider.then([Act::status(503, &[], "down")]);
    let statuses =
        [world.chat(&chat()).await.status, world.chat(&chat()).await.status, world.chat(&chat()).await.status];
    assert_eq!(statuses.map(|status| status.as_u16()), [503, 200, 429]);
    let report = world.runtime.generation().unwrap().routes[0].state.limits.report(1);
    assert_eq!((report[0].top[0].requests, report[0].top[0].tokens), (2, 15), "the answer billed 15");
}

#[tokio::test]
async fn those_who_wait_for_one_route_leave_half_of_the_places_to_the_others() {
    let world = World::with_limits(Limits { requests: 4, ..Limits::default() }, |config| {
        let mut free = route(config).clone();
        (free["name"], free["models"]) = (json!("free"), json!(["free"]));
        config["routes"]["shop/free"] = free;
        route(config)["limits"] =
            json!([{"name": "a", "per": "Pod", "concurrency": 1, "queue": {"depth": 300, "timeout_ms": 4_000}}]);
    })
    .await;
    world.provider.then([Act::events(&[&piece("a")], false)]);
    let mut sender = connect(world.addr).await;
    let held = sender.send_request(post("/v1/chat/completions", streamed().to_string().into())).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut sender = connect(world.addr).await;
        let body = chat().to_string().into();
        waiting.push(tokio::spawn(async move { receive(&mut sender, "/v1/chat/completions", body).await.status }));
    }
    let generation = world.runtime.generation().unwrap();
    let limited = generation.routes.iter().find(|route| !route.limits.is_empty()).unwrap();
    while limited.state.limits.report(0)[0].waiting < 2 {
        tokio::task::yield_now().await;
    }
    let got = world.chat(&chat()).await;
    assert_eq!(got.status.as_u16(), 429, "{got:?}");
    assert!(got.text.contains("its queue has room, but this sidecar lets no more than 2 requests wait"), "{got:?}");
    let mut other = chat();
    other["model"] = "free".into();
    assert_eq!(world.chat(&other).await.status, 200);
    drop((held, sender));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200, "and who waits is served");
    }
}

#[tokio::test]
async fn no_more_is_reserved_for_an_answer_than_any_backend_can_write() {
    // The backends write up to 4,096 tokens.
    for (tokens, remaining, never) in [(10_000, "5890", false), (4_000, "4000", true)] {
        let world = World::new(|config| {
            route(config)["limits"] = json!([{"name": "a", "per": "Pod", "tokens": tokens, "window_ms": 60_000}]);
        })
        .await;
        let mut body = chat();
        body["max_tokens"] = 64_000.into();
        let got = world.chat(&body).await;
        assert_eq!(got.header("x-ratelimit-remaining-tokens"), remaining, "{tokens}: {got:?}");
        assert_eq!(got.code() == "request_exceeds_limit", never, "{tokens}: {got:?}");
        assert_eq!(got.text.contains("request may take up to 4"), never, "{tokens}: {got:?}");
    }
}
