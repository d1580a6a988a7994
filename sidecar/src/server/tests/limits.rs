use serde_json::json;

use crate::server::fake::*;

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
