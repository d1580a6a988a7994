//! Which backend a request goes to, when several could serve it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{clock, server::fake::*};

/// `small` and `large` as primaries, `blind` as a third, with these weights.
fn primaries(config: &mut Value, strategy: &Value, weights: [u32; 3]) {
    let route = route(config);
    route["strategy"] = strategy.clone();
    for (index, weight) in weights.into_iter().enumerate() {
        route["backends"][index]["role"] = json!("Primary");
        route["backends"][index]["weight"] = json!(weight);
    }
}

/// How many of `count` requests went to each backend's model.
async fn spread(world: &World, count: usize) -> BTreeMap<String, usize> {
    let before = world.provider.seen().len();
    for _ in 0..count {
        let got = world.chat(&chat()).await;
        assert_eq!(got.status, 200, "{got:?}");
    }
    let mut spread = BTreeMap::new();
    for model in world.provider.models().split_off(before) {
        *spread.entry(model).or_default() += 1;
    }
    spread
}

fn counts(rows: &[(&str, usize)]) -> BTreeMap<String, usize> {
    rows.iter().map(|(model, count)| ((*model).to_owned(), *count)).collect()
}

#[tokio::test]
async fn shares_are_exact_and_survive_a_push() {
    let world = World::new(|config| primaries(config, &json!("Weighted"), [7, 2, 1])).await;
    assert_eq!(spread(&world, 5).await.values().sum::<usize>(), 5);
    let mut pushed = (*world.runtime.generation().unwrap().snapshot).clone();
    pushed.revision = "r2".into();
    world.runtime.apply(pushed).unwrap();
    spread(&world, 5).await;
    let mut all = BTreeMap::new();
    for model in world.provider.models() {
        *all.entry(model).or_default() += 1;
    }
    assert_eq!(all, counts(&[("small-1", 7), ("large-1", 2), ("blind-1", 1)]), "ten requests, five on either side");
    let metrics = world.runtime.telemetry.render();
    let line = r#"spillway_sidecar_route_choices_total{backend="small",route="shop/chat",strategy="Weighted"} 7"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn who_cannot_serve_a_request_loses_no_turn_and_the_next_one_serves() {
    let world = World::new(|config| primaries(config, &json!("Weighted"), [0, 0, 10])).await;
    let mut tools = chat();
    tools["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    assert_eq!(world.chat(&tools).await.header("x-spillway-backend"), "small", "blind takes no tools");
    assert_eq!(spread(&world, 10).await, counts(&[("blind-1", 10)]));
}

#[tokio::test]
async fn the_cheapest_for_this_request_is_asked_and_an_unknown_price_last() {
    let world = World::new(|config| {
        primaries(config, &json!("LeastCost"), [1, 1, 1]);
        let backends = &mut route(config)["backends"];
        // Dear in, cheap out; cheap in, dear out; nobody knows.
        backends[0]["model"]["price"] = json!({"input_nanos": 9_000_000_000u64, "output_nanos": 1_000_000_000u64});
        backends[1]["model"]["price"] = json!({"input_nanos": 1_000_000_000u64, "output_nanos": 9_000_000_000u64});
        backends[2]["model"]["price"] = Value::Null;
    })
    .await;
    for (answer, want) in [(1, "large"), (900, "small")] {
        let mut body = chat();
        body["max_tokens"] = json!(answer);
        assert_eq!(world.chat(&body).await.header("x-spillway-backend"), want, "{answer} tokens");
    }
}

#[tokio::test]
async fn a_backend_that_fails_or_dawdles_is_asked_less_than_one_that_does_not() {
    let world = World::new(|config| primaries(config, &json!("LeastLatency"), [1, 1, 1])).await;
    // Whoever is asked first fails at once, which is no way to be the fastest.
    world.provider.then([Act::status(503, &[], "no")]);
    assert_eq!(world.chat(&chat()).await.status, 503);
    let failed = world.provider.models()[0].clone();
    spread(&world, 4).await;
    let after = spread(&world, 30).await;
    assert_eq!(after.get(&failed), None, "of two, it never is the faster: {after:?}");
}

#[tokio::test]
async fn whoever_fails_at_once_is_no_faster_than_an_llm_that_answers_after_five_seconds() {
    for status in [404, 429, 503] {
        let world = World::new(|config| {
            primaries(config, &json!("LeastLatency"), [1, 1, 1]);
            route(config)["backends"][2]["role"] = json!("Fallback");
        })
        .await;
        let large = Arc::clone(&world.runtime.generation().unwrap().routes[0].backends[1].state);
        large.enter(clock::now()).took(clock::now(), Some(Duration::from_secs(5)));
        world.provider.then([Act::status(status, &[], "no")]);
        assert_eq!(world.chat(&chat()).await.header("x-spillway-backend"), "small", "nobody knows it yet");
        assert_eq!(spread(&world, 10).await, counts(&[("large-1", 10)]), "{status}");
    }
}

#[tokio::test]
async fn the_least_busy_is_asked_while_another_is_still_streaming() {
    let world = World::new(|config| primaries(config, &json!("LeastBusy"), [1, 1, 1])).await;
    let first = piece("first");
    world.provider.then([
        Act::events(&[&first], false),
        Act::events(&[&first], false),
        Act::answer(),
        Act::answer(),
        Act::answer(),
    ]);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut sender = connect(world.addr).await;
        let request = post("/v1/chat/completions", streamed().to_string().into());
        open.push((sender.send_request(request).await.unwrap(), sender));
    }
    let idle = spread(&world, 3).await;
    assert_eq!(idle.len(), 1, "the one that has nothing to do: {idle:?}");
    let busy = world.provider.models()[..2].to_vec();
    assert!(busy[0] != busy[1] && busy.iter().all(|model| !idle.contains_key(model)), "{busy:?} {idle:?}");
    drop(open);
    world.provider.abandoned().await;
}

#[tokio::test]
async fn a_session_stays_with_its_backend_until_that_is_gone() {
    let world = World::new(|config| {
        primaries(config, &json!("Weighted"), [1, 1, 1]);
        route(config)["affinity_header"] = json!("x-session-id");
    })
    .await;
    let backend_of = async |session: &str| {
        let mut request = post("/v1/chat/completions", chat().to_string().into());
        request.headers_mut().insert("x-session-id", session.parse().unwrap());
        let response = connect(world.addr).await.send_request(request).await.unwrap();
        response.headers()["x-spillway-backend"].to_str().unwrap().to_owned()
    };
    let sessions: Vec<String> = (0..12).map(|session| format!("s{session}")).collect();
    let mut homes = BTreeMap::new();
    for session in &sessions {
        homes.insert(session, backend_of(session).await);
        assert_eq!(backend_of(session).await, homes[session], "{session}");
    }
    let used: std::collections::BTreeSet<&String> = homes.values().collect();
    assert_eq!(used.len(), 3, "sessions are spread: {homes:?}");
    let mut without = (*world.runtime.generation().unwrap().snapshot).clone();
    without.routes.get_mut("shop/chat").unwrap().backends.remove(1);
    world.runtime.apply(without).unwrap();
    for session in &sessions {
        let (before, now) = (&homes[session], backend_of(session).await);
        assert!(before == "large" || now == *before, "{session} left {before} for {now}");
    }
}

#[tokio::test]
async fn what_may_cost_too_much_is_passed_over_at_every_hop_and_the_error_says_what_to_do() {
    let world = World::new(|config| {
        let route = route(config);
        // $10 a million answered tokens: 1,000 of them are a cent, and the prompt of some bytes next to nothing.
        route["max_cost_nanos"] = json!(11_000_000);
        route["backends"][0]["model"]["context_window_tokens"] = json!(100_000);
        route["backends"][1]["model"]["price"] =
            json!({"input_nanos": 1_000_000_000u64, "output_nanos": 90_000_000_000u64});
        route["fallbacks"] = json!([{"on": ["ServiceUnavailable"], "to": ["large", "blind"]}]);
    })
    .await;
    let mut body = chat();
    body["max_tokens"] = json!(800);
    world.provider.then([Act::status(503, &[], "no")]);
    assert_eq!(world.chat(&body).await.header("x-spillway-backend"), "blind", "large could cost more");
    body["max_tokens"] = json!(4_000);
    let got = world.chat(&body).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "cost_limit_exceeded"), "{got:?}");
    for part in ["may cost $0.011", "\\\"small\\\"", "can cost $0.04", "set a lower max_tokens", "shop/chat"] {
        assert!(got.text.contains(part), "{part} is not in {}", got.text);
    }
    assert_eq!(world.provider.seen().len(), 2, "nobody was asked in vain");
}

#[tokio::test]
async fn a_backend_is_for_the_requests_of_which_its_expression_is_true() {
    let world = World::new(|config| {
        primaries(config, &json!("Priority"), [1, 1, 1]);
        let backends = &mut route(config)["backends"];
        backends[0]["when"] = json!("request.headers['x-tier'] == 'gold' || request.text.contains('small')");
        backends[1]["when"] = json!("request.hasTools || request.tokens > 50 || request.maxTokens == 7");
    })
    .await;
    let ask = async |tier: &'static str, body: Value| {
        let mut request = post("/v1/chat/completions", body.to_string().into());
        request.headers_mut().insert("x-tier", tier.parse().unwrap());
        let response = connect(world.addr).await.send_request(request).await.unwrap();
        response.headers()["x-spillway-backend"].to_str().unwrap().to_owned()
    };
    let with = |key: &str, value: Value| {
        let mut body = chat();
        body[key] = value;
        body
    };
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let says = |text: &str| {
        with("messages", json!([{"role": "user", "content": text}, {"role": "assistant", "content": "x"}]))
    };
    let rows = [
        ("gold", chat(), "small"),
        ("tin", chat(), "blind"),
        ("tin", says("a small one"), "small"),
        ("tin", says(&"long ".repeat(100)), "large"),
        ("tin", with("tools", tools), "large"),
        ("tin", with("max_tokens", json!(7)), "large"),
    ];
    for (tier, body, want) in rows {
        assert_eq!(ask(tier, body.clone()).await, want, "{tier} {body}");
    }
}

#[tokio::test]
async fn an_expression_that_fails_passes_its_backend_over_and_everybody_can_see_it() {
    let world = World::new(|config| {
        let route = route(config);
        route["backends"][0]["when"] = json!("int(request.text) > 1");
        route["fallbacks"] = json!([{"on": ["ServiceUnavailable"], "to": ["large", "blind"]}]);
        route["backends"][1]["when"] = json!("request.stream");
    })
    .await;
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "invalid_request"), "{got:?}");
    assert!(got.text.contains("small may not be for this request (its when failed)"), "{got:?}");
    let metrics = world.runtime.telemetry.render();
    let line = r#"spillway_sidecar_backend_skips_total{backend="small",reason="when_failed",route="shop/chat"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    let mut body = chat();
    body["messages"][0]["content"] = json!("5");
    world.provider.then([Act::status(503, &[], "no")]);
    assert_eq!(world.chat(&body).await.header("x-spillway-backend"), "blind", "as a fallback too");
}

#[tokio::test]
async fn an_expression_nobody_can_evaluate_is_refused_with_its_name() {
    let world = World::new(|_| ()).await;
    let mut broken = (*world.runtime.generation().unwrap().snapshot).clone();
    broken.routes.get_mut("shop/chat").unwrap().backends[0].when = Some("request.token > 1".into());
    let reason = world.runtime.apply(broken).unwrap_err();
    assert!(
        reason.starts_with("route shop/chat: backend small: when \"request.token > 1\": request.token"),
        "{reason}"
    );
    assert_eq!(world.chat(&chat()).await.status, 200, "the config before stays");
}
