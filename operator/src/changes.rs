//! Tells the reconcile loop that something is new, and how long to wait for more of it.
//!
//! A `kubectl apply -f dir/` is a burst of events; one compile answers all of them. What changed is kept as two bits: the
//! resources, which someone waits for, or only the fleet (acks, usage, pods), which never stops changing and can wait.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time};

/// Nothing new for this long: the burst is over.
const QUIET: Duration = Duration::from_millis(100);
/// The longest a steady trickle of events can put a reconcile off.
const PATIENCE: Duration = Duration::from_millis(500);

/// What has changed since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Something `compile` reads.
    pub resources: bool,
    /// Acks, usage, pods, or who leads.
    pub fleet: bool,
}

/// A doorbell with two buttons. Cheap to clone, cheap to ring.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    changed: Mutex<Changed>,
    bell: Notify,
}

// === impl Changes ===

impl Changes {
    /// Something that `compile` reads is new.
    pub fn resources(&self) {
        self.ring(|changed| changed.resources = true);
    }

    /// The fleet reported something, or leadership changed.
    pub fn fleet(&self) {
        self.ring(|changed| changed.fleet = true);
    }

    fn ring(&self, what: impl FnOnce(&mut Changed)) {
        what(&mut self.lock());
        self.inner.bell.notify_one();
    }

    /// Waits for a change, then for the burst around it to end; for a change of the fleet alone, at least until
    /// `fleet_after`. Safe to drop at any point: nothing is forgotten.
    pub async fn settle(&self, fleet_after: time::Instant) -> Changed {
        self.inner.bell.notified().await;
        while !self.peek().resources && time::timeout_at(fleet_after, self.inner.bell.notified()).await.is_ok() {}
        let limit = time::Instant::now() + PATIENCE;
        loop {
            let quiet = (time::Instant::now() + QUIET).min(limit);
            if time::timeout_at(quiet, self.inner.bell.notified()).await.is_err() {
                break;
            }
        }
        std::mem::take(&mut *self.lock())
    }

    fn peek(&self) -> Changed {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.inner.changed.lock().expect("nothing panics while holding two booleans")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_change() {
        let changes = Changes::default();
        let start = time::Instant::now();
        changes.resources();
        changes.fleet();
        changes.resources();
        assert_eq!(changes.settle(start).await, Changed { resources: true, fleet: true });
        assert_eq!(start.elapsed().as_millis() / 10, QUIET.as_millis() / 10);
        assert!(time::timeout(Duration::from_secs(60), changes.settle(start)).await.is_err(), "nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_cannot_put_it_off_for_ever() {
        let changes = Changes::default();
        let start = time::Instant::now();
        let ringer = changes.clone();
        let trickle = tokio::spawn(async move {
            loop {
                ringer.fleet();
                time::sleep(QUIET / 2).await;
            }
        });
        assert_eq!(changes.settle(start).await, Changed { resources: false, fleet: true });
        assert!(start.elapsed() <= PATIENCE + QUIET, "{:?}", start.elapsed());
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_fleet_waits_for_its_turn_and_a_resource_does_not() {
        let changes = Changes::default();
        let start = time::Instant::now();
        let turn = start + Duration::from_secs(2);
        changes.fleet();
        changes.settle(turn).await;
        assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
        let start = time::Instant::now();
        changes.fleet();
        changes.resources();
        assert!(changes.settle(start + Duration::from_secs(2)).await.resources);
        assert!(start.elapsed() <= PATIENCE, "{:?}", start.elapsed());
    }
}
