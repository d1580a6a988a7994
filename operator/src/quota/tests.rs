//! The bank as a whole: sidecars' holders at one end, a store at the other, on a paused clock.

mod bench;
mod breakers;
mod fold;
mod periods;
pub(super) mod sidecar;
pub(super) mod turmoil;
mod values;

use std::time::Duration;

use jiff::Timestamp;
use spillway_policy::quota::Refusal;
use spillway_wire::{AccountName, Counts, RateName, RateOf};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::changes::Changes;
use crate::compile::compile;
use crate::lease;
use crate::metrics::Metrics;
use crate::pods::{PodEntry, Pods};
use crate::publish::Publisher;
use crate::resources::world::{SHOP, object, world};
use sidecar::Sidecar;

const NOON: &str = "2026-11-21T12:00:00Z";
const SECOND: u64 = 1_000_000_000;
const DOLLAR: u64 = 1_000_000_000;

/// One replica that leads, and a sidecar that listens to all it says.
struct World {
    bank: Bank,
    pods: Pods,
    store: Store,
    lines: broadcast::Receiver<Bytes>,
    stop: CancellationToken,
    start: tokio::time::Instant,
}

pub(super) fn pod(uid: &str) -> PodEntry {
    PodEntry {
        uid: uid.into(),
        namespace: "shop".into(),
        name: format!("pod-{uid}"),
        labels: Default::default(),
        workload: "Deployment/web".into(),
        job: None,
        terminating: false,
        running: true,
    }
}

fn period(start: &str) -> i64 {
    start.parse::<Timestamp>().unwrap().as_second()
}

fn month() -> AccountName {
    AccountName { budget: "shop/x".into(), value: None, period: period("2026-11-01T00:00:00Z") }
}

impl World {
    fn new(store: Store, budget: &str) -> Self {
        let clock = Clock::starting_at(NOON.parse().unwrap());
        let bank = Bank::new(Relay::default(), lease::always(), clock);
        let pods = Pods::fixed(["u1", "u2", "u3"].map(pod));
        let (lines, stop) = (bank.lines(), CancellationToken::new());
        let world = Self { bank, pods, store, lines, stop, start: tokio::time::Instant::now() };
        world.budget(budget);
        world.lead("one");
        world
    }

    fn budget(&self, spec: &str) {
        self.config(&[SHOP, &object("ModelBudget", spec)]);
    }

    fn config(&self, documents: &[&str]) {
        self.bank.follow(&Arc::new(compile(&world(documents))));
    }

    fn lead(&self, instance: &str) {
        let metrics = Metrics::new();
        let runner = Runner {
            bank: self.bank.clone(),
            store: self.store.clone(),
            publisher: Publisher::new(self.pods.clone(), Changes::default(), metrics.clone()),
            pods: self.pods.clone(),
            tenure: watch::channel(None).1,
            metrics,
            instance: instance.to_owned(),
        };
        tokio::spawn(runner.run(self.stop.clone()));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap() + SECOND
    }

    /// Everybody reports, time passes, rights arrive.
    async fn round(&mut self, sidecars: &mut [&mut Sidecar]) {
        for sidecar in sidecars.iter_mut() {
            let report = sidecar.report(self.now());
            self.bank.receive(report).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        while let Ok(line) = self.lines.try_recv() {
            let RightsDelivery { uid, rights } = serde_json::from_slice(&line).unwrap();
            for sidecar in sidecars.iter_mut().filter(|sidecar| sidecar.from.uid == uid) {
                sidecar.take(self.now(), &rights);
            }
        }
    }

    /// Requests of `amount` until one is refused for good, as many as pass.
    async fn spend(&mut self, sidecars: &mut [&mut Sidecar], name: &AccountName, amount: u64) -> u64 {
        let mut passed = 0;
        for _ in 0..200 {
            for sidecar in sidecars.iter_mut() {
                let now = self.now();
                if let Ok(hold) = sidecar.admit(now, name, amount) {
                    sidecar.settle(now, hold, amount);
                    passed += 1;
                }
            }
            self.round(sidecars).await;
        }
        passed
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_spent_to_its_end_and_not_beyond() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    let passed = world.spend(&mut [&mut one, &mut other], &month(), DOLLAR / 10).await;
    assert_eq!(passed, 50);
    let refused = one.admit(world.now(), &month(), DOLLAR / 10).unwrap_err();
    assert!(matches!(refused, Refusal::Exhausted { left: 0, .. }), "{refused:?}");

    // A higher limit applies at once.
    world.budget("{limit: '6', period: Month}");
    assert_eq!(world.spend(&mut [&mut one, &mut other], &month(), DOLLAR / 10).await, 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_survives_the_leader() {
    let store = Store::memory();
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    let mut first = World::new(store.clone(), "{limit: '5', period: Month}");
    for _ in 0..20 {
        let _ = one.admit(first.now(), &month(), DOLLAR / 10);
        first.round(&mut [&mut one, &mut other]).await;
    }
    let held = one.report(first.now()).report.accounts[0].granted_nanos;
    assert!(held > DOLLAR, "{held}");
    drop(first);

    // The one that holds most of it is silent.
    let mut second = World::new(store, "{limit: '5', period: Month}");
    let passed = second.spend(&mut [&mut other], &month(), DOLLAR / 10).await;
    assert!(passed * DOLLAR / 10 + held <= 5 * DOLLAR, "{passed} and {held}");
    assert!(passed > 0, "what is free is granted all the same");
}

#[tokio::test(start_paused = true)]
async fn two_who_both_believe_they_lead_grant_no_more_than_one() {
    let store = Store::memory();
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    let mut first = World::new(store.clone(), "{limit: '5', period: Month}");
    first.round(&mut [&mut one]).await;
    let mut second = World::new(store, "{limit: '5', period: Month}");
    let mut spent = 0;
    for _ in 0..20 {
        spent += first.spend(&mut [&mut one], &month(), DOLLAR / 10).await;
        spent += second.spend(&mut [&mut other], &month(), DOLLAR / 10).await;
    }
    assert!(spent * DOLLAR / 10 <= 5 * DOLLAR, "{spent}");
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_in_its_own_namespace_and_in_periods_of_now_only() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    let mut sidecar = Sidecar::new("u1", "a");
    for start in ["2026-10-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11-02T00:00:00Z"] {
        let name = AccountName { period: period(start), ..month() };
        assert_eq!(world.spend(&mut [&mut sidecar], &name, DOLLAR / 10).await, 0, "{start}");
    }
    let name = AccountName { value: Some("acme".into()), ..month() };
    assert_eq!(world.spend(&mut [&mut sidecar], &name, DOLLAR / 10).await, 0, "the budget knows no values");
    let mut foreign = Sidecar::new("u2", "b");
    let _ = foreign.admit(world.now(), &AccountName { budget: "bank/x".into(), ..month() }, 1);
    let told = world.bank.receive(foreign.report(world.now())).unwrap_err().to_string();
    assert_eq!(told, r#"the report speaks of "bank/x", but its pod is in namespace "shop""#);
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_is_shown() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    assert_eq!(world.bank.standing("shop/x"), None);
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    world.spend(&mut [&mut one, &mut other], &month(), DOLLAR).await;
    let hold = one.admit(world.now(), &month(), DOLLAR);
    world.round(&mut [&mut one, &mut other]).await;
    let standing = world.bank.standing("shop/x").unwrap();
    assert_eq!((standing.spent, standing.remaining, standing.percent), (5 * DOLLAR, 0, 100));
    assert!(standing.exhausted && hold.is_err(), "{standing:?}");
}

#[tokio::test(start_paused = true)]
async fn each_workload_has_a_budget_of_its_own() {
    let mut world = World::new(Store::memory(), "{limit: '1', period: Month, selector: {per: Workload}}");
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    other.from.workload = "Job/nightly".into();
    assert_eq!(world.spend(&mut [&mut one, &mut other], &month(), DOLLAR / 10).await, 20);
    let standing = world.bank.standing("shop/x").unwrap();
    let want = [("Deployment/web", DOLLAR), ("Job/nightly", DOLLAR)].map(|(name, spent)| (name.to_owned(), spent));
    let mut workloads = standing.workloads;
    workloads.sort();
    assert_eq!((standing.accounts, workloads), (2, want.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_new_period_has_the_whole_limit_again_and_is_there_when_it_begins() {
    let mut world = World::new(Store::memory(), "{limit: '1', period: Hour}");
    let mut sidecar = Sidecar::new("u1", "a");
    let hour = |start: &str| AccountName { period: period(start), ..month() };
    let (noon, one) = (hour("2026-11-21T12:00:00Z"), hour("2026-11-21T13:00:00Z"));
    assert_eq!(world.spend(&mut [&mut sidecar], &noon, DOLLAR / 10).await, 10);
    tokio::time::sleep(Duration::from_secs(3600 - 80 - 10)).await;
    let refused = |sidecar: &mut Sidecar, now| sidecar.admit(now, &one, DOLLAR / 10).is_err();
    assert!(refused(&mut sidecar, world.now()), "nothing was given yet");
    world.round(&mut [&mut sidecar]).await;
    world.round(&mut [&mut sidecar]).await;
    assert!(!refused(&mut sidecar, world.now()), "given ahead of its time, for a clock that is ahead");
    tokio::time::sleep(Duration::from_secs(3700)).await;
    world.round(&mut [&mut sidecar]).await;
    assert_eq!(world.bank.standing("shop/x"), None, "an hour later nobody has spoken of the third one");
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_has_left_comes_back_when_it_has_said_so_and_is_forfeited_when_it_has_not() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    let mut sidecars = ["u1", "u2", "u3"].map(|uid| Sidecar::new(uid, uid));
    for _ in 0..8 {
        for sidecar in &mut sidecars {
            let now = world.now();
            if let Ok(hold) = sidecar.admit(now, &month(), DOLLAR / 10) {
                sidecar.settle(now, hold, DOLLAR / 10);
            }
        }
        let [one, other, third] = &mut sidecars;
        world.round(&mut [one, other, third]).await;
    }
    let [polite, killed, mut alive] = sidecars;
    let mut polite = polite;
    polite.holder.leave(&mut Vec::new());
    world.bank.receive(polite.report(world.now())).unwrap();
    world.pods.update(|index| index.remove("u1") | index.remove("u2"));
    tokio::time::sleep(Duration::from_secs(15)).await;
    let held = killed.holder.clone().report(world.now()).accounts[0];
    let standing = world.bank.standing("shop/x").unwrap();
    let spent = [("Deployment/web".to_owned(), standing.spent)];
    assert_eq!(standing.workloads, spent, "by pods that are gone as well");
    assert!(standing.stranded >= held.granted - held.returned - held.spent, "{standing:?}");
    assert!(standing.remaining > 2 * DOLLAR, "what the polite one had is there again: {standing:?}");
    let rest = standing.remaining / (DOLLAR / 10);
    assert_eq!(world.spend(&mut [&mut alive], &month(), DOLLAR / 10).await, rest);
    let standing = world.bank.standing("shop/x").unwrap();
    assert_eq!(standing.spent + standing.stranded + standing.remaining, 5 * DOLLAR, "{standing:?}");
}

fn limited(requests: u64) -> String {
    let limit = format!("{{name: team, scope: Fleet, requests: {requests}, window: 10s}}");
    SHOP.replace("  backends:\n", &format!("  limits: [{limit}]\n  backends:\n"))
}

#[tokio::test(start_paused = true)]
async fn a_fleet_wide_limit_is_used_and_never_passed() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    world.config(&[&limited(600)]);
    let of = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
    let team = RateName { of, counts: Counts::Requests, value: None };
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    let mut passed: Vec<u64> = Vec::new();
    for round in 0..200 {
        for _ in 0..50 {
            let now = world.now();
            // The load moves from one to the other.
            let busy = if round < 100 { &mut one } else { &mut other };
            passed.extend(busy.takes(now, &team, 1).then_some(now));
        }
        world.round(&mut [&mut one, &mut other]).await;
    }
    let busiest = passed.iter().map(|end| passed.iter().filter(|at| **at <= *end && **at + 10 * SECOND > *end).count());
    let busiest = busiest.max().unwrap();
    assert!((400..=600).contains(&busiest), "{busiest}");
    let last = passed.iter().filter(|at| **at + 20 * SECOND > world.now()).count();
    assert!(last > 800, "the other one uses what the first one does not: {last}");
}

#[tokio::test(start_paused = true)]
async fn less_of_an_account_is_handed_out_when_its_provider_says_that_little_is_left() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    world
        .config(&[&SHOP
            .replace("  credentials: {none: {}}\n", "  credentials: {none: {}}\n  quota: {requestsPerMinute: 600}\n")]);
    let account = RateName { of: RateOf::Provider("shop/openai".into()), counts: Counts::Requests, value: None };
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    let mut passed: Vec<u64> = Vec::new();
    // Two minutes without a word, and two in which others use most of the account.
    for round in 0..600 {
        for sidecar in [&mut one, &mut other] {
            let now = world.now();
            passed.extend((0..20).filter_map(|_| sidecar.takes(now, &account, 1).then_some(now)));
            if round >= 300 {
                sidecar.said = vec![spillway_wire::Allowance {
                    rate: account.clone(),
                    limit: 600,
                    remaining: 100,
                    resets: 60 * SECOND,
                    age: 0,
                }];
            }
        }
        world.round(&mut [&mut one, &mut other]).await;
    }
    let minute = |from: u64| passed.iter().filter(|at| (from * 60..from * 60 + 60).contains(&(**at / SECOND))).count();
    let (before, after) = (minute(1), minute(3));
    assert!((450..=582).contains(&before), "{before} of 600 less what is kept back");
    assert!((20..=100).contains(&after), "{after} of 100");
}
