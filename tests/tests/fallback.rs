//! What fails before the first content is retried or moved to another backend as the policy says; what fails after it is
//! told in the stream. Nothing cut is ever passed off as complete.

use std::time::Duration;

use spillway_tests::client::{CHAT, Reply, chat, post, request, streamed};
use spillway_tests::http1::Connection;
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, End, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_model, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Dialect, ErrorClass, OnExceeded, ProviderTimeouts, Route};
use tokio::net::TcpStream;

/// The routes named after the fault of their primary, at a provider of `dialect`.
async fn serving(dialect: Dialect, routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let mut account = a_provider("main", dialect, "");
    account.timeouts.first_byte_ms = 800;
    account.timeouts.idle_ms = 800;
    serving_from(account, routes).await
}

/// The same with an account whose endpoint is filled in.
async fn serving_from(mut account: spillway_wire::Provider, routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    account.base_url = provider.base_url();
    let snapshot = a_snapshot(routes, vec![("main", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

/// A route whose only backend has this fault.
fn broken(fault: &str) -> Route {
    let mut route = a_route(fault, vec![a_backend("main", fault)]);
    route.streaming.first_token_timeout_ms = 800;
    route.streaming.idle_timeout_ms = 800;
    route
}

/// The same with a backend to fall back to.
fn with_spare(fault: &str, on: ErrorClass) -> Route {
    let mut route = broken(fault);
    route.backends.push(a_spare("main", "ok"));
    route.fallbacks = vec![a_rule(&[on], &["ok"])];
    route
}

/// Failures before any content, with the class they belong to and what the app sees when nobody else can answer.
const BEFORE_CONTENT: [(&str, ErrorClass, u16); 18] = [
    ("status-400", ErrorClass::BadRequest, 400),
    ("status-401", ErrorClass::Authentication, 401),
    ("status-403", ErrorClass::PermissionDenied, 403),
    ("status-404", ErrorClass::NotFound, 404),
    ("status-408", ErrorClass::Timeout, 504),
    ("status-429-after-9", ErrorClass::RateLimited, 429),
    ("status-500", ErrorClass::InternalServerError, 502),
    ("status-502", ErrorClass::InternalServerError, 502),
    ("status-503", ErrorClass::ServiceUnavailable, 503),
    ("status-504", ErrorClass::Timeout, 504),
    ("window", ErrorClass::ContextWindowExceeded, 400),
    ("filter", ErrorClass::ContentPolicyViolation, 400),
    ("reset", ErrorClass::Connection, 502),
    ("close", ErrorClass::Connection, 502),
    ("hang", ErrorClass::Timeout, 504),
    ("html", ErrorClass::InternalServerError, 502),
    ("redirect", ErrorClass::InternalServerError, 502),
    ("event-error-0", ErrorClass::InternalServerError, 502),
];

#[tokio::test]
async fn a_failure_before_any_content_moves_to_the_next_backend() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let routes = BEFORE_CONTENT.iter().map(|(fault, class, _)| with_spare(fault, *class)).collect();
        let (_provider, sidecar) = serving(dialect, routes).await?;
        for (fault, class, _) in BEFORE_CONTENT {
            for body in [chat(fault), streamed(fault)] {
                let reply = post(sidecar.data, CHAT, &body).await?;
                let at = format!("{dialect:?} {body}: {reply:?}");
                assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{at}");
                let reason = serde_json::to_value(class)?;
                assert_eq!(Some(reply.header("x-spillway-fallback-reason")), reason.as_str(), "{at}");
                // A model whose provider asked for a pause is not asked a second time.
                let paused = fault == "status-429-after-9" && body["stream"] == true;
                assert_eq!(reply.header("x-spillway-attempts"), if paused { "1" } else { "2" }, "{at}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn with_nobody_to_fall_back_to_the_error_names_backend_class_and_route() -> anyhow::Result<()> {
    let routes = BEFORE_CONTENT.iter().map(|(fault, ..)| broken(fault)).collect();
    let (_provider, sidecar) = serving(Dialect::OpenAi, routes).await?;
    for (fault, class, status) in BEFORE_CONTENT {
        for body in [chat(fault), streamed(fault)] {
            let reply = post(sidecar.data, CHAT, &body).await?;
            assert_eq!(reply.status, status, "{body}: {reply:?}");
            let class = serde_json::to_value(class)?;
            for word in [fault, class.as_str().unwrap_or_default(), "shop/"] {
                assert!(reply.message().contains(word), "{body}: {word:?} is not in {:?}", reply.message());
            }
            assert!(!reply.code().is_empty(), "{body}: {reply:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_class_without_a_rule_is_told_and_not_moved() -> anyhow::Result<()> {
    let routes = vec![with_spare("status-503", ErrorClass::RateLimited), with_spare("filter", ErrorClass::Timeout)];
    let (provider, sidecar) = serving(Dialect::OpenAi, routes).await?;
    for (model, status) in [("status-503", 503), ("filter", 400)] {
        assert_eq!(post(sidecar.data, CHAT, &chat(model)).await?.status, status, "{model}");
    }
    assert_eq!(provider.models(), ["status-503", "filter"]);
    Ok(())
}

#[tokio::test]
async fn a_plain_answer_that_is_none_is_never_shown_as_one() -> anyhow::Result<()> {
    let faults = ["cut-0", "stall-0", "garble-0", "gzip", "huge"];
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (_provider, sidecar) = serving(dialect, faults.map(broken).into()).await?;
        for fault in faults {
            let reply = post(sidecar.data, CHAT, &chat(fault)).await?;
            assert!(reply.status >= 500, "{dialect:?} {fault}: {reply:?}");
            assert!(!reply.code().is_empty() && reply.message().contains(fault), "{dialect:?} {fault}: {reply:?}");
        }
        assert_eq!(sidecar.admin_get("/livez").await?.0, 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_with_an_error_event_and_no_done() -> anyhow::Result<()> {
    // Anthropic's events before the first content are three, OpenAI's is one.
    for (dialect, events) in [(Dialect::OpenAi, 3), (Dialect::Anthropic, 5)] {
        let faults = ["cut", "stall", "event-error"].map(|fault| format!("{fault}-{events}"));
        let routes = faults.iter().map(|fault| {
            // A fallback that would answer, were it still allowed to.
            let mut route = with_spare(fault, ErrorClass::InternalServerError);
            route.fallbacks[0].on.extend([ErrorClass::Connection, ErrorClass::Timeout]);
            route
        });
        let (provider, sidecar) = serving(dialect, routes.collect()).await?;
        for fault in &faults {
            let reply = post(sidecar.data, CHAT, &streamed(fault)).await?;
            let at = format!("{dialect:?} {fault}: {}", String::from_utf8_lossy(&reply.body));
            assert_eq!(reply.status, 200, "{at}");
            assert!(ANSWER.starts_with(&reply.text()) && !reply.text().is_empty(), "{at}");
            assert!(reply.has_error_event() && !reply.is_complete(), "{at}");
            assert!(!reply.events().contains(&"[DONE]".to_owned()), "{at}");
        }
        assert!(!provider.models().contains(&"ok".to_owned()), "no second answer is glued to a first one");
    }
    Ok(())
}

#[tokio::test]
async fn a_finished_answer_is_complete_even_without_the_providers_last_event() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (_provider, sidecar) = serving(dialect, vec![broken("no-end")]).await?;
        let reply = post(sidecar.data, CHAT, &streamed("no-end")).await?;
        assert!(reply.text() == ANSWER && reply.is_complete(), "{dialect:?}: {reply:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_no_json_is_skipped_where_streams_are_translated() -> anyhow::Result<()> {
    let (_provider, sidecar) = serving(Dialect::Anthropic, vec![broken("garble-5")]).await?;
    let reply = post(sidecar.data, CHAT, &streamed("garble-5")).await?;
    assert!(reply.is_complete() && !reply.has_error_event() && !reply.text().is_empty(), "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_before_content_is_moved() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let rows = [
            ("cut-1", ErrorClass::Connection),
            ("stall-1", ErrorClass::Timeout),
            ("late-4000", ErrorClass::Timeout),
            ("event-error-1", ErrorClass::InternalServerError),
        ];
        let routes = rows.iter().map(|(fault, class)| with_spare(fault, *class)).collect();
        let (_provider, sidecar) = serving(dialect, routes).await?;
        for (fault, _) in rows {
            let reply = post(sidecar.data, CHAT, &streamed(fault)).await?;
            assert_eq!(reply.text(), ANSWER, "{dialect:?} {fault}: {reply:?}");
            assert!(reply.is_complete(), "{dialect:?} {fault}: {reply:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_retry_stays_with_its_backend() -> anyhow::Result<()> {
    let mut route = with_spare("once-500", ErrorClass::InternalServerError);
    route.retries.attempts = 1;
    route.retries.on = vec![ErrorClass::InternalServerError];
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![route]).await?;
    let reply = post(sidecar.data, CHAT, &chat("once-500")).await?;
    assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, "once-500"), "{reply:?}");
    assert_eq!(reply.header("x-spillway-attempts"), "2");
    assert_eq!(provider.models(), ["once-500", "once-500"]);
    Ok(())
}

#[tokio::test]
async fn a_sdk_is_told_how_long_to_wait_and_not_to_repeat_what_was_repeated() -> anyhow::Result<()> {
    let mut route = broken("status-429-after-9");
    route.retries.attempts = 1;
    route.retries.on = vec![ErrorClass::RateLimited];
    let mut patient = broken("status-429-after-1");
    patient.retries = route.retries.clone();
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![route, patient]).await?;
    let reply = post(sidecar.data, CHAT, &chat("status-429-after-9")).await?;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, "9"),
        "9 s are longer than the route waits: {reply:?}"
    );
    assert_eq!(provider.models().len(), 1);
    let reply = post(sidecar.data, CHAT, &chat("status-429-after-1")).await?;
    assert_eq!((reply.status, reply.header("x-should-retry")), (429, "false"), "{reply:?}");
    assert_eq!(provider.models().len(), 3);
    Ok(())
}

/// A route over a small and a large model, and a prompt that only the large one can take.
async fn too_long(on_exceeded: OnExceeded) -> anyhow::Result<(Provider, Reply)> {
    let mut route = a_route("chat", vec![a_backend("main", "small"), a_spare("main", "large")]);
    route.backends[0].model = a_model("small", 4_000);
    route.backends[1].model = a_model("large", 100_000);
    route.context_window.on_exceeded = on_exceeded;
    if on_exceeded != OnExceeded::Truncate {
        route.fallbacks = vec![a_rule(&[ErrorClass::ContextWindowExceeded], &["large"])];
    }
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![route]).await?;
    let mut body = chat("chat");
    let turn = serde_json::json!({"role": "user", "content": "all work and no play ".repeat(100)});
    let messages = body["messages"].as_array_mut().expect("chat() has messages");
    messages.splice(1..1, std::iter::repeat_n(turn, 10));
    let reply = post(sidecar.data, CHAT, &body).await?;
    Ok((provider, reply))
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_answered_by_the_larger_model_or_cut_or_refused() -> anyhow::Result<()> {
    let (provider, reply) = too_long(OnExceeded::LargerModel).await?;
    assert_eq!((reply.status, reply.header("x-spillway-model")), (200, "large"), "{reply:?}");
    assert_eq!(reply.header("x-spillway-fallback-reason"), "ContextWindowExceeded");
    assert_eq!(provider.models(), ["large"], "the small one was not asked at all");

    let (provider, reply) = too_long(OnExceeded::Truncate).await?;
    assert_eq!((reply.status, reply.header("x-spillway-model")), (200, "small"), "{reply:?}");
    let dropped: usize = reply.header("x-spillway-truncated-messages").parse()?;
    let sent = provider.seen()[0].body["messages"].as_array().map(Vec::len);
    assert_eq!(sent, Some(12 - dropped), "of twelve messages");
    assert_eq!(provider.seen()[0].body["messages"][0]["role"], "system", "the system prompt stays");

    let (provider, reply) = too_long(OnExceeded::Reject).await?;
    assert_eq!((reply.status, reply.code().as_str()), (400, "context_length_exceeded"), "{reply:?}");
    assert!(reply.message().contains("4000"), "{reply:?}");
    assert!(provider.seen().is_empty());
    Ok(())
}

/// Asks, reads so many pieces of the answer, and leaves. Returns when.
async fn leave(provider: &Provider, sidecar: &Sidecar, model: &str, pieces: usize) -> anyhow::Result<Duration> {
    let arrived = provider.seen().len() + 1;
    let mut connection = Connection::new(TcpStream::connect(sidecar.data).await?)?;
    let headers = [("content-type", "application/json")];
    connection.write(&request("POST", CHAT, &headers, streamed(model).to_string().as_bytes())).await?;
    provider.until(|seen| seen.len() == arrived).await?;
    if pieces > 0 {
        connection.head().await?;
    }
    for _ in 0..pieces {
        connection.chunk().await?;
    }
    drop(connection);
    Ok(provider.now())
}

#[tokio::test]
async fn an_app_that_leaves_frees_the_provider_at_once_and_pays_for_what_it_saw() -> anyhow::Result<()> {
    // Before any answer, and in the middle of one: an event with the role and two with content.
    for (fault, pieces) in [("hang", 0), ("stall-3", 3)] {
        let mut route = broken(fault);
        route.streaming.first_token_timeout_ms = 60_000;
        route.streaming.idle_timeout_ms = 60_000;
        let mut account = a_provider("main", Dialect::OpenAi, "");
        account.timeouts =
            ProviderTimeouts { connect_ms: 60_000, first_byte_ms: 60_000, idle_ms: 60_000, total_ms: 60_000 };
        let (provider, sidecar) = serving_from(account, vec![route]).await?;
        let mut took = Vec::new();
        for number in 0..5 {
            let left = leave(&provider, &sidecar, fault, pieces).await?;
            let seen = provider.until(|seen| seen[number].end == End::Abandoned).await?;
            took.push(seen[number].ended_at.unwrap_or_default().saturating_sub(left));
        }
        took.sort_unstable();
        // The middle one: a busy machine may be slow to run either process now and then.
        assert!(took[2] <= Duration::from_millis(100), "{fault}: {took:?}");
        let (_, metrics) = sidecar.admin_get("/metrics").await?;
        let left = metrics.lines().find(|line| line.contains("requests_total{") && line.contains("client_left"));
        assert!(left.is_some_and(|line| line.ends_with(" 5")), "{left:?}");
        let cost = metrics.lines().find(|line| line.starts_with("spillway_sidecar_cost_nano_dollars_total{"));
        let cost: u64 = cost.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default();
        assert!(cost > 0, "{fault}: what a provider had begun is charged");
    }
    Ok(())
}
