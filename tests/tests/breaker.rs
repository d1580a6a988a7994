//! Who fails is left alone, and tried again one request at a time; who is refused or asked to wait is left alone as well. A
//! silent backend gets a second one beside it.

use std::time::Duration;

use spillway_tests::client::{CHAT, Reply, chat, post, streamed};
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, End, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_rule, a_snapshot, a_spare, key};
use spillway_wire::{Breaker, BreakerScope, Dialect, ErrorClass, Hedge, PassiveHealth, RetryBudget, Route, Snapshot};

/// Opens after three failures in a row, and stays so for longer than a test takes.
const BREAKER: Breaker = Breaker {
    failure_threshold: 3,
    failure_ratio_ppm: 1_000_000,
    min_requests: 1_000,
    window_ms: 10_000,
    success_threshold: 1,
    open_for_ms: 3_600_000,
    scope: BreakerScope::Pod,
    reset: None,
};

const DOWN: [ErrorClass; 2] = [ErrorClass::ServiceUnavailable, ErrorClass::RateLimited];

fn snapshot(routes: Vec<Route>, provider: &Provider) -> Snapshot {
    a_snapshot(routes, vec![("main", a_provider("main", Dialect::OpenAi, &provider.base_url()))])
}

async fn serving(routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let snapshot = snapshot(routes, &provider);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

/// A route called after its first backend, with a spare one.
fn guarded(fault: &str) -> Route {
    let mut route = a_route(fault, vec![a_backend("main", fault), a_spare("main", "ok")]);
    route.fallbacks = vec![a_rule(&DOWN, &["ok"])];
    route.breaker = Some(BREAKER);
    route
}

fn asked(provider: &Provider, model: &str) -> usize {
    provider.models().iter().filter(|seen| *seen == model).count()
}

async fn ask(sidecar: &Sidecar, model: &str) -> anyhow::Result<Reply> {
    post(sidecar.data, CHAT, &chat(model)).await
}

#[tokio::test]
async fn who_fails_three_times_is_passed_over_and_a_reset_tries_it_again() -> anyhow::Result<()> {
    let (provider, sidecar) = serving(vec![guarded("status-503")]).await?;
    for number in 1..=6 {
        let reply = ask(&sidecar, "status-503").await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        assert_eq!(reply.header("x-spillway-fallback-reason"), "ServiceUnavailable");
        assert_eq!(reply.header("x-spillway-attempts"), if number <= 3 { "2" } else { "1" }, "request {number}");
    }
    assert_eq!(asked(&provider, "status-503"), 3);
    let (_, page) = sidecar.admin_get("/debug/backends").await?;
    for word in ["\"Open\"", "3 failures in a row"] {
        assert!(page.contains(word), "{word} is not in {page}");
    }
    let (_, metrics) = sidecar.admin_get("/metrics").await?;
    assert!(metrics.contains("breaker_state{gate=\"backend\",name=\"backend status-503 of route shop/status-503\"} 2"));

    let mut route = guarded("status-503");
    route.breaker = Some(Breaker { reset: Some("now".into()), ..BREAKER });
    let next = snapshot(vec![route], &provider);
    sidecar.replace_snapshot(&serde_json::to_vec(&next)?)?;
    sidecar.until("/debug/backends", |page| page.contains("reset by hand")).await?;
    assert_eq!(ask(&sidecar, "status-503").await?.header("x-spillway-attempts"), "2");
    Ok(())
}

#[tokio::test]
async fn with_nobody_left_the_error_comes_at_once_and_says_who_rests_and_for_how_long() -> anyhow::Result<()> {
    let mut route = guarded("status-500");
    route.backends.pop();
    route.fallbacks.clear();
    let (provider, sidecar) = serving(vec![route]).await?;
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, "status-500").await?.code(), "scripted");
    }
    let reply = ask(&sidecar, "status-500").await?;
    assert_eq!((reply.status, reply.code().as_str()), (503, "all_backends_unavailable"), "{reply:?}");
    // An hour, less what the test has taken since.
    let wait: u64 = reply.header("retry-after").parse()?;
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    for word in ["shop/status-500", "rests for 3", "3 failures in a row", "reset-breaker status-500 -n shop"] {
        assert!(reply.message().contains(word), "{word} is not in {}", reply.message());
    }
    assert_eq!(asked(&provider, "status-500"), 3, "nobody was asked");
    Ok(())
}

#[tokio::test]
async fn one_probe_at_a_time_finds_out_that_it_is_well_again() -> anyhow::Result<()> {
    let mut route = guarded("once-503");
    route.breaker = Some(Breaker { failure_threshold: 1, open_for_ms: 10, ..BREAKER });
    let (provider, sidecar) = serving(vec![route]).await?;
    assert_eq!(ask(&sidecar, "once-503").await?.header("x-spillway-backend"), "ok");
    // Its time is over before long; whoever comes then is the probe, and is answered by it.
    let deadline = spillway_tests::clock::now() + Duration::from_secs(10);
    while ask(&sidecar, "once-503").await?.header("x-spillway-backend") != "once-503" {
        assert!(spillway_tests::clock::now() < deadline, "nobody has tried it again");
    }
    assert_eq!(asked(&provider, "once-503"), 2);
    let (_, page) = sidecar.admin_get("/debug/backends").await?;
    assert!(page.contains("probes succeeded"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_refused_is_left_alone_on_every_route_and_its_provider_is_not() -> anyhow::Result<()> {
    let (first, second) = (guarded("status-401"), guarded("good"));
    let provider = Provider::start().await?;
    let mut snapshot = snapshot(vec![first, second], &provider);
    // The same provider once more, with another key.
    let other = a_provider("other", Dialect::OpenAi, &provider.base_url());
    snapshot.providers.insert(key("other"), other);
    for route in snapshot.routes.values_mut() {
        route.backends[1].provider = key("other");
    }
    let snapshot = snapshot.seal();
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, "status-401").await?.status, 401);
    }
    for model in ["status-401", "good"] {
        let reply = ask(&sidecar, model).await?;
        assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, "ok"), "{model}: {reply:?}");
    }
    assert_eq!((asked(&provider, "status-401"), asked(&provider, "good"), asked(&provider, "ok")), (3, 0, 2));
    Ok(())
}

#[tokio::test]
async fn a_model_that_asks_for_a_pause_gets_it_from_every_route_and_other_models_do_not() -> anyhow::Result<()> {
    let limited = || guarded("status-429-after-60");
    let mut twin = limited();
    (twin.name, twin.models) = ("twin".into(), vec!["twin".into()]);
    let (provider, sidecar) = serving(vec![limited(), twin]).await?;
    for (model, attempts) in [("status-429-after-60", "2"), ("twin", "1")] {
        let reply = ask(&sidecar, model).await?;
        assert_eq!((reply.status, reply.header("x-spillway-attempts")), (200, attempts), "{model}: {reply:?}");
        assert_eq!(reply.header("x-spillway-fallback-reason"), "RateLimited");
    }
    assert_eq!(asked(&provider, "status-429-after-60"), 1);
    Ok(())
}

#[tokio::test]
async fn a_silent_backend_gets_a_second_one_beside_it_and_is_left_when_that_answers() -> anyhow::Result<()> {
    let mut route = a_route("hang", vec![a_backend("main", "hang"), a_backend("main", "ok")]);
    route.hedge = Some(Hedge { after_ms: 30, max_ratio_ppm: 1_000_000 });
    let (provider, sidecar) = serving(vec![route]).await?;
    for body in [chat("hang"), streamed("hang")] {
        let reply = post(sidecar.data, CHAT, &body).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        let told = ["x-spillway-backend", "x-spillway-attempts", "x-spillway-hedged"].map(|name| reply.header(name));
        assert_eq!(told, ["ok", "2", "true"]);
        // Both may be billed: 100 tokens in and 20 out for the answer, and a prompt by estimate for the other.
        let cost = reply.header("x-spillway-cost-usd");
        assert!(body["stream"] == true || cost.parse::<f64>()? > 0.0003, "{cost}");
    }
    let seen = provider
        .until(|seen| seen.iter().filter(|one| one.model() == "hang").all(|one| one.end == End::Abandoned))
        .await?;
    assert_eq!(seen.len(), 4);
    let (_, metrics) = sidecar.admin_get("/metrics").await?;
    assert!(metrics.contains("hedges_total{route=\"shop/hang\",won=\"second\"} 2"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn no_more_than_the_share_is_asked_twice() -> anyhow::Result<()> {
    let mut route = a_route("late-60", vec![a_backend("main", "late-60"), a_backend("main", "ok")]);
    route.hedge = Some(Hedge { after_ms: 5, max_ratio_ppm: 0 });
    let (provider, sidecar) = serving(vec![route]).await?;
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, "late-60").await?.status, 200);
    }
    assert_eq!(asked(&provider, "ok"), 1, "one at first, and then what requests earn, which is nothing");
    Ok(())
}

#[tokio::test]
async fn retries_and_fallbacks_share_a_budget_and_the_answer_says_when_it_is_spent() -> anyhow::Result<()> {
    let mut route = guarded("status-503");
    route.breaker = None;
    route.backends[1] = a_spare("main", "status-500");
    route.fallbacks = vec![a_rule(&DOWN, &["status-500"])];
    (route.retries.attempts, route.retries.on) = (1, DOWN.to_vec());
    route.retries.backoff_base_ms = 1;
    route.retries.budget = Some(RetryBudget { ratio_ppm: 0, min_per_second: 1 });
    let (provider, sidecar) = serving(vec![route]).await?;
    let mut last = None;
    for _ in 0..20 {
        last = Some(ask(&sidecar, "status-503").await?);
    }
    let last = last.expect("twenty were asked");
    // Ten in ten seconds, and however long the twenty took.
    let extra = provider.seen().len() - 20;
    assert!((10..20).contains(&extra), "{extra} extra attempts");
    assert_eq!(last.header("x-should-retry"), "false");
    assert!(last.message().contains("budget of extra attempts is spent"), "{}", last.message());
    Ok(())
}

#[tokio::test]
async fn a_retry_comes_no_sooner_than_the_provider_asked() -> anyhow::Result<()> {
    let mut route = guarded("status-429-after-1");
    route.fallbacks.clear();
    (route.retries.attempts, route.retries.on) = (1, DOWN.to_vec());
    let (provider, sidecar) = serving(vec![route]).await?;
    let begun = spillway_tests::clock::now();
    assert_eq!(ask(&sidecar, "status-429-after-1").await?.status, 429);
    assert!(spillway_tests::clock::now().duration_since(begun) >= Duration::from_secs(1));
    assert_eq!(provider.seen().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_fails_on_one_route_is_passed_over_on_all_where_its_health_is_watched() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let mut snapshot = snapshot(vec![guarded("status-503"), guarded("good")], &provider);
    let other = a_provider("other", Dialect::OpenAi, &provider.base_url());
    snapshot.providers.insert(key("other"), other);
    for route in snapshot.routes.values_mut() {
        (route.breaker, route.backends[1].provider) = (None, key("other"));
    }
    let health = PassiveHealth { failures: 2, recover_after_ms: 3_600_000 };
    snapshot.providers.get_mut(&key("main")).expect("it is there").passive_health = Some(health);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot.seal(), None).await?;
    for model in ["status-503", "status-503", "good"] {
        assert_eq!(ask(&sidecar, model).await?.header("x-spillway-backend"), "ok", "{model}");
    }
    assert_eq!((asked(&provider, "status-503"), asked(&provider, "good")), (2, 0));
    Ok(())
}

#[tokio::test]
async fn what_goes_elsewhere_because_of_the_request_takes_nothing_of_the_budget() -> anyhow::Result<()> {
    let mut routes = Vec::new();
    for (fault, class) in
        [("window", ErrorClass::ContextWindowExceeded), ("filter", ErrorClass::ContentPolicyViolation)]
    {
        let mut route = a_route(fault, vec![a_backend("main", fault), a_spare("main", "ok")]);
        route.fallbacks = vec![a_rule(&[class], &["ok"])];
        route.retries.budget = Some(RetryBudget { ratio_ppm: 0, min_per_second: 0 });
        routes.push(route);
    }
    let (_provider, sidecar) = serving(routes).await?;
    for fault in ["window", "filter"] {
        for number in 1..=3 {
            let reply = ask(&sidecar, fault).await?;
            assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{fault}, request {number}: {reply:?}");
        }
    }
    Ok(())
}
