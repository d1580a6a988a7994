//! What a request would cost with a model.

use spillway_crds::ProviderType;
use spillway_policy::{Card, NanoUsd, Price, Rates, Tier as Served, Usage};
use spillway_wire as wire;

use super::args::{Tier, tokens};
use crate::catalogue::{Entry, Pricing};

/// Tokens of a request, as `--compare` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    input: u64,
    output: u64,
    cached: u64,
    written: u64,
    reasoning: u64,
}

// === impl Amounts ===

impl Amounts {
    /// What `--sort cost` compares by when nothing else is said: four tokens in for one out, as most applications have it.
    pub(super) const USUAL: Self = Self { input: 1_000_000, output: 250_000, cached: 0, written: 0, reasoning: 0 };

    /// `100k in, 2k out`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let example = "(example: \"100k in, 80k cached, 2k out\")";
        let mut amounts = Self::default();
        let mut given = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let split = part.find(char::is_whitespace).map(|at| part.split_at(at));
            let (number, what) = split.ok_or_else(|| format!("{part:?} is no amount of something {example}"))?;
            let number = tokens(number).map_err(|error| format!("{number:?} {error}"))?;
            let (name, amount) = match what.trim() {
                "in" | "input" => ("in", &mut amounts.input),
                "out" | "output" => ("out", &mut amounts.output),
                "cached" | "read" => ("cached", &mut amounts.cached),
                "written" => ("written", &mut amounts.written),
                "reasoning" | "thoughts" => ("reasoning", &mut amounts.reasoning),
                other => return Err(format!("{other:?} is none of in, out, cached, written, reasoning {example}")),
            };
            if given.contains(&name) {
                return Err(format!("{name:?} is given twice: add the two up {example}"));
            }
            given.push(name);
            *amount = number;
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
        let Self { input, output, cached, written, reasoning } = *self;
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
    Some(Price { rates: rates(&resolved.rates), cards, flat: resolved.flat })
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
        ] {
            assert!(Amounts::read(bad).unwrap_err().contains(want), "{bad}");
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
