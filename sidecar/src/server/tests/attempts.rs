//! One answer, after as many attempts as the policy allows.

use std::time::Instant;

use serde_json::json;

use crate::{clock, runtime::Limits, server::fake::*};

#[tokio::test]
async fn the_provider_gets_what_it_should_and_the_application_learns_what_happened() {
    let world = World::new(|_| ()).await;
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), &got.json()["model"]), (200, &json!("chat")), "{got:?}");
    let rows = [
        ("x-spillway-route", "shop/chat"),
        ("x-spillway-backend", "small"),
        ("x-spillway-provider", "ai/fake"),
        ("x-spillway-model", "small-1"),
        ("x-spillway-attempts", "1"),
        ("x-spillway-cost-usd", "0.00006"),
        ("x-spillway-fallback-reason", ""),
        ("content-type", "application/json"),
    ];
    for (name, want) in rows {
        assert_eq!(got.header(name), want, "{name}");
    }
    let seen = &world.provider.seen()[0];
    assert!(seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{seen}");
    for line in ["authorization: Bearer sk-canary", "accept-encoding: identity", "content-type: application/json"] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line} is not in {seen}");
    }
    assert_eq!(body_of(seen), json!({"model": "small-1", "messages": [{"role": "user", "content": "hello"}]}));
    let lines = world.runtime.usage.lines();
    let totals = lines[0].totals;
    assert_eq!((totals.requests, totals.input_tokens, totals.output_tokens, totals.cost_nanos), (1, 10, 5, 60_000));
}

#[tokio::test]
async fn a_connection_is_used_again_and_a_dead_one_costs_no_attempt() {
    let world = World::new(|_| ()).await;
    for _ in 0..3 {
        assert_eq!(world.chat(&chat()).await.status, 200);
    }
    assert_eq!(world.provider.connections(), 1);
    world.provider.then([Act::WriteAndClose(reply(200, &[], &answer_body()))]);
    for _ in 0..2 {
        let got = world.chat(&chat()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), (200, "1"), "{got:?}");
    }
    assert_eq!(world.provider.connections(), 2);
}

#[tokio::test]
async fn a_retry_waits_as_long_as_the_provider_asks_and_no_longer_than_the_route_allows() {
    let rows =
        [("retry-after-ms: 40", 200, "2", ""), ("retry-after: 0", 200, "2", ""), ("retry-after: 9", 429, "1", "9")];
    for (header, status, attempts, told) in rows {
        let retries = json!({"attempts": 1, "on": ["RateLimited"], "backoff_base_ms": 1, "backoff_max_ms": 1,
            "honour_retry_after_ms": 50});
        let world = World::new(|config| route(config)["retries"] = retries).await;
        world.provider.then([Act::status(429, &[header], "slow down")]);
        let begun: Instant = clock::now();
        let got = world.chat(&chat()).await;
        assert_eq!(
            (got.status.as_u16(), got.header("x-spillway-attempts"), got.header("retry-after")),
            (status, attempts, told),
            "{header}: {got:?}"
        );
        assert_eq!(got.header("x-spillway-error-class"), if status == 429 { "RateLimited" } else { "" }, "{got:?}");
        assert!(header != "retry-after-ms: 40" || begun.elapsed().as_millis() >= 40, "a floor");
    }
}

#[tokio::test]
async fn retries_are_for_the_classes_they_name_and_an_sdks_own_count_too() {
    let rule = json!({"attempts": 2, "on": ["InternalServerError"], "backoff_base_ms": 1, "backoff_max_ms": 1,
        "honour_retry_after_ms": 50});
    let rows = [(500, "0", 3, "false"), (500, "1", 2, "false"), (500, "2", 1, ""), (503, "0", 1, "")];
    for (status, counted, attempts, should_retry) in rows {
        let world = World::new(|config| route(config)["retries"] = rule.clone()).await;
        world.provider.then(std::iter::repeat_n(Act::status(status, &[], "no"), 5));
        let mut request = post("/v1/chat/completions", chat().to_string().into());
        request.headers_mut().insert("x-stainless-retry-count", counted.parse().unwrap());
        let response = connect(world.addr).await.send_request(request).await.unwrap();
        let told = response.headers().get("x-should-retry").map_or("", |value| value.to_str().unwrap());
        assert_eq!((world.provider.seen().len(), told), (attempts, should_retry), "{status} {counted}");
    }
}

#[tokio::test]
async fn a_fallback_that_cannot_serve_the_request_is_passed_over_with_the_reason() {
    let world = World::new(|config| {
        route(config)["fallbacks"] = json!([{"on": ["ServiceUnavailable"], "to": ["blind", "large"]}]);
    });
    let world = world.await;
    let mut body = chat();
    body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    world.provider.then([Act::status(503, &[], "no"), Act::answer()]);
    let got = world.chat(&body).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
    assert_eq!(got.header("x-spillway-fallback-reason"), "ServiceUnavailable");
    world.provider.then([Act::status(503, &[], "no"), Act::status(503, &[], "nor here")]);
    let got = world.chat(&body).await;
    let message = got.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("nor here") && message.contains("blind (blind-1) takes no tools"), "{message}");
    assert_eq!((got.status.as_u16(), got.header("x-should-retry")), (503, "false"), "{message}");
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_of_a_class_and_never_a_success() {
    let gzip = reply(200, &["content-encoding: gzip"], &answer_body());
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>".to_owned();
    let cut = reply(200, &[], &answer_body()).replace("content-length: ", "content-length: 9");
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/x\r\ncontent-length: 0\r\n\r\n".to_owned();
    let rows = [
        ("a redirect", Act::Write(redirect), 502, false),
        ("compressed", Act::Write(gzip), 502, true),
        ("a page", Act::Write(html), 502, false),
        ("an answer cut short", Act::WriteAndClose(cut), 502, true),
        ("no HTTP", Act::WriteAndClose("hello\r\n\r\n".into()), 502, true),
        ("closed without a word", Act::WriteAndClose(String::new()), 502, true),
        (
            "an error in a success",
            Act::Write(reply(200, &[], r#"{"error":{"message":"boom","code":500}}"#)),
            502,
            false,
        ),
        ("a wrong key", Act::status(401, &[], "no"), 401, false),
    ];
    for (row, act, status, may_be_billed) in rows {
        for body in [chat(), streamed()] {
            let world = World::new(|_| ()).await;
            world.provider.then([act.clone()]);
            let got = world.chat(&body).await;
            assert_eq!(got.status, status, "{row}: {got:?}");
            assert!(!got.code().is_empty() && !got.text.contains("canary"), "{row}: {got:?}");
            let totals = world.runtime.usage.lines()[0].totals;
            assert_eq!((totals.requests, totals.errors), (1, 1), "{row}");
            // What was sent and not answered may have run: its prompt is charged, and what was read of an answer.
            let read = row == "an answer cut short";
            assert_eq!((totals.cost_nanos > 0, totals.output_tokens > 0), (may_be_billed, read), "{row}");
        }
    }
}

#[tokio::test]
async fn silence_is_bounded_at_every_stage() {
    let head = reply(200, &[], &answer_body());
    let half = head[..head.len() - 10].to_owned();
    let rows = [
        ("before the head", "first_byte_ms", Act::WriteAndHang(String::new())),
        ("in the body", "idle_ms", Act::WriteAndHang(half)),
        ("altogether", "total_ms", Act::WriteAndHang(String::new())),
    ];
    for (row, timeout, act) in rows {
        let world = World::new(|config| config["providers"]["ai/fake"]["timeouts"][timeout] = json!(50)).await;
        world.provider.then([act]);
        let got = world.chat(&chat()).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (504, "upstream_timeout"), "{row}: {got:?}");
        world.provider.abandoned().await;
    }
    let world = World::new(|config| route(config)["request"]["timeout_ms"] = json!(50)).await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    assert_eq!(world.chat(&chat()).await.status, 504, "the request's own");
}

#[tokio::test]
async fn an_application_that_leaves_before_the_answer_aborts_the_call_and_is_charged_for_the_prompt() {
    let world = World::new(|_| ()).await;
    world.provider.then([Act::WriteAndHang(String::new())]);
    world.leave(&chat(), || !world.provider.seen().is_empty()).await;
    let totals = world.runtime.usage.lines()[0].totals;
    assert!(totals.requests == 1 && totals.errors == 0 && totals.input_tokens > 0, "{totals:?}");
}

#[tokio::test]
async fn a_withdrawn_key_takes_its_backends_out_and_a_new_one_brings_them_back() {
    let world = World::new(|_| ()).await;
    let credential = |value: Option<&str>| spillway_wire::Credential {
        key: "ai/fake".into(),
        version: "2".into(),
        value: value.map(str::to_owned),
    };
    world.runtime.set_credential(credential(None));
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "credentials_unavailable"), "{got:?}");
    assert!(got.text.contains("ai/fake") && world.provider.seen().is_empty());
    assert_eq!(world.runtime.degraded().keys().collect::<Vec<_>>(), ["shop/chat"]);
    world.runtime.set_credential(credential(Some("sk-new")));
    assert_eq!(world.chat(&chat()).await.status, 200);
    assert!(world.provider.seen()[0].contains("Bearer sk-new") && world.runtime.degraded().is_empty());
}

#[tokio::test]
async fn the_text_of_an_error_is_not_waited_for_when_somebody_else_can_be_asked() {
    let stalled =
        |status: u16| Act::WriteAndHang(reply(status, &[], "{}").replace("content-length: 2", "content-length: 99"));
    // An error's text has two seconds; what comes instead of a stream has as long as a stream's first content.
    let rows = [("an error", 500, chat(), 2_000), ("no stream", 200, streamed(), 50)];
    for (row, status, body, bound) in rows {
        let world = World::new(|config| {
            config["providers"]["ai/fake"]["timeouts"] =
                json!({"connect_ms": 2000, "first_byte_ms": 60_000, "idle_ms": 60_000, "total_ms": 60_000});
            let route = route(config);
            route["request"]["timeout_ms"] = json!(60_000);
            route["streaming"]["first_token_timeout_ms"] = json!(50);
            route["fallbacks"] = json!([{"on": ["InternalServerError", "Timeout"], "to": ["large"]}]);
        });
        let world = world.await;
        let good = Act::events(&[&piece("good"), &stop(), "[DONE]"], true);
        world.provider.then([stalled(status), if body["stream"] == true { good } else { Act::answer() }]);
        let begun = clock::now();
        let got = world.chat(&body).await;
        let took = begun.elapsed().as_millis();
        assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{row}: {got:?}");
        assert!((bound..bound + 5_000).contains(&took), "{row}: {took} ms");
        world.provider.abandoned().await;
    }
}

#[tokio::test]
async fn an_answer_that_finds_no_room_is_refused_and_paid_for() {
    let world = World::with_limits(Limits { buffered_bytes: 20_000, ..Limits::default() }, |_| ()).await;
    world.provider.then([Act::Write(reply(200, &[], &"x".repeat(40_000)))]);
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "overloaded"), "{got:?}");
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.output_tokens), (1, 10_000), "{totals:?}");
    assert!(totals.input_tokens > 0 && totals.cost_nanos > 0, "{totals:?}");
}
