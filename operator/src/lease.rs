//! Which replica writes status and keeps the ledger: the holder of a Lease.
//!
//! Nothing else depends on it. Every replica serves config, webhooks and identity, whoever leads and whether or not anyone does.
//! The holder's identity is its pod's name and address, so that the others know where to pass reports on to.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The Lease in the operator's own namespace.
pub const LEASE_NAME: &str = "spillway-leader";

/// A crashed leader is replaced after this time. It renews 4 s before, every 2 s. No shorter than that: the API server may
/// take a moment. No longer: nobody is given money meanwhile, and what is wrongly taken for a crash does no harm, because
/// whoever writes the ledger leads, whoever has the Lease.
const LEASE_SECONDS: u64 = 6;
const RENEW_BEFORE_SECONDS: u64 = 4;
/// How often everybody looks who leads.
const LOOK: Duration = Duration::from_secs(1);
/// The same while nobody does: reports wait to be passed on.
const LOOK_HARDER: Duration = Duration::from_millis(250);
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// By how much the clocks of two replicas may differ.
const CLOCKS_APART: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(2);
/// Giving the Lease back is a courtesy that must not hold up the end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(3);

/// Who leads, as seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Nobody is known to.
    Unknown,
    /// This replica.
    Leading,
    /// Another replica, reached at this address.
    Following { name: String, ip: IpAddr },
}

/// Until when nobody else can hold the Lease, while this replica does. None: there is no Lease, and nobody else ever leads.
pub type Tenure = Option<Instant>;

/// This replica's candidacy.
#[derive(Clone)]
pub struct Candidate {
    pub client: kube::Client,
    pub namespace: String,
    pub pod_name: String,
    pub pod_ip: IpAddr,
    pub clock: Clock,
}

/// Where a candidate tells how it stands.
#[derive(Clone)]
pub struct Standing {
    pub leadership: watch::Sender<Leadership>,
    pub tenure: watch::Sender<Tenure>,
}

// === impl Leadership ===

impl Leadership {
    #[must_use]
    pub fn is_leading(&self) -> bool {
        *self == Self::Leading
    }

    /// From the holder that the Lease names: `pod name/pod address`.
    fn of_holder(holder: Option<&str>, own: &str) -> Self {
        match holder.map(|holder| (holder, holder.split_once('/'))) {
            Some((holder, _)) if holder == own => Self::Leading,
            Some((_, Some((name, ip)))) => match ip.parse() {
                Ok(ip) => Self::Following { name: name.to_owned(), ip },
                Err(_) => Self::Unknown,
            },
            Some((_, None)) | None => Self::Unknown,
        }
    }
}

/// A process without a Lease, such as `spillway dev`, always leads.
#[must_use]
pub fn always() -> watch::Receiver<Leadership> {
    watch::channel(Leadership::Leading).1
}

// === impl Candidate ===

impl Candidate {
    fn identity(&self) -> String {
        format!("{}/{}", self.pod_name, self.pod_ip)
    }

    /// Competes for the Lease until `stop`, then gives it back.
    pub async fn run(self, standing: Standing, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let stood = stop.run_until_cancelled(self.manager()).await;
            match stood {
                Some(Ok(manager)) => {
                    let (held, task) = manager.watch().await;
                    self.follow(held, task, &standing, &stop).await;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the Lease cannot be used, trying again");
                    stop.run_until_cancelled(sleep(RETRY)).await;
                }
                None => {}
            }
            set(&standing.leadership, Leadership::Unknown);
        }
    }

    async fn manager(&self) -> Result<LeaseManager, LeaseManagerError> {
        LeaseManagerBuilder::new(self.client.clone(), LEASE_NAME)
            .with_namespace(&self.namespace)
            .with_identity(self.identity())
            .with_field_manager(&self.pod_name)
            .with_duration(LEASE_SECONDS)
            .with_grace(RENEW_BEFORE_SECONDS)
            .build()
            .await
    }

    async fn follow(
        &self,
        mut held: watch::Receiver<bool>,
        mut task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
        Standing { leadership, tenure }: &Standing,
        stop: &CancellationToken,
    ) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        loop {
            if *held.borrow_and_update() {
                // First, so that nobody starts to lead with the end of an earlier tenure.
                self.measure(&leases, tenure).await;
                set(leadership, Leadership::Leading);
            } else {
                self.look(&leases, leadership).await;
            }
            let pause = if *leadership.borrow() == Leadership::Unknown { LOOK_HARDER } else { LOOK };
            tokio::select! {
                () = stop.cancelled() => break,
                changed = held.changed() => if changed.is_err() { break },
                () = sleep(pause) => {}
            }
        }
        set(leadership, Leadership::Unknown);
        // The manager gives the Lease back once nobody listens to it.
        drop(held);
        if timeout(RELEASE_PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
    }

    /// Finds out until when this replica leads. Whoever would follow it goes by the time of the last renewal, which is by this
    /// replica's clock, of before it was asked for.
    async fn measure(&self, leases: &Api<Lease>, tenure: &watch::Sender<Tenure>) {
        let (asked, wall) = (self.clock.monotonic(), self.clock.wall());
        let found = timeout(LOOK_PATIENCE, leases.get_opt(LEASE_NAME)).await;
        let Ok(Ok(Some(Lease { spec: Some(spec), .. }))) = found else { return };
        if let Some(left) = left(&spec, &self.identity(), wall) {
            tenure.send_replace(Some(asked + left));
        }
    }

    /// Finds out who leads. When that cannot be found out, the last known leader stays the best guess.
    async fn look(&self, leases: &Api<Lease>, leadership: &watch::Sender<Leadership>) {
        match leases.get_opt(LEASE_NAME).await {
            Ok(lease) => {
                let holder = lease.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
                let seen = Leadership::of_holder(holder.as_deref(), &self.identity());
                // Our own name in a Lease we do not hold any more is that of this replica's past.
                set(leadership, if seen.is_leading() { Leadership::Unknown } else { seen });
            }
            Err(error) => {
                tracing::debug!(%error, "the Lease could not be read");
                leadership.send_if_modified(|known| {
                    let was_leading = known.is_leading();
                    if was_leading {
                        *known = Leadership::Unknown;
                    }
                    was_leading
                });
            }
        }
    }
}

/// How long nobody else can hold this Lease yet. None: this replica does not hold it.
fn left(spec: &LeaseSpec, identity: &str, now: Timestamp) -> Option<Duration> {
    if spec.holder_identity.as_deref() != Some(identity) {
        return None;
    }
    let age = now.duration_since(spec.renew_time.as_ref()?.0);
    // A renewal that has not been yet is that of a clock that was set back meanwhile.
    let age = Duration::try_from(age).ok()?;
    Some(Duration::from_secs(LEASE_SECONDS).saturating_sub(CLOCKS_APART).saturating_sub(age))
}

fn set(leadership: &watch::Sender<Leadership>, seen: Leadership) {
    leadership.send_if_modified(|known| {
        let is_new = *known != seen;
        if is_new {
            tracing::info!(before = ?known, now = ?seen, "leadership changed");
            *known = seen;
        }
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_says_who_leads_and_where() {
        let other = |name: &str, ip: &str| Leadership::Following { name: name.into(), ip: ip.parse().unwrap() };
        let rows = [
            (Some("spillway-a/10.0.0.1"), Leadership::Leading),
            (Some("spillway-a/10.0.0.9"), other("spillway-a", "10.0.0.9")),
            (Some("spillway-b/10.0.0.2"), other("spillway-b", "10.0.0.2")),
            (Some("spillway-b/fd00::2"), other("spillway-b", "fd00::2")),
            (Some("spillway-b/nowhere"), Leadership::Unknown),
            (Some("someone-else"), Leadership::Unknown),
            (Some(""), Leadership::Unknown),
            (None, Leadership::Unknown),
        ];
        for (holder, seen) in rows {
            assert_eq!(Leadership::of_holder(holder, "spillway-a/10.0.0.1"), seen, "{holder:?}");
        }
    }
}
