//! How far the answer of an attempt has come, for those who do not read it: whoever is to be asked beside a silent backend,
//! and whoever adds up what an attempt cost that is dropped before its end.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::settle::Waste;

/// Of one attempt.
#[derive(Debug, Default)]
pub(super) struct Progress {
    has_content: AtomicBool,
    known: Mutex<Waste>,
}

// === impl Progress ===

impl Progress {
    /// What would have to be paid if nothing more were read.
    pub(super) fn note(&self, known: Waste, has_content: bool) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        self.has_content.fetch_or(has_content, Ordering::Relaxed);
    }

    pub(super) fn waste(&self) -> Waste {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend has begun to answer: it is not silent.
    pub(super) fn has_content(&self) -> bool {
        self.has_content.load(Ordering::Relaxed)
    }
}
