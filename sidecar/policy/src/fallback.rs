//! Which backend gets a request, and which one is next when that fails.
//!
//! Every hop is checked the same way, first choice or last resort: does the prompt fit, and can the model do what the
//! request asks for? What is skipped is skipped for a stated reason, which ends up in the error a person reads.
//!
//! Prompts are not counted to decide this. A prompt comes as bounds, and [`Choice::Count`] asks for an exact number only
//! where the bounds leave it open.

mod price;
mod sizes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{Class, Classes, NanoUsd, PiecePrices, Pieces, Price, Tier, calibrate::Calibration};

pub use price::Beside;
pub use sizes::{Attached, Counted, Output, PerImage, Sizes};

/// How many tokenizers there may be; [`Candidate::tokenizer`] is below it.
pub const TOKENIZERS: usize = 7;

/// Those below it put what OpenAI's template does around each message, or more.
pub const FRAMED: usize = 3;

/// The one that stands for those nobody knows, which counts by estimates.
pub const UNKNOWN: usize = TOKENIZERS - 1;

/// More backends than this in one route are refused when it is loaded; sets of them are one word then.
pub const MAX_CANDIDATES: usize = 64;

/// A backend, as far as choosing needs to know it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// May be a first choice; others are reached by rules only.
    pub primary: bool,
    /// Prompt and answer together, in tokens. None: unknown, which refuses nothing.
    pub window: Option<u64>,
    /// Whose count of the prompt decides.
    pub tokenizer: usize,
    /// Where that is an estimate: by how much it is off.
    pub calibration: Option<Arc<Calibration>>,
    pub tools: bool,
    /// Calls several tools at once.
    pub parallel_tools: bool,
    pub images: bool,
    /// And fetches those that are given by their URLs.
    pub image_urls: bool,
    /// What it makes of one. None: nobody knows.
    pub per_image: Option<PerImage>,
    pub json_schema: bool,
    /// Runs tools of its own: a search, an interpreter.
    pub hosted_tools: bool,
    /// None: unknown, which is not free.
    pub price: Option<Price>,
    /// What is billed by the piece.
    pub pieces: PiecePrices,
    /// The longest answer the model gives, in tokens.
    pub max_output: Option<u64>,
}

/// What a request asks of a backend, apart from the size of its prompt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    pub output: Output,
    pub tools: bool,
    pub parallel_tools: bool,
    pub images: bool,
    /// Some are given by their URLs.
    pub image_urls: bool,
    pub json_schema: bool,
    pub hosted_tools: bool,
    /// Answers asked for beyond the first.
    pub more_choices: u32,
    /// It asks for its prompt to be kept in the provider's cache, which costs more than the prompt.
    pub cache_writes: bool,
    /// What its cost is reckoned by, before it is answered.
    pub measure: Measure,
    /// Not these: they have no such API.
    pub unable: Set,
    /// It has sound in it, or asks for some.
    pub audio: bool,
    /// The service tier it asks for.
    pub tier: Tier,
    /// It says where its answer is to be made.
    pub regional: bool,
    /// What its provider is asked to do by itself.
    pub beside: Beside,
}

/// What a request's cost is reckoned by, before anybody has answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// The tokens of its prompt and of the longest answer.
    #[default]
    Tokens,
    /// Pieces. None: how many it takes only the answer says.
    Pieces(Option<Pieces>),
    /// What it will do nobody here can know.
    Nothing,
}

/// A set of backends of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

/// Why a backend was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `prompt` is a count, or the lower bound where that is enough. `certain` is false where an estimate says so and a
    /// count might not.
    TooLong {
        prompt: u64,
        output: u64,
        window: u64,
        certain: bool,
    },
    /// Its window is no larger than the one that overflowed.
    NotLarger {
        window: u64,
    },
    NoTools,
    NoParallelTools,
    NoImages,
    NoImageUrls,
    NoJsonSchema,
    NoHostedTools,
    /// It has no such API, or not what the request is about.
    Unable,
    /// The most it can cost is more than a request of this route may.
    TooExpensive {
        worst: NanoUsd,
        max: NanoUsd,
    },
    /// A request of this route may cost so much and no more, and nobody knows what this backend costs.
    NoPrice,
    /// The route wants it for other requests: its `when` is false.
    Unwanted,
    /// Whether the route wants it is open: its `when` is neither true nor false.
    Unclear,
    /// It had its chance, or cannot be used at all just now (no key).
    Out,
    /// It is left alone for a while: a breaker on the way to it is open.
    Open,
    /// There are no rights to what it may use: of a budget, or of its provider's account.
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Take(usize),
    /// Whether this one fits is open until the prompt is counted with its tokenizer. Count, then ask again.
    Count(usize),
    Nobody,
}

/// A backend that can serve a request, or can for all that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Able {
    pub index: usize,
    /// False: the prompt has to be counted with its tokenizer first.
    pub certain: bool,
}

/// `on` any of these: try `to`, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub on: Classes,
    pub to: Vec<usize>,
}

/// The question, without the order in which candidates are asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub candidates: &'a [Candidate],
    /// Windows that proved smaller than they were said to be.
    pub learnt: &'a [(usize, u64)],
    pub demand: Demand,
    pub sizes: &'a Sizes,
    /// The prompt's tokens by the word of these themselves.
    pub told: &'a [(usize, u64)],
    /// Not these.
    pub out: Set,
    /// Nor these, which are left alone for a while.
    pub open: Set,
    /// Nor these, whose rights are not to be had.
    pub denied: Set,
    /// Not those whose `when` is false, or fails.
    pub unwanted: Set,
    pub unclear: Set,
    /// Not those whose window is no larger than this: it has proved too small already.
    pub larger_than: u64,
    /// Not those whose worst case costs more.
    pub max_cost: Option<NanoUsd>,
}

// === impl Candidate ===

impl Candidate {
    /// A count of its tokenizer as it counts itself, as far as is known.
    #[must_use]
    pub fn corrected(&self, count: Counted) -> u64 {
        match &self.calibration {
            Some(calibration) if !count.exact => calibration.correct(count.tokens),
            _ => count.tokens,
        }
    }
}

// === impl Skip ===

impl Skip {
    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::NotLarger { .. } => "window",
            Self::NoTools => "tools",
            Self::NoParallelTools => "parallel_tools",
            Self::NoImages => "images",
            Self::NoImageUrls => "image_urls",
            Self::NoJsonSchema => "json_schema",
            Self::NoHostedTools => "hosted_tools",
            Self::Unable => "api",
            Self::TooExpensive { .. } => "cost",
            Self::NoPrice => "price_unknown",
            Self::Unwanted => "when",
            Self::Unclear => "when_failed",
            Self::Out => "out",
            Self::Open => "open",
            Self::Denied => "rights",
        }
    }
}

// === impl Set ===

impl Set {
    #[must_use]
    pub const fn contains(self, index: usize) -> bool {
        index < MAX_CANDIDATES && self.0 & (1 << index) != 0
    }

    pub const fn insert(&mut self, index: usize) {
        if index < MAX_CANDIDATES {
            self.0 |= 1 << index;
        }
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

// === impl Question ===

impl Question<'_> {
    /// The first of `order` that can serve the request. Reasons for passing over the ones before it go to `skipped`.
    pub fn first_of(&self, order: impl IntoIterator<Item = usize>, mut skipped: impl FnMut(usize, Skip)) -> Choice {
        for index in order {
            let Some(candidate) = self.candidates.get(index) else { continue };
            match self.check(index, candidate) {
                Check::Fits => return Choice::Take(index),
                Check::Open => return Choice::Count(index),
                Check::Skip(reason) => skipped(index, reason),
            }
        }
        Choice::Nobody
    }

    /// Those of `order` that can serve, as far as is known, in that order, and whether it takes a count to be sure.
    pub fn able(&self, order: &[usize], mut skipped: impl FnMut(usize, Skip)) -> Vec<Able> {
        let mut able = Vec::with_capacity(order.len());
        for index in order.iter().copied() {
            let Some(candidate) = self.candidates.get(index) else { continue };
            match self.check(index, candidate) {
                Check::Fits => able.push(Able { index, certain: true }),
                Check::Open => able.push(Able { index, certain: false }),
                Check::Skip(reason) => skipped(index, reason),
            }
        }
        able
    }

    /// How much a backend takes, as far as that is known by now.
    #[must_use]
    pub fn window(&self, index: usize) -> Option<u64> {
        let said = self.candidates.get(index).and_then(|candidate| candidate.window);
        let proved = self.learnt.iter().find(|(learnt, _)| *learnt == index).map(|(_, window)| *window);
        said.into_iter().chain(proved).min()
    }

    /// Why a request may not be sent to a backend for what it can cost there, whether it fits its window or not. None: it
    /// may, or the prompt has to be counted to know.
    #[must_use]
    pub fn cost(&self, index: usize) -> Option<Skip> {
        let candidate = self.candidates.get(index)?;
        match self.check_cost(candidate, &self.sizes_for(index, candidate)) {
            Check::Skip(skip) => Some(skip),
            Check::Fits | Check::Open => None,
        }
    }

    /// The prompt as this backend counts it, as far as that is known.
    fn sizes_for(&self, index: usize, candidate: &Candidate) -> Sizes {
        let told = self.told.iter().find(|(told, _)| *told == index);
        told.map_or(*self.sizes, |(_, tokens)| Sizes::told(candidate.tokenizer, *tokens))
    }

    /// The same backends, smallest window first, and of two alike the cheaper one: a longer prompt should cost no more than
    /// it has to. What is unknown comes last, and otherwise the given order counts.
    #[must_use]
    pub fn by_window(&self, order: &[usize]) -> Vec<usize> {
        let prompt = self.sizes.common();
        let cost =
            |index: usize| self.candidates.get(index).and_then(|candidate| candidate.worst(prompt, &self.demand));
        let mut sorted = order.to_vec();
        sorted.sort_by_key(|index| {
            (self.window(*index).unwrap_or(u64::MAX), cost(*index).map_or(u64::MAX, |cost| cost.0))
        });
        sorted
    }

    fn check(&self, index: usize, candidate: &Candidate) -> Check {
        let Demand { output, tools, parallel_tools, images, image_urls, json_schema, hosted_tools, unable, .. } =
            self.demand;
        if unable.contains(index) {
            return Check::Skip(Skip::Unable);
        }
        if self.unwanted.contains(index) {
            return Check::Skip(Skip::Unwanted);
        }
        if self.unclear.contains(index) {
            return Check::Skip(Skip::Unclear);
        }
        if self.out.contains(index) {
            return Check::Skip(Skip::Out);
        }
        if self.open.contains(index) {
            return Check::Skip(Skip::Open);
        }
        if self.denied.contains(index) {
            return Check::Skip(Skip::Denied);
        }
        if tools && !candidate.tools {
            return Check::Skip(Skip::NoTools);
        }
        if parallel_tools && !candidate.parallel_tools {
            return Check::Skip(Skip::NoParallelTools);
        }
        if images && !candidate.images {
            return Check::Skip(Skip::NoImages);
        }
        if image_urls && !candidate.image_urls {
            return Check::Skip(Skip::NoImageUrls);
        }
        if json_schema && !candidate.json_schema {
            return Check::Skip(Skip::NoJsonSchema);
        }
        if hosted_tools && !candidate.hosted_tools {
            return Check::Skip(Skip::NoHostedTools);
        }
        let sizes = self.sizes_for(index, candidate);
        let Some(window) = self.window(index) else { return self.check_cost(candidate, &sizes) };
        if window <= self.larger_than {
            return Check::Skip(Skip::NotLarger { window });
        }
        match sizes.check(candidate, output.of(window), window) {
            Check::Fits => self.check_cost(candidate, &sizes),
            other => other,
        }
    }
}

enum Check {
    Fits,
    Open,
    Skip(Skip),
}

/// First choices, in the user's order.
pub fn primaries(candidates: &[Candidate]) -> impl Iterator<Item = usize> {
    candidates.iter().enumerate().filter(|(_, candidate)| candidate.primary).map(|(index, _)| index)
}

/// Where the first rule that names the class says to go. No rule: to nobody.
#[must_use]
pub fn targets(rules: &[Rule], class: Class) -> &[usize] {
    rules.iter().find(|rule| rule.on.contains(class)).map_or(&[], |rule| &rule.to)
}
