//! Several keys of one provider, and keys that have to be fetched first.

use serde_json::{Value, json};
use spillway_wire::Credential;

use crate::{
    clock,
    runtime::Who,
    server::fake::{Act, Got, Provider, World, chat, reply, route},
};

/// A provider with the keys `sk-canary`, `sk-2` and `sk-3`, and a route that makes no extra attempts.
async fn world() -> World {
    let world = World::new(|config| {
        config["providers"]["ai/fake"]["more_credentials"] = json!(["ai/fake/2", "ai/fake/3"]);
        route(config)["retries"]["budget"] = json!({"ratio_ppm": 0, "min_per_second": 0});
        route(config)["fallbacks"] = json!([]);
    })
    .await;
    give(&world, "ai/fake/2", "1", Some("sk-2"));
    give(&world, "ai/fake/3", "1", Some("sk-3"));
    world
}

fn give(world: &World, key: &str, version: &str, value: Option<&str>) {
    let (key, version) = (key.to_owned(), version.to_owned());
    world.runtime.set_credential(Credential { key, version, value: value.map(str::to_owned) });
}

/// The keys that were sent, in order.
fn sent(world: &World) -> Vec<String> {
    let key = |request: &String| {
        let line = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        line.unwrap_or("none").to_owned()
    };
    world.provider.seen().iter().map(key).collect()
}

fn seen(got: &Got) -> (u16, &str) {
    (got.status.as_u16(), got.header("x-spillway-attempts"))
}

#[tokio::test]
async fn a_key_that_is_refused_unpaid_or_over_its_quota_is_replaced_at_once_and_rests() {
    for status in [401, 402, 429] {
        let world = world().await;
        world.provider.then([Act::status(status, &[], "not with this key")]);
        let got = world.chat(&chat()).await;
        assert_eq!(seen(&got), (200, "2"), "{status}: {got:?}");
        assert!(got.headers.values().all(|value| !format!("{value:?}").contains("sk-")), "{got:?}");
        assert_eq!(seen(&world.chat(&chat()).await), (200, "1"), "{status}: the first key rests");
        assert_eq!(sent(&world), ["sk-canary", "sk-2", "sk-2"], "{status}");
        give(&world, "ai/fake", "2", Some("sk-new"));
        assert_eq!(seen(&world.chat(&chat()).await), (200, "1"), "{status}");
        assert_eq!(sent(&world).last().map(String::as_str), Some("sk-new"), "{status}: it has changed");
        let metrics = world.runtime.telemetry.render();
        let line = "spillway_sidecar_key_attempts_total{key=\"2\",outcome=\"ok\",provider=\"ai/fake\"} 2";
        assert!(metrics.contains(line), "{metrics}");
        assert!(!metrics.contains("sk-"));
    }
}

#[tokio::test]
async fn a_key_nobody_has_paid_for_is_replaced_whatever_the_status_says() {
    let words = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.";
    for words in [words, "You have reached your specified API usage limits. Wait until tomorrow."] {
        let world = world().await;
        world.provider.then([Act::status(400, &[], words)]);
        let got = world.chat(&chat()).await;
        assert_eq!(seen(&got), (200, "2"), "{words}: {got:?}");
        assert_eq!(sent(&world), ["sk-canary", "sk-2"], "{words}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_about_the_key_does_not_turn_to_another_one() {
    for status in [400, 403, 404, 500, 503] {
        let world = world().await;
        world.provider.then([Act::status(status, &[], "no")]);
        assert_eq!(seen(&world.chat(&chat()).await).1, "1", "{status}");
        assert_eq!(sent(&world), ["sk-canary"], "{status}");
    }
}

#[tokio::test]
async fn when_all_keys_rest_the_error_names_each_with_its_reason() {
    let world = world().await;
    let wait = ["retry-after: 30"];
    world.provider.then([Act::status(401, &[], "bad"), Act::status(429, &wait, "slow"), Act::status(402, &[], "pay")]);
    let got = world.chat(&chat()).await;
    assert_eq!(got.header("x-spillway-attempts"), "3", "{got:?}");
    assert!(!got.status.is_success());
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (429, "all_backends_unavailable"), "{got:?}");
    for part in
        ["provider ai/fake has no key to send", "key 1 rests for 60 s (a failure)", "key 2 rests for 3", "key 3 rests"]
    {
        assert!(got.text.contains(part), "{part} is not in {}", got.text);
    }
    assert_eq!(sent(&world).len(), 3, "nobody was asked");
}

#[tokio::test]
async fn a_key_that_has_not_come_is_passed_over() {
    let world = world().await;
    give(&world, "ai/fake", "1", None);
    assert_eq!(seen(&world.chat(&chat()).await), (200, "1"));
    assert_eq!(sent(&world), ["sk-2"]);
    assert!(world.runtime.degraded().is_empty());
}

/// A provider whose key is the key file of a service account, and who gives out its tokens.
async fn world_with_document() -> (World, Provider) {
    let (tokens, addr) = Provider::start().await;
    let world = World::new(|config| {
        config["providers"]["ai/fake"]["exchange"] = json!({"cloud": "Google", "scope": "s"});
        config["providers"]["ai/fake"]["timeouts"]["connect_ms"] = json!(300);
    })
    .await;
    let key = include_str!("../../identity/tests/key.pem");
    let file = json!({"type": "service_account", "client_email": "a@b", "private_key": key, "token_uri": format!("http://{addr}/t")});
    give(&world, "ai/fake", "document", Some(&file.to_string()));
    (world, tokens)
}

fn token(value: &str) -> Act {
    Act::Write(reply(200, &[], &json!({"access_token": value, "expires_in": 3600}).to_string()))
}

#[tokio::test]
async fn a_document_is_exchanged_once_and_its_token_is_what_travels() {
    let (world, tokens) = world_with_document().await;
    tokens.then([token("ya29.one"), token("ya29.two")]);
    for _ in 0..2 {
        assert_eq!(world.chat(&chat()).await.status, 200);
    }
    assert_eq!(sent(&world), ["ya29.one", "ya29.one"]);
    world.provider.then([Act::status(401, &[], "expired")]);
    assert_eq!(world.chat(&chat()).await.status, 401);
    assert_eq!(world.chat(&chat()).await.status, 200);
    assert_eq!(sent(&world).last().map(String::as_str), Some("ya29.two"), "the provider did not take the first one");
}

#[tokio::test]
async fn without_a_token_the_request_fails_with_the_provider_and_the_cause() {
    let (world, tokens) = world_with_document().await;
    let refusal: Value = json!({"error": "invalid_grant", "error_description": "account not found"});
    tokens.then([Act::Write(reply(400, &[], &refusal.to_string()))]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (401, "upstream_authentication"), "{got:?}");
    for part in [
        "put a document that is good into its Secret",
        "there is no key for provider ai/fake",
        "invalid_grant: account not found",
    ] {
        assert!(got.text.contains(part), "{part} is not in {}", got.text);
    }
    assert!(world.provider.seen().is_empty(), "a document never travels");
}

#[tokio::test]
async fn while_no_token_can_be_had_another_backend_answers_and_nobody_is_blamed() {
    let rows = [
        (Act::WriteAndHang(String::new()), 504, "127.0.0.1 has given no token within 300ms"),
        (Act::status(503, &[], "no"), 502, "127.0.0.1 gives no token now (status 503)"),
    ];
    for (act, status, why) in rows {
        let (world, tokens) = world_with_document().await;
        tokens.then([act]);
        let got = world.chat(&chat()).await;
        assert_eq!(got.status.as_u16(), status, "{got:?}");
        assert!(got.text.contains("provider ai/fake") && got.text.contains(why), "{got:?}");
        assert_eq!(got.header("x-spillway-attempts"), "1", "nobody who is slow is asked again at once");
        let generation = world.runtime.generation().unwrap();
        let gates = generation.routes[0].backends[0].every_gate();
        let mut quiet = gates.filter(|(who, _)| *who != Who::Backend);
        assert!(quiet.all(|(_, gate)| gate.view().turns == [0; 3]));
        assert!(world.provider.seen().is_empty());
    }
}

#[tokio::test]
async fn a_token_that_a_provider_repeats_is_not_passed_on() {
    let (world, tokens) = world_with_document().await;
    tokens.then([token("plain-canary")]);
    let headers = ["x-request-id: of plain-canary", "x-ratelimit-limit-requests: 7"];
    world.provider.then([Act::status(400, &headers, "no: plain-canary, cGxhaW4tY2FuYXJ5")]);
    let got = world.chat(&chat()).await;
    assert_eq!(sent(&world), ["plain-canary"]);
    assert!(got.text.contains("no: [redacted], [redacted]"), "{got:?}");
    assert_eq!((got.header("x-request-id"), got.header("x-ratelimit-limit-requests")), ("", "7"), "{got:?}");
}

#[tokio::test]
async fn what_azures_filter_found_is_told_without_keys() {
    let (world, tokens) = world_with_document().await;
    tokens.then([token("plain-canary")]);
    let inner = |who: &str| {
        json!({"code": "ResponsibleAIPolicyViolation", "for": who,
            "content_filter_result": {"jailbreak": {"filtered": true, "detected": true}}})
    };
    let error = json!({"message": "filtered", "code": "content_filter", "innererror": inner("plain-canary")});
    world.provider.then([Act::Write(reply(400, &[], &json!({"error": error}).to_string()))]);
    let got = world.chat(&chat()).await;
    let body: Value = serde_json::from_str(&got.text).unwrap();
    assert_eq!((got.status.as_u16(), got.header("x-spillway-error-class")), (400, "ContentPolicyViolation"), "{got:?}");
    assert_eq!(
        (&body["error"]["code"], &body["error"]["innererror"]),
        (&json!("content_filter"), &inner("[redacted]"))
    );
}

#[tokio::test]
async fn a_key_that_is_over_its_limit_for_one_model_is_sent_for_another() {
    let world = world().await;
    world.provider.then([Act::status(429, &["retry-after: 30"], "slow down")]);
    assert_eq!(seen(&world.chat(&chat()).await), (200, "2"));
    assert_eq!(seen(&world.chat(&chat()).await), (200, "1"));
    let generation = world.runtime.generation().unwrap();
    let backends = generation.routes[0].backends.iter();
    let slots: Vec<_> = backends.map(|it| (&*it.name, it.admit(None, clock::now()).unwrap().slot)).collect();
    assert_eq!(slots, [("small", Some(1)), ("large", Some(0)), ("blind", Some(0))]);
    give(&world, "ai/fake", "2", Some("sk-new"));
    assert_eq!(seen(&world.chat(&chat()).await), (200, "1"));
    assert_eq!(sent(&world), ["sk-canary", "sk-2", "sk-2", "sk-new"]);
}
