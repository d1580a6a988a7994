//! Writes the ledger, one write at a time. One whose outcome is not known is followed by a look at what is stored.

use std::sync::Arc;
use std::time::Duration;

use spillway_policy::quota::{Ledger, Token, Write};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::names::Source;
use super::store::{Outcome, Read, Store, StoreError};
use crate::metrics::Metrics;

/// After a write, this many times as long passes before the next one: a fifth of the time at most.
const REST: u32 = 4;
/// Before anything that has failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Pen {
    store: Store,
    metrics: Metrics,
    writing: Option<Writing>,
    /// Not before.
    next: Instant,
}

struct Writing {
    ledger: Arc<Ledger<Source>>,
    bytes: Arc<[u8]>,
    started: Instant,
    /// None: nothing was stored, and it is to be tried again.
    task: Option<JoinHandle<Settled>>,
}

/// What has become of a write.
enum Settled {
    Done(Token),
    Read(Read),
    /// It was never sent, because it cannot be stored.
    Never,
}

/// What the allocator is to be told.
pub(super) enum News {
    Written(Arc<Ledger<Source>>, Token),
    /// This is stored, of that version.
    Found(Arc<Ledger<Source>>, Token),
    /// It was not written and will not be: perhaps the next one can be.
    Abandoned,
}

// === impl Pen ===

impl Pen {
    pub(super) fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, writing: None, next: Instant::now() }
    }

    /// Whether a write may start now.
    pub(super) fn is_idle(&self) -> bool {
        let under_way = self.writing.as_ref().is_some_and(|writing| writing.task.is_some());
        !under_way && Instant::now() >= self.next
    }

    /// Starts this write. `encode`: its bytes, unless it was tried before: what is tried twice has to be the same.
    pub(super) fn start(&mut self, write: Write<Source>, encode: impl FnOnce(&Write<Source>) -> Vec<u8>) {
        let started = Instant::now();
        let before = self.writing.take().filter(|before| Arc::ptr_eq(&before.ledger, &write.ledger));
        let bytes = before.map_or_else(|| encode(&write).into(), |before| before.bytes);
        self.metrics.rights_bytes.set(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        let Write { expects, ledger } = write;
        let task = tokio::spawn(settle(self.store.clone(), self.metrics.clone(), expects, bytes.clone()));
        self.writing = Some(Writing { ledger, bytes, started, task: Some(task) });
    }

    /// What has become of the write under way; never, if there is none.
    pub(super) async fn settled(&mut self) -> News {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let Some(task) = &mut writing.task else { return std::future::pending().await };
        let settled = task.await.expect("the task does not panic and is not aborted");
        writing.task = None;
        let took = writing.started.elapsed();
        match settled {
            Settled::Done(token) => {
                self.next = Instant::now() + took * REST;
                let ledger = writing.ledger.clone();
                self.writing = None;
                News::Written(ledger, token)
            }
            Settled::Never => {
                self.next = Instant::now() + PAUSE;
                self.writing = None;
                News::Abandoned
            }
            Settled::Read(Read { bytes, token }) => {
                self.next = Instant::now() + PAUSE;
                let is_ours = bytes.as_deref() == Some(&*writing.bytes);
                let ledger = if is_ours { writing.ledger.clone() } else { Arc::default() };
                News::Found(ledger, token)
            }
        }
    }
}

async fn settle(store: Store, metrics: Metrics, expects: Token, bytes: Arc<[u8]>) -> Settled {
    match store.write(expects, bytes).await {
        Ok(Outcome::Done(token)) => return Settled::Done(token),
        // An earlier attempt may have arrived after all.
        Ok(Outcome::Conflict) => {}
        Err(error @ StoreError::TooLarge(_)) => {
            metrics.rights_failures.inc();
            tracing::error!(%error, "the ledger of rights cannot be stored, so nobody is granted more");
            return Settled::Never;
        }
        Err(error) => {
            metrics.rights_failures.inc();
            tracing::warn!(%error, "whether the ledger of rights was stored is not known");
        }
    }
    loop {
        match store.read().await {
            Ok(read) => return Settled::Read(read),
            Err(error) => tracing::warn!(%error, "the ledger of rights cannot be read"),
        }
        sleep(PAUSE).await;
    }
}
