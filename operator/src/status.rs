//! Writes statuses: server-side apply, only what differs, at most one write a second for each object.
//!
//! The reconcile loop hands over everything it wants at once; [`Schedule`] decides what is due (pure, told the time), the task
//! around it does the writing, eight at a time. A write that fails is tried again at the same pace with whatever is
//! wanted by then.

mod events;
mod schedule;

use std::time::Duration;

use futures::StreamExt;
use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use tokio::{sync::watch, time};

pub use schedule::{Key, Schedule, Wanted};

use self::events::Events;
use crate::{clock::Clock, metrics::Metrics};

/// The owner of what we write, in `managedFields`.
pub const FIELD_MANAGER: &str = "spillway";
/// Writes in flight; the API server's priority and fairness would queue more of them anyway.
const CONCURRENCY: usize = 8;
/// A write that takes longer is given up and counted as failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// An Event that takes longer is given up.
const TELL_PATIENCE: Duration = Duration::from_secs(1);

/// What the writer works with.
pub struct Writer {
    pub client: Client,
    pub clock: Clock,
    pub metrics: Metrics,
    /// This replica, as the reporter of Events.
    pub instance: String,
}

// === impl Writer ===

impl Writer {
    /// Writes what is wanted until the sender goes away. An empty list (another replica leads) forgets everything.
    pub async fn run(self, mut wanted: watch::Receiver<Vec<Wanted>>) {
        let events = Events::new(self.client.clone(), self.instance.clone());
        let mut schedule = Schedule::default();
        loop {
            let due = schedule.next_due().unwrap_or_else(|| self.clock.monotonic() + Duration::from_secs(3600));
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = self.clock.monotonic();
                    schedule.replace(wanted.borrow_and_update().clone(), now);
                }
                () = time::sleep_until(due.into()) => {}
            }
            let writes = schedule.take_due(self.clock.monotonic());
            let written = futures::stream::iter(writes).map(|wanted| write(&self.client, wanted));
            let results: Vec<_> = written.buffer_unordered(CONCURRENCY).collect().await;
            let mut failures = Vec::new();
            for (wanted, result) in results {
                failures.extend(self.note(&mut schedule, &events, wanted, result).await);
            }
            if let Some(first) = failures.first() {
                tracing::warn!(count = failures.len(), "statuses not written, trying again: {first}");
            }
        }
    }

    /// Returns what went wrong.
    async fn note(
        &self,
        schedule: &mut Schedule,
        events: &Events,
        wanted: Wanted,
        result: Result<(), String>,
    ) -> Option<String> {
        match result {
            Ok(()) => {
                self.metrics.status_writes.with_label_values(&["ok"]).inc();
                let told = events.tell(schedule.shown(&wanted), &wanted);
                // Telling is a courtesy: it must not hold up the statuses of others.
                if time::timeout(TELL_PATIENCE, told).await.is_err() {
                    tracing::debug!(object = %wanted.key, "an Event was given up");
                }
                schedule.written(wanted, self.clock.monotonic());
                None
            }
            Err(error) => {
                self.metrics.status_writes.with_label_values(&["failed"]).inc();
                let told = format!("{}: {error}", wanted.key);
                schedule.failed(wanted, self.clock.monotonic());
                Some(told)
            }
        }
    }
}

async fn write(client: &Client, wanted: Wanted) -> (Wanted, Result<(), String>) {
    let gvk = GroupVersionKind::gvk(spillway_crds::GROUP, spillway_crds::VERSION, &wanted.key.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &wanted.key.plural());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &wanted.key.namespace, &resource);
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": wanted.key.name},
        "status": wanted.status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    let result = match time::timeout(PATIENCE, api.patch_status(&wanted.key.name, &params, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        // It was deleted meanwhile; the next reconcile no longer wants it.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {}s", PATIENCE.as_secs())),
    };
    (wanted, result)
}
