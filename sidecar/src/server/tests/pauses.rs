//! Who waits for a backend that is left alone, who does not, and what that takes of the budget.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use spillway_policy::{Class, retry::budget};

use crate::{
    clock,
    runtime::{Failed, Route},
    server::fake::*,
};

/// `small` is repeated after a timeout or a 503, and `large` asked then.
async fn world(change: impl FnOnce(&mut Value)) -> World {
    World::new(|config| {
        config["providers"]["ai/fake"]["timeouts"]["first_byte_ms"] = json!(200);
        let route = route(config);
        let on = json!(["Timeout", "ServiceUnavailable", "RateLimited", "NotFound"]);
        route["retries"] = json!({"attempts": 2, "on": ["Timeout", "ServiceUnavailable"], "backoff_base_ms": 1,
            "backoff_max_ms": 2, "honour_retry_after_ms": 50, "budget": {"ratio_ppm": 0, "min_per_second": 1}});
        route["fallbacks"] = json!([{"on": on, "to": ["large"]}]);
        change(route);
    })
    .await
}

fn the_route(world: &World) -> Arc<Route> {
    Arc::clone(&world.runtime.generation().unwrap().routes[0])
}

/// What happens to another request of `small`: its provider asks for a pause.
fn paused(route: &Route, seconds: u64) {
    let retry_after = Some(Duration::from_secs(seconds));
    let failed = Failed { retry_after, ..Failed::with(Class::RateLimited) };
    route.admit(0, clock::now()).unwrap().failed(&failed, 0);
}

#[tokio::test]
async fn nobody_waits_longer_for_a_pause_that_another_request_was_told_of_than_for_its_own() {
    let world = world(|_| ()).await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    let (began, chat) = (clock::now(), chat());
    let pause = async {
        while world.provider.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        paused(&the_route(&world), 4);
    };
    let (got, ()) = tokio::join!(world.chat(&chat), pause);
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
    assert!(clock::now() - began < Duration::from_secs(3), "the pause was waited for");
}

#[tokio::test]
async fn an_attempt_that_moves_on_after_its_pause_is_taken_from_the_budget_once() {
    let world = world(|route| {
        route["retries"]["backoff_base_ms"] = json!(300);
        route["retries"]["backoff_max_ms"] = json!(300);
    })
    .await;
    let (route, rule) = (the_route(&world), budget::Rule { ratio_ppm: 0, min_per_second: 1 });
    let left = || route.state.left(&rule, clock::now());
    world.provider.then([Act::status(503, &[], "no")]);
    let chat = chat();
    let pause = async {
        while left() == 10 {
            tokio::task::yield_now().await;
        }
        paused(&route, 60);
    };
    let (got, ()) = tokio::join!(world.chat(&chat), pause);
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-attempts")), ("large", "2"), "{got:?}");
    assert_eq!(left(), 9, "one attempt more than one");
}

#[tokio::test]
async fn a_model_that_does_not_exist_is_left_alone_and_the_rule_that_helped_helps_on() {
    let world = world(|_| ()).await;
    for number in 0..5 {
        let attempts = if number < 3 {
            world.provider.then([Act::status(404, &[], "no such model"), Act::answer()]);
            "2"
        } else {
            "1"
        };
        let got = world.chat(&chat()).await;
        let headers = ["x-spillway-backend", "x-spillway-attempts", "x-spillway-fallback-reason"];
        assert_eq!(headers.map(|name| got.header(name)), ["large", attempts, "NotFound"], "{number}: {got:?}");
    }
}
