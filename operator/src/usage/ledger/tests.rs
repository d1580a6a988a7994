use flate2::Compression;
use proptest::prelude::*;
use spillway_wire::{Ack, UsageLine};

use super::*;
use crate::packed::gzip;

const TODAY: Date = jiff::civil::date(2026, 11, 21);

fn delivery(uid: &str, boot: &str, lines: &[(&str, &str, u64)]) -> Delivery {
    let usage = lines.iter().map(|(day, route, cost)| UsageLine {
        key: UsageKey {
            day: (*day).into(),
            route: (*route).into(),
            backend: "mini".into(),
            provider: "ai/openai".into(),
            model: "gpt-4o-mini".into(),
        },
        totals: UsageTotals { requests: *cost, cost_nanos: *cost, ..UsageTotals::default() },
    });
    let report = Report {
        boot: boot.into(),
        sequence: 1,
        ack: Ack::default(),
        usage: usage.collect(),
        last: false,
        backends: Vec::new(),
    };
    let from = SidecarIdentity {
        namespace: "shop".into(),
        pod: format!("pod-{uid}"),
        uid: uid.into(),
        workload: format!("Deployment/{}", &uid[..1]),
        ..SidecarIdentity::default()
    };
    Delivery { from, report }
}

fn ledger(deliveries: &[Delivery]) -> Ledger {
    let mut ledger = Ledger::default();
    for delivery in deliveries {
        ledger.merge(delivery);
    }
    ledger
}

fn spend(ledger: &Ledger, route: &str) -> (u64, u64) {
    let spend = ledger.by_route(TODAY).remove(route).unwrap_or_default();
    (spend.day.cost_nanos, spend.month.cost_nanos)
}

#[test]
fn totals_are_summed_by_route_day_and_month() {
    let ledger = ledger(&[
        delivery(
            "a1",
            "x",
            &[("2026-11-21", "shop/chat", 5), ("2026-11-20", "shop/chat", 7), ("2026-10-31", "shop/chat", 100)],
        ),
        delivery("a1", "y", &[("2026-11-21", "shop/chat", 2)]),
        delivery("b1", "x", &[("2026-11-21", "shop/chat", 1), ("2026-11-21", "shop/mail", 9)]),
    ]);
    assert_eq!(spend(&ledger, "shop/chat"), (8, 15));
    assert_eq!(spend(&ledger, "shop/mail"), (9, 9));
    assert_eq!(ledger.by_namespace(TODAY)["shop"].month.cost_nanos, 24);
    let workloads = ledger.by_workload(TODAY);
    assert_eq!(workloads[&("shop".into(), "Deployment/a".into())].day.cost_nanos, 7);
    assert_eq!(workloads[&("shop".into(), "Deployment/b".into())].day.cost_nanos, 10);
}

#[test]
fn a_folded_pod_keeps_its_sums_and_its_late_reports_change_nothing() {
    let report = delivery("a1", "x", &[("2026-11-21", "shop/chat", 5)]);
    let mut ledger = ledger(&[report.clone(), delivery("b1", "x", &[("2026-11-21", "shop/chat", 1)])]);
    assert!(ledger.tidy(TODAY, 1000, |source| source.uid == "a1"));
    assert!(!ledger.tidy(TODAY, 1000, |source| source.uid == "a1"), "nothing is left to fold");
    assert_eq!(spend(&ledger, "shop/chat"), (6, 6));
    assert!(!ledger.merge(&report), "a report that was on its way while its pod was folded");
    assert_eq!(spend(&ledger, "shop/chat"), (6, 6));
    assert_eq!(ledger.live.len(), 1);
    assert!(ledger.tidy(TODAY, 1000 + TOMBSTONE_SECONDS, |_| false));
    assert!(ledger.tombstones.is_empty());
}

#[test]
fn memory_follows_workloads_and_not_pods() {
    let mut ledger = Ledger::default();
    for pod in 0..500 {
        ledger.merge(&delivery(&format!("a{pod}"), "x", &[("2026-11-21", "shop/chat", 1)]));
        ledger.tidy(TODAY, 0, |_| true);
    }
    for boot in 0..500 {
        ledger.merge(&delivery("crashes", &boot.to_string(), &[("2026-11-21", "shop/chat", 1)]));
        ledger.tidy(TODAY, 0, |source| source.boot != boot.to_string());
    }
    assert_eq!((ledger.folded.len(), ledger.live.len()), (2, 1));
    assert_eq!(spend(&ledger, "shop/chat"), (1000, 1000));
}

#[test]
fn days_are_folded_when_they_are_final_and_dropped_after_the_next_month() {
    let mut ledger = ledger(&[delivery(
        "a1",
        "x",
        &[
            ("2026-09-30", "shop/chat", 1),
            ("2026-10-01", "shop/chat", 2),
            ("2026-11-18", "shop/chat", 4),
            ("2026-11-19", "shop/chat", 8),
            ("2026-11-21", "shop/chat", 16),
        ],
    )]);
    ledger.tidy(TODAY, 0, |_| false);
    let days = |keys: Vec<&UsageKey>| keys.iter().map(|key| key.day.clone()).collect::<Vec<_>>().join(" ");
    ledger.tidy(TODAY, 0, |_| false);
    assert_eq!(days(ledger.folded.keys().map(|row| &row.key).collect()), "2026-10-01 2026-11-18");
    assert_eq!(days(ledger.live.values().flat_map(|live| live.totals.keys()).collect()), "2026-11-19 2026-11-21");
    assert_eq!(spend(&ledger, "shop/chat"), (16, 28));
}

#[test]
fn a_replica_that_takes_over_counts_nothing_twice_and_loses_nothing() {
    let early = delivery("a1", "x", &[("2026-11-21", "shop/chat", 5)]);
    let late = delivery("a1", "x", &[("2026-11-21", "shop/chat", 6)]);
    let retired = delivery("b1", "x", &[("2026-11-21", "shop/chat", 10)]);
    let mut leader = ledger(&[early, retired.clone()]);
    leader.tidy(TODAY, 0, |source| source.uid == "b1");
    // The other replica has seen b1 as well and has folded it for itself, and it knows more of a1.
    let mut follower = ledger(&[late, retired.clone(), delivery("c1", "x", &[("2026-11-21", "shop/chat", 100)])]);
    follower.tidy(TODAY, 0, |source| source.uid == "b1");
    follower.merge(&retired);
    follower.take_over(decode(&encode(&leader)).unwrap());
    assert_eq!(spend(&follower, "shop/chat"), (116, 116));
}

#[test]
fn what_is_not_a_ledger_is_refused_with_the_reason() {
    let newer = gzip(br#"{"version":2,"shards":[]}"#, Compression::default());
    let dangling = gzip(
        br#"{"version":1,"keys":[],"live":[],"tombstones":[],
            "folded":[{"namespace":"n","workload":"w","lines":[[7,[1,0,0,0,0,0]]]}]}"#,
        Compression::default(),
    );
    let rows: [(&[u8], &str); 4] = [
        (b"", "it does not unpack"),
        (b"not gzip", "it does not unpack"),
        (&newer, "it has format 2, this version reads 1"),
        (&dangling, "it refers to key 7, which it does not list"),
    ];
    for (bytes, reason) in rows {
        assert_eq!(decode(bytes).unwrap_err().to_string(), reason);
    }
}

/// Reports of a few sources, each a later or earlier state of its cumulative totals.
fn reports() -> impl Strategy<Value = Vec<Delivery>> {
    let one = (0..6u8, 0..3u8, 0..3u8, 0..3u8, 0..50u64);
    proptest::collection::vec(one, 0..1000).prop_map(|rows| {
        let reports = rows.into_iter().map(|(uid, boot, day, route, cost)| {
            let day = ["2026-11-19", "2026-11-20", "2026-11-21"][usize::from(day)];
            let route = ["shop/chat", "shop/mail", "shop/code"][usize::from(route)];
            delivery(&format!("{uid}x"), &boot.to_string(), &[(day, route, cost)])
        });
        reports.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_and_any_repeats_give_the_same_ledger(
        (reports, again) in reports().prop_flat_map(|reports| {
            let mut again = reports.clone();
            again.extend(reports.iter().step_by(3).cloned());
            (Just(reports), Just(again).prop_shuffle())
        }),
    ) {
        prop_assert_eq!(ledger(&reports), ledger(&again));
    }

    #[test]
    fn storage_and_a_second_hearing_change_nothing(reports in reports(), cut in 0..1000usize) {
        let whole = ledger(&reports);
        prop_assert_eq!(&decode(&encode(&whole)).unwrap(), &whole);
        // Restart in the middle: what was stored is read back, and everything is reported again.
        let mut restarted = decode(&encode(&ledger(&reports[..cut.min(reports.len())]))).unwrap();
        for report in &reports {
            restarted.merge(report);
        }
        prop_assert_eq!(restarted, whole);
    }

    #[test]
    fn folding_never_changes_a_sum(reports in reports(), gone in 0..6u8) {
        let mut folded = ledger(&reports);
        let before = folded.by_workload(TODAY);
        folded.tidy(TODAY, 0, |source| source.uid == format!("{gone}x"));
        for report in &reports {
            folded.merge(report);
        }
        prop_assert_eq!(before, folded.by_workload(TODAY));
    }
}
