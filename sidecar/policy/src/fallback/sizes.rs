//! How long a prompt is, how much is kept for its answer, and whether both fit a window.

use super::{Candidate, Check, FRAMED, Skip, TOKENIZERS};

/// An estimate is off by a half or the double at most, where it is of text alone: what is estimated at more than so many
/// windows does not fit one.
const CERTAINLY: u64 = 2;

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
    /// The same where nobody knows what its template adds.
    pub least: u64,
    /// Of its text.
    pub upper: u64,
    pub attached: Attached,
    pub counted: [Option<Counted>; TOKENIZERS],
    /// Of a list of prompts, each of which has a window to itself, the longest as it is counted.
    pub longest: Option<[Option<Counted>; TOKENIZERS]>,
}

/// What a prompt has beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub images: u64,
    /// How many of them are asked for in low detail.
    pub low: u64,
    /// There is sound, which has fewer tokens than bytes.
    pub sound: bool,
    /// There is something that no length bounds.
    pub unbounded: bool,
}

/// The most tokens that a model makes of an image, and of one in low detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerImage {
    pub most: u64,
    pub low: u64,
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

// === impl Attached ===

impl Attached {
    const NONE: Self = Self { images: 0, low: 0, sound: false, unbounded: false };

    /// The prompt is text and nothing else.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { images, low: _, sound, unbounded } = *self;
        images == 0 && !sound && !unbounded
    }
}

// === impl Sizes ===

impl Sizes {
    /// A prompt of which only bounds are known.
    #[must_use]
    pub const fn bounds(lower: u64, upper: u64) -> Self {
        Self { lower, least: lower, upper, attached: Attached::NONE, counted: [None; TOKENIZERS], longest: None }
    }

    /// A prompt that the one has counted who counts with this tokenizer.
    pub(super) const fn told(tokenizer: usize, tokens: u64) -> Self {
        let mut told = Self::bounds(tokens, tokens);
        if tokenizer < TOKENIZERS {
            told.counted[tokenizer] = Some(Counted { tokens, exact: true });
        }
        told
    }

    /// As few tokens as the prompt can have.
    pub(super) const fn least(&self, tokenizer: usize) -> u64 {
        if tokenizer < FRAMED { self.lower } else { self.least }
    }

    /// As many tokens as a model can make of the prompt, by its length alone. None: there is something in it that has none.
    #[must_use]
    pub const fn upper_for(&self, candidate: &Candidate) -> Option<u64> {
        let Attached { images, low, unbounded, .. } = self.attached;
        if unbounded {
            return None;
        }
        if images == 0 {
            return Some(self.upper);
        }
        let Some(PerImage { most, low: small }) = candidate.per_image else { return None };
        let all = images.saturating_sub(low).saturating_mul(most).saturating_add(low.saturating_mul(small));
        Some(self.upper.saturating_add(all))
    }

    pub(super) fn check(&self, candidate: &Candidate, output: u64, window: u64) -> Check {
        let tokenizer = candidate.tokenizer;
        let (room, least) = (window.saturating_sub(output), self.least(tokenizer));
        let counted = self.longest.as_ref().unwrap_or(&self.counted);
        let too_long = |prompt, certain| Check::Skip(Skip::TooLong { prompt, output, window, certain });
        if self.upper_for(candidate).is_some_and(|upper| upper <= room) {
            return Check::Fits;
        }
        match counted.get(tokenizer).copied().flatten() {
            Some(count) if candidate.corrected(count) <= room => Check::Fits,
            Some(count) => {
                let prompt = candidate.corrected(count);
                let by_far = self.attached.is_empty() && prompt / CERTAINLY > window;
                too_long(prompt, count.exact || least > room || by_far)
            }
            None if least > room => too_long(least, true),
            None => Check::Open,
        }
    }
}

/// A count by one tokenizer and no other.
#[cfg(test)]
pub(super) fn counted_by(tokenizer: usize, counted: Counted) -> [Option<Counted>; TOKENIZERS] {
    std::array::from_fn(|other| (other == tokenizer).then_some(counted))
}
