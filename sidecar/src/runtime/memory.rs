//! One budget of bytes for everything that is buffered: request bodies, and answers that come whole.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many bytes may be held at once.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    held: Arc<AtomicU64>,
}

/// Bytes taken from the budget, given back on drop.
#[must_use = "dropping a hold gives its bytes back at once"]
#[derive(Debug)]
pub(crate) struct Hold {
    limit: u64,
    held: Arc<AtomicU64>,
    bytes: u64,
}

// === impl Memory ===

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, held: Arc::default() }
    }

    /// A hold of nothing, to be grown.
    pub(crate) fn hold(&self) -> Hold {
        Hold { limit: self.limit, held: Arc::clone(&self.held), bytes: 0 }
    }
}

// === impl Hold ===

impl Hold {
    /// The whole budget, for a message.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes more. False: the budget is used up, and nothing was taken.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let limit = self.limit;
        let take = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self.held.try_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Gives everything back before the hold is dropped.
    pub(crate) fn give_back(&mut self) {
        if self.bytes > 0 {
            self.held.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        }
    }

    /// Takes up to `total`, if that is more than is held already.
    #[must_use]
    pub(crate) fn grow_to(&mut self, total: u64) -> bool {
        total <= self.bytes || self.grow(total - self.bytes)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_given_back_by_dropping_it_and_a_refusal_takes_nothing() {
        let memory = Memory::new(10);
        let (mut first, mut second) = (memory.hold(), memory.hold());
        assert!(first.grow(4) && second.grow_to(6) && second.grow_to(5));
        assert!(!second.grow(1));
        drop(first);
        assert!(second.grow(4) && !second.grow(1));
        second.give_back();
        assert!(memory.hold().grow(10), "given back while it is kept");
        drop(second);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}
