//! Which backend a real sidecar asks: by turns, by speed, by expressions, by cost, by session; and who is paid when an
//! answer is not good enough or is thrown away.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spillway_tests::client::{CHAT, chat, post, request, send, streamed};
use spillway_tests::process::program;
use spillway_tests::provider::Provider;
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{PRICE, a_backend, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Backend, Dialect, ErrorClass, Price, Rates, Role, Route, Strategy};

/// A provider, and a sidecar with these routes to it.
async fn with_routes(routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let provider_of = vec![("openai", a_provider("openai", Dialect::OpenAi, &provider.base_url()))];
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &a_snapshot(routes, provider_of), None).await?;
    Ok((provider, sidecar))
}

fn chosen_by(strategy: Strategy, backends: Vec<Backend>) -> Route {
    Route { strategy, ..a_route("chat", backends) }
}

fn counted(models: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for model in models {
        *counts.entry(model.as_str()).or_default() += 1;
    }
    counts
}

/// Sends `chat` with one more header.
async fn with_header(sidecar: &Sidecar, name: &str, value: &str) -> anyhow::Result<String> {
    let headers = [("content-type", "application/json"), (name, value)];
    let reply = send(sidecar.data, &request("POST", CHAT, &headers, chat("chat").to_string().as_bytes())).await?;
    anyhow::ensure!(reply.status == 200, "{reply:?}");
    Ok(reply.header("x-spillway-backend").to_owned())
}

#[tokio::test]
async fn ninety_and_ten_of_a_hundred_are_ninety_and_ten() -> anyhow::Result<()> {
    let weighted = |model: &str, weight| Backend { weight, ..a_backend("openai", model) };
    let route = chosen_by(Strategy::Weighted, vec![weighted("most", 90), weighted("few", 10), weighted("none", 0)]);
    let (provider, sidecar) = with_routes(vec![route]).await?;
    for _ in 0..100 {
        assert_eq!(post(sidecar.data, CHAT, &chat("chat")).await?.status, 200);
    }
    let models = provider.models();
    assert_eq!(counted(&models), BTreeMap::from([("most", 90), ("few", 10)]));
    let tenths = models.chunks(10).filter(|tenth| tenth.iter().any(|model| model == "few")).count();
    assert_eq!(tenths, 10, "the few are spread: {models:?}");
    Ok(())
}

#[tokio::test]
async fn a_slow_backend_is_asked_once_and_then_avoided() -> anyhow::Result<()> {
    let backends = vec![a_backend("openai", "late-300"), a_backend("openai", "quick")];
    let (provider, sidecar) = with_routes(vec![chosen_by(Strategy::LeastLatency, backends)]).await?;
    for body in [chat("chat"), streamed("chat")].iter().cycle().take(20) {
        assert_eq!(post(sidecar.data, CHAT, body).await?.status, 200);
    }
    assert_eq!(counted(&provider.models()), BTreeMap::from([("late-300", 1), ("quick", 19)]));
    Ok(())
}

#[tokio::test]
async fn expressions_send_requests_where_they_belong() -> anyhow::Result<()> {
    let when = |model: &str, when: &str| Backend { when: Some(when.into()), ..a_backend("openai", model) };
    let (_provider, sidecar) = with_routes(vec![a_route(
        "chat",
        vec![
            when("gold", "request.headers['x-tier'] == 'gold'"),
            when("agent", "request.hasTools"),
            when("long", "request.tokens > 200 || request.text.matches('(?i)essay')"),
            a_backend("openai", "plain"),
        ],
    )])
    .await?;
    assert_eq!(with_header(&sidecar, "x-tier", "gold").await?, "gold");
    assert_eq!(with_header(&sidecar, "x-tier", "tin").await?, "plain");
    let with = |key: &str, value: Value| {
        let mut body = chat("chat");
        body[key] = value;
        body
    };
    let function = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let says = |text: &str| with("messages", json!([{"role": "user", "content": text}]));
    let rows = [
        (with("tools", function), "agent"),
        (says(&"many words ".repeat(200)), "long"),
        (says("an Essay, please"), "long"),
        (says("hi"), "plain"),
    ];
    for (body, want) in rows {
        let reply = post(sidecar.data, CHAT, &body).await?;
        assert_eq!(reply.header("x-spillway-backend"), want, "{body} gave {reply:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_may_cost_too_much_is_not_asked_at_any_hop() -> anyhow::Result<()> {
    let mut dear = a_spare("openai", "dear");
    dear.model.price = Some(Price { rates: Rates { output_nanos: 90_000_000_000, ..PRICE.rates }, ..PRICE });
    let mut route = a_route("chat", vec![a_backend("openai", "status-503"), dear, a_spare("openai", "cheap")]);
    route.max_cost_nanos = Some(20_000_000);
    route.fallbacks = vec![a_rule(&[ErrorClass::ServiceUnavailable], &["dear", "cheap"])];
    let (provider, sidecar) = with_routes(vec![route]).await?;
    let mut body = chat("chat");
    body["max_tokens"] = json!(1_000);
    let reply = post(sidecar.data, CHAT, &body).await?;
    assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, "cheap"), "{reply:?}");
    body["max_tokens"] = json!(4_000);
    let reply = post(sidecar.data, CHAT, &body).await?;
    assert_eq!((reply.status, reply.code().as_str()), (400, "cost_limit_exceeded"), "{reply:?}");
    for part in ["may cost $0.02", "\"status-503\"", "set a lower max_tokens"] {
        assert!(reply.message().contains(part), "{part} is not in {}", reply.message());
    }
    assert_eq!(provider.models(), ["status-503", "cheap"]);
    Ok(())
}

#[tokio::test]
async fn a_session_stays_and_moves_only_when_its_backend_is_gone() -> anyhow::Result<()> {
    let backends = || vec![a_backend("openai", "a"), a_backend("openai", "b"), a_backend("openai", "c")];
    let sticky = |backends| Route { affinity_header: Some("x-session-id".into()), ..a_route("chat", backends) };
    let (_provider, sidecar) = with_routes(vec![sticky(backends())]).await?;
    let (_other_provider, without_b) = {
        let left = backends().into_iter().filter(|backend| backend.name != "b").collect();
        with_routes(vec![sticky(left)]).await?
    };
    let mut homes = BTreeMap::new();
    for session in 0..20 {
        let session = format!("session-{session}");
        let home = with_header(&sidecar, "x-session-id", &session).await?;
        assert_eq!(with_header(&sidecar, "x-session-id", &session).await?, home, "{session} stays");
        // Another process, which has never seen the session, agrees.
        let elsewhere = with_header(&without_b, "x-session-id", &session).await?;
        assert!(home == "b" || elsewhere == home, "{session} left {home} for {elsewhere}");
        *homes.entry(home).or_insert(0) += 1;
    }
    assert_eq!(homes.len(), 3, "sessions are spread: {homes:?}");
    Ok(())
}

#[tokio::test]
async fn a_shadow_gets_a_copy_and_its_failure_never_matters() -> anyhow::Result<()> {
    for shadow in ["copy", "status-500", "reset", "garble-2"] {
        let shadowed = Backend { role: Role::Shadow, shadow_ppm: Some(1_000_000), ..a_backend("openai", shadow) };
        let (provider, sidecar) =
            with_routes(vec![a_route("chat", vec![a_backend("openai", "own"), shadowed])]).await?;
        for body in [chat("chat"), streamed("chat")] {
            let reply = post(sidecar.data, CHAT, &body).await?;
            assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, "own"), "{shadow}: {reply:?}");
        }
        let seen = provider.until(|seen| seen.len() >= 4).await?;
        let copies: Vec<_> = seen.iter().filter(|seen| seen.model() == shadow).collect();
        assert_eq!(copies.len(), 2, "{shadow}");
        assert!(copies.iter().all(|copy| copy.body["messages"] == chat("chat")["messages"]), "{shadow}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cascade_pays_both_and_gives_the_better_answer() -> anyhow::Result<()> {
    let cascade = |when: &str| Strategy::Cascade { escalate_when: when.into() };
    let route = |name: &str, when: &str| Route {
        name: name.into(),
        models: vec![name.into()],
        ..chosen_by(cascade(when), vec![a_backend("openai", "tools"), a_backend("openai", "good")])
    };
    let (provider, sidecar) = with_routes(vec![
        route("picky", "response.toolCalls > 0 || response.text.size() < 5"),
        route("easy", "response.refusal || response.outputTokens > 1000"),
    ])
    .await?;
    for make in [chat, streamed] {
        let reply = post(sidecar.data, CHAT, &make("picky")).await?;
        assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, "good"), "{reply:?}");
        assert_eq!(reply.header("x-spillway-attempts"), "2");
        assert_eq!(reply.header("x-spillway-fallback-reason"), "Escalated");
        let reply = post(sidecar.data, CHAT, &make("easy")).await?;
        assert_eq!((reply.header("x-spillway-backend"), reply.header("x-spillway-attempts")), ("tools", "1"));
    }
    // 100 tokens at $1 and 20 at $10 per million, for each of two answers.
    assert_eq!(post(sidecar.data, CHAT, &chat("picky")).await?.header("x-spillway-cost-usd"), "0.0006");
    assert_eq!(counted(&provider.models()), BTreeMap::from([("tools", 5), ("good", 3)]));
    Ok(())
}
