//! Whether the API server lets us in at all.
//!
//! The operator waits for every list before it publishes anything. One namespace of `--secret-namespace` that was deleted, and the
//! Role in it, must not keep it waiting for ever: after a while its Secrets count as not there, and conditions say so.

use std::sync::{Arc, OnceLock};

use kube::runtime::watcher;
use tokio::time::{Duration, Instant};

/// Rights that were granted a moment ago may take this long to be known everywhere.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a list was refused for the first time.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    refused: Arc<OnceLock<Instant>>,
}

// === impl Gate ===

impl Gate {
    /// Takes note of a failed list or watch.
    pub(super) fn note(&self, error: &watcher::Error) {
        if let watcher::Error::InitialListFailed(kube::Error::Api(status)) = error
            && status.code == 403
        {
            self.refused.get_or_init(Instant::now);
        }
    }

    /// It has been refused for so long that there is no point in waiting.
    pub(super) fn is_closed(&self) -> bool {
        self.refused.get().is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failed(code: u16) -> watcher::Error {
        watcher::Error::InitialListFailed(kube::Error::Api(Status::failure("no", "").with_code(code).boxed()))
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_lasting_refusal_ends_the_wait() {
        let gate = Gate::default();
        gate.note(&failed(500));
        tokio::time::advance(PATIENCE * 2).await;
        assert!(!gate.is_closed(), "an API server in trouble is waited for");
        gate.note(&failed(403));
        assert!(!gate.is_closed(), "the rights may be on their way");
        tokio::time::advance(PATIENCE).await;
        gate.note(&failed(403));
        assert!(gate.is_closed());
    }
}
