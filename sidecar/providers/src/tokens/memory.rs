//! What the parts of prompts came to. A conversation is sent again with each of its turns; what it begins with is not
//! counted again.
//!
//! A part is known by a hash of its JSON under a key drawn by this process, and by its length: that two parts of one length
//! share one is as likely as that the memory holding them errs.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use foldhash::quality::RandomState;

use super::{Encoding, IDLE_TURNS};

/// What was used least recently goes, half of it at once. All of it takes less than half a megabyte.
const HALF: usize = 1 << 13;

/// What a part is, which decides how it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Message,
    Item,
    System,
    Tools,
    /// A text inside of a message.
    Text,
    /// All of a prompt, as its provider counts.
    Told,
    /// That somebody has counted a prompt at all.
    Teller,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) tokens: u32,
    pub(super) exact: bool,
    /// It is a message from the system.
    pub(super) is_system: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    hash: u64,
    length: usize,
}

#[derive(Default)]
pub(super) struct Memory {
    state: RandomState,
    halves: Mutex<Halves>,
    /// Turns of [`Self::turn`] since somebody looked.
    idle: AtomicU32,
}

#[derive(Default)]
struct Halves {
    newer: HashMap<Key, Known, RandomState>,
    older: HashMap<Key, Known, RandomState>,
}

// === impl Memory ===

impl Memory {
    pub(super) fn key(&self, encoding: Encoding, kind: Kind, json: &[u8]) -> Key {
        Key { hash: self.state.hash_one((encoding, kind, json)), length: json.len() }
    }

    /// What a row of parts begins with.
    pub(super) fn first(&self, kind: Kind, part: &[u8]) -> Key {
        Key { hash: self.state.hash_one((kind, part)), length: part.len() }
    }

    /// The same row with one part more.
    pub(super) fn after(&self, row: Key, part: &[u8]) -> Key {
        Key { hash: self.state.hash_one((row, part)), length: row.length.saturating_add(part.len()) }
    }

    /// What somebody says of a row.
    pub(super) fn of(&self, row: Key, who: Key) -> Key {
        Key { hash: self.state.hash_one((row, who)), length: row.length }
    }

    pub(super) fn get(&self, key: Key) -> Option<Known> {
        self.idle.store(0, Ordering::Relaxed);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = halves.newer.get(&key) {
            return Some(*known);
        }
        let known = halves.older.remove(&key)?;
        halves.put(key, known);
        Some(known)
    }

    pub(super) fn put(&self, key: Key, known: Known) {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner).put(key, known);
    }

    /// One more turn is over. What nobody has looked at for as many as a vocabulary waits goes.
    pub(super) fn turn(&self) {
        if self.idle.fetch_add(1, Ordering::Relaxed) >= IDLE_TURNS {
            self.idle.store(IDLE_TURNS, Ordering::Relaxed);
            *self.halves.lock().unwrap_or_else(PoisonError::into_inner) = Halves::default();
        }
    }
}

// === impl Halves ===

impl Halves {
    fn put(&mut self, key: Key, known: Known) {
        if self.newer.len() >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_there_is_never_more_than_room_for() {
        let memory = Memory::default();
        let key = |part: usize| memory.key(Encoding::O200k, Kind::Message, part.to_string().as_bytes());
        let known = |tokens| Known { tokens, exact: true, is_system: false };
        for part in 0..10 * HALF {
            memory.put(key(part), known(part as u32));
            assert_eq!(memory.get(key(0)), Some(known(0)), "after {part} others");
        }
        let halves = memory.halves.lock().unwrap();
        assert!(halves.newer.len() + halves.older.len() <= 2 * HALF);
        drop(halves);
        assert_eq!(memory.get(key(2 * HALF)), None);
        for _ in 0..IDLE_TURNS {
            memory.turn();
        }
        assert_eq!(memory.get(key(0)), Some(known(0)), "somebody looked in time");
        for _ in 0..=IDLE_TURNS {
            memory.turn();
        }
        assert_eq!(memory.get(key(0)), None);
    }

    #[test]
    fn a_part_is_told_apart_by_its_kind_and_its_encoding() {
        let memory = Memory::default();
        let key = |encoding, kind| memory.key(encoding, kind, b"{}");
        assert_eq!(key(Encoding::O200k, Kind::Item).hash, key(Encoding::O200k, Kind::Item).hash);
        assert_ne!(key(Encoding::O200k, Kind::Item).hash, key(Encoding::Cl100k, Kind::Item).hash);
        assert_ne!(key(Encoding::O200k, Kind::Item).hash, key(Encoding::O200k, Kind::Message).hash);
    }
}
