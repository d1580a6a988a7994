//! Limits that the whole fleet counts towards, and accounts that it shares.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_wire::{Counts, Permit, QuotaReport, RateName, RateOf, Rights, Share};

use crate::{runtime::Limits, server::fake::*};

const SECOND: u64 = 1_000_000_000;

fn team(change: &Value) -> Value {
    let mut limit = json!({"name": "team", "per": "Route", "scope": "Fleet", "requests": 600, "window_ms": 60_000});
    limit.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    limit
}

async fn limited(change: Value) -> World {
    World::new(|config| route(config)["limits"] = json!([team(&change)])).await
}

fn requests_of_team() -> RateName {
    let of = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
    RateName { of, counts: Counts::Requests, value: None }
}

fn account(counts: Counts) -> RateName {
    RateName { of: RateOf::Provider("ai/fake".into()), counts, value: None }
}

impl World {
    fn rights(&self, change: impl FnOnce(&QuotaReport, &mut Rights)) {
        let report = self.runtime.rights.report().unwrap();
        let (journal, answers) = (report.journal.clone(), report.stamp);
        let mut rights = Rights { journal, epoch: 1, serial: report.serial + 1, answers, ..Rights::default() };
        change(&report, &mut rights);
        self.runtime.rights.take(&rights);
    }

    /// So many a minute are this sidecar's own, and `least` of them at once.
    fn share(&self, rate: RateName, per_minute: u64, least: u64) {
        let floor = per_minute * 1_000;
        let share = Share { rate, window: 60 * SECOND, floor, surplus: 0, least, lease: 0 };
        self.rights(|_, rights| rights.shares = vec![share]);
    }

    async fn asks(&self) -> QuotaReport {
        loop {
            let report = self.runtime.rights.report().unwrap();
            if !report.asks.is_empty() {
                return report;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_a_share_has_no_room_for_takes_leave_of_the_operator() {
    let world = limited(json!({})).await;
    let body = chat();
    let (got, ()) = tokio::join!(world.chat(&body), async {
        world.asks().await;
        assert!(world.provider.seen().is_empty());
        world.rights(|report, rights| {
            let ask = &report.asks[0];
            rights.permits = vec![Permit { rate: ask.rate.clone(), id: ask.id, amount: ask.amount }];
        });
    });
    assert_eq!(got.status, 200, "{got:?}");
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (429, "rate_limit_exceeded"), "it was for one: {got:?}");
}

#[tokio::test]
async fn a_share_lets_pass_what_it_holds_and_the_rest_is_refused_with_the_time_to_wait() {
    let world = limited(json!({})).await;
    world.share(requests_of_team(), 6, 2);
    tokio::time::sleep_until(tokio::time::Instant::now()).await;
    let got = world.chat(&chat()).await;
    let told =
        ["retry-after", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"].map(|name| got.header(name));
    assert_eq!((got.status.as_u16(), told), (429, ["10", "600", "0"]), "a bucket begins empty: {got:?}");
    let words = "limit \"team\" of route shop/chat allows 600 requests in 1m, and that is used up; it is fleet-wide, and this \
        pod has a part of it; try again in 10s";
    assert_eq!(got.json()["error"]["message"], words);
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn whoever_may_wait_does_so_in_order_and_no_longer_than_the_queue_lets_him() {
    let queue = |depth: u32, timeout_ms: u64| json!({"queue": {"depth": depth, "timeout_ms": timeout_ms}});
    let world = limited(queue(9, 4_000)).await;
    world.share(requests_of_team(), 600, 1);
    let three = [chat(), chat(), chat()];
    let [one, two, three] = &three;
    let (one, two, three) = tokio::join!(world.chat(one), world.chat(two), world.chat(three));
    for got in [one, two, three] {
        assert_eq!(got.status, 200, "{got:?}");
    }
    let world = limited(queue(9, 50)).await;
    world.share(requests_of_team(), 6, 1);
    let got = world.chat(&chat()).await;
    assert_eq!(got.status, 429);
    assert!(got.text.contains("has waited for") && got.text.contains("in its queue"), "{got:?}");
    let full = limited(queue(0, 50)).await;
    full.share(requests_of_team(), 6, 1);
    assert!(full.chat(&chat()).await.text.contains("its queue of 0 is full"));
    let crowded = World::with_limits(Limits { requests: 1, ..Limits::default() }, |config| {
        route(config)["limits"] = json!([team(&queue(9, 50))]);
    })
    .await;
    crowded.share(requests_of_team(), 6, 1);
    assert!(crowded.chat(&chat()).await.text.contains("no more than 0 requests wait"));
}

#[tokio::test]
async fn what_can_never_pass_and_what_nobody_hands_out_is_said_so() {
    let tokens = limited(json!({"requests": null, "tokens": 50})).await;
    let got = tokens.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "request_exceeds_limit"), "{got:?}");
    let alone = limited(json!({})).await;
    alone.runtime.rights.without_operator();
    let got = alone.chat(&chat()).await;
    assert!(got.status == 429 && got.text.contains("config from a file"), "{got:?}");
    let why = "limit team (scope Fleet) needs an operator, and config comes from a file";
    assert_eq!(alone.runtime.degraded().get("shop/chat").map(String::as_str), Some(why));
}

#[tokio::test]
async fn each_value_has_a_share_of_its_own() {
    let world = limited(json!({"per": {"Header": "x-tenant"}})).await;
    let tenant = |value: &str| RateName { value: Some(value.into()), ..requests_of_team() };
    world.share(tenant("acme"), 60_000, 100);
    let ask = async |value: &'static str| {
        let mut request = post("/v1/chat/completions", chat().to_string().into());
        request.headers_mut().insert("x-tenant", value.parse().unwrap());
        exchange(&mut connect(world.addr).await, request).await
    };
    while ask("acme").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ask("other").await.status, 429, "nobody gave it any");
    let flows = world.runtime.rights.report().unwrap().flows;
    let values: Vec<_> = flows.iter().map(|flow| flow.rate.value.as_deref().unwrap()).collect();
    assert_eq!(values, ["acme", "other"]);
}

fn two_providers(config: &mut Value) {
    config["providers"]["ai/other"] = config["providers"]["ai/fake"].clone();
    config["providers"]["ai/fake"]["quota"] = json!({"requests": 600, "tokens": 100_000});
    let route = route(config);
    route["backends"][1]["role"] = "Primary".into();
    route["backends"][1]["provider"] = "ai/other".into();
}

#[tokio::test]
async fn where_an_account_has_no_room_the_next_backend_is_asked() {
    let world = World::new(two_providers).await;
    world.share(account(Counts::Requests), 6, 1);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
    let rich = World::new(two_providers).await;
    rich.rights(|_, rights| {
        let share = |counts, per_minute: u64| {
            let (rate, window, floor) = (account(counts), 60 * SECOND, per_minute * 1_000);
            Share { rate, window, floor, surplus: 0, least: 50_000, lease: 0 }
        };
        rights.shares = vec![share(Counts::Requests, 600_000), share(Counts::Tokens, 60_000_000)];
    });
    while rich.chat(&chat()).await.header("x-spillway-backend") != "small" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_account_without_room_and_nobody_else_is_too_many_requests() {
    let world = World::new(|config| {
        config["providers"]["ai/fake"]["quota"] = json!({"requests": 600});
        route(config)["fallbacks"] = json!([]);
    })
    .await;
    world.share(account(Counts::Requests), 6, 1);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (429, "all_backends_unavailable"), "{got:?}");
    assert!(got.text.contains("the quota of provider ai/fake is used up"), "{got:?}");
    assert!(world.provider.seen().is_empty() && !got.header("retry-after").is_empty());
    let alone = World::new(|config| config["providers"]["ai/fake"]["quota"] = json!({"requests": 600})).await;
    alone.runtime.rights.without_operator();
    assert_eq!(alone.chat(&chat()).await.status, 200, "an account that nobody shares is its own");
}

#[tokio::test]
async fn what_a_provider_says_is_left_of_its_account_is_reported_until_it_is_over() {
    let world = World::new(|config| config["providers"]["ai/fake"]["quota"] = json!({"requests": 600})).await;
    world.share(account(Counts::Requests), 600_000, 100);
    let tell = async |headers: &[&str]| {
        world.provider.then([Act::Write(reply(200, headers, &answer_body()))]);
        while world.chat(&chat()).await.header("x-spillway-backend").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.runtime.rights.report().unwrap().said
    };
    let said = |limit: u32, remaining: u32, reset: &str| {
        [("limit", limit.to_string()), ("remaining", remaining.to_string()), ("reset", reset.to_owned())]
            .map(|(word, value)| format!("x-ratelimit-{word}-requests: {value}"))
    };
    for (headers, want) in [
        (said(600, 70, "1m"), (600, 70)),
        (said(600, 69, "59s"), (600, 69)),
        // Of a model with a limit of its own.
        (said(60, 7, "1m"), (600, 69)),
    ] {
        let got = tell(&headers.each_ref().map(String::as_str)).await;
        let [one] = &got[..] else { panic!("{got:?}") };
        assert_eq!((&one.rate, (one.limit, one.remaining)), (&account(Counts::Requests), want), "{headers:?}");
    }
    let got = tell(&said(900, 7, "0s").each_ref().map(String::as_str)).await;
    assert_eq!(got, [], "what is over says nothing");
}
