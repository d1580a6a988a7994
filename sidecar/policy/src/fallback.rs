//! Which backend gets a request, and which one is next when that fails.
//!
//! Every hop is checked the same way, first choice or last resort: does the prompt fit, and can the model do what the
//! request asks for? What is skipped is skipped for a stated reason, which ends up in the error a person reads.
//!
//! Prompts are not counted to decide this. A prompt comes as bounds, and [`Choice::Count`] asks for an exact number only
//! where the bounds leave it open.

use crate::{Class, Classes};

/// How many tokenizers there may be; [`Candidate::tokenizer`] is below it.
pub const TOKENIZERS: usize = 3;

/// More backends than this in one route are refused when it is loaded; sets of them are one word then.
pub const MAX_CANDIDATES: usize = 64;

/// A backend, as far as choosing needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// May be a first choice; others are reached by rules only.
    pub primary: bool,
    /// Prompt and answer together, in tokens. None: unknown, which refuses nothing.
    pub window: Option<u64>,
    /// Whose count of the prompt decides.
    pub tokenizer: usize,
    pub tools: bool,
    pub images: bool,
    pub json_schema: bool,
}

/// What a request asks of a backend, apart from the size of its prompt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    pub output: Output,
    pub tools: bool,
    pub images: bool,
    pub json_schema: bool,
}

/// Tokens kept for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The request's own limit: a provider refuses a prompt that leaves less.
    Asked(u64),
    /// A route's rule for requests that set none; never more than half of a window.
    Reserve(u64),
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

/// A set of backends of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

/// Why a backend was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `certain` is false where an estimate says so and a count might not.
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
    NoImages,
    NoJsonSchema,
    /// It had its chance, or cannot be used at all just now (no key).
    Out,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Take(usize),
    /// Whether this one fits is open until the prompt is counted with its tokenizer. Count, then ask again.
    Count(usize),
    Nobody,
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
    pub demand: Demand,
    pub sizes: &'a Sizes,
    /// Not these.
    pub out: Set,
    /// Not those whose window is no larger than this: it has proved too small already.
    pub larger_than: u64,
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
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Asked(0)
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

    fn check(&self, index: usize, candidate: &Candidate) -> Check {
        let Demand { output, tools, images, json_schema } = self.demand;
        if self.out.contains(index) {
            return Check::Skip(Skip::Out);
        }
        if tools && !candidate.tools {
            return Check::Skip(Skip::NoTools);
        }
        if images && !candidate.images {
            return Check::Skip(Skip::NoImages);
        }
        if json_schema && !candidate.json_schema {
            return Check::Skip(Skip::NoJsonSchema);
        }
        let Some(window) = candidate.window else { return Check::Fits };
        if window <= self.larger_than {
            return Check::Skip(Skip::NotLarger { window });
        }
        self.sizes.check(candidate.tokenizer, output.of(window), window)
    }
}

enum Check {
    Fits,
    Open,
    Skip(Skip),
}

// === impl Sizes ===

impl Sizes {
    /// A prompt of which only bounds are known.
    #[must_use]
    pub const fn bounds(lower: u64, upper: u64) -> Self {
        Self { lower, upper, counted: [None; TOKENIZERS] }
    }

    fn check(&self, tokenizer: usize, output: u64, window: u64) -> Check {
        let room = window.saturating_sub(output);
        let too_long = |prompt, certain| Check::Skip(Skip::TooLong { prompt, output, window, certain });
        if self.upper <= room {
            return Check::Fits;
        }
        match self.counted.get(tokenizer).copied().flatten() {
            Some(count) if count.tokens <= room => Check::Fits,
            Some(count) => too_long(count.tokens, count.exact || self.lower > room),
            // The lower bound alone would do, but the person who reads the error wants to know how much too long.
            None => Check::Open,
        }
    }
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

/// The same backends, smallest window first, unknown windows last, otherwise in the given order: a longer prompt should
/// cost no more than it has to.
#[must_use]
pub fn by_window(candidates: &[Candidate], order: &[usize]) -> Vec<usize> {
    let mut sorted = order.to_vec();
    sorted.sort_by_key(|index| candidates.get(*index).and_then(|candidate| candidate.window).unwrap_or(u64::MAX));
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Candidate =
        Candidate { primary: true, window: Some(1_000), tokenizer: 0, tools: true, images: true, json_schema: true };

    fn ask(candidates: &[Candidate], demand: Demand, sizes: &Sizes, out: Set) -> (Choice, Vec<(usize, Skip)>) {
        let mut skipped = Vec::new();
        let question = Question { candidates, demand, sizes, out, larger_than: 0 };
        let choice = question.first_of(0..candidates.len(), |index, reason| skipped.push((index, reason)));
        (choice, skipped)
    }

    #[test]
    fn bounds_decide_where_they_can_and_counting_is_asked_for_where_not() {
        let demand = Demand { output: Output::Asked(200), ..Demand::default() };
        let counted = |tokens, exact| Sizes {
            counted: [Some(Counted { tokens, exact }), None, None],
            ..Sizes::bounds(500, 5_000)
        };
        let too_long = |prompt, certain| vec![(0, Skip::TooLong { prompt, output: 200, window: 1_000, certain })];
        let rows = [
            ("every byte a token, and still it fits", Sizes::bounds(1, 800), Choice::Take(0), vec![]),
            ("one more, and it has to be counted", Sizes::bounds(1, 801), Choice::Count(0), vec![]),
            ("counted, fits", counted(800, true), Choice::Take(0), vec![]),
            ("counted, too long", counted(801, true), Choice::Nobody, too_long(801, true)),
            ("estimated, too long", counted(801, false), Choice::Nobody, too_long(801, false)),
        ];
        for (row, sizes, choice, skipped) in rows {
            assert_eq!(ask(&[PLAIN], demand, &sizes, Set::default()), (choice, skipped), "{row}");
        }
    }

    #[test]
    fn a_hop_to_a_model_that_cannot_do_it_is_skipped_with_the_reason() {
        let candidates = [
            Candidate { tools: false, ..PLAIN },
            Candidate { images: false, ..PLAIN },
            Candidate { json_schema: false, ..PLAIN },
            PLAIN,
            Candidate { window: None, ..PLAIN },
        ];
        let demand = Demand { output: Output::Asked(0), tools: true, images: true, json_schema: true };
        let mut out = Set::default();
        out.insert(3);
        let want = vec![(0, Skip::NoTools), (1, Skip::NoImages), (2, Skip::NoJsonSchema), (3, Skip::Out)];
        assert_eq!(ask(&candidates, demand, &Sizes::bounds(1, 9), out), (Choice::Take(4), want));
    }

    #[test]
    fn a_reserve_takes_no_more_than_half_a_window_and_a_limit_what_it_says() {
        for (output, want) in [(Output::Reserve(100), 100), (Output::Reserve(900), 500), (Output::Asked(900), 900)] {
            assert_eq!(output.of(1_000), want, "{output:?}");
        }
    }

    #[test]
    fn a_window_that_proved_too_small_is_not_tried_under_another_name() {
        let candidates = [PLAIN, Candidate { window: Some(1_001), ..PLAIN }];
        let (sizes, mut skipped) = (Sizes::bounds(1, 9), Vec::new());
        let question = Question {
            candidates: &candidates,
            demand: Demand::default(),
            sizes: &sizes,
            out: Set::default(),
            larger_than: 1_000,
        };
        let choice = question.first_of([0, 1], |index, reason| skipped.push((index, reason)));
        assert_eq!((choice, skipped), (Choice::Take(1), vec![(0, Skip::NotLarger { window: 1_000 })]));
    }

    #[test]
    fn an_unknown_window_refuses_nothing() {
        let unknown = Candidate { window: None, ..PLAIN };
        let sizes = Sizes::bounds(1 << 40, 1 << 50);
        assert_eq!(ask(&[unknown], Demand::default(), &sizes, Set::default()).0, Choice::Take(0));
    }

    #[test]
    fn the_first_rule_that_names_the_class_decides_even_if_it_says_nobody() {
        let rule = |class, to: &[usize]| Rule { on: [class].into_iter().collect(), to: to.to_vec() };
        let rules =
            [rule(Class::ContentPolicyViolation, &[]), rule(Class::Timeout, &[2, 1]), rule(Class::Timeout, &[3])];
        assert_eq!(targets(&rules, Class::Timeout), [2, 1]);
        assert_eq!(targets(&rules, Class::ContentPolicyViolation), []);
        assert_eq!(targets(&rules, Class::Connection), []);
    }

    #[test]
    fn the_smallest_sufficient_window_comes_first() {
        let with = |window| Candidate { window, ..PLAIN };
        let candidates = [with(Some(9)), with(None), with(Some(3)), with(Some(9))];
        assert_eq!(by_window(&candidates, &[0, 1, 2, 3]), [2, 0, 3, 1]);
        assert_eq!(by_window(&candidates, &[3, 0]), [3, 0]);
    }

    proptest! {
        #[test]
        fn what_is_taken_fits_and_was_not_ruled_out(
            windows in proptest::collection::vec(proptest::option::of(0u64..2_000), 0..10),
            tokens in 0u64..2_000, output in 0u64..500, ruled_out in 0usize..10,
        ) {
            let candidates: Vec<_> = windows.iter().map(|window| Candidate { window: *window, ..PLAIN }).collect();
            let sizes = Sizes { counted: [Some(Counted { tokens, exact: true }), None, None], ..Sizes::bounds(0, 9_999) };
            let mut out = Set::default();
            out.insert(ruled_out);
            let demand = Demand { output: Output::Asked(output), ..Demand::default() };
            match ask(&candidates, demand, &sizes, out) {
                (Choice::Take(index), skipped) => {
                    prop_assert!(index != ruled_out && skipped.len() == index);
                    prop_assert!(windows[index].is_none_or(|window| tokens + output <= window || tokens == 0));
                }
                (Choice::Nobody, skipped) => prop_assert_eq!(skipped.len(), candidates.len()),
                (Choice::Count(_), _) => prop_assert!(false, "a counted prompt is counted again"),
            }
        }
    }
}
