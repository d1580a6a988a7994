use jiff::Timestamp;
use spillway_wire::{Ack, UsageKey, UsageLine, UsageTotals};

use super::*;
use crate::lease;
use crate::pods::{PodEntry, Pods};

pub(super) fn intake(leadership: watch::Receiver<Leadership>) -> Intake {
    let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    Intake::new(Relay::default(), leadership, Changes::default(), Clock::starting_at(noon))
}

pub(super) fn delivery(uid: &str, boot: &str, day: &str, cost: u64) -> Delivery {
    let [backend, provider, model] = ["mini", "ai/openai", "m"].map(str::to_owned);
    let key = UsageKey { day: day.into(), route: "shop/chat".into(), backend, provider, model };
    let usage = vec![UsageLine { key, totals: UsageTotals { cost_nanos: cost, ..UsageTotals::default() } }];
    let [namespace, workload] = ["shop", "Deployment/web"].map(str::to_owned);
    Delivery {
        from: SidecarIdentity {
            namespace,
            pod: format!("pod-{uid}"),
            uid: uid.into(),
            workload,
            ..SidecarIdentity::default()
        },
        report: Report {
            boot: boot.into(),
            sequence: 1,
            ack: Ack::default(),
            usage,
            last: false,
            backends: Vec::new(),
        },
    }
}

fn resting(route: &str, reason: &str) -> RestingBackend {
    let (state, backend) = (spillway_wire::RestState::Open, "mini".to_owned());
    RestingBackend { route: route.into(), backend, state, reason: reason.into(), since: 1, until: None }
}

fn pods(uids: &[&str]) -> Pods {
    Pods::fixed(uids.iter().map(|uid| PodEntry {
        uid: (*uid).into(),
        namespace: "shop".into(),
        name: format!("pod-{uid}"),
        labels: BTreeMap::new(),
        workload: "Deployment/web".into(),
        job: None,
        terminating: false,
        running: true,
    }))
}

fn live(intake: &Intake) -> usize {
    intake.read(|ledger, _| ledger.sources().count())
}

fn spent(intake: &Intake) -> u64 {
    intake.by_route().get("shop/chat").map_or(0, |spend| spend.month.cost_nanos)
}

#[tokio::test(start_paused = true)]
async fn lines_of_days_that_are_over_or_have_not_come_are_left_out() {
    let intake = intake(lease::always());
    let rows = [
        ("2026-11-18", 0),
        ("2026-11-19", 1),
        ("2026-11-21", 2),
        ("2026-11-22", 3),
        ("2026-11-23", 3),
        ("not a day", 3),
    ];
    for (boot, (day, sum)) in rows.into_iter().enumerate() {
        intake.receive(&mut delivery("u1", &boot.to_string(), day, 1)).unwrap();
        assert_eq!(spent(&intake), sum, "{day}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_may_make_us_remember_is_bounded() {
    let intake = intake(lease::always());
    let mut long = delivery("u1", "b", "2026-11-21", 1);
    long.report.usage[0].key.model = "m".repeat(513);
    assert_eq!(intake.receive(&mut long), Err(BadReport::LongName(513)));
    let rows = [
        (resting("shop/chat", "ok"), 1, Ok(())),
        (resting("shop/chat", "ok"), 513, Err(BadReport::TooManyBackends(513))),
        (resting("shop/chat", &"r".repeat(401)), 1, Err(BadReport::LongReason(401))),
        (resting(&format!("shop/{}", "r".repeat(508)), "ok"), 1, Err(BadReport::LongName(513))),
        (
            resting("bank/chat", "ok"),
            1,
            Err(BadReport::ForeignRoute { route: "bank/chat".into(), namespace: "shop".into() }),
        ),
    ];
    for (line, times, want) in rows {
        let mut told = delivery("u2", "b", "2026-11-21", 1);
        told.report.backends = vec![line; times];
        assert_eq!(intake.receive(&mut told), want);
    }
    let mut many = delivery("u1", "b", "2026-11-21", 1);
    many.report.usage = vec![many.report.usage[0].clone(); 4097];
    assert_eq!(intake.receive(&mut many), Err(BadReport::TooManyLines(4097)));
    assert_eq!(intake.receive(&mut delivery("u1", "", "2026-11-21", 1)), Err(BadReport::NoBoot));
    for boot in 0..MAX_BOOTS {
        intake.receive(&mut delivery("u1", &boot.to_string(), "2026-11-21", 1)).unwrap();
    }
    let more = intake.receive(&mut delivery("u1", "one more", "2026-11-21", 1));
    assert_eq!(more, Err(BadReport::TooManyBoots { pod: "pod-u1".into() }));
    intake.receive(&mut delivery("u1", "0", "2026-11-21", 5)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn sources_are_folded_only_when_they_cannot_report_again() {
    let intake = intake(lease::always());
    let pods = pods(&["alive", "restarted", "cut-off"]);
    for (uid, boot) in [("alive", "a"), ("restarted", "a"), ("cut-off", "a"), ("gone", "a")] {
        intake.receive(&mut delivery(uid, boot, "2026-11-21", 1)).unwrap();
    }
    intake.tidy(&pods.read());
    assert_eq!(live(&intake), 4, "a pod that is missing may be one the watch has not brought yet");
    tokio::time::advance(SILENCE).await;
    intake.receive(&mut delivery("alive", "a", "2026-11-21", 2)).unwrap();
    intake.receive(&mut delivery("restarted", "b", "2026-11-21", 1)).unwrap();
    intake.tidy(&pods.read());
    let left: Vec<String> = intake.read(|ledger, _| ledger.sources().map(|source| source.uid.clone()).collect());
    assert_eq!(left, ["alive", "cut-off", "restarted"], "a sidecar that cannot reach us will report again");
    assert_eq!(spent(&intake), 6);
    intake.receive(&mut delivery("gone", "a", "2026-11-21", 1)).unwrap();
    intake.receive(&mut delivery("restarted", "a", "2026-11-21", 1)).unwrap();
    assert_eq!(spent(&intake), 6, "late copies of what was folded");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_not_complete_retires_nobody() {
    let intake = intake(lease::always());
    intake.receive(&mut delivery("u1", "a", "2026-11-21", 1)).unwrap();
    tokio::time::advance(SILENCE * 2).await;
    intake.tidy(&PodIndex::default());
    assert_eq!(live(&intake), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_follows_forgets_instead_of_folding() {
    let (leadership, following) = watch::channel(Leadership::Unknown);
    let intake = intake(following);
    intake.receive(&mut delivery("u1", "a", "2026-11-21", 1)).unwrap();
    intake.tidy(&pods(&[]).read());
    tokio::time::advance(SILENCE).await;
    intake.tidy(&pods(&[]).read());
    assert_eq!((live(&intake), spent(&intake)), (0, 0), "its leader has folded it, twice would be too much");
    leadership.send_replace(Leadership::Leading);
    assert!(!intake.is_complete(), "nothing is shown before the stored ledger was read");
}
