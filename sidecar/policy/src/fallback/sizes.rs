//! How long a prompt is, how much is kept for its answer, and whether both fit a window.

use super::{Candidate, Check, Skip, TOKENIZERS, UNKNOWN};

/// Tokens kept for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The request's own limit: a provider refuses a prompt that leaves less.
    Asked(u64),
    /// A route's rule for requests that set none; never more than half of a window.
    Reserve(u64),
    /// As much of what is asked for as there is room, but not less than the reserve: the request's limit will be lowered.
    AtLeast { asked: u64, reserve: u64 },
}

/// How long a prompt is, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub lower: u64,
    pub upper: u64,
    pub counted: [Option<Counted>; TOKENIZERS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub tokens: u64,
    /// False for an estimate.
    pub exact: bool,
}

// === impl Output ===

impl Output {
    /// What is kept of a window of this size.
    #[must_use]
    pub const fn of(self, window: u64) -> u64 {
        match self {
            Self::Asked(tokens) => tokens,
            Self::Reserve(tokens) if tokens > window / 2 => window / 2,
            Self::Reserve(tokens) => tokens,
            Self::AtLeast { asked, reserve } => {
                let reserve = Self::Reserve(reserve).of(window);
                if asked < reserve { asked } else { reserve }
            }
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Asked(0)
    }
}

// === impl Sizes ===

impl Sizes {
    /// A prompt of which only bounds are known.
    #[must_use]
    pub const fn bounds(lower: u64, upper: u64) -> Self {
        Self { lower, upper, counted: [None; TOKENIZERS] }
    }

    /// The same with what the one says that counts with this tokenizer.
    pub(super) const fn told(&self, tokenizer: usize, tokens: u64) -> Self {
        let mut told = Self::bounds(tokens, tokens);
        if tokenizer < TOKENIZERS {
            told.counted[tokenizer] = Some(Counted { tokens, exact: true });
        }
        told
    }

    /// As few tokens as the prompt can have.
    pub(super) const fn least(&self, tokenizer: usize) -> u64 {
        if tokenizer == UNKNOWN { 0 } else { self.lower }
    }

    pub(super) fn check(&self, candidate: &Candidate, output: u64, window: u64) -> Check {
        let tokenizer = candidate.tokenizer;
        let room = window.saturating_sub(output);
        let too_long = |prompt, certain| Check::Skip(Skip::TooLong { prompt, output, window, certain });
        if self.upper <= room {
            return Check::Fits;
        }
        match self.counted.get(tokenizer).copied().flatten() {
            Some(count) if candidate.corrected(count) <= room => Check::Fits,
            Some(count) => too_long(candidate.corrected(count), count.exact || self.least(tokenizer) > room),
            None if self.least(tokenizer) > room => too_long(self.lower, true),
            None => Check::Open,
        }
    }
}
