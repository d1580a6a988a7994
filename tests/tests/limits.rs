//! Limits in a real sidecar: what passes, what waits, what is refused with which numbers, and what comes back.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::client::{CHAT, MESSAGES, Reply, chat, message, request, send, streamed};
use spillway_tests::clock;
use spillway_tests::http1::Connection;
use spillway_tests::operator::Operator;
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::{Dialect, Limit, LimitPer, LimitScope, Queue, Route, Snapshot};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const HOUR_MS: u64 = 3_600_000;
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    provider: Provider,
    sidecar: Sidecar,
}

/// A limit on nothing yet.
fn limit(name: &str) -> Limit {
    Limit {
        scope: LimitScope::Pod,
        name: name.into(),
        per: LimitPer::Route,
        requests: None,
        tokens: None,
        window_ms: HOUR_MS,
        burst: None,
        concurrency: None,
        queue: None,
    }
}

fn requests(name: &str, requests: u64) -> Limit {
    Limit { requests: Some(requests), ..limit(name) }
}

fn queue(depth: u32) -> Option<Queue> {
    Some(Queue { depth, timeout_ms: 20_000 })
}

/// Route `chat` over a backend with this fault, under these limits.
fn limited(fault: &str, limits: Vec<Limit>) -> Route {
    let mut route = Route { limits, ..a_route("chat", vec![a_backend("main", fault)]) };
    route.request.timeout_ms = 25_000;
    route
}

fn snapshot(provider: &Provider, route: Route) -> Snapshot {
    let mut account = a_provider("main", Dialect::OpenAi, &provider.base_url());
    // Longer than any request of a test is held up.
    (account.timeouts.first_byte_ms, account.timeouts.idle_ms, account.timeouts.total_ms) = (30_000, 30_000, 60_000);
    a_snapshot(vec![route], vec![("main", account)])
}

impl World {
    async fn new(fault: &str, limits: Vec<Limit>) -> anyhow::Result<Self> {
        let provider = Provider::start().await?;
        let snapshot = snapshot(&provider, limited(fault, limits));
        let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
        Ok(Self { provider, sidecar })
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<Reply> {
        send(self.sidecar.data, &bytes(path, headers, body)).await
    }

    /// An application that asks and waits for its answer; aborted, it hangs up.
    fn asks(&self, headers: &[(&str, &str)], user: &str) -> JoinHandle<anyhow::Result<Reply>> {
        let mut body = chat("chat");
        body["user"] = user.into();
        let (to, bytes) = (self.sidecar.data, bytes(CHAT, headers, &body));
        tokio::spawn(async move { send(to, &bytes).await })
    }

    /// The first limit of the route, as the admin port shows it.
    async fn shown(&self) -> anyhow::Result<Value> {
        let (_, page) = self.sidecar.admin_get("/debug/limits").await?;
        Ok(serde_json::from_str::<Value>(&page)?["routes"]["shop/chat"][0].clone())
    }

    async fn until_shown(&self, pointer: &str, want: Value) -> anyhow::Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let shown = self.shown().await?;
            if shown.pointer(pointer) == Some(&want) {
                return Ok(());
            }
            anyhow::ensure!(clock::now() < deadline, "{pointer} is not {want}: {shown:#}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The `user`s the provider has seen, in order.
    async fn users(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let seen = self.provider.until(|seen| seen.len() >= count).await?;
        Ok(seen.iter().map(|seen| seen.body["user"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

fn bytes(path: &str, headers: &[(&str, &str)], body: &Value) -> Vec<u8> {
    let all: Vec<(&str, &str)> = [("content-type", "application/json")].iter().chain(headers).copied().collect();
    request("POST", path, &all, body.to_string().as_bytes())
}

fn left(reply: &Reply, of: &str) -> (String, String) {
    let header = |part: &str| reply.header(&format!("x-ratelimit-{part}-{of}")).to_owned();
    (header("limit"), header("remaining"))
}

#[tokio::test]
async fn a_limit_on_requests_says_what_is_left_and_when_there_is_more() -> anyhow::Result<()> {
    let world = World::new("ok", vec![requests("rpm", 2)]).await?;
    for remaining in ["1", "0"] {
        let reply = world.post(CHAT, &[], &chat("chat")).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        assert_eq!(left(&reply, "requests"), ("2".into(), remaining.into()), "{reply:?}");
        let reset = reply.header("x-ratelimit-reset-requests");
        assert!(reset == "1h0m0s" || reset.starts_with("59m"), "{reset}");
    }
    let reply = world.post(CHAT, &[], &chat("chat")).await?;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"), "{reply:?}");
    assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
    assert!(reply.message().starts_with("limit \"rpm\" of route shop/chat allows 2 requests in 1h"), "{reply:?}");
    assert_eq!(left(&reply, "requests"), ("2".into(), "0".into()));
    let seconds: u64 = reply.header("retry-after").parse()?;
    let ms: u64 = reply.header("retry-after-ms").parse()?;
    assert!((3_500..=3_600).contains(&seconds) && ms.div_ceil(1_000) == seconds, "{reply:?}");
    assert_eq!(reply.header("x-should-retry"), "false", "no SDK waits for an hour");
    let reply = world.post(MESSAGES, &[], &message("chat", false)).await?;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")), "{reply:?}");
    assert_eq!(world.provider.seen().len(), 2);
    let (_, metrics) = world.sidecar.admin_get("/metrics").await?;
    for line in [
        "spillway_limit_admitted_total{limit=\"rpm\",route=\"shop/chat\"} 2",
        "spillway_limit_refused_total{limit=\"rpm\",route=\"shop/chat\"} 2",
        "spillway_limit_tenants{limit=\"rpm\",route=\"shop/chat\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    world.sidecar.until_output(|log| log.contains("\"limit\":\"rpm\"")).await
}

#[tokio::test]
async fn tokens_are_settled_by_what_the_provider_billed() -> anyhow::Result<()> {
    let world = World::new("ok", vec![Limit { tokens: Some(1_000), ..limit("tpm") }]).await?;
    let asking = |stream: bool, tokens: u64| {
        let mut body = if stream { streamed("chat") } else { chat("chat") };
        body["max_tokens"] = tokens.into();
        body
    };
    for (done, stream) in [(1, false), (2, true), (3, false)] {
        let reply = world.post(CHAT, &[], &asking(stream, 500)).await?;
        assert_eq!(reply.status, 200, "{reply:?}");
        let (limit, remaining) = left(&reply, "tokens");
        let reserved = 1_000 - (done - 1) * (INPUT_TOKENS + OUTPUT_TOKENS) - remaining.parse::<u64>()?;
        assert!(limit == "1000" && (501..560).contains(&reserved), "{reply:?}");
        world.until_shown("/top/0/used/tokens", json!(done * (INPUT_TOKENS + OUTPUT_TOKENS))).await?;
    }
    let reply = world.post(CHAT, &[], &asking(false, 900)).await?;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"), "{reply:?}");
    assert!(reply.message().contains("allows 1000 tokens in 1h, and there is no room for the 9"), "{reply:?}");
    let reply = world.post(CHAT, &[], &asking(false, 1_001)).await?;
    assert_eq!((reply.status, reply.code().as_str()), (400, "request_exceeds_limit"), "{reply:?}");
    assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), ("false", ""), "it never fits");
    Ok(())
}

#[tokio::test]
async fn what_no_provider_saw_is_given_back() -> anyhow::Result<()> {
    let world = World::new("ok", vec![requests("rpm", 1)]).await?;
    let mut long = chat("chat");
    // So long that an estimate refuses it, too, where a busy machine leaves no time for a count.
    long["messages"][1]["content"] = "word ".repeat(220_000).into();
    let reply = world.post(CHAT, &[], &long).await?;
    assert_eq!((reply.status, reply.code().as_str()), (400, "context_length_exceeded"), "{}", reply.message());
    assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, 200);
    assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, 429);
    Ok(())
}

#[tokio::test]
async fn tenants_do_not_use_each_others_limits() -> anyhow::Result<()> {
    let per = |per: LimitPer| Limit { per, ..requests("tenant", 1) };
    let world = World::new("ok", vec![per(LimitPer::Header("x-tenant".into()))]).await?;
    let long = "x".repeat(3_000);
    let rows = [("a", 200), ("a", 429), ("b", 200), (long.as_str(), 200), (long.as_str(), 429), ("a", 429)];
    for (tenant, want) in rows {
        let reply = world.post(CHAT, &[("x-tenant", tenant)], &chat("chat")).await?;
        assert_eq!(reply.status, want, "{tenant}: {reply:?}");
        assert!(want == 200 || reply.message().contains("for this value of header x-tenant"), "{reply:?}");
        assert!(!reply.message().contains("xxx"), "{reply:?}");
    }
    for want in [200, 429] {
        assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, want, "who names nobody is one tenant");
    }
    let shown = world.shown().await?;
    assert_eq!((&shown["tenants"], &shown["per"]), (&json!(4), &json!("Header x-tenant")));
    let names: Vec<&str> =
        shown["top"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"a") && names.iter().all(|name| name.len() <= 64), "{names:?}");

    let world = World::new("ok", vec![per(LimitPer::User)]).await?;
    let (mut of_a, mut of_b) = (chat("chat"), message("chat", false));
    (of_a["user"], of_b["metadata"]) = ("a".into(), json!({"user_id": "b"}));
    for (path, body, want) in [(CHAT, &of_a, 200), (MESSAGES, &of_b, 200), (CHAT, &of_a, 429), (MESSAGES, &of_b, 429)] {
        assert_eq!(world.post(path, &[], body).await?.status, want, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_serves_in_turns_and_a_client_that_leaves_frees_its_place() -> anyhow::Result<()> {
    let inflight = Limit { window_ms: 0, concurrency: Some(1), queue: queue(4), ..limit("inflight") };
    // It is not this limit that holds anybody up; it says who takes turns.
    let tenant = Limit { per: LimitPer::Header("x-tenant".into()), ..requests("tenant", 1_000) };
    let world = World::new("hang", vec![inflight, tenant]).await?;
    let mut asked = Vec::new();
    let who = [("a", "a1"), ("a", "a2"), ("a", "left"), ("a", "a3"), ("b", "b1")];
    for (waiting, (tenant, name)) in who.into_iter().enumerate() {
        asked.push(world.asks(&[("x-tenant", tenant)], name));
        world.until_shown("/top/0/in_flight", json!(1)).await?;
        world.until_shown("/queue/length", json!(waiting)).await?;
    }
    let full = world.post(CHAT, &[("x-tenant", "a")], &chat("chat")).await?;
    assert_eq!((full.status, full.code().as_str()), (429, "rate_limit_exceeded"), "{full:?}");
    assert!(
        full.message().contains("allows 1 request at a time, and that is used up; its queue of 4 is full"),
        "{full:?}"
    );
    asked[2].abort();
    world.until_shown("/queue/length", json!(3)).await?;
    // Each leaves while the provider works for it, and the next one has its turn.
    for (next, index) in [(2, 0), (3, 1), (4, 4)] {
        asked[index].abort();
        world.users(next).await?;
    }
    assert_eq!(world.users(4).await?, ["a1", "a2", "b1", "a3"]);
    asked[3].abort();
    world.until_shown("/tenants", json!(0)).await?;
    let shown = world.shown().await?;
    assert_eq!((&shown["queued"], &shown["refused"], &shown["queue"]["length"]), (&json!(4), &json!(1), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn who_waits_is_answered_later_and_who_cannot_be_is_told_at_once() -> anyhow::Result<()> {
    let inflight = Limit { window_ms: 0, concurrency: Some(1), queue: queue(9), ..limit("inflight") };
    let world = World::new("late-300", vec![inflight]).await?;
    let both = [world.asks(&[], "1"), world.asks(&[], "2")];
    for reply in both {
        let reply = reply.await??;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        let overhead: u64 = reply.header("x-spillway-overhead-us").parse()?;
        assert!(overhead < 300_000, "a wait is no overhead: {overhead}");
    }
    world.sidecar.until_output(|log| log.contains("\"queued_us\":")).await?;
    let (_, metrics) = world.sidecar.admin_get("/metrics").await?;
    assert!(metrics.contains("spillway_limit_queue_wait_seconds_count{limit=\"inflight\",route=\"shop/chat\"} 1"));

    let hourly = Limit { queue: queue(9), ..requests("hourly", 1) };
    let world = World::new("ok", vec![hourly]).await?;
    assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, 200);
    let before = clock::now();
    let reply = world.post(CHAT, &[], &chat("chat")).await?;
    assert!(clock::now() - before < Duration::from_secs(10), "it does not wait for what comes too late");
    assert_eq!(reply.status, 429);
    assert!(reply.message().contains("may wait for 20s and would not be served by then; try again in "), "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn a_config_push_hands_out_nothing_anew() -> anyhow::Result<()> {
    let world = World::new("ok", vec![requests("rpm", 2)]).await?;
    for want in [200, 200, 429] {
        assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, want);
    }
    let push = async |limits: Vec<Limit>| {
        let bound = json!(limits[0].requests);
        world.sidecar.replace_snapshot(&serde_json::to_vec(&snapshot(&world.provider, limited("ok", limits)))?)?;
        world.until_shown("/requests", bound).await
    };
    push(vec![requests("rpm", 3)]).await?;
    for want in [200, 429] {
        assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, want, "three in all, not three more");
    }
    push(vec![requests("rpm", 1)]).await?;
    assert_eq!(world.post(CHAT, &[], &chat("chat")).await?.status, 429);
    Ok(())
}

#[tokio::test]
async fn made_up_tenants_do_not_grow_the_sidecar() -> anyhow::Result<()> {
    const MADE_UP: usize = 12_000;
    const CONNECTIONS: usize = 8;
    let tenant = Limit { per: LimitPer::Header("x-tenant".into()), ..requests("tenant", 1) };
    let world = World::new("ok", vec![tenant]).await?;
    assert_eq!(world.post(CHAT, &[("x-tenant", "first")], &chat("chat")).await?.status, 200);
    let before = world.sidecar.process.resident_bytes();
    let to = world.sidecar.data;
    let workers: Vec<JoinHandle<anyhow::Result<usize>>> = (0..CONNECTIONS)
        .map(|worker| {
            tokio::spawn(async move {
                let mut connection = Connection::new(TcpStream::connect(to).await?)?;
                let mut passed = 0;
                for number in (worker..MADE_UP).step_by(CONNECTIONS) {
                    let name = format!("{number}-{}", "x".repeat(1_000));
                    connection.write(&bytes(CHAT, &[("x-tenant", &name)], &chat("chat"))).await?;
                    let head = connection.head().await?.ok_or_else(|| anyhow::anyhow!("closed"))?;
                    connection.body(head.framing()).await?;
                    passed += usize::from(head.status() == 200);
                }
                Ok(passed)
            })
        })
        .collect();
    let mut passed = 0;
    for worker in workers {
        passed += worker.await??;
    }
    // The bound of 10,000, one for all others, less the first one of all.
    assert_eq!(passed, 10_000, "who is beyond the bound shares one limit");
    let grown = world.sidecar.process.resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "grown by {grown} bytes");
    assert_eq!(world.post(CHAT, &[("x-tenant", "one more")], &chat("chat")).await?.status, 429);
    Ok(())
}

#[tokio::test]
async fn limits_that_are_written_in_yaml_hold() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let account = format!(
        "
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {{name: main, namespace: shop}}
spec:
  type: OpenAICompatible
  endpoint: {}
  allowInsecure: true
  credentials: {{none: {{}}}}
  models: [{{name: ok, contextWindow: 8192}}]
",
        provider.base_url()
    );
    let route = "
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat, namespace: shop}
spec:
  backends: [{name: ok, providerRef: {name: main}, model: ok}]
  limits:
  - {name: tenants, per: Header, header: X-Tenant, requests: 2, window: 1h, burst: 1}
  - {name: users, per: User, tokens: 5000, window: 1h}
  - {name: at-once, concurrency: 9, queue: {depth: 9, timeout: 5s}}
";
    let operator = Operator::start(&[("provider.yaml", account.as_str()), ("route.yaml", route)]).await?;
    let sidecar = operator.sidecar("a").await?;
    let mut body = chat("chat");
    body["max_tokens"] = 100.into();
    for (tenant, want) in [("a", 200), ("a", 429), ("b", 200)] {
        let reply = send(sidecar.data, &bytes(CHAT, &[("x-tenant", tenant)], &body)).await?;
        assert_eq!(reply.status, want, "{tenant}: {reply:?}");
        assert_eq!(left(&reply, "requests").0, "2", "{reply:?}");
        let wait = reply.header("retry-after");
        assert!(
            want == 200 || (1_790..=1_800).contains(&wait.parse::<u64>()?),
            "half of it in half an hour: {reply:?}"
        );
    }
    Ok(())
}
