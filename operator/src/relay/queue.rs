//! The newest report of every source, and which of them the leader has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Parcel;
use crate::pods::Incarnation;

/// What one request carries; the receiver takes twice this much.
const BATCH_BYTES: usize = 900 << 10;

pub(super) struct Queue<P> {
    newest: BTreeMap<Incarnation, Waiting<P>>,
}

struct Waiting<P> {
    delivery: Arc<P>,
    heard: Instant,
    delivered: bool,
}

/// Some reports the leader does not have, as JSON.
pub(super) struct Batch<P> {
    reports: Vec<(Incarnation, Arc<P>)>,
    body: Vec<u8>,
}

// === impl Queue ===

impl<P> Default for Queue<P> {
    fn default() -> Self {
        Self { newest: BTreeMap::new() }
    }
}

impl<P: Parcel> Queue<P> {
    pub(super) fn offer(&mut self, delivery: P) {
        let source = delivery.source();
        let is_old = |known: &Waiting<P>| delivery.is_older_than(&known.delivery);
        if self.newest.get(&source).is_some_and(is_old) {
            return;
        }
        let heard = Instant::now();
        self.newest.insert(source, Waiting { delivery: Arc::new(delivery), heard, delivered: false });
    }

    pub(super) fn all(&self) -> Vec<Arc<P>> {
        self.newest.values().map(|waiting| waiting.delivery.clone()).collect()
    }

    /// The leader is another one: it has nothing yet.
    pub(super) fn resend(&mut self) {
        for waiting in self.newest.values_mut() {
            waiting.delivered = false;
        }
    }

    /// Keeps those of which this is true that they have been silent for so long.
    pub(super) fn retain(&mut self, keep: impl Fn(&Incarnation, Duration) -> bool) {
        let now = Instant::now();
        self.newest.retain(|source, waiting| keep(source, now - waiting.heard));
    }

    /// What fits into one request, of what the leader does not have.
    pub(super) fn batch(&self) -> Batch<P> {
        let mut batch = Batch { reports: Vec::new(), body: Vec::new() };
        for (source, waiting) in self.newest.iter().filter(|(_, waiting)| !waiting.delivered) {
            let json = serde_json::to_vec(&*waiting.delivery).expect("strings and numbers always serialise");
            if !batch.is_empty() && batch.body.len() + json.len() > BATCH_BYTES {
                break;
            }
            batch.body.push(if batch.is_empty() { b'[' } else { b',' });
            batch.body.extend(json);
            batch.reports.push((source.clone(), waiting.delivery.clone()));
        }
        batch
    }

    /// Marks what was passed on, unless something newer came meanwhile.
    pub(super) fn delivered(&mut self, batch: &Batch<P>) {
        for (source, delivery) in &batch.reports {
            if let Some(waiting) =
                self.newest.get_mut(source).filter(|waiting| Arc::ptr_eq(&waiting.delivery, delivery))
            {
                waiting.delivered = true;
            }
        }
    }
}

// === impl Batch ===

impl<P> Batch<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.reports.len()
    }

    /// A JSON array.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = self.body.clone();
        body.push(b']');
        body
    }
}

#[cfg(test)]
mod tests {
    use spillway_wire::{Ack, Delivery, Report, SidecarIdentity};

    use super::*;

    fn delivery(uid: &str, sequence: u64, padding: usize) -> Delivery {
        let ack = Ack { refused: Some(("r".into(), "x".repeat(padding))), ..Ack::default() };
        Delivery {
            from: SidecarIdentity {
                namespace: "shop".into(),
                pod: uid.into(),
                uid: uid.into(),
                workload: "Pod/x".into(),
                ..SidecarIdentity::default()
            },
            report: Report { boot: "b".into(), sequence, ack, usage: Vec::new(), last: false, backends: Vec::new() },
        }
    }

    fn sequences(batch: &Batch<Delivery>) -> Vec<(String, u64)> {
        let deliveries: Vec<Delivery> = serde_json::from_slice(&batch.body()).unwrap();
        deliveries.into_iter().map(|delivery| (delivery.from.uid, delivery.report.sequence)).collect()
    }

    #[test]
    fn only_the_newest_report_of_a_source_is_passed_on_and_only_once() {
        let mut queue = Queue::default();
        for (uid, sequence) in [("a", 1), ("a", 3), ("a", 2), ("b", 1)] {
            queue.offer(delivery(uid, sequence, 0));
        }
        let batch = queue.batch();
        assert_eq!(sequences(&batch), [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        queue.offer(delivery("b", 2, 0));
        queue.delivered(&batch);
        assert_eq!(sequences(&queue.batch()), [("b".to_owned(), 2)], "it came while the batch was under way");
        queue.delivered(&queue.batch());
        assert!(queue.batch().is_empty());

        queue.resend();
        assert_eq!(queue.batch().len(), 2, "a new leader hears everything");
        queue.retain(|source, _| source.uid == "a");
        assert_eq!(queue.batch().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_kept_may_depend_on_how_long_it_has_been_silent() {
        let mut queue = Queue::default();
        queue.offer(delivery("a", 1, 0));
        queue.offer(delivery("b", 1, 0));
        tokio::time::advance(Duration::from_secs(40)).await;
        queue.offer(delivery("b", 2, 0));
        queue.retain(|_, silent| silent < Duration::from_secs(30));
        assert_eq!(sequences(&queue.batch()), [("b".to_owned(), 2)]);
    }

    #[test]
    fn a_batch_is_bounded_and_nothing_is_too_large_to_go_alone() {
        let mut queue = Queue::default();
        for uid in ["a", "b", "c"] {
            queue.offer(delivery(uid, 1, BATCH_BYTES / 2));
        }
        queue.offer(delivery("d", 1, BATCH_BYTES * 2));
        let mut sizes = Vec::new();
        while !queue.batch().is_empty() {
            let batch = queue.batch();
            sizes.push(batch.len());
            queue.delivered(&batch);
        }
        assert_eq!(sizes, [1, 1, 1, 1]);
    }
}
