//! Three replicas and twenty sidecars with the network, the clocks and the processes against them: whatever a seed does,
//! what is spent and set aside together never exceeds the budget, and no window sees more than the limit.
//!
//! Replicas run the bank with its loop, its ledger and its names; sidecars the holder and the wire's messages, on simulated
//! hosts whose links break in one direction or both and whose processes end at any moment. `SPILLWAY_SEED=N` repeats the
//! faults and requests of one seed (which of two tasks runs first is tokio's choice); `SPILLWAY_SEEDS=N` sets how many
//! there are.

pub(in crate::quota) mod api;
mod faults;
mod lines;
mod member;
mod observer;
mod replica;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use faults::Faults;
use observer::Observer;

use crate::resources::world::SHOP;

/// Simulated.
const LENGTH: Duration = Duration::from_secs(120);
const REPLICAS: [&str; 3] = ["replica-0", "replica-1", "replica-2"];
const MEMBERS: usize = 20;
const LIMIT: u64 = 10_000_000_000;
/// The most one request costs.
const DEAREST: u64 = 8_000_000;
/// How often each sidecar asks, on average: more than twice what there is, together.
const PAUSE: Duration = Duration::from_millis(215);

/// Requests in any window, fleet-wide; more than twice as many are asked for.
const RATE: u64 = 400;
const WINDOW: Duration = Duration::from_secs(10);

/// As many as fit among the other tests; `make bench-seeds` has more.
const SEEDS: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Links break, processes end.
    Foul,
}

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    spent: u64,
    refused: u64,
    /// Of all windows, the one with the most requests.
    busiest: u64,
    /// Requests that passed the limit.
    passes: u64,
}

fn name(member: usize) -> String {
    format!("member-{member}")
}

/// A route with a limit, whose parts last as long as sidecars may think by the seed.
fn limited(seed: u64) -> String {
    let loss = ["Hold", "Floor", "Deny"][usize::try_from(seed % 3).unwrap_or(0)];
    let limit = format!("{{name: team, scope: Fleet, requests: {RATE}, window: 10s, onControlPlaneLoss: {loss}}}");
    SHOP.replace("  backends:\n", &format!("  limits: [{limit}]\n  backends:\n"))
}

fn play(seed: u64, weather: Weather) -> Outcome {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(LENGTH + Duration::from_secs(60))
        .tick_duration(Duration::from_millis(25))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(40))
        .tcp_capacity(1 << 16)
        .enable_random_order()
        .build();
    let observer = Observer::new(seed, LIMIT);
    let api = api::State::default();
    sim.host(api::HOST, move || api::serve(api.clone()));
    for (index, host) in REPLICAS.into_iter().enumerate() {
        let observer = observer.clone();
        sim.host(host, move || replica::serve(index, observer.clone()));
    }
    for index in 0..MEMBERS {
        let (observer, disk) = (observer.clone(), member::Disk::default());
        sim.host(name(index), move || member::run(index, disk.clone(), observer.clone()));
    }
    let mut faults = Faults::new(seed);
    while sim.elapsed() < LENGTH {
        if weather == Weather::Foul {
            faults.strike(&mut sim);
        }
        sim.step().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let outcome = observer.outcome();
    assert!(outcome.spent <= LIMIT, "seed {seed}: {outcome:?} of {LIMIT}");
    outcome
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_overspent_and_no_window_passes_its_limit_whatever_breaks() {
    let (first, count) = match number("SPILLWAY_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("SPILLWAY_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < first + count) {
                    let Outcome { spent, refused, busiest, passes } = play(seed, Weather::Foul);
                    let part = spent as f64 * 100.0 / LIMIT as f64;
                    println!("seed {seed}: {part:.1} % spent, {refused} refused; {passes} passed, {busiest} at most of {RATE}");
                    assert!(spent > LIMIT / 4, "seed {seed}: hardly anything was spent, {spent} of {LIMIT}");
                }
            });
        }
    });
}

#[test]
fn in_fair_weather_nearly_all_of_it_is_spent() {
    let outcome = play(1, Weather::Fair);
    assert!(outcome.spent >= LIMIT / 100 * 98, "{outcome:?} of {LIMIT}");
    let windows = (LENGTH.as_secs() / WINDOW.as_secs()) - 1;
    assert!(outcome.passes >= RATE * windows * 3 / 4, "{outcome:?} of {RATE} in each of {windows} windows");
}
