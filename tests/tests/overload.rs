//! Ten times as many requests as the sidecar can take, in the memory of a small container: it lives, it answers what it has
//! taken on, and it turns the rest away in words an SDK understands.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use spillway_tests::cgroup::MemoryGroup;
use spillway_tests::client::{CHAT, Reply, chat, request, send};
use spillway_tests::paced::{answered, percentile};
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::Dialect;
use tokio::task::JoinSet;

const MEMORY: u64 = 64 << 20;
/// What a sidecar of this size takes on at once: a quarter of its memory, 64 KiB a request.
const CAPACITY: usize = 256;
/// The provider's answers take so long that all requests of a round are there together.
const MODEL: &str = "late-1000";

/// A sidecar in a container of [`MEMORY`]. Dropped in this order.
struct World {
    sidecar: Sidecar,
    provider: Provider,
    /// What ends the sidecar if it takes more. None: nobody here may make one, and what it takes is measured.
    group: Option<MemoryGroup>,
}

// === impl World ===

impl World {
    async fn new() -> anyhow::Result<Self> {
        let provider = Provider::start().await?;
        let mut account = a_provider("main", Dialect::OpenAi, &provider.base_url());
        account.timeouts.first_byte_ms = 30_000;
        account.timeouts.total_ms = 60_000;
        let mut route = a_route("chat", vec![a_backend("main", MODEL)]);
        route.request.timeout_ms = 60_000;
        let snapshot = a_snapshot(vec![route], vec![("main", account)]);
        let group = MemoryGroup::new(MEMORY);
        let program = program("spillway-sidecar")?;
        let command = group.as_ref().map_or_else(|| Command::new(&program), |group| group.command(&program));
        let sidecar = Sidecar::configured(command, &snapshot).await?;
        Ok(Self { sidecar, provider, group })
    }

    /// So many requests at once.
    async fn round(&self, requests: usize, request: &Arc<[u8]>) -> anyhow::Result<Vec<Reply>> {
        let mut calls = JoinSet::new();
        for _ in 0..requests {
            let (to, request) = (self.sidecar.data, Arc::clone(request));
            calls.spawn(async move { send(to, &request).await });
        }
        let mut replies = Vec::with_capacity(requests);
        while let Some(reply) = calls.join_next().await {
            replies.push(reply??);
        }
        Ok(replies)
    }
}

/// A prompt of 16 KB, as chats with some history have them.
fn prompt() -> Arc<[u8]> {
    let mut body = chat("chat");
    body["messages"][1]["content"] = "all work and no play ".repeat(800).into();
    request("POST", CHAT, &[("content-type", "application/json")], body.to_string().as_bytes()).into()
}

/// An SDK understands it, and knows when to come back.
fn is_well_formed(refusal: &Reply) -> bool {
    let seconds = refusal.header("retry-after").parse::<u32>();
    let words = !refusal.message().is_empty() && refusal.code() == "overloaded";
    refusal.status == 503 && refusal.whole && words && seconds.is_ok_and(|seconds| (1..=60).contains(&seconds))
}

#[tokio::test]
async fn ten_times_its_capacity_neither_kills_a_small_sidecar_nor_makes_it_rude() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    let request = prompt();
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..3 {
        let replies = world.round(10 * CAPACITY, &request).await;
        let status = world.sidecar.process.exited();
        assert!(
            status.is_none(),
            "{status:?}, {} KiB:\n{}",
            world.sidecar.process.peak_bytes() >> 10,
            world.sidecar.output()
        );
        for reply in replies? {
            if reply.status == 200 {
                assert_eq!(reply.text(), ANSWER);
                answered += 1;
            } else {
                assert!(is_well_formed(&reply), "{reply:?}");
                refused += 1;
            }
        }
    }
    let peak = world.sidecar.process.peak_bytes();
    println!("{answered} answered, {refused} refused, at most {} KiB of memory", peak >> 10);
    assert!(world.group.is_some() || peak <= MEMORY, "{peak}");
    assert!(answered >= CAPACITY && refused > answered, "{answered} answered, {refused} refused");
    assert_eq!(world.provider.seen().len(), answered, "what is refused costs nothing");
    let after = send(world.sidecar.data, &request).await?;
    assert_eq!((after.status, after.text().as_str()), (200, ANSWER), "{after:?}");
    Ok(())
}

/// Latency is measured on purpose only, by `make bench`.
#[tokio::test]
#[ignore = "measures time, which tests that share a machine cannot"]
async fn what_is_accepted_under_overload_takes_no_longer() -> anyhow::Result<()> {
    let world = World::new().await?;
    let p99 = |rate: u32| p99(&world, rate);
    let calm = p99(CAPACITY as u32 / 2).await?;
    let overloaded = p99(CAPACITY as u32 * 10).await?;
    let ratio = overloaded.as_secs_f64() / calm.as_secs_f64();
    println!("p99 of what is accepted: {calm:?} at half of the capacity, {overloaded:?} at ten times the capacity");
    println!("{} overload: p99, ratio {ratio:.2} (goal: at most 1.5)", if ratio <= 1.5 { "met   " } else { "MISSED" });
    assert!(ratio <= 1.5, "{calm:?} and {overloaded:?}");
    Ok(())
}

/// Of the accepted ones among so many requests a second.
async fn p99(world: &World, rate: u32) -> anyhow::Result<Duration> {
    Ok(percentile(&answered(world.sidecar.data, &prompt(), rate, 10).await?, 99))
}
