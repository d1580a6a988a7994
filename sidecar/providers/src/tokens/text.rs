//! Texts to tokens, for as long as anybody wants to know.

use std::{
    mem,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use super::{
    Count, Encoding,
    classes::{CLASSES, MARK},
    estimate::estimate,
    memory::{Kind, Known, Memory},
    shelf::SHELF,
    special,
    template::Template,
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

#[cfg(test)]
thread_local! {
    /// Bytes this thread has encoded.
    pub(super) static ENCODED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

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
    /// Of several prompts.
    longest: u64,
}

// === impl Counter ===

impl<'a> Counter<'a> {
    /// Counts until `goes_on` says no, and estimates from there on.
    pub(super) fn new(encoding: Encoding, goes_on: &'a dyn Fn() -> bool) -> Self {
        let vocabulary = SHELF.take(encoding);
        let exact = vocabulary.is_some();
        Self { encoding, vocabulary, scratch: Scratch::default(), goes_on, unasked: 0, tokens: 0, exact, longest: 0 }
    }

    pub(super) fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    pub(super) const fn template(&self) -> Template {
        self.encoding.template()
    }

    /// What is around a message.
    pub(super) fn message(&mut self) {
        self.add(self.template().message);
    }

    /// Adds tokens nobody can know.
    pub(super) fn guess(&mut self, tokens: u64) {
        self.add(tokens);
        self.exact = false;
    }

    /// So many bytes of JSON that some models are shown, in one way or another.
    pub(super) fn guess_json(&mut self, bytes: usize) {
        if bytes > 0 {
            self.guess((bytes as u64 * 2).div_ceil(7));
        }
    }

    /// One prompt of several.
    pub(super) fn one_of(&mut self, add: impl FnOnce(&mut Self)) {
        let before = self.tokens;
        add(self);
        self.longest = self.longest.max(self.tokens - before);
    }

    pub(super) const fn longest(&self) -> u64 {
        self.longest
    }

    /// A part of a prompt, given as JSON: as it is remembered, or as `add` counts it. Says whether it is a message from the
    /// system.
    pub(super) fn part(&mut self, kind: Kind, json: &[u8], add: impl FnOnce(&Value, &mut Self)) -> bool {
        self.known(kind, json, |counter| counter.json(json, add))
    }

    /// [`Self::text`], as it is remembered.
    pub(super) fn remembered(&mut self, text: &str) {
        self.known(Kind::Text, text.as_bytes(), |counter| {
            counter.text(text);
            false
        });
    }

    fn known(&mut self, kind: Kind, bytes: &[u8], add: impl FnOnce(&mut Self) -> bool) -> bool {
        let key = MEMORY.key(self.encoding, kind, bytes);
        let known = MEMORY.get(key).unwrap_or_else(|| {
            let known = self.alone(add);
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
    fn alone(&mut self, add: impl FnOnce(&mut Self) -> bool) -> Known {
        let before = (mem::take(&mut self.tokens), mem::replace(&mut self.exact, true));
        let is_system = add(self);
        let tokens = u32::try_from(self.tokens).unwrap_or(u32::MAX);
        let known = Known { tokens, exact: self.exact, is_system };
        (self.tokens, self.exact) = before;
        known
    }

    fn json(&mut self, json: &[u8], add: impl FnOnce(&Value, &mut Self)) -> bool {
        let (value, is_text) = match serde_json::from_slice::<Value>(json) {
            Ok(value) => (Some(value), true),
            // Half a surrogate pair: what the provider makes of it is anybody's guess, and the rest is text.
            Err(_) => (loose(json), false),
        };
        let Some(value) = value else {
            self.guess(estimate(&String::from_utf8_lossy(json)));
            return false;
        };
        add(&value, self);
        self.exact &= is_text;
        value["role"] == "system"
    }

    pub(super) fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let Some(vocabulary) = self.vocabulary.take() else { return self.guess(estimate(text)) };
        #[cfg(test)]
        ENCODED.with(|encoded| encoded.set(encoded.get() + text.len()));
        let mut done = 0;
        self.exact &= self.encoding != Encoding::Qwen || is_composed(text);
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

    /// A text in which a template's own words are tokens and no text, as in a prompt that the caller has put into its
    /// template already. Which of them its model knows is a guess.
    pub(super) fn raw(&mut self, text: &str) {
        let (mut done, mut special) = (0, 0);
        for (at, length) in special::find(text, self.encoding) {
            self.text(text.get(done..at).unwrap_or_default());
            (done, special) = (at + length, special + 1);
        }
        self.text(text.get(done..).unwrap_or_default());
        if special > 0 {
            self.guess(special);
        }
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

/// Whether it is certain that a text is in the form in which Qwen's tokenizer reads any (NFC): no accents that stand for
/// themselves, no syllables in parts, and none of the characters that are another's double.
fn is_composed(text: &str) -> bool {
    let doubtful = |c: char| {
        CLASSES.of(c) & MARK != 0
            || matches!(c, '\u{1100}'..='\u{11ff}' | '\u{1f71}'..='\u{1fff}' | '\u{2000}'..='\u{2001}' | '\u{2126}'..='\u{212b}')
            || matches!(c, '\u{374}'..='\u{387}' | '\u{2329}'..='\u{232a}' | '\u{f900}'..='\u{fb4e}' | '\u{2f800}'..)
    };
    text.is_ascii() || !text.chars().any(doubtful)
}
