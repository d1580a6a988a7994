//! Limits that the whole fleet counts towards, as one sidecar enforces its part of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use spillway_policy::{
    limit::{Nanos, QueueRule},
    quota::RateId,
};
use spillway_wire::{Counts, RateName, RateOf};

use super::{
    limits::Per,
    rights::{Rights, value_of},
};

/// A limit with `scope: Fleet`, or what the account of a provider allows.
#[derive(Debug)]
pub(crate) struct FleetLimit {
    pub(crate) name: Arc<str>,
    pub(crate) of: RateOf,
    /// Of an account, all there is.
    pub(crate) per: Per,
    pub(crate) requests: Option<u64>,
    pub(crate) tokens: Option<u64>,
    pub(crate) window: Nanos,
    pub(crate) queue: Option<QueueRule>,
    /// None: each value has numbers of its own.
    pub(super) rates: Option<Rates>,
}

/// What is counted, by its numbers here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) requests: Option<RateId>,
    pub(crate) tokens: Option<RateId>,
}

/// Those who wait for one rate, in their order.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) turn: tokio::sync::Mutex<()>,
    waiting: AtomicU32,
}

/// A place in a line, until dropped.
#[must_use = "dropping it gives the place up"]
#[derive(Debug)]
pub(crate) struct LinePlace(Arc<Line>);

/// The lines of a route. One that nobody is in is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<HashMap<RateId, Arc<Line>>>);

// === impl FleetLimit ===

impl FleetLimit {
    /// Whether each value has a count of its own.
    pub(super) const fn is_by_value(&self) -> bool {
        match self.per {
            Per::Pod | Per::Route | Per::Namespace | Per::Workload => false,
            Per::Header(_) | Per::User => true,
        }
    }

    /// Its numbers, for a request with this value.
    pub(crate) fn rates(&self, rights: &Rights, value: &[u8]) -> Rates {
        self.rates.unwrap_or_else(|| self.numbered(rights, Some(value_of(value))))
    }

    pub(super) fn numbered(&self, rights: &Rights, value: Option<String>) -> Rates {
        let rate = |counts| rights.rate(RateName { of: self.of.clone(), counts, value: value.clone() });
        Rates {
            requests: self.requests.map(|_| rate(Counts::Requests)),
            tokens: self.tokens.map(|_| rate(Counts::Tokens)),
        }
    }
}

// === impl Lines ===

impl Lines {
    /// How many wait for a rate.
    pub(crate) fn waiting(&self, rate: RateId) -> u32 {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(&rate).map_or(0, |line| line.waiting.load(Ordering::Relaxed))
    }

    /// A place in a line that takes so many. None: it is full.
    pub(crate) fn enter(&self, rate: RateId, depth: u32) -> Option<LinePlace> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains_key(&rate) {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let line = lines.entry(rate).or_default();
        if line.waiting.load(Ordering::Relaxed) >= depth {
            return None;
        }
        line.waiting.fetch_add(1, Ordering::Relaxed);
        Some(LinePlace(Arc::clone(line)))
    }
}

// === impl LinePlace ===

impl LinePlace {
    pub(crate) fn line(&self) -> &Line {
        &self.0
    }
}

impl Drop for LinePlace {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
