//! A compiled backend as whoever chooses sees it: what sidecars make of it when they load a config.

use spillway_policy::{
    Card, Price, Tier,
    fallback::{self, Candidate},
};
use spillway_wire as wire;

use super::super::models::rates;

/// Types of provider that hold an answer to a schema whatever the model, or tell the model of it in words.
const ANY_MODEL: [&str; 8] = ["DeepSeek", "LMStudio", "LlamaCpp", "Ollama", "Perplexity", "SGLang", "VLLM", "ZAI"];

/// The candidate that a backend at a provider of this type is.
pub(super) fn candidate(given: &wire::Backend, kind: &str) -> Candidate {
    let wire::Backend { name: _, provider: _, model, role, weight: _, when: _, shadow_ppm: _ } = given;
    let wire::Model {
        name: _,
        context_window_tokens,
        max_output_tokens,
        tokenizer,
        price,
        tools,
        parallel_tools,
        vision,
        json_schema,
        abilities: _,
        deprecated_on: _,
    } = model;
    Candidate {
        calibration: None,
        primary: *role == wire::Role::Primary,
        window: *context_window_tokens,
        tokenizer: match tokenizer {
            wire::Tokenizer::O200kBase => 0,
            wire::Tokenizer::Cl100kBase => 1,
            wire::Tokenizer::Estimate => fallback::UNKNOWN,
        },
        tools: *tools,
        parallel_tools: *parallel_tools,
        images: *vision,
        // A call that is forced stands in for a schema.
        json_schema: *json_schema || *tools || ANY_MODEL.contains(&kind),
        // Nobody asks about these here.
        hosted_tools: true,
        price: price.as_ref().map(self::price),
        max_output: *max_output_tokens,
    }
}

fn price(given: &wire::Price) -> Price {
    let wire::Price { rates: standard, cards, flat, batch: _ } = given;
    let card = |card: &wire::Card| Card {
        tier: match card.tier {
            wire::ServiceTier::Standard => Tier::Standard,
            wire::ServiceTier::Flex => Tier::Flex,
            wire::ServiceTier::Priority => Tier::Priority,
        },
        above: card.above_tokens,
        rates: rates(&card.rates),
    };
    Price { rates: rates(standard), cards: cards.iter().map(card).collect(), flat: *flat }
}

#[cfg(test)]
mod tests {
    use spillway_providers::{Schemas, row, rows};

    use super::*;

    #[test]
    fn who_takes_a_schema_whatever_the_model_is_what_sidecars_know() {
        for kind in rows().iter().map(|row| row.kind).chain(["Anthropic", "Bedrock", "Gemini", "VertexAI"]) {
            assert_eq!(row(kind).schemas != Schemas::ByModel, ANY_MODEL.contains(&kind), "{kind}");
        }
    }
}
