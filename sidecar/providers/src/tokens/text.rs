//! Texts to tokens, for as long as anybody wants to know.

use std::{
    mem,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use super::{
    Count, Encoding,
    memory::{Kind, Known, Memory},
    shelf::SHELF,
    vocabulary::{Scratch, Vocabulary},
};
use crate::loose;

/// No text has a piece this long but one made to be long. It is cut, which moves the count by a token or two, and bounds
/// the room that counting takes.
const MAX_PIECE_BYTES: usize = 1 << 20;

/// How much is counted before it is asked whether to go on: about a quarter of a millisecond's worth.
const STRIDE_BYTES: usize = 16 << 10;

/// The process's own.
pub(super) static MEMORY: LazyLock<Memory> = LazyLock::new(Memory::default);

/// Adds up tokens.
pub(super) struct Counter<'a> {
    encoding: Encoding,
    /// None: nobody knows it, or it was told to stop. What comes is estimated.
    vocabulary: Option<Arc<Vocabulary>>,
    scratch: Scratch,
    goes_on: &'a dyn Fn() -> bool,
    /// Bytes since it was last asked.
    unasked: usize,
    tokens: u64,
    exact: bool,
}

// === impl Counter ===

impl<'a> Counter<'a> {
    /// Counts until `goes_on` says no, and estimates from there on.
    pub(super) fn new(encoding: Encoding, goes_on: &'a dyn Fn() -> bool) -> Self {
        let vocabulary = SHELF.take(encoding);
        let exact = vocabulary.is_some();
        Self { encoding, vocabulary, scratch: Scratch::default(), goes_on, unasked: 0, tokens: 0, exact }
    }

    pub(super) fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Adds tokens nobody can know.
    pub(super) fn guess(&mut self, tokens: u64) {
        self.add(tokens);
        self.exact = false;
    }

    /// A part of a prompt, given as JSON: as it is remembered, or as `add` counts it. Says whether it is a message from the
    /// system.
    pub(super) fn part(&mut self, kind: Kind, json: &[u8], add: impl FnOnce(&Value, &mut Self)) -> bool {
        let key = MEMORY.key(self.encoding, kind, json);
        let known = MEMORY.get(key).unwrap_or_else(|| {
            let known = self.alone(json, add);
            // What was not counted to its end is not worth remembering.
            if self.vocabulary.is_some() == (self.encoding != Encoding::Estimate) {
                MEMORY.put(key, known);
            }
            known
        });
        self.add(known.tokens.into());
        self.exact &= known.exact;
        known.is_system
    }

    /// What a part comes to, without counting it in.
    fn alone(&mut self, json: &[u8], add: impl FnOnce(&Value, &mut Self)) -> Known {
        let before = (mem::take(&mut self.tokens), mem::replace(&mut self.exact, true));
        let mut is_system = false;
        match serde_json::from_slice::<Value>(json) {
            Ok(value) => {
                is_system = value["role"] == "system";
                add(&value, self);
            }
            // Half a surrogate pair: what the provider makes of it is anybody's guess, and the rest is text.
            Err(_) => match loose(json) {
                Some(value) => {
                    is_system = value["role"] == "system";
                    add(&value, self);
                    self.guess(0);
                }
                None => self.guess(estimate(&String::from_utf8_lossy(json))),
            },
        }
        let tokens = u32::try_from(self.tokens).unwrap_or(u32::MAX);
        let known = Known { tokens, exact: self.exact, is_system };
        (self.tokens, self.exact) = before;
        known
    }

    pub(super) fn text(&mut self, text: &str) {
        let Some(vocabulary) = self.vocabulary.take() else { return self.guess(estimate(text)) };
        let mut done = 0;
        self.scratch.expect(text.len());
        for piece in vocabulary.pieces(text) {
            for part in piece.chunks(MAX_PIECE_BYTES) {
                let tokens = vocabulary.count(part, &mut self.scratch);
                self.add(tokens);
            }
            self.exact &= piece.len() <= MAX_PIECE_BYTES;
            done += piece.len();
            if !self.is_wanted(piece.len()) {
                return self.guess(estimate(text.get(done..).unwrap_or_default()));
            }
        }
        self.vocabulary = Some(vocabulary);
    }

    fn is_wanted(&mut self, bytes: usize) -> bool {
        self.unasked += bytes;
        if self.unasked < STRIDE_BYTES {
            return true;
        }
        self.unasked = 0;
        (self.goes_on)()
    }

    pub(super) fn total(&self) -> Count {
        Count { tokens: self.tokens, exact: self.exact }
    }
}

/// Four characters of English are a token, and a character of most other scripts is one. Rather too many than too few: what
/// depends on it is whether a prompt fits.
fn estimate(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.chars().filter(|c| !c.is_ascii()).count() as u64;
    (ascii * 2).div_ceil(7) + other
}
