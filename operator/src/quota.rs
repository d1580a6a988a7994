//! Rights to spend: takes the reports of sidecars, hands out what budgets and fleet-wide limits allow.
//!
//! Every replica takes reports and passes them on to the one that leads, whose [`Desk`] decides; what that sends goes to
//! the pods' streams, wherever they end. Nothing about money depends on who holds the Lease: a desk leads once it has won
//! a write of the ledger, and sends only what is durable. See `spillway_policy::quota` for the scheme.

mod accounts;
mod breakers;
mod check;
mod desk;
mod follow;
mod ledger;
mod names;
mod pen;
mod plan;
mod rates;
mod run;
mod said;
mod standing;
mod store;
mod translate;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use spillway_policy::quota::Nanos;
use spillway_wire::{Down, QuotaDelivery, RightsDelivery};
use tokio::sync::{Notify, broadcast, watch};

use crate::clock::Clock;
use crate::compile::Compiled;
use crate::lease::Leadership;
use crate::relay::Relay;
use desk::{At, Desk, Post};
use plan::Plan;

pub use check::BadReport;
pub use follow::{follow, stream};
pub use run::Runner;
pub use standing::Standing;
pub(crate) use standing::percent;
pub use store::{CONFIG_MAP_NAME, Store};

/// Lines for other replicas that wait to be read: what is lost is asked for again.
const FOLLOWER_LINES: usize = 4096;

/// Takes reports, and knows how budgets stand. Cheap to clone.
#[derive(Clone)]
pub struct Bank {
    inner: Arc<Inner>,
}

struct Inner {
    /// While this replica leads and has read the ledger.
    desk: Mutex<Option<Desk>>,
    plan: watch::Sender<Plan>,
    relay: Relay<QuotaDelivery>,
    leadership: watch::Receiver<Leadership>,
    followers: broadcast::Sender<Bytes>,
    /// Somebody waits.
    wake: Notify,
    clock: Clock,
    start: Instant,
}

// === impl Bank ===

impl Bank {
    #[must_use]
    pub fn new(relay: Relay<QuotaDelivery>, leadership: watch::Receiver<Leadership>, clock: Clock) -> Self {
        let inner = Inner {
            desk: Mutex::default(),
            plan: watch::Sender::new(Plan::default()),
            relay,
            leadership,
            followers: broadcast::Sender::new(FOLLOWER_LINES),
            wake: Notify::new(),
            clock,
            start: clock.monotonic(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes another config.
    pub fn follow(&self, compiled: &Arc<Compiled>) {
        self.inner.plan.send_replace(Plan::new(compiled.clone()));
    }

    /// Takes what a sidecar reported to this replica, and sees to it that the leader hears of it.
    pub fn receive(&self, delivery: QuotaDelivery) -> Result<(), BadReport> {
        check::check(&delivery)?;
        self.hear(&delivery, false);
        self.inner.relay.offer(delivery);
        Ok(())
    }

    /// Takes what another replica passed on.
    pub fn receive_relayed(&self, delivery: &QuotaDelivery) -> Result<(), BadReport> {
        check::check(delivery)?;
        self.hear(delivery, true);
        Ok(())
    }

    /// Whether relayed reports are to come here.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.inner.leadership.borrow().is_leading()
    }

    /// How a budget stands in its present period. None: nobody has spoken of it, or it is not known here.
    #[must_use]
    pub fn standing(&self, budget: &str) -> Option<Standing> {
        let unix = self.inner.clock.unix();
        self.desk().as_ref()?.standing(budget, unix)
    }

    /// Rights for pods whose streams end at other replicas, one a line.
    pub(crate) fn lines(&self) -> broadcast::Receiver<Bytes> {
        self.inner.followers.subscribe()
    }

    fn hear(&self, delivery: &QuotaDelivery, relayed: bool) {
        let at = self.at();
        let urgent = self.desk().as_mut().is_some_and(|desk| desk.hear(at, delivery, relayed));
        if urgent {
            self.inner.wake.notify_one();
        }
    }

    fn at(&self) -> At {
        let clock = self.inner.clock;
        At { now: self.nanos(clock.monotonic()), unix: clock.unix() }
    }

    /// Never 0, which is no time.
    fn nanos(&self, instant: Instant) -> Nanos {
        let since = instant.saturating_duration_since(self.inner.start);
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX).saturating_add(1)
    }

    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.inner.desk.lock().expect("nothing panics while holding the desk")
    }
}

/// Why there is no number for what a sidecar names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unopened {
    /// It is of nothing that counts now, or of nothing that the sidecar is under.
    Unknown,
    /// There are too many values.
    Crowded,
}

/// A message as a line.
fn line(message: &impl serde::Serialize) -> Bytes {
    let mut line = serde_json::to_vec(message).expect("strings and numbers always serialise");
    line.push(b'\n');
    line.into()
}

fn down(post: &RightsDelivery) -> Bytes {
    line(&Down::Rights { rights: post.rights.clone() })
}

#[cfg(test)]
mod tests;
