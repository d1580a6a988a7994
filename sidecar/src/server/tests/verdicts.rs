//! Breakers that the fleet shares, as one sidecar obeys it.

use std::time::Duration;

use serde_json::json;
use spillway_wire::{BackendName, BreakerEvidence, BreakerSay, BreakerVerdict, Rights};

use crate::server::fake::*;

const LONG: Duration = Duration::from_secs(60);

/// With the one backend `small`, whose breaker opens after three failures.
async fn guarded(scope: &str) -> World {
    World::new(|config| {
        route(config)["backends"].as_array_mut().unwrap().truncate(1);
        route(config)["breaker"] = json!({"failure_threshold": 3, "failure_ratio_ppm": 1_000_000, "min_requests": 100,
            "window_ms": 10_000, "success_threshold": 1, "open_for_ms": 60_000, "scope": scope});
    })
    .await
}

impl World {
    fn told(&self, journal: Option<&str>, (turn, say, lease): (u64, BreakerSay, Duration)) {
        let ours = self.runtime.quota_report().unwrap().journal;
        let journal = journal.map_or(ours, str::to_owned);
        let of = BackendName { route: "shop/chat".into(), backend: "small".into() };
        let lease = u64::try_from(lease.as_nanos()).unwrap();
        let breakers = vec![BreakerVerdict { of, turn, say, lease, failed: 5, attempts: 7 }];
        self.runtime.take_rights(&Rights { journal, epoch: 1, breakers, ..Rights::default() });
    }

    fn evidence(&self) -> BreakerEvidence {
        self.runtime.quota_report().unwrap().breakers.remove(0)
    }

    async fn fails(&self) {
        self.provider.then([Act::status(500, &[], "broken")]);
        assert_eq!(self.chat(&chat()).await.status, 502);
    }
}

#[tokio::test]
async fn what_the_fleet_says_is_done_at_once_and_what_it_has_said_before_is_not() {
    let world = guarded("Fleet").await;
    world.told(Some("another"), (9, BreakerSay::StayOut, LONG));
    assert_eq!(world.chat(&chat()).await.status, 200, "that was meant for somebody else");
    world.told(None, (1, BreakerSay::StayOut, LONG));
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "all_backends_unavailable"), "{got:?}");
    assert!(got.text.contains("small rests for 60 s (fleet-wide, 5 of 7 attempts failed)"), "{got:?}");
    assert_eq!(world.provider.seen().len(), 1, "nobody was asked");
    world.told(None, (2, BreakerSay::Probe, LONG));
    assert_eq!(world.chat(&chat()).await.status, 200);
    let BreakerEvidence { attempts, failures, asked, turn, good, bad, .. } = world.evidence();
    assert_eq!((attempts, failures, asked, turn, good, bad), (2, 0, 3, 2, 1, 0));
    world.told(None, (3, BreakerSay::StayOut, LONG));
    world.told(None, (4, BreakerSay::Closed, LONG));
    world.told(None, (3, BreakerSay::StayOut, LONG));
    assert_eq!(world.chat(&chat()).await.status, 200);
}

#[tokio::test]
async fn a_verdict_lasts_no_longer_than_its_lease() {
    let world = guarded("Fleet").await;
    world.told(None, (1, BreakerSay::StayOut, Duration::from_millis(20)));
    let (_, gate) = world.runtime.generation().unwrap().routes[0].backends[0]
        .every_gate()
        .find(|(_, gate)| gate.name() == "backend small of route shop/chat")
        .map(|(who, gate)| (who, gate.clone()))
        .unwrap();
    assert_eq!(gate.view().phase.as_str(), "Open");
    while world.chat(&chat()).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.evidence().good, 1, "it has proved itself, without having been told to");
}

#[tokio::test]
async fn what_was_seen_is_told_and_a_breaker_that_opens_is_told_at_once() {
    let world = guarded("Fleet").await;
    // There is a new config.
    world.runtime.rights.is_due().await;
    assert_eq!(world.evidence().attempts, 0, "it shares the breaker from the beginning");
    world.fails().await;
    world.fails().await;
    let BreakerEvidence { attempts, failures, row, asked, turn, .. } = world.evidence();
    assert_eq!((attempts, failures, row, asked, turn), (2, 2, 2, 2, 0));
    world.fails().await;
    tokio::time::timeout(LONG, world.runtime.rights.is_due()).await.unwrap();
    let alone = guarded("Pod").await;
    assert_eq!(alone.runtime.quota_report(), None, "a breaker of its own is nobody else's business");
}
