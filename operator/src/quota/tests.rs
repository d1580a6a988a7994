//! The bank as a whole: sidecars' holders at one end, a store at the other, on a paused clock.

pub(super) mod sidecar;

use std::time::Duration;

use jiff::Timestamp;
use spillway_policy::quota::Refusal;
use spillway_wire::AccountName;
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

fn pod(uid: &str) -> PodEntry {
    PodEntry {
        uid: uid.into(),
        namespace: "shop".into(),
        name: format!("pod-{uid}"),
        labels: Default::default(),
        workload: "Deployment/web".into(),
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
        self.bank.follow(&Arc::new(compile(&world(&[SHOP, &object("ModelBudget", spec)]))));
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
