//! The tokens of an encoding, and how many of them a piece of text becomes.
//!
//! Byte pair encoding merges the pair of the lowest rank, again and again; done as written that is quadratic in a long
//! piece. What is used instead: a row of tokens is the encoding of its text if and only if each two neighbours are the
//! encoding of theirs. So the longest token that can come next is taken, a shorter one where it cannot stand beside the
//! one before, and where none can, the one before is taken back, and where it ended is not come to again. That is linear
//! (the idea is that of GitHub's `bpe` crate).
//!
//! In memory a vocabulary is a trie and the merges backwards and forwards: nine megabytes for two hundred thousand tokens.
//! In the program it is the merges alone, compressed.

mod load;
mod pairs;
mod recent;
mod trie;

use super::pieces::{Pattern, Pieces};
use pairs::Pairs;
use recent::Recent;
use trie::Trie;

/// No token. Ranks are far smaller.
const NONE: u32 = u32::MAX;

/// One encoding. Tokens go by their rank, which is their number.
pub(super) struct Vocabulary {
    pattern: Pattern,
    trie: Trie,
    pairs: Pairs,
    /// What a token was merged from; a byte from itself, twice.
    halves: Vec<[u32; 2]>,
    /// The longest token that is a proper prefix of a token.
    shorter: Vec<u32>,
    lengths: Vec<u8>,
}

/// Room to work in, for one vocabulary, and how much work was done: steps that each take constant time.
#[derive(Default)]
pub(super) struct Scratch {
    tokens: Vec<u32>,
    /// Places no encoding leads on from, a bit each.
    dead: Vec<u64>,
    /// What [`Vocabulary::next`] found of late.
    known: Vec<Known>,
    recent: Recent,
    run: Run,
    pub(super) steps: u64,
}

/// After `last`, of `longest` and the shorter ones, it was `found`.
#[derive(Clone, Copy)]
struct Known {
    last: u32,
    longest: u32,
    found: u32,
}

/// One byte again and again, `from..until`. The only long tokens there are begin such runs, and going over a hundred bytes
/// at each place of one is most of what it would cost.
#[derive(Clone, Copy, Default)]
struct Run {
    from: usize,
    until: usize,
    /// The longest token at each place that no token reaches the end of the run from.
    longest: u32,
}

/// No token is longer.
pub(super) const LONGEST: usize = 128;

/// A shorter text is not worth the room that remembering its pieces takes.
const LONG_TEXT: usize = 4 << 10;

/// Runs of fewer bytes, and pieces of fewer words of 64 bits, are not worth a thought.
const SHORT: usize = 16;

/// How much is known at once: a power of two.
const KNOWN: usize = 1 << 12;

// === impl Scratch ===

impl Scratch {
    /// A text of so many bytes is to be counted.
    pub(super) fn expect(&mut self, bytes: usize) {
        if bytes >= LONG_TEXT {
            self.recent.begin();
        }
    }
}

// === impl Vocabulary ===

impl Vocabulary {
    pub(super) fn pieces<'a>(&self, text: &'a str) -> Pieces<'a> {
        Pieces::new(text, self.pattern)
    }

    /// How many tokens a piece is.
    pub(super) fn count(&self, piece: &[u8], scratch: &mut Scratch) -> u64 {
        let Some(place) = scratch.recent.place(piece) else { return self.count_anew(piece, scratch) };
        if let Some(count) = scratch.recent.get(place) {
            return count;
        }
        let count = self.count_anew(piece, scratch);
        scratch.recent.put(place, count);
        count
    }

    fn count_anew(&self, piece: &[u8], scratch: &mut Scratch) -> u64 {
        let first = self.trie.longest(piece, &mut scratch.steps);
        if self.length(first) >= piece.len() {
            return u64::from(!piece.is_empty());
        }
        self.encode(piece, first, scratch);
        scratch.tokens.len() as u64
    }

    fn length(&self, token: u32) -> usize {
        usize::from(self.lengths[token as usize])
    }

    /// Leaves the encoding of a piece in `scratch`. `next` is the longest token it begins with.
    fn encode(&self, piece: &[u8], mut next: u32, scratch: &mut Scratch) {
        scratch.tokens.clear();
        scratch.dead.clear();
        scratch.dead.resize(piece.len() / 64 + 1, 0);
        scratch.run = Run::default();
        let mut at = 0;
        loop {
            let found = self.next(scratch, next);
            if found == NONE {
                scratch.dead[at / 64] |= 1 << (at % 64);
                // Every text has an encoding, so there is one to take back.
                let Some(last) = scratch.tokens.pop() else { return };
                at -= self.length(last);
                next = self.shorter[last as usize];
                continue;
            }
            let end = at + self.length(found);
            if scratch.dead[end / 64] >> (end % 64) & 1 != 0 {
                next = self.shorter[found as usize];
                continue;
            }
            scratch.tokens.push(found);
            at = end;
            if at == piece.len() {
                return;
            }
            next = self.longest(piece, at, scratch);
        }
    }

    /// The longest token from a place on.
    fn longest(&self, piece: &[u8], at: usize, scratch: &mut Scratch) -> u32 {
        let Scratch { run, steps, .. } = scratch;
        if run.from <= at && at + LONGEST <= run.until {
            *steps += 1;
            return run.longest;
        }
        let longest = self.trie.longest(&piece[at..], steps);
        if self.length(longest) >= SHORT && at >= run.until {
            let byte = piece[at];
            let until = piece[at..].iter().position(|other| *other != byte).map_or(piece.len(), |length| at + length);
            *run = Run { from: at, until, longest };
        }
        longest
    }

    /// The longest of `longest` and what is shorter that can stand beside the last token. [`NONE`]: none of them can.
    fn next(&self, scratch: &mut Scratch, longest: u32) -> u32 {
        let Some(last) = scratch.tokens.last().copied().filter(|_| longest != NONE) else { return longest };
        let search = |steps: &mut u64| {
            let mut found = longest;
            while found != NONE && !self.may_follow(last, found, steps) {
                found = self.shorter[found as usize];
            }
            found
        };
        // Words are all different; what is long repeats itself.
        if scratch.dead.len() <= SHORT {
            return search(&mut scratch.steps);
        }
        scratch.known.resize(KNOWN, Known { last: NONE, longest: NONE, found: NONE });
        // The bits of the golden ratio mix; the uppermost ones are mixed best.
        let hash = (last.wrapping_mul(0x9e37_79b1) ^ longest).wrapping_mul(0x9e37_79b1);
        let slot = (hash >> (u32::BITS - KNOWN.trailing_zeros())) as usize;
        scratch.steps += 1;
        let known = scratch.known[slot];
        if (known.last, known.longest) == (last, longest) {
            return known.found;
        }
        let found = search(&mut scratch.steps);
        scratch.known[slot] = Known { last, longest, found };
        found
    }

    /// Whether the encoding of the two tokens' text is the two tokens.
    ///
    /// It is not if their merges, undone one by one, the latest first, ever leave two neighbours across the border that
    /// would have been merged earlier than what was undone last.
    fn may_follow(&self, mut left: u32, mut right: u32, steps: &mut u64) -> bool {
        // Merges across the border of this rank and above come too late. Among equals the leftmost comes first, hence
        // the one that is added on the right.
        let mut too_late = NONE;
        loop {
            *steps += 1;
            if self.pairs.get(left, right, &self.halves).is_some_and(|merged| merged < too_late) {
                return false;
            }
            let [_, left_end] = self.halves[left as usize];
            let [right_start, _] = self.halves[right as usize];
            let (left_is_byte, right_is_byte) = (left_end == left, right_start == right);
            if left_is_byte && right_is_byte {
                return true;
            }
            if right_is_byte || (left > right && !left_is_byte) {
                (too_late, left) = (left, left_end);
            } else {
                (too_late, right) = (right + 1, right_start);
            }
        }
    }
}

#[cfg(test)]
mod tests;
