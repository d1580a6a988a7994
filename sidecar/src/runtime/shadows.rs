//! How many copies of requests are on their way to shadows, and their end when the process drains.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A slow shadow keeps connections and bodies; with this many on their way, further requests are not copied.
const MOST: usize = 32;

#[derive(Debug)]
pub(super) struct Shadows {
    places: Arc<Semaphore>,
    drained: CancellationToken,
}

/// Leave for one copy, until dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the copy is over"]
pub(crate) struct ShadowPlace {
    _place: OwnedSemaphorePermit,
    drained: CancellationToken,
}

// === impl Shadows ===

impl Shadows {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), drained: CancellationToken::new() }
    }

    pub(super) fn enter(&self) -> Option<ShadowPlace> {
        if self.drained.is_cancelled() {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(ShadowPlace { _place: place, drained: self.drained.clone() })
    }

    pub(super) fn drain(&self) {
        self.drained.cancel();
    }
}

// === impl ShadowPlace ===

impl ShadowPlace {
    /// Comes back when the process drains.
    pub(crate) fn drained(&self) -> WaitForCancellationFutureOwned {
        self.drained.clone().cancelled_owned()
    }
}
