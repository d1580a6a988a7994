//! Tells the operator what was spent and what could be used, and asks for more.
//!
//! Apart from the other reports: these are small, frequent, and what they bring is waited for. A report that is lost is
//! made good by the next one; none is sent again.

use std::{sync::Arc, time::Duration};

use spillway_wire::paths;
use tokio::time::{sleep, timeout};

use crate::{
    backoff::Backoff,
    chain::Chain,
    link::{Link, LinkError},
    runtime::Runtime,
};

/// While nothing presses.
const EVERY: Duration = Duration::from_secs(2);
/// However much presses.
const GAP: Duration = Duration::from_millis(50);
/// What the last one may take: the pod is being ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends reports of rights for as long as the process lives.
#[derive(Debug)]
pub struct QuotaReporter {
    link: Arc<Link>,
    runtime: Arc<Runtime>,
}

// === impl QuotaReporter ===

impl QuotaReporter {
    #[must_use]
    pub const fn new(link: Arc<Link>, runtime: Arc<Runtime>) -> Self {
        Self { link, runtime }
    }

    /// Never returns; drop it, then call [`QuotaReporter::finish`].
    pub async fn run(&self) {
        let mut backoff = Backoff::default();
        loop {
            match self.report().await {
                Ok(()) => {
                    backoff.reset();
                    sleep(GAP).await;
                    // What pressed meanwhile is due now.
                    _ = timeout(EVERY - GAP, self.runtime.rights.is_due()).await;
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "report of rights was not taken");
                    sleep(backoff.next(self.runtime.roll())).await;
                }
            }
        }
    }

    /// Gives back what is not in use, and says so. Not said, it stays this pod's until the pod is gone for certain.
    pub async fn finish(&self) {
        self.runtime.rights.leave();
        let sent = timeout(FAREWELL, async {
            let mut backoff = Backoff::default();
            while let Err(error) = self.report().await {
                tracing::warn!(error = %Chain(&error), "the last report of rights was not taken");
                sleep(backoff.next(self.runtime.roll())).await;
            }
        });
        if sent.await.is_err() {
            tracing::warn!("the operator does not know what this pod gives back");
        }
    }

    async fn report(&self) -> Result<(), LinkError> {
        let Some(report) = self.runtime.rights.report() else { return Ok(()) };
        self.link.post(paths::QUOTA, &report).await.map(drop)
    }
}
