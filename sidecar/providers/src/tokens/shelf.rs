//! The vocabularies in memory: loaded by the first count that needs one, shared, and given back when nobody has needed it
//! for a while.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::{Encoding, pieces::Pattern, vocabulary::Vocabulary};

/// The process's own.
pub(super) static SHELF: Shelf = Shelf::new();

/// Turns of [`Shelf::turn`] without a count after which a vocabulary goes.
pub const IDLE_TURNS: u32 = 10;

/// A place for each pattern.
pub(super) struct Shelf([Mutex<Place>; Pattern::ALL.len()]);

struct Place {
    vocabulary: Option<Arc<Vocabulary>>,
    /// Turns since it was last taken.
    idle: u32,
}

// === impl Shelf ===

impl Shelf {
    pub(super) const fn new() -> Self {
        Self([const { Mutex::new(Place { vocabulary: None, idle: 0 }) }; Pattern::ALL.len()])
    }

    /// Loads it if it is not there, while others who want it wait.
    pub(super) fn take(&self, encoding: Encoding) -> Option<Arc<Vocabulary>> {
        let pattern = match encoding {
            Encoding::O200k | Encoding::Harmony => Pattern::O200k,
            Encoding::Cl100k => Pattern::Cl100k,
            Encoding::Qwen => Pattern::Qwen,
            Encoding::DeepSeek => Pattern::DeepSeek,
            Encoding::Tekken => Pattern::Tekken,
            Encoding::Estimate => return None,
        };
        let mut place = self.0[pattern as usize].lock().unwrap_or_else(PoisonError::into_inner);
        place.idle = 0;
        Some(Arc::clone(place.vocabulary.get_or_insert_with(|| Arc::new(Vocabulary::load(pattern)))))
    }

    /// One more turn is over. Says how many vocabularies are in memory still.
    pub(super) fn turn(&self) -> usize {
        self.0
            .iter()
            .filter(|place| match place.try_lock() {
                Ok(mut place) => place.turn(),
                Err(TryLockError::Poisoned(place)) => place.into_inner().turn(),
                // It is being loaded, which nobody who keeps time waits for.
                Err(TryLockError::WouldBlock) => true,
            })
            .count()
    }
}

// === impl Place ===

impl Place {
    /// Whether it is still there.
    fn turn(&mut self) -> bool {
        self.idle = self.idle.saturating_add(1);
        if self.idle > IDLE_TURNS {
            self.vocabulary = None;
        }
        self.vocabulary.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_is_shared_while_it_is_used_and_given_back_when_it_is_not() {
        let shelf = Shelf::new();
        assert_eq!(shelf.turn(), 0, "nobody has asked for one");
        let first = shelf.take(Encoding::Cl100k).unwrap();
        for _ in 0..3 {
            for _ in 0..IDLE_TURNS {
                assert_eq!(shelf.turn(), 1);
            }
            assert!(Arc::ptr_eq(&first, &shelf.take(Encoding::Cl100k).unwrap()), "used in time");
        }
        assert_eq!((0..IDLE_TURNS).map(|_| shelf.turn()).min(), Some(1));
        assert_eq!(shelf.turn(), 0);
        assert_eq!(Arc::strong_count(&first), 1, "what is counting with it still may");
        assert!(shelf.take(Encoding::Cl100k).is_some(), "and it is loaded again");
        assert!(shelf.take(Encoding::Estimate).is_none());
    }
}
