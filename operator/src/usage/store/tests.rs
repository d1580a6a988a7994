use tokio::sync::watch;

use super::super::tests::{delivery, intake};
use super::*;
use crate::fake_cluster::FakeCluster;
use crate::lease::Leadership;

const MAP: &str = "/api/v1/namespaces/spillway-system/configmaps/spillway-ledger";
const TODAY: &str = "2026-11-21";

/// A replica with its store, leading.
async fn leader(cluster: &FakeCluster) -> (Intake, Store, watch::Sender<Leadership>) {
    let (leadership, leads) = watch::channel(Leadership::Leading);
    let store = Store::cluster(cluster.start().await, "spillway-system", Metrics::new());
    (intake(leads), store, leadership)
}

fn spent(intake: &Intake) -> u64 {
    intake.by_route().get("shop/chat").map_or(0, |spend| spend.month.cost_nanos)
}

#[tokio::test]
async fn a_new_leader_goes_on_where_the_old_one_stopped() {
    let cluster = FakeCluster::default();
    let (first, mut store, _held) = leader(&cluster).await;
    assert!(!first.is_complete());
    store.step(&first).await;
    assert!(first.is_complete() && cluster.writes().is_empty(), "there is nothing to read and nothing to write");
    first.receive(&mut delivery("u1", "a", TODAY, 5)).unwrap();
    store.step(&first).await;
    store.step(&first).await;
    assert_eq!(cluster.writes(), [format!("POST {MAP}")], "without news nothing is written");
    first.receive(&mut delivery("u1", "a", TODAY, 6)).unwrap();
    store.step(&first).await;
    assert_eq!(cluster.writes(), [format!("PUT {MAP}")]);

    let (second, mut store, leadership) = leader(&cluster).await;
    second.receive(&mut delivery("u1", "a", TODAY, 6)).unwrap();
    second.receive(&mut delivery("u2", "a", TODAY, 1)).unwrap();
    store.step(&second).await;
    assert_eq!(spent(&second), 7);
    leadership.send_replace(Leadership::Unknown);
    store.step(&second).await;
    assert!(!second.is_complete(), "who does not lead knows only a part");
}

#[tokio::test]
async fn a_leader_that_was_replaced_unawares_does_not_overwrite_its_successor() {
    let cluster = FakeCluster::default();
    let (old, mut old_store, _held) = leader(&cluster).await;
    let (new, mut new_store, _held_too) = leader(&cluster).await;
    old_store.step(&old).await;
    old.receive(&mut delivery("u1", "a", TODAY, 5)).unwrap();
    old_store.step(&old).await;
    new_store.step(&new).await;
    new.receive(&mut delivery("u2", "a", TODAY, 10)).unwrap();
    new_store.step(&new).await;
    old.receive(&mut delivery("u1", "a", TODAY, 6)).unwrap();
    for _ in 0..3 {
        old_store.step(&old).await;
    }
    assert_eq!(spent(&old), 16, "after the conflict it has read what its successor wrote");
    new_store.step(&new).await;
    assert_eq!(spent(&new), 15, "nothing new was heard here");
    new.receive(&mut delivery("u2", "a", TODAY, 11)).unwrap();
    for _ in 0..3 {
        new_store.step(&new).await;
    }
    assert_eq!(spent(&new), 17);
}

#[tokio::test]
async fn a_damaged_ledger_is_reported_and_not_overwritten() {
    let cluster = FakeCluster::default();
    let map = serde_json::json!({"metadata": {"name": CONFIG_MAP_NAME}, "binaryData": {FIELD: "AAAA"}});
    cluster.set(MAP, map);
    let (intake, mut store, _held) = leader(&cluster).await;
    intake.receive(&mut delivery("u1", "a", TODAY, 5)).unwrap();
    store.step(&intake).await;
    store.step(&intake).await;
    assert!(!intake.is_complete() && cluster.writes().is_empty());
    assert_eq!(store.metrics.ledger_failures.get(), 2);
}

#[tokio::test]
async fn the_ledger_is_written_a_last_time_at_the_end() {
    let cluster = FakeCluster::default();
    let (intake, store, leadership) = leader(&cluster).await;
    let stop = CancellationToken::new();
    let runs = tokio::spawn(store.run(intake.clone(), Pods::fixed([]), stop.clone()));
    while !intake.is_complete() {
        tokio::task::yield_now().await;
    }
    intake.receive(&mut delivery("u1", "a", TODAY, 5)).unwrap();
    stop.cancel();
    leadership.send_replace(Leadership::Unknown);
    runs.await.unwrap();
    assert_eq!(cluster.writes(), [format!("POST {MAP}")]);
}
