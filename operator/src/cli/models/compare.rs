//! What a request would cost with a model.

use spillway_crds::ProviderType;
use spillway_policy::{Card, NanoUsd, Pieces, Price, Rates, Tier as Served, Usage};
use spillway_wire as wire;

use super::args::{Tier, tokens};
use crate::catalogue::{Entry, Mode, Pricing};

/// Tokens of a request, as `--compare` gives them; or pieces of something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    input: u64,
    output: u64,
    cached: u64,
    written: u64,
    reasoning: u64,
    pieces: Option<Pieces>,
}

// === impl Amounts ===

impl Amounts {
    /// What `--sort cost` compares by when nothing else is said: four tokens in for one out, as most applications have it.
    pub(super) const USUAL: Self =
        Self { input: 1_000_000, output: 250_000, cached: 0, written: 0, reasoning: 0, pieces: None };

    /// `100k in, 2k out`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let example = "(example: \"100k in, 80k cached, 2k out\")";
        let mut amounts = Self::default();
        let mut given = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let split = part.find(char::is_whitespace).map(|at| part.split_at(at));
            let (number, what) = split.ok_or_else(|| format!("{part:?} is no amount of something {example}"))?;
            let number = tokens(number).map_err(|error| format!("{number:?} {error}"))?;
            if let Some(pieces) = pieces(number, what.trim()) {
                if amounts != Self::default() {
                    return Err(format!("{part:?} is billed by itself: ask for it alone (example: \"4 images\")"));
                }
                amounts.pieces = Some(pieces);
                continue;
            }
            let (name, amount) = match what.trim() {
                "in" | "input" => ("in", &mut amounts.input),
                "out" | "output" => ("out", &mut amounts.output),
                "cached" | "read" => ("cached", &mut amounts.cached),
                "written" => ("written", &mut amounts.written),
                "reasoning" | "thoughts" => ("reasoning", &mut amounts.reasoning),
                other => return Err(format!("{other:?} is none of {WHAT} {example}")),
            };
            if given.contains(&name) {
                return Err(format!("{name:?} is given twice: add the two up {example}"));
            }
            given.push(name);
            *amount = number;
        }
        if amounts.pieces.is_some() && !given.is_empty() {
            return Err(format!("tokens and pieces are billed by different models: ask for one of the two {example}"));
        }
        if amounts == Self::default() {
            return Err(format!("says nothing to compare {example}"));
        }
        if amounts.cached + amounts.written > amounts.input {
            return Err(format!("cached and written tokens are part of those in, and more than {}", amounts.input));
        }
        amounts.output = amounts.output.max(amounts.reasoning);
        Ok(amounts)
    }

    /// What models do that take it.
    pub(super) const fn modes(&self) -> &'static [Mode] {
        match self.pieces {
            None => &[Mode::Chat, Mode::Responses],
            Some(Pieces::Images { .. }) => &[Mode::Image],
            Some(Pieces::Characters(_)) => &[Mode::Speech],
            Some(Pieces::Milliseconds(_)) => &[Mode::Transcription],
            Some(Pieces::Searches(_)) => &[Mode::Rerank],
        }
    }

    /// Why a model cannot take it: too small a window, too short an answer. None: it can, as far as is known.
    pub(super) fn misfit(&self, entry: &Entry) -> Option<String> {
        let room = self.input + self.output;
        let window = entry.context_window.filter(|window| *window < room);
        let answer = entry.max_output_tokens.filter(|most| *most < self.output);
        match (window, answer) {
            (Some(window), _) => Some(format!("takes {window} of the {room} tokens")),
            (None, Some(answer)) => Some(format!("answers with up to {answer} of the {} tokens", self.output)),
            (None, None) => None,
        }
    }

    /// What it costs. None: nobody knows the price.
    pub(super) fn cost(&self, provider: ProviderType, entry: &Entry, tier: Tier) -> Option<NanoUsd> {
        let Self { input, output, cached, written, reasoning, pieces } = *self;
        if let Some(pieces) = pieces {
            return spillway_lower::pieces(entry.pieces.as_ref()?).of(&pieces);
        }
        let usage = Usage {
            input,
            output,
            cache_read: cached,
            cache_write: written,
            reasoning,
            tier: match tier {
                Tier::Standard | Tier::Batch => Served::Standard,
                Tier::Flex => Served::Flex,
                Tier::Priority => Served::Priority,
            },
            ..Usage::default()
        };
        Some(price(entry.pricing.as_ref()?, provider, tier)?.of(&usage))
    }
}

/// What can be compared.
const WHAT: &str = "in, out, cached, written, reasoning, images, characters, seconds, minutes, searches";

fn pieces(count: u64, what: &str) -> Option<Pieces> {
    match what {
        "image" | "images" => Some(Pieces::Images { count, quality: None, size: None }),
        "character" | "characters" => Some(Pieces::Characters(count)),
        "second" | "seconds" => Some(Pieces::Milliseconds(count.saturating_mul(1_000))),
        "minute" | "minutes" => Some(Pieces::Milliseconds(count.saturating_mul(60_000))),
        "search" | "searches" => Some(Pieces::Searches(count)),
        _ => None,
    }
}

/// A price as sidecars apply it. No sidecar sees what a batch comes to, so its cards take the place of the standard ones here.
fn price(pricing: &Pricing, provider: ProviderType, tier: Tier) -> Option<Price> {
    let batch = pricing.batch.as_ref().filter(|_| tier == Tier::Batch);
    let resolved = match batch {
        Some(batch) => Pricing { flex: Some(batch.clone()), ..pricing.clone() }.resolve(provider)?,
        None => pricing.resolve(provider)?,
    };
    let as_standard = |given: wire::ServiceTier| match given {
        wire::ServiceTier::Standard => Served::Standard,
        wire::ServiceTier::Flex if batch.is_some() => Served::Standard,
        wire::ServiceTier::Flex => Served::Flex,
        wire::ServiceTier::Priority => Served::Priority,
    };
    let kept = |card: &&wire::Card| batch.is_none() || card.tier == wire::ServiceTier::Flex;
    let card =
        |card: &wire::Card| Card { tier: as_standard(card.tier), above: card.above_tokens, rates: rates(&card.rates) };
    let cards = resolved.cards.iter().filter(kept).map(card).collect();
    Some(Price { rates: rates(&resolved.rates), cards, flat: resolved.flat, regional: None })
}

fn rates(given: &wire::Rates) -> Rates {
    wire::rates!(given => Rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let amounts = Amounts::read("100k in, 80k cached,2k out").unwrap();
        assert_eq!(amounts, Amounts { input: 100_000, cached: 80_000, output: 2_000, ..Amounts::default() });
        assert_eq!(Amounts::read("1k reasoning").unwrap().output, 1_000, "thoughts are output");
        for (bad, want) in [
            ("", "says nothing"),
            ("100k", "is no amount of something"),
            ("x in", "is no number of tokens"),
            ("5 apples", "is none of in, out"),
            ("1k in, 2k cached", "more than 1000"),
            ("1k in, 2k out, 3k in", "\"in\" is given twice"),
            ("1k out, 2k output", "\"out\" is given twice"),
            ("3 images, 1k in", "ask for one of the two"),
            ("1k in, 3 images", "ask for it alone"),
            ("3 images, 2 searches", "ask for it alone"),
        ] {
            assert!(Amounts::read(bad).unwrap_err().contains(want), "{bad}");
        }
    }

    #[test]
    fn what_is_sold_by_the_piece_costs_by_the_piece() {
        let rows = [
            (ProviderType::OpenAI, "whisper-1", "10 minutes", Some("0.06")),
            (ProviderType::OpenAI, "tts-1", "1m characters", Some("15")),
            (ProviderType::XAI, "grok-imagine-image", "4 images", Some("0.08")),
            (ProviderType::Cohere, "rerank-v3.5", "1k searches", Some("2")),
            (ProviderType::OpenAI, "gpt-4o-mini", "4 images", None),
            (ProviderType::OpenAI, "whisper-1", "1k in", None),
        ];
        for (kind, model, text, want) in rows {
            let entry = Catalogue::default().look_up(kind, model).unwrap();
            let cost = Amounts::read(text).unwrap().cost(kind, &entry, Tier::Standard);
            assert_eq!(cost.map(|cost| cost.to_string()).as_deref(), want, "{model} {text}");
        }
    }

    #[test]
    fn a_tier_costs_what_it_lists_and_a_long_prompt_what_long_ones_do() {
        let entry = Catalogue::default().look_up(ProviderType::OpenAI, "gpt-5.6").unwrap();
        let cost = |text: &str, tier| {
            Amounts::read(text).unwrap().cost(ProviderType::OpenAI, &entry, tier).map(|cost| cost.to_string())
        };
        let rows = [
            ("100k in, 1k out", Tier::Standard, "0.42"),
            ("100k in, 1k out", Tier::Batch, "0.21"),
            ("100k in, 1k out", Tier::Flex, "0.21"),
            ("100k in, 1k out", Tier::Priority, "0.84"),
            ("300k in, 1k out", Tier::Standard, "2.43"),
            ("300k in, 1k out", Tier::Batch, "1.215"),
            ("300k in, 1k out", Tier::Priority, "4.86"),
            ("100k in, 100k cached, 0 out", Tier::Standard, "0.04"),
        ];
        for (text, tier, want) in rows {
            assert_eq!(cost(text, tier).as_deref(), Some(want), "{text} {tier:?}");
        }
        assert_eq!(Amounts::USUAL.cost(ProviderType::OpenAI, &Entry::default(), Tier::Standard), None);
    }
}
