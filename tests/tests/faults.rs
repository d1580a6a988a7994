//! The sixteen faults: what the application got, and what the provider saw. One FallbackPolicy for all of them, compiled by
//! the operator, with the settings an operator gives a route that sets nothing. Where that is not enough for an answer,
//! the test has the route `hold` its streams, and says so.
//!
//! Time is real here, because both programs are: the whole takes as long as its slowest fault, an outage of a minute.

use std::time::Duration;

use serde_json::Value;
use spillway_tests::client::{CHAT, Reply, chat, post, streamed};
use spillway_tests::operator::Operator;
use spillway_tests::provider::{ANSWER, End, Provider, Seen, words};
use spillway_tests::sidecar::Sidecar;

const POLICY: &str = "
apiVersion: spillway.dev/v1alpha1
kind: FallbackPolicy
metadata: {name: chat, namespace: shop}
spec:
  targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}]
  contextWindow: {onExceeded: LargerModel}
  fallbacks:
  - {onErrors: [ContextWindowExceeded], to: [spare]}
  - {onErrors: [RateLimited, Timeout, ServiceUnavailable, ConnectionError, InternalServerError], to: [spare]}
  retries: {attempts: 2}
";

/// Both backends cost $1 per million tokens of the prompt and $10 per million of the answer: 100 and 20 of them.
const COST_NANOS: u64 = 300_000;
/// What a model of the spare is called that takes any request.
const WELL: &str = "well";

const SECOND: Duration = Duration::from_secs(1);

/// A route whose first backend has a fault and whose spare has none.
struct World {
    primary: Provider,
    spare: Provider,
    sidecar: Sidecar,
    _operator: Operator,
}

/// An answer and how long it took.
struct Answered {
    reply: Reply,
    took: Duration,
}

// === impl World ===

impl World {
    /// With the settings a route has that sets nothing.
    async fn with(fault: &str) -> anyhow::Result<Self> {
        Self::new(fault, WELL, "").await
    }

    /// With streams that are held back as a whole.
    async fn holding(fault: &str) -> anyhow::Result<Self> {
        Self::new(fault, WELL, "streaming: {hold: {bytes: 1048576}}").await
    }

    async fn new(fault: &str, spare_model: &str, streaming: &str) -> anyhow::Result<Self> {
        let (primary, spare) = (Provider::start().await?, Provider::start().await?);
        let resources = [
            account("primary", &primary, fault, 8_192),
            account("spare", &spare, spare_model, 1_000_000),
            format!(
                "
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {{name: chat, namespace: shop}}
spec:
  backends:
  - {{name: primary, providerRef: {{name: primary}}, model: {fault}}}
  - {{name: spare, providerRef: {{name: spare}}, model: {spare_model}, role: Fallback}}
  {streaming}
"
            ),
            POLICY.to_owned(),
        ];
        let operator = Operator::start(&[("shop.yaml", &resources.join("---"))]).await?;
        let sidecar = operator.sidecar("app").await?;
        Ok(Self { primary, spare, sidecar, _operator: operator })
    }

    async fn ask(&self, body: &Value) -> anyhow::Result<Answered> {
        let before = self.primary.now();
        let reply = post(self.sidecar.data, CHAT, body).await?;
        Ok(Answered { reply, took: self.primary.now() - before })
    }

    /// How many requests reached the primary and the spare.
    fn attempts(&self) -> (usize, usize) {
        (self.primary.seen().len(), self.spare.seen().len())
    }

    /// What an answer of a backend has cost so far, in billionths of a dollar.
    async fn cost_nanos(&self, backend: &str) -> anyhow::Result<u64> {
        self.metric("spillway_sidecar_cost_nano_dollars_total", backend).await
    }

    /// The sum of a family's series of one backend.
    async fn metric(&self, name: &str, backend: &str) -> anyhow::Result<u64> {
        let (_, metrics) = self.sidecar.admin_get("/metrics").await?;
        let label = format!("backend=\"{backend}\"");
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }
}

fn account(name: &str, provider: &Provider, model: &str, window: u64) -> String {
    let endpoint = provider.base_url();
    format!(
        "
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {{name: {name}, namespace: shop}}
spec:
  type: OpenAICompatible
  endpoint: {endpoint}
  allowInsecure: true
  credentials: {{none: {{}}}}
  models:
  - {{name: {model}, contextWindow: {window}, maxOutputTokens: 1024, tokenizer: o200k_base,
     pricing: {{inputPerMillion: \"1\", outputPerMillion: \"10\"}}}}
"
    )
}

/// A stream with usage at its end.
fn streamed_with_usage() -> Value {
    let mut body = streamed("chat");
    body["stream_options"] = serde_json::json!({"include_usage": true});
    body
}

fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect()
}

// === impl Answered ===

impl Answered {
    /// The whole answer, by this backend, and every event of a stream readable.
    #[track_caller]
    fn is_from(&self, backend: &str, text: &str) {
        let reply = &self.reply;
        let at = format!("{:?}: {reply:?}", self.took);
        assert_eq!((reply.status, reply.header("x-spillway-backend")), (200, backend), "{at}");
        assert_eq!(reply.text(), text, "{at}");
        if reply.header("content-type").starts_with("text/event-stream") {
            assert!(reply.is_complete() && !reply.has_error_event(), "{at}");
            // The last one is `[DONE]`, as a complete stream has it.
            for event in reply.events().iter().rev().skip(1) {
                assert!(serde_json::from_str::<Value>(event).is_ok(), "{event:?} in {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_429_with_retry_after_2_once() -> anyhow::Result<()> {
    let world = World::with("once-429-after-2").await?;
    let answered = world.ask(&chat("chat")).await?;
    assert_eq!((answered.reply.status, answered.reply.text().as_str()), (200, ANSWER), "{:?}", answered.reply);
    let (primary, spare) = (world.primary.seen(), world.spare.seen());
    assert!(gaps(&primary).iter().all(|gap| *gap >= Duration::from_millis(1_800)), "{:?}", gaps(&primary));
    let first = primary[0].at;
    let early = primary.iter().filter(|seen| seen.at - first < 3 * SECOND / 2).count();
    assert!(early + spare.len() <= 2, "{early} and {}", spare.len());
    Ok(())
}

#[tokio::test]
async fn a_429_without_retry_after_that_persists() -> anyhow::Result<()> {
    let world = World::with("status-429").await?;
    let answered = world.ask(&chat("chat")).await?;
    answered.is_from("spare", ANSWER);
    assert_eq!(answered.reply.header("x-spillway-fallback-reason"), "RateLimited");
    let primary = world.primary.seen();
    let early = primary.iter().filter(|seen| seen.at - primary[0].at < 3 * SECOND).count();
    let (at_primary, at_spare) = world.attempts();
    assert!(early + at_spare <= 4 && at_primary + at_spare <= 6, "{early} early, {at_primary} and {at_spare} in all");
    Ok(())
}

#[tokio::test]
async fn a_500_once() -> anyhow::Result<()> {
    let world = World::with("once-500").await?;
    world.ask(&chat("chat")).await?.is_from("primary", ANSWER);
    assert_eq!(world.attempts(), (2, 0));
    Ok(())
}

#[tokio::test]
async fn a_503_that_persists() -> anyhow::Result<()> {
    let world = World::with("status-503").await?;
    world.ask(&chat("chat")).await?.is_from("spare", ANSWER);
    let (primary, spare) = world.attempts();
    assert!(primary + spare <= 6, "{primary} and {spare}");
    Ok(())
}

#[tokio::test]
async fn a_reset_before_the_headers() -> anyhow::Result<()> {
    let world = World::with("reset").await?;
    world.ask(&streamed("chat")).await?.is_from("spare", ANSWER);
    let (primary, spare) = world.attempts();
    assert!(primary + spare <= 6, "{primary} and {spare}");
    Ok(())
}

#[tokio::test]
async fn a_provider_that_never_responds() -> anyhow::Result<()> {
    let world = World::with("hang").await?;
    let answered = world.ask(&streamed("chat")).await?;
    answered.is_from("spare", ANSWER);
    assert_eq!(world.attempts(), (1, 1));
    assert!(answered.took < 15 * SECOND, "{:?}", answered.took);
    world.primary.until(|seen| seen[0].end == End::Abandoned).await?;
    Ok(())
}

#[tokio::test]
async fn headers_now_and_the_first_token_after_20_seconds() -> anyhow::Result<()> {
    let world = World::with("late-20000").await?;
    let answered = world.ask(&streamed("chat")).await?;
    answered.is_from("spare", ANSWER);
    assert_eq!(world.attempts(), (1, 1));
    assert!(answered.took < 15 * SECOND, "{:?}", answered.took);
    Ok(())
}

#[tokio::test]
async fn a_stream_cut_at_token_40_of_60() -> anyhow::Result<()> {
    let world = World::with("cut-40-of-60").await?;
    let reply = world.ask(&streamed("chat")).await?.reply;
    assert_eq!((reply.status, reply.text()), (200, words(40)), "{reply:?}");
    assert!(reply.has_error_event() && !reply.is_complete(), "{reply:?}");
    assert_eq!(world.attempts(), (1, 0), "no second answer is glued to the first");

    // Needs `hold` for a whole answer.
    let world = World::holding("cut-40-of-60").await?;
    world.ask(&streamed("chat")).await?.is_from("spare", ANSWER);
    let (primary, spare) = world.attempts();
    assert!(primary <= 3 && spare == 1, "{primary} and {spare}");
    assert!(world.cost_nanos("primary").await? > 0, "what was thrown away is paid for, and said");
    assert_eq!(world.cost_nanos("spare").await?, COST_NANOS);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_stalls_for_30_seconds_after_20_tokens() -> anyhow::Result<()> {
    let default = async {
        let world = World::with("pause-20-of-60-for-30").await?;
        let answered = world.ask(&streamed("chat")).await?;
        answered.is_from("primary", &words(60));
        assert!(answered.took >= 30 * SECOND, "{:?}", answered.took);
        assert_eq!(world.attempts(), (1, 0));
        let afterwards = world.ask(&streamed("chat")).await?;
        afterwards.is_from("primary", &words(60));
        assert!(afterwards.took < 10 * SECOND, "{:?}", afterwards.took);
        anyhow::Ok(())
    };
    // Who does not want to wait holds streams back and says how long is too long.
    let impatient = async {
        let streaming = "streaming: {idleTimeout: 5s, hold: {bytes: 1048576}}";
        let world = World::new("pause-20-of-60-for-30", WELL, streaming).await?;
        let answered = world.ask(&streamed("chat")).await?;
        answered.is_from("spare", ANSWER);
        assert!(answered.took < 15 * SECOND, "{:?}", answered.took);
        assert_eq!(world.attempts(), (1, 1));
        world.ask(&streamed("chat")).await?.is_from("primary", &words(60));
        Ok(())
    };
    tokio::try_join!(default, impatient)?;
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_no_json_as_the_tenth() -> anyhow::Result<()> {
    let world = World::with("garble-9").await?;
    world.ask(&streamed("chat")).await?.is_from("primary", ANSWER);
    assert_eq!(world.attempts(), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_stream_without_done() -> anyhow::Result<()> {
    for fault in ["no-end", "open-end"] {
        let world = World::with(fault).await?;
        let answered = world.ask(&streamed_with_usage()).await?;
        answered.is_from("primary", ANSWER);
        assert!(answered.took < 8 * SECOND, "{fault}: {:?}", answered.took);
        assert!(answered.reply.events().iter().any(|event| event.contains("\"total_tokens\":120")), "{fault}");
        assert_eq!((world.attempts(), world.cost_nanos("primary").await?), ((1, 0), COST_NANOS), "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn a_prompt_that_the_provider_finds_too_long() -> anyhow::Result<()> {
    let world = World::with("window").await?;
    let answered = world.ask(&chat("chat")).await?;
    answered.is_from("spare", ANSWER);
    assert_eq!(answered.reply.header("x-spillway-fallback-reason"), "ContextWindowExceeded");
    assert_eq!(world.attempts(), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_prompt_that_the_provider_filters() -> anyhow::Result<()> {
    let world = World::with("filter").await?;
    for body in [chat("chat"), streamed("chat")] {
        let reply = world.ask(&body).await?.reply;
        assert_eq!((reply.status, reply.code().as_str()), (400, "content_filter"), "{reply:?}");
        assert!(reply.message().contains("triggered the content policy"), "{reply:?}");
    }
    assert_eq!(world.attempts(), (2, 0), "one for each");
    Ok(())
}

#[tokio::test]
async fn a_cut_stream_whose_fallback_takes_no_prefill() -> anyhow::Result<()> {
    let world = World::new("cut-40-of-60", "no-prefill", "").await?;
    let reply = world.ask(&streamed("chat")).await?.reply;
    assert!(reply.status == 200 && reply.has_error_event() && !reply.is_complete(), "{reply:?}");
    assert!(!String::from_utf8_lossy(&reply.body).contains("prefill"), "{reply:?}");

    // Needs `hold` for a whole answer.
    let world = World::new("cut-40-of-60", "no-prefill", "streaming: {hold: {bytes: 1048576}}").await?;
    world.ask(&streamed("chat")).await?.is_from("spare", ANSWER);
    let asked = &world.spare.seen()[0].body["messages"];
    assert_eq!(asked, &streamed("chat")["messages"], "the very messages of the application");
    Ok(())
}

#[tokio::test]
async fn what_a_failover_reports_and_bills() -> anyhow::Result<()> {
    let world = World::with("status-500").await?;
    let answered = world.ask(&chat("chat")).await?;
    answered.is_from("spare", ANSWER);
    let reply = answered.reply;
    assert_eq!((reply.header("x-spillway-provider"), reply.header("x-spillway-model")), ("shop/spare", WELL));
    assert_eq!(reply.header("x-spillway-cost-usd"), "0.0003");
    assert_eq!(reply.header("x-spillway-attempts"), (world.attempts().0 + 1).to_string());
    assert_eq!(reply.json()["usage"]["total_tokens"], 120);
    assert_eq!(world.cost_nanos("spare").await?, COST_NANOS);
    assert_eq!(world.cost_nanos("primary").await?, 0, "failed attempts are not billed");
    Ok(())
}

/// Called so that it is started first: nothing else takes as long.
#[tokio::test]
async fn a_60_second_outage_of_the_primary() -> anyhow::Result<()> {
    /// Failures in a row after which a backend is left alone, if nothing else is set.
    const THRESHOLD: usize = 5;
    let world = World::with(WELL).await?;
    world.ask(&chat("chat")).await?.is_from("primary", ANSWER);
    world.primary.go_down();
    let down = world.primary.now();
    let mut every = tokio::time::interval(3 * SECOND);
    for number in 0..20 {
        every.tick().await;
        let reply = world.ask(&chat("chat")).await?.reply;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "request {number}: {reply:?}");
    }
    every.tick().await;
    world.primary.come_back();
    let back = world.primary.now();
    let seen = world.primary.seen();
    let probes = seen.iter().filter(|seen| seen.at >= down && seen.at < back).count().saturating_sub(THRESHOLD);
    assert!(probes <= 3, "{probes} probes: {:?}", seen.iter().map(|seen| seen.at).collect::<Vec<_>>());
    assert!(back - down >= 59 * SECOND, "{:?}", back - down);
    let mut every = tokio::time::interval(SECOND);
    loop {
        every.tick().await;
        let reply = world.ask(&chat("chat")).await?.reply;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        if reply.header("x-spillway-backend") == "primary" {
            return Ok(());
        }
        let waited = world.primary.now() - back;
        assert!(waited < 30 * SECOND, "not back on the primary after {waited:?}");
    }
}
