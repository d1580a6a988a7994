//! How many connections applications have open, on all addresses together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Applications keep connections open that they do not use: so many for each request that may be in flight.
const SERVED: usize = 2;
/// So many more are told that there is no room, at some kilobytes each: less than a fifth of a container's memory.
const TOLD: usize = 16;

#[derive(Debug)]
pub(super) struct Connections {
    pub(super) most: usize,
    served: Arc<Semaphore>,
    told: Arc<Semaphore>,
}

/// What becomes of a new connection. A place is its, until dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place away"]
pub(crate) enum Connected {
    Serve(OwnedSemaphorePermit),
    /// There is no room for it, and it is told so.
    TurnAway(OwnedSemaphorePermit),
    /// There is not even room to tell it.
    Close,
}

// === impl Connections ===

impl Connections {
    pub(super) fn of(requests: usize) -> Self {
        let places = |each: usize| Arc::new(Semaphore::new(requests.saturating_mul(each).min(Semaphore::MAX_PERMITS)));
        Self { most: requests.saturating_mul(SERVED), served: places(SERVED), told: places(TOLD) }
    }

    pub(super) fn enter(&self) -> Connected {
        let place = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let served = place(&self.served).map(Connected::Serve);
        served.or_else(|| place(&self.told).map(Connected::TurnAway)).unwrap_or(Connected::Close)
    }
}
