//! What the operator sends, as the engines that choose see it.
//!
//! The contract knows no engine and the engines know no contract, so what one means to the other is said here, once: sidecars
//! choose by it, and `spillway explain` foretells what they choose.

mod images;

use std::{sync::Arc, time::Duration};

use spillway_policy::{
    Card, Look, PiecePrices, Price, Rates, Tier, breaker,
    calibrate::Calibration,
    fallback::{Candidate, UNKNOWN},
};
use spillway_wire as wire;

/// What of a backend is not in the model's facts, but in how it is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Its server holds an answer to a schema whatever the model, or tells the model of it in words.
    pub any_schema: bool,
    /// Runs tools of its own.
    pub hosted_tools: bool,
    /// Fetches images that are given by their URLs.
    pub image_urls: bool,
    /// By how much estimates are off.
    pub calibration: Option<Arc<Calibration>>,
}

/// A backend as whoever chooses sees it.
#[must_use]
pub fn candidate(given: &wire::Backend, manner: Manner) -> Candidate {
    let wire::Backend { name: _, provider: _, model, role, weight: _, when: _, shadow_ppm: _ } = given;
    let wire::Model {
        name: _,
        context_window_tokens,
        max_output_tokens,
        tokenizer,
        price,
        pieces,
        tools,
        parallel_tools,
        vision,
        json_schema,
        // Dialects look at them, not whoever chooses.
        abilities: _,
        deprecated_on: _,
    } = model;
    let Manner { any_schema, hosted_tools, image_urls, calibration } = manner;
    Candidate {
        primary: *role == wire::Role::Primary,
        window: *context_window_tokens,
        tokenizer: match tokenizer {
            wire::Tokenizer::O200kBase if is_harmony(model) => 2,
            wire::Tokenizer::O200kBase => 0,
            wire::Tokenizer::Cl100kBase => 1,
            wire::Tokenizer::Qwen2 => 3,
            wire::Tokenizer::DeepSeekV3 => 4,
            wire::Tokenizer::Tekken => 5,
            wire::Tokenizer::Estimate => UNKNOWN,
        },
        calibration: calibration.filter(|_| guesses(model)),
        tools: *tools,
        parallel_tools: *parallel_tools,
        images: *vision,
        image_urls,
        per_image: images::per_image(&model.name),
        // A call that is forced stands in for a schema, and what stands in for one is better than nobody.
        json_schema: *json_schema || *tools || any_schema,
        hosted_tools,
        price: price.as_ref().map(self::price),
        pieces: pieces.as_ref().map(self::pieces).unwrap_or_default(),
        max_output: *max_output_tokens,
    }
}

/// Its text is encoded like that of others, and its template says more than theirs.
#[must_use]
pub fn is_harmony(model: &wire::Model) -> bool {
    model.tokenizer == wire::Tokenizer::O200kBase && model.name.contains("gpt-oss")
}

/// What its template says is not known to the token, or nothing about it is.
fn guesses(model: &wire::Model) -> bool {
    match model.tokenizer {
        wire::Tokenizer::O200kBase | wire::Tokenizer::Cl100kBase => is_harmony(model),
        wire::Tokenizer::Qwen2 | wire::Tokenizer::DeepSeekV3 | wire::Tokenizer::Tekken | wire::Tokenizer::Estimate => {
            true
        }
    }
}

/// When a backend is left alone: by a sidecar, and by the fleet where they share one breaker.
#[must_use]
pub const fn breaker(given: &wire::Breaker) -> breaker::Rule {
    let wire::Breaker {
        failure_threshold,
        failure_ratio_ppm,
        min_requests,
        window_ms,
        success_threshold,
        open_for_ms,
        // Looked at by whoever speaks with the fleet.
        scope: _,
        // Acted on when the config is taken.
        reset: _,
    } = given;
    breaker::Rule {
        failure_threshold: *failure_threshold,
        failure_ratio_ppm: *failure_ratio_ppm,
        min_requests: *min_requests,
        window: Duration::from_millis(*window_ms),
        success_threshold: *success_threshold,
        open_for: Duration::from_millis(*open_for_ms),
    }
}

/// A price, ready to be applied.
#[must_use]
pub fn price(given: &wire::Price) -> Price {
    let wire::Price { rates, cards, flat, batch: _, regional_permille } = given;
    let card = |card: &wire::Card| {
        let wire::Card { tier, above_tokens, rates } = card;
        Card { tier: self::tier(*tier), above: *above_tokens, rates: wire::rates!(rates => Rates) }
    };
    let (rates, cards) = (wire::rates!(rates => Rates), cards.iter().map(card).collect());
    Price { rates, cards, flat: *flat, regional: *regional_permille }
}

/// What is billed by the piece.
#[must_use]
pub fn pieces(given: &wire::Pieces) -> PiecePrices {
    let wire::Pieces { image_nanos, looks, pixel_nanos, character_nanos, second_nanos, search_nanos } = given;
    let look = |look: &wire::Look| {
        let wire::Look { quality, width, height, image_nanos } = look;
        Look { quality: quality.clone(), size: (*width, *height), image: *image_nanos }
    };
    PiecePrices {
        image: *image_nanos,
        looks: looks.iter().map(look).collect(),
        pixel: *pixel_nanos,
        character: *character_nanos,
        second: *second_nanos,
        search: *search_nanos,
    }
}

const fn tier(given: wire::ServiceTier) -> Tier {
    match given {
        wire::ServiceTier::Standard => Tier::Standard,
        wire::ServiceTier::Flex => Tier::Flex,
        wire::ServiceTier::Priority => Tier::Priority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_nobody_gives_is_that_of_its_kind() {
        let given = wire::Rates { cache_write_nanos: Some(9), ..wire::Rates::plain(5, 7) };
        let want = Rates { cache_write: 9, cache_write_1h: 9, ..Rates::plain(5, 7) };
        let price = price(&wire::Price { rates: given, ..wire::Price::default() });
        assert_eq!(price, Price { rates: want, ..Price::default() });
    }

    #[test]
    fn who_counts_alike_shares_a_count_and_a_template_of_its_own_is_another_one() {
        let tokenizer = |name: &str, tokenizer: &str| {
            let model = format!(
                r#"{{"name": "{name}", "tokenizer": "{tokenizer}", "tools": true, "parallel_tools": true, "vision": true,
                    "json_schema": true}}"#
            );
            let backend = format!(r#"{{"name": "b", "provider": "p", "role": "Primary", "model": {model}}}"#);
            let backend = serde_json::from_str(&backend).expect("a backend");
            let calibration = Some(Arc::default());
            let candidate = candidate(&backend, Manner { calibration, ..Manner::default() });
            (candidate.tokenizer, candidate.calibration.is_some())
        };
        let rows = [
            ("gpt-4o", "O200kBase", (0, false)),
            ("gpt-4", "Cl100kBase", (1, false)),
            ("openai/gpt-oss-120b", "O200kBase", (2, true)),
            ("openai/gpt-oss-120b", "Estimate", (UNKNOWN, true)),
            ("qwen3:8b", "Qwen2", (3, true)),
            ("deepseek-chat", "DeepSeekV3", (4, true)),
            ("mistral-small-2503", "Tekken", (5, true)),
            ("what-comes-next", "WhatComesNext", (UNKNOWN, true)),
        ];
        for (name, given, want) in rows {
            assert_eq!(tokenizer(name, given), want, "{name} {given}");
        }
    }
}
