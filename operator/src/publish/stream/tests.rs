use std::sync::Arc;

use super::*;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::pods::Pods;
use crate::publish::Publisher;
use crate::publish::samples::{Sample, delivery, identity, labels, pod, running, subscribe};

struct Rig {
    publisher: Publisher,
    metrics: Metrics,
    closing: CancellationToken,
}

impl Rig {
    fn new() -> Self {
        let metrics = Metrics::new();
        let publisher = Publisher::new(Pods::fixed([pod("u1", "web")]), Changes::default(), metrics.clone());
        publisher.publish(Arc::new(one_route().build()));
        Self { publisher, metrics, closing: CancellationToken::new() }
    }

    fn open(&self, expires: Option<Duration>) -> Body {
        let authority = Authority::generate(Clock::system().wall()).unwrap();
        let subscribe = subscribe("b", None);
        let stream = Stream {
            slot: self.publisher.open(&identity("u1"), &subscribe).unwrap(),
            session: Session::new(&subscribe),
            authority: watch::channel(Arc::new(authority)).1,
            expires: expires.map(|left| (tokio::time::Instant::now() + left).into_std()),
            closing: self.closing.clone(),
            metrics: self.metrics.clone(),
        };
        stream.spawn()
    }

    fn ended(&self, end: End) -> u64 {
        self.metrics.streams_ended.with_label_values(&[end.label()]).get()
    }
}

fn one_route() -> Sample {
    Sample::default().route("chat", "openai", None)
}

async fn next(body: &mut Body) -> Option<Down> {
    let frame = body.frame().await?.unwrap();
    Some(serde_json::from_slice(&frame.into_data().unwrap()).unwrap())
}

async fn revision(body: &mut Body) -> String {
    match next(body).await {
        Some(Down::Snapshot { snapshot }) => snapshot.revision,
        other => panic!("a snapshot was expected, and not {other:?}"),
    }
}

/// Reads to the end; says how many pings came and how long it took.
async fn drain(body: &mut Body) -> (usize, u64) {
    let (start, mut pings) = (tokio::time::Instant::now(), 0);
    while let Some(message) = next(body).await {
        assert!(matches!(message, Down::Ping), "{message:?}");
        pings += 1;
    }
    (pings, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_says_nothing_to_its_snapshot_has_to_subscribe_again() {
    let rig = Rig::new();
    let mut body = rig.open(None);
    revision(&mut body).await;
    let (pings, seconds) = drain(&mut body).await;
    assert_eq!(seconds, ACK_PATIENCE.as_secs());
    assert!((2..=3).contains(&pings), "{pings}");
    assert_eq!(rig.ended(End::Silent), 1);
    assert_eq!(rig.publisher.connected(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_lives_on_pings_until_its_token_ends() {
    let rig = Rig::new();
    let mut body = rig.open(Some(Duration::from_secs(3605)));
    let revision = revision(&mut body).await;
    rig.publisher.record(&delivery("u1", "b", 1, running(&revision)));
    assert_eq!(drain(&mut body).await, (360, 3605));
    assert_eq!(rig.ended(End::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_stuck_is_given_up_and_one_that_left_is_signed_off() {
    let rig = Rig::new();
    let current = one_route().build().view("shop", &labels("web")).revision;
    let stuck = rig.open(None);
    rig.publisher.record(&delivery("u1", "b", 1, running(&current)));
    while rig.publisher.connected() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rig.ended(End::Stuck), 1);
    drop(stuck);

    let mut left = rig.open(None);
    let revision = revision(&mut left).await;
    rig.publisher.record(&delivery("u1", "b", 1, running(&revision)));
    next(&mut left).await;
    drop(left);
    while rig.publisher.connected() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.ended(End::Left), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_connection() {
    let rig = Rig::new();
    let mut body = rig.open(None);
    revision(&mut body).await;
    rig.closing.cancel();
    assert!(next(&mut body).await.is_none());
    assert_eq!(rig.ended(End::Closing), 1);
}
