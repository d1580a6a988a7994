//! Prompts that are made to be hard to count: whoever sends one waits for it himself, and nobody else does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::bench::median;
use spillway_tests::client::{CHAT, Reply, chat, request, send};
use spillway_tests::paced::{answered, percentile};
use spillway_tests::process::program;
use spillway_tests::provider::Provider;
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_model, a_provider, a_route, a_snapshot};
use spillway_wire::{Dialect, OnExceeded, Tokenizer};

const MEGABYTE: usize = 1 << 20;

/// What a megabyte is of, and the route it is sent to: one counts it and says no, the other makes it fit.
const HOSTILE: [(&str, &str, &str); 8] = [
    ("one letter", "a", "counts"),
    ("spaces", " ", "counts"),
    ("emoji", "😀", "counts"),
    ("brackets", "[", "counts"),
    ("accents", "\u{301}", "counts"),
    ("words to cut", "word ", "cuts"),
    ("emoji to cut", "😀", "cuts"),
    ("messages to leave out", "", "cuts"),
];

/// Small requests a second, beside one of those.
const RATE: u32 = 200;

/// How long small requests are alone, and then not, in turn: as often as it takes each of [`HOSTILE`] to have come thrice.
const SECONDS: u32 = if cfg!(debug_assertions) { 1 } else { 2 };
const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 12 };

async fn sidecar() -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let route = |name: &str, model: &str, window: u64, tokenizer: Tokenizer, on_exceeded: OnExceeded| {
        let mut route = a_route(name, vec![a_backend("main", model)]);
        route.backends[0].model = a_model(model, window);
        route.backends[0].model.tokenizer = tokenizer;
        route.context_window.on_exceeded = on_exceeded;
        route
    };
    let routes = vec![
        route("chat", "small", 128_000, Tokenizer::O200kBase, OnExceeded::Reject),
        // No bound decides: a megabyte is at least 8,000 tokens, and less than a million.
        route("counts", "large", 20_000, Tokenizer::O200kBase, OnExceeded::Reject),
        route("cuts", "large", 10_000, Tokenizer::O200kBase, OnExceeded::Truncate),
    ];
    let account = a_provider("main", Dialect::OpenAi, &provider.base_url());
    let snapshot = a_snapshot(routes, vec![("main", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

/// A megabyte that has not been counted before.
fn hostile(number: usize) -> (&'static str, Vec<u8>) {
    let (name, unit, route) = HOSTILE[number % HOSTILE.len()];
    let message = |text: String| json!({"role": "user", "content": text});
    let messages: Vec<Value> = match unit {
        "" => (0..MEGABYTE / 64).map(|at| message(format!("{number} {at} x"))).collect(),
        unit => vec![message(format!("{number} {}", unit.repeat(MEGABYTE / unit.len())))],
    };
    let body = json!({"model": route, "messages": messages}).to_string();
    (name, request("POST", CHAT, &[("content-type", "application/json")], body.as_bytes()))
}

fn small() -> Arc<[u8]> {
    request("POST", CHAT, &[("content-type", "application/json")], chat("chat").to_string().as_bytes()).into()
}

/// Both are answers: a prompt that was counted does not fit, and one that was made to fit is sent on.
fn is_answer(reply: &Reply) -> bool {
    reply.status == 200 || (reply.status, reply.code().as_str()) == (400, "context_length_exceeded")
}

/// Latency is measured on purpose only, by `make bench`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures time, which tests that share a machine cannot"]
async fn a_hostile_prompt_each_second_leaves_small_requests_alone() -> anyhow::Result<()> {
    let (_provider, sidecar) = sidecar().await?;
    let (to, small) = (sidecar.data, small());
    // What it costs the sidecar alone. The first of all loads the vocabulary.
    send(to, &hostile(0).1).await?;
    for number in HOSTILE.len()..2 * HOSTILE.len() {
        let (name, prompt) = hostile(number);
        let before = sidecar.process.cpu_nanos();
        let reply = send(to, &prompt).await?;
        let millis = sidecar.process.cpu_nanos().saturating_sub(before) as f64 / 1e6;
        assert!(is_answer(&reply), "{name}: {reply:?}");
        println!("       a megabyte of {name}: {} after {millis:.1} ms of CPU", reply.status);
    }
    let [mut calm, mut beside] = [Vec::new(), Vec::new()];
    let mut number = 2 * HOSTILE.len();
    for _ in 0..ROUNDS {
        calm.push(answered(to, &small, RATE, SECONDS).await?);
        let first = number;
        number += SECONDS as usize;
        let prompts: Vec<Vec<u8>> = (first..number).map(|number| hostile(number).1).collect();
        let sending = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(1));
            for prompt in prompts {
                every.tick().await;
                anyhow::ensure!(is_answer(&send(to, &prompt).await?), "refused for another reason than its length");
            }
            Ok(())
        });
        beside.push(answered(to, &small, RATE, SECONDS).await?);
        sending.await??;
    }
    let answers = beside.iter().map(Vec::len).sum::<usize>();
    assert_eq!(answers, RATE as usize * SECONDS as usize * ROUNDS, "every small one was answered");
    // The median of the rounds: where a machine stands still for a moment, it spoils a round, whoever's turn it is.
    let typical = |rounds: &[Vec<Duration>], percent| {
        median(rounds.iter().map(|took| percentile(took, percent).as_secs_f64() * 1e3).collect())
    };
    for (name, percent) in [("p50", 50), ("p99", 99), ("the slowest", 100)] {
        let [calm, beside] = [&calm, &beside].map(|rounds| typical(rounds, percent));
        println!("       small requests, {name}: {calm:.2} ms alone, {beside:.2} ms with a hostile one each second");
    }
    let [calm, beside] = [&calm, &beside].map(|rounds| typical(rounds, 99));
    let (ratio, goal) = (beside / calm, 2.0);
    println!(
        "{} hostile prompts: p99, ratio {ratio:.2} (goal: at most {goal})",
        if ratio <= goal { "met   " } else { "MISSED" }
    );
    assert!(ratio <= goal || cfg!(debug_assertions), "{ratio}");
    Ok(())
}
