//! Texts to tokens, with a bound on the time.

use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

use super::{Count, Encoding};

/// A vocabulary's merges take quadratic time in a run without a break; text has one every few bytes, base64 and hostile
/// input do not. Longer runs are cut, which moves the count by a token per cut.
const MAX_RUN_BYTES: usize = 4 << 10;

/// What is counted of one prompt; the rest is estimated. No model's window holds this much.
const MAX_EXACT_BYTES: usize = 8 << 20;

/// Adds up tokens.
pub(super) struct Counter {
    vocabulary: Option<&'static CoreBPE>,
    tokens: u64,
    bytes: usize,
    exact: bool,
}

// === impl Counter ===

impl Counter {
    pub(super) fn new(encoding: Encoding) -> Self {
        let vocabulary = match encoding {
            Encoding::O200k => Some(o200k_base_singleton()),
            Encoding::Cl100k => Some(cl100k_base_singleton()),
            Encoding::Estimate => None,
        };
        Self { vocabulary, tokens: 0, bytes: 0, exact: vocabulary.is_some() }
    }

    pub(super) fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Adds tokens nobody can know.
    pub(super) fn guess(&mut self, tokens: u64) {
        self.add(tokens);
        self.exact = false;
    }

    pub(super) fn text(&mut self, text: &str) {
        let vocabulary = self.vocabulary.filter(|_| self.bytes.saturating_add(text.len()) <= MAX_EXACT_BYTES);
        let Some(vocabulary) = vocabulary else { return self.guess(estimate(text)) };
        self.bytes += text.len();
        let mut rest = text;
        while let Some(end) = end_of_run(rest) {
            let (run, tail) = rest.split_at(end);
            self.guess(vocabulary.count_ordinary(run) as u64);
            rest = tail;
        }
        self.add(vocabulary.count_ordinary(rest) as u64);
    }

    pub(super) fn total(&self) -> Count {
        Count { tokens: self.tokens, exact: self.exact }
    }
}

/// Where to cut the first run that is too long, if there is one.
fn end_of_run(text: &str) -> Option<usize> {
    if text.len() <= MAX_RUN_BYTES {
        return None;
    }
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        // Runs of one character repeated are as bad as runs of letters, white space included.
        let breaks = byte.is_ascii_whitespace() != text.as_bytes()[start].is_ascii_whitespace();
        if breaks {
            start = at;
        } else if at - start >= MAX_RUN_BYTES {
            return Some(text.floor_char_boundary(at));
        }
    }
    None
}

/// Four characters of English are a token, and a character of most other scripts is one. Rather too many than too few: what
/// depends on it is whether a prompt fits.
fn estimate(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.chars().filter(|c| !c.is_ascii()).count() as u64;
    (ascii * 2).div_ceil(7) + other
}
