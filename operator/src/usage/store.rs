//! The ledger's place in the cluster: a ConfigMap that the leader reads when it takes over and writes when something changed.
//!
//! Writes carry the version that was read, so a leader that has been replaced without noticing cannot overwrite its successor. What is
//! lost when a leader dies is what was folded in the last seconds; live sources are reported again by their sidecars.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Intake, Ordering, ledger};
use crate::metrics::Metrics;
use crate::pods::Pods;

/// The ConfigMap in the operator's own namespace.
pub const CONFIG_MAP_NAME: &str = "spillway-ledger";
/// Its one entry.
pub const FIELD: &str = "ledger.json.gz";

/// The API server takes 1 MiB for the whole object.
const MAX_BYTES: usize = 1_000_000;
/// Between two looks at whether there is something to write.
const EVERY: Duration = Duration::from_secs(10);
/// While the stored ledger has not been read, spend cannot be shown.
const EVERY_UNTIL_READ: Duration = Duration::from_secs(1);
const LAST_WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// Where the ledger is kept.
pub struct Store {
    /// None: nowhere, as in `spillway dev`.
    maps: Option<Api<ConfigMap>>,
    metrics: Metrics,
    /// What was read or written last. None: not read since this replica took over.
    known: Option<Known>,
}

struct Known {
    /// None: there is no ConfigMap yet.
    version: Option<String>,
    edition: u64,
}

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("the API server refused to {0} ConfigMap {CONFIG_MAP_NAME}")]
    Api(&'static str, #[source] Box<kube::Error>),
    #[error("ConfigMap {CONFIG_MAP_NAME} holds no ledger (fix: restore or delete it)")]
    Corrupt(#[source] ledger::Corrupt),
    #[error("the ledger has {0} bytes, a ConfigMap takes {MAX_BYTES} (hint: fewer pods per operator)")]
    TooLarge(usize),
}

// === impl Store ===

impl Store {
    /// In this namespace.
    #[must_use]
    pub fn cluster(client: kube::Client, namespace: &str, metrics: Metrics) -> Self {
        Self { maps: Some(Api::namespaced(client, namespace)), metrics, known: None }
    }

    /// Nowhere: the ledger lives as long as the process.
    #[must_use]
    pub fn nowhere(metrics: Metrics) -> Self {
        Self { maps: None, metrics, known: None }
    }

    /// Keeps the ledger tidy and, while this replica leads, stored; writes a last time at `stop`.
    pub async fn run(mut self, intake: Intake, pods: Pods, stop: CancellationToken) {
        let mut leadership = intake.inner.leadership.clone();
        let mut tick = interval(EVERY_UNTIL_READ);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // First, because the Lease is given back at the same moment, and the last write belongs to this leadership.
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
                Ok(()) = leadership.changed() => {}
            }
            leadership.mark_unchanged();
            let was_known = self.known.is_some();
            intake.tidy(&pods.read());
            self.step(&intake).await;
            if was_known != self.known.is_some() {
                tick = interval(if was_known { EVERY_UNTIL_READ } else { EVERY });
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                tick.reset();
            }
        }
        // A successor that reads before this is written finds out when it writes.
        match timeout(LAST_WRITE_PATIENCE, self.write(&intake)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the usage ledger was not stored a last time"),
            Err(_) => tracing::warn!("the usage ledger could not be stored a last time before the end"),
        }
    }

    async fn step(&mut self, intake: &Intake) {
        if !intake.is_leading() {
            intake.inner.complete.store(false, Ordering::Release);
            self.known = None;
            return;
        }
        let done = match self.known {
            None => self.take_over(intake).await,
            Some(_) => self.write(intake).await,
        };
        if let Err(error) = done {
            self.metrics.ledger_failures.inc();
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the usage ledger is not stored");
        }
    }

    async fn take_over(&mut self, intake: &Intake) -> Result<(), StoreError> {
        let mut version = None;
        if let Some(maps) = &self.maps {
            let stored = maps.get_opt(CONFIG_MAP_NAME).await.map_err(|e| StoreError::Api("read", Box::new(e)))?;
            if let Some(map) = stored {
                if let Some(ByteString(bytes)) = map.binary_data.as_ref().and_then(|data| data.get(FIELD)) {
                    let ledger = ledger::decode(bytes).map_err(StoreError::Corrupt)?;
                    let mut books = intake.books();
                    books.ledger.take_over(ledger);
                    books.edition += 1;
                }
                version = map.metadata.resource_version;
            }
        }
        // Edition 0 is that of an empty ledger, which needs no writing.
        self.known = Some(Known { version, edition: 0 });
        intake.inner.complete.store(true, Ordering::Release);
        intake.inner.changes.fleet();
        Ok(())
    }

    async fn write(&mut self, intake: &Intake) -> Result<(), StoreError> {
        let (Some(maps), Some(known)) = (&self.maps, &mut self.known) else { return Ok(()) };
        let (edition, ledger) = {
            let books = intake.books();
            if books.edition == known.edition {
                return Ok(());
            }
            (books.edition, books.ledger.clone())
        };
        let bytes = ledger::encode(&ledger);
        self.metrics.ledger_bytes.set(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        if bytes.len() > MAX_BYTES {
            return Err(StoreError::TooLarge(bytes.len()));
        }
        let map = config_map(bytes, known.version.clone());
        let written = match known.version {
            Some(_) => maps.replace(CONFIG_MAP_NAME, &PostParams::default(), &map).await,
            None => maps.create(&PostParams::default(), &map).await,
        };
        match written {
            Ok(map) => {
                *known = Known { version: map.metadata.resource_version, edition };
                Ok(())
            }
            Err(error) => {
                // Someone else wrote, or it was deleted: read it again before the next write.
                if matches!(&error, kube::Error::Api(status) if status.is_conflict() || status.is_not_found() || status.is_already_exists())
                {
                    self.known = None;
                }
                Err(StoreError::Api("write", Box::new(error)))
            }
        }
    }
}

fn config_map(bytes: Vec<u8>, version: Option<String>) -> ConfigMap {
    let metadata =
        ObjectMeta { name: Some(CONFIG_MAP_NAME.to_owned()), resource_version: version, ..ObjectMeta::default() };
    let binary_data = Some(BTreeMap::from([(FIELD.to_owned(), ByteString(bytes))]));
    ConfigMap { metadata, binary_data, ..ConfigMap::default() }
}

#[cfg(test)]
mod tests;
