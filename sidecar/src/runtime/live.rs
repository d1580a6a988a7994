//! What routes and backends have learnt and hold while they run. Handed on to the next config, by name: an edit of a route
//! neither forgets that a backend is down nor hands out its limits anew.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use spillway_policy::balance::{Load, PeakEwma};

use super::{generation::Generation, limits::Limits};

/// Of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    pub(crate) limits: Arc<Limits>,
}

/// Of one backend of one route.
#[derive(Debug, Default)]
pub(crate) struct BackendState {
    /// How far it is behind its share under strategy Weighted.
    pub(crate) behind: AtomicI64,
    in_flight: AtomicU32,
    latency: Mutex<PeakEwma>,
}

/// One attempt at a backend, counted until dropped: for a stream, until its end.
#[derive(Debug)]
#[must_use = "dropping it says that the attempt is over"]
pub(crate) struct InFlight(Arc<BackendState>);

// === impl BackendState ===

impl BackendState {
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(crate) fn load(&self, now: Instant) -> Load {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Load { in_flight: self.in_flight.load(Ordering::Relaxed), micros: latency.micros(now) }
    }

    /// How long an attempt took: until a stream's first content, or until a whole answer was there.
    pub(crate) fn took(&self, now: Instant, took: Duration) {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).observe(now, took);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The route's state in the config before, or a new one.
pub(super) fn route(before: Option<&Generation>, name: &str) -> Arc<RouteState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|route| route.name == name));
    old.map_or_else(Arc::default, |route| Arc::clone(&route.state))
}

/// The backend's state in the config before, if it still asks the same model of the same provider, or a new one.
pub(super) fn backend(
    before: Option<&Generation>,
    route: &str,
    name: &str,
    (provider, model): (&str, &str),
) -> Arc<BackendState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|old| old.name == route));
    let old = old.and_then(|route| route.backends.iter().find(|backend| backend.name == name));
    let same = old.filter(|old| old.provider.name == provider && old.model == model);
    same.map_or_else(Arc::default, |backend| Arc::clone(&backend.state))
}
