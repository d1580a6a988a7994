//! What a request can cost at most, before anybody has answered it.

use super::{Candidate, Check, Demand, Measure, Output, Question, Sizes, Skip};
use crate::{Most, NanoUsd, Pieces};

/// What a provider does by itself for an answer: it searches, fetches, runs programs. It bills that beside what it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    #[default]
    Nothing,
    /// The model is asked again after each of so many rounds; so many of them are searches.
    AtMost {
        rounds: u32,
        searches: u32,
    },
    Unbounded,
}

// === impl Candidate ===

impl Candidate {
    /// The most that a prompt of so many tokens can cost here. None: its price is unknown, or its answer has no bound.
    #[must_use]
    pub fn worst(&self, input: u64, demand: &Demand) -> Option<NanoUsd> {
        match demand.measure {
            Measure::Tokens => {}
            Measure::Pieces(pieces) => return self.worst_by_piece(pieces),
            Measure::Nothing => return None,
        }
        let longest = self.max_output.or(self.window);
        let output = match demand.output {
            Output::Asked(tokens) | Output::AtLeast { asked: tokens, .. } => {
                longest.map_or(tokens, |longest| longest.min(tokens))
            }
            Output::Reserve(_) => longest?,
        };
        let output = output.saturating_mul(u64::from(demand.more_choices) + 1);
        let Demand { images, cache_writes, audio, tier, regional, beside, .. } = *demand;
        let (input, searched) = self.with_beside(input, beside)?;
        let told = self.price.as_ref()?.worst(&Most { input, output, tier, cache_writes, images, audio, regional });
        Some(told + searched)
    }

    /// The prompt with what the provider finds by itself, and what finding it costs. What it finds goes into the prompt, which
    /// is billed anew in each round, and has no bound but the window.
    fn with_beside(&self, input: u64, beside: Beside) -> Option<(u64, NanoUsd)> {
        match beside {
            Beside::Nothing => Some((input, NanoUsd(0))),
            Beside::AtMost { rounds, searches } => {
                let found = self.window?.saturating_mul(u64::from(rounds)).saturating_add(input);
                Some((found, self.pieces.worst(&Pieces::Searches(searches.into()))?))
            }
            Beside::Unbounded => None,
        }
    }

    /// Whoever has a price per token bills the tokens of an image or of sound by it, and says afterwards how many there were.
    fn worst_by_piece(&self, pieces: Option<Pieces>) -> Option<NanoUsd> {
        match &self.price {
            Some(price) => price.is_free().then_some(NanoUsd(0)),
            None => self.pieces.worst(&pieces?),
        }
    }
}

// === impl Sizes ===

impl Sizes {
    /// The longest that the prompt can be for a backend, whatever is in it. What no length bounds is bounded by the window.
    /// None: by nothing.
    fn surely(&self, candidate: &Candidate) -> Option<u64> {
        match self.counted.get(candidate.tokenizer).copied().flatten() {
            Some(count) if count.exact && self.attached.is_empty() => Some(count.tokens),
            _ => self.upper_for(candidate).or(candidate.window),
        }
    }

    /// The longest that it is in earnest: an estimate of text may be wrong by a half.
    #[must_use]
    pub fn most(&self, candidate: &Candidate) -> Option<u64> {
        let surely = self.surely(candidate)?;
        let Some(count) = self.counted.get(candidate.tokenizer).copied().flatten() else { return Some(surely) };
        if count.exact || !self.attached.is_empty() {
            return Some(surely);
        }
        let tokens = candidate.corrected(count);
        Some(tokens.saturating_add(tokens / 2).min(surely))
    }

    /// One number to compare backends by, whatever their tokenizers: a count if there is one, else the upper bound.
    #[must_use]
    pub fn common(&self) -> u64 {
        self.counted.iter().flatten().map(|count| count.tokens).max().unwrap_or(self.upper)
    }
}

// === impl Question ===

impl Question<'_> {
    /// The most that the request can cost at a backend, with so long an answer, or else with the longest that it may have.
    /// None: its price is unknown, or its answer has no bound.
    #[must_use]
    pub fn worst(&self, index: usize, answer: Option<u64>) -> Option<NanoUsd> {
        let candidate = self.candidates.get(index)?;
        let output = answer.map_or(self.demand.output, Output::Asked);
        candidate.worst(self.sizes.surely(candidate)?, &Demand { output, ..self.demand })
    }

    /// The longest answer, in tokens, with which the request costs no more than this at a backend, however long its prompt
    /// is. None: not even an empty one.
    #[must_use]
    pub fn affordable(&self, index: usize, money: NanoUsd) -> Option<u64> {
        let fits = |tokens| self.worst(index, Some(tokens)).is_some_and(|worst| worst <= money);
        let candidate = self.candidates.get(index)?;
        let (mut least, mut most) = (0, candidate.max_output.or(candidate.window)?);
        if !fits(least) {
            return None;
        }
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if fits(middle) { least = middle } else { most = middle - 1 }
        }
        Some(least)
    }

    /// Whether the worst case of a prompt of this length stays within the route's bound.
    pub(super) fn check_cost(&self, candidate: &Candidate, sizes: &Sizes) -> Check {
        let Some(max) = self.max_cost else { return Check::Fits };
        let worst = |input| candidate.worst(input, &self.demand);
        let Some(at_most) = sizes.most(candidate).and_then(worst) else { return Check::Skip(Skip::NoPrice) };
        let counted = sizes.counted.get(candidate.tokenizer).is_none_or(Option::is_some);
        if at_most <= max {
            Check::Fits
        } else if counted || worst(sizes.least(candidate.tokenizer)).is_some_and(|at_least| at_least > max) {
            Check::Skip(Skip::TooExpensive { worst: at_most, max })
        } else {
            Check::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        PiecePrices, Price, Rates,
        fallback::{Attached, Choice, Counted, PerImage, Set, sizes::counted_by},
    };

    /// $1 and $10 per million tokens, so 1,000 and 10,000 nano-dollars each.
    const PRICE: Price = Price {
        rates: Rates { cache_read: 0, cache_write: 1_250_000_000, ..Rates::plain(1_000_000_000, 10_000_000_000) },
        cards: Vec::new(),
        flat: false,
        regional: None,
    };

    const CANDIDATE: Candidate = Candidate {
        primary: true,
        window: Some(100_000),
        tokenizer: 0,
        calibration: None,
        tools: true,
        parallel_tools: true,
        images: true,
        image_urls: true,
        per_image: Some(PerImage { most: 48_169, low: 2_833 }),
        json_schema: true,
        hosted_tools: true,
        price: Some(PRICE),
        pieces: PiecePrices::UNKNOWN,
        max_output: Some(500),
    };

    #[test]
    fn the_worst_case_is_the_whole_prompt_and_the_longest_answer() {
        let demand = |output| Demand { output, ..Demand::default() };
        let asked = demand(Output::Asked(100));
        let spoken = Measure::Pieces(Some(Pieces::Characters(7)));
        let unheard = Demand { measure: Measure::Pieces(None), ..asked };
        let pieces = PiecePrices { character: Some(10_000_000), ..PiecePrices::UNKNOWN };
        let by_piece = |price| Candidate { price, pieces: pieces.clone(), ..CANDIDATE };
        let searcher =
            Candidate { pieces: PiecePrices { search: Some(10_000_000_000_000), ..PiecePrices::UNKNOWN }, ..CANDIDATE };
        let rows = [
            ("as asked", CANDIDATE, asked, Some(2_000_000)),
            ("no longer than the model can", CANDIDATE, demand(Output::Asked(9_000)), Some(6_000_000)),
            ("as long as the model can", CANDIDATE, demand(Output::Reserve(1)), Some(6_000_000)),
            ("three answers", CANDIDATE, Demand { more_choices: 2, ..asked }, Some(4_000_000)),
            ("into the cache", CANDIDATE, Demand { cache_writes: true, ..asked }, Some(2_250_000)),
            ("a batch", CANDIDATE, Demand { measure: Measure::Nothing, ..asked }, None),
            ("by tokens that only its answer counts", CANDIDATE, Demand { measure: spoken, ..asked }, None),
            ("by the character", by_piece(None), Demand { measure: spoken, ..asked }, Some(70)),
            ("of sound whose length nobody knows", by_piece(None), unheard, None),
            ("for nothing", by_piece(Some(Price::default())), unheard, Some(0)),
            (
                "a search of two rounds",
                searcher.clone(),
                Demand { beside: Beside::AtMost { rounds: 2, searches: 1 }, ..asked },
                Some(212_000_000),
            ),
            (
                "a search nobody knows the price of",
                CANDIDATE,
                Demand { beside: Beside::AtMost { rounds: 2, searches: 1 }, ..asked },
                None,
            ),
            (
                "one of a prompt without a bound",
                Candidate { window: None, ..searcher.clone() },
                Demand { beside: Beside::AtMost { rounds: 2, searches: 1 }, ..asked },
                None,
            ),
            ("whatever the provider likes", searcher, Demand { beside: Beside::Unbounded, ..asked }, None),
            ("no price", Candidate { price: None, ..CANDIDATE }, asked, None),
            ("no bound", Candidate { max_output: None, window: None, ..CANDIDATE }, demand(Output::Reserve(1)), None),
            ("its own bound", Candidate { max_output: None, window: None, ..CANDIDATE }, asked, Some(2_000_000)),
        ];
        for (row, candidate, demand, want) in rows {
            assert_eq!(candidate.worst(1_000, &demand), want.map(NanoUsd), "{row}");
        }
    }

    fn question<'a>(candidates: &'a [Candidate], sizes: &'a Sizes, output: Output) -> Question<'a> {
        let demand = Demand { output, ..Demand::default() };
        let none = Set::default();
        let (out, open, denied, unwanted, unclear) = (none, none, none, none, none);
        Question {
            candidates,
            learnt: &[],
            told: &[],
            demand,
            sizes,
            out,
            open,
            denied,
            unwanted,
            unclear,
            larger_than: 0,
            max_cost: None,
        }
    }

    #[test]
    fn the_longest_answer_that_can_be_paid_costs_no_more_than_there_is() {
        let sizes = Sizes::bounds(10, 1_000);
        let candidates = [CANDIDATE];
        let question = question(&candidates, &sizes, Output::Reserve(1));
        // The prompt is 1,000,000 nano-dollars at most, and each token of the answer 10,000.
        let rows = [
            (0, None),
            (999_999, None),
            (1_000_000, Some(0)),
            (1_009_999, Some(0)),
            (1_010_000, Some(1)),
            (3_499_999, Some(249)),
            (u64::MAX, Some(500)),
        ];
        for (money, want) in rows {
            let found = question.affordable(0, NanoUsd(money));
            assert_eq!(found, want, "{money}");
            if let Some(tokens) = found {
                assert!(question.worst(0, Some(tokens)).unwrap() <= NanoUsd(money), "{money}");
            }
        }
        assert_eq!(question.worst(0, None), Some(NanoUsd(6_000_000)));
        assert_eq!((question.affordable(1, NanoUsd(9)), question.worst(1, None)), (None, None), "nobody is there");
    }

    #[test]
    fn the_worst_case_holds_whatever_the_estimate_and_whatever_an_image_shows() {
        let text = |exact| Sizes { counted: counted_by(0, Counted { tokens: 100, exact }), ..Sizes::bounds(10, 1_000) };
        let with = |attached| Sizes { attached, ..text(false) };
        let images = |images, low| with(Attached { images, low, ..Attached::default() });
        let unbounded = Attached { unbounded: true, ..Attached::default() };
        let strange = Candidate { per_image: None, ..CANDIDATE };
        let rows = [
            ("not counted", Sizes::bounds(10, 1_000), CANDIDATE, Some(1_000)),
            ("counted", text(true), CANDIDATE, Some(100)),
            ("estimated", text(false), CANDIDATE, Some(1_000)),
            ("an image", images(1, 0), CANDIDATE, Some(49_169)),
            ("two, one in low detail", images(2, 1), CANDIDATE, Some(52_002)),
            ("of which nobody knows what comes", images(1, 0), strange.clone(), Some(100_000)),
            ("nor what there is room for", images(1, 0), Candidate { window: None, ..strange }, None),
            ("a file", with(unbounded), CANDIDATE, Some(100_000)),
            (
                "what is kept, though the rest is counted",
                Sizes { attached: unbounded, ..text(true) },
                CANDIDATE,
                Some(100_000),
            ),
        ];
        for (row, sizes, candidate, want) in rows {
            let candidates = [candidate];
            let worst = question(&candidates, &sizes, Output::Asked(0)).worst(0, None);
            assert_eq!(worst, want.map(|tokens| NanoUsd(tokens * 1_000)), "{row}");
        }
    }

    #[test]
    fn what_its_own_provider_has_counted_is_not_counted_again_to_know_what_it_costs() {
        let sizes = Sizes::bounds(1, 4_000);
        let dear = Skip::TooExpensive { worst: NanoUsd(2_001_000), max: NanoUsd(2_000_000) };
        for (tokens, window, want) in [
            (1_000, Some(100_000), (Choice::Take(0), None)),
            (1_000, None, (Choice::Take(0), None)),
            (1_001, Some(100_000), (Choice::Nobody, Some(dear))),
        ] {
            let candidates = [Candidate { window, ..CANDIDATE }];
            let question = Question {
                told: &[(0, tokens)],
                max_cost: Some(NanoUsd(2_000_000)),
                ..question(&candidates, &sizes, Output::Asked(100))
            };
            let mut skipped = None;
            let choice = question.first_of([0], |_, reason| skipped = Some(reason));
            assert_eq!((choice, skipped), want, "{tokens} {window:?}");
        }
    }

    #[test]
    fn a_bound_passes_over_what_may_cost_more_and_counts_only_near_it() {
        let counted =
            |tokens, exact| Sizes { counted: counted_by(0, Counted { tokens, exact }), ..Sizes::bounds(100, 4_000) };
        let dear =
            |worst| (Choice::Nobody, Some(Skip::TooExpensive { worst: NanoUsd(worst), max: NanoUsd(2_000_000) }));
        let unknown = Candidate { price: None, ..CANDIDATE };
        let rows = [
            ("every byte a token, and still cheap enough", Sizes::bounds(1, 1_000), CANDIDATE, (Choice::Take(0), None)),
            ("one more, and it has to be counted", Sizes::bounds(1, 1_001), CANDIDATE, (Choice::Count(0), None)),
            ("counted, cheap enough", counted(1_000, true), CANDIDATE, (Choice::Take(0), None)),
            ("counted, too dear", counted(1_001, true), CANDIDATE, dear(2_001_000)),
            ("estimated, too dear by half", counted(800, false), CANDIDATE, dear(2_200_000)),
            ("too dear whatever a count would say", Sizes::bounds(1_001, 4_000), CANDIDATE, dear(5_000_000)),
            ("unknown", Sizes::bounds(1, 1), unknown, (Choice::Nobody, Some(Skip::NoPrice))),
        ];
        for (row, sizes, candidate, want) in rows {
            let question = Question {
                candidates: &[candidate],
                learnt: &[],
                told: &[],
                demand: Demand { output: Output::Asked(100), ..Demand::default() },
                sizes: &sizes,
                out: Set::default(),
                open: Set::default(),
                denied: Set::default(),
                unwanted: Set::default(),
                unclear: Set::default(),
                larger_than: 0,
                max_cost: Some(NanoUsd(2_000_000)),
            };
            let mut skipped = None;
            let choice = question.first_of([0], |_, reason| skipped = Some(reason));
            assert_eq!((choice, skipped), want, "{row}");
        }
    }
}
