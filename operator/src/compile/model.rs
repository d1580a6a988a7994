//! What is known of a model: the provider's own description first, field by field, then the catalogue.

use jiff::civil::Date;
use spillway_crds::{Money, ProviderModel, ProviderType, Tokenizer};
use spillway_wire as wire;

use crate::catalogue::{self, Cards, Catalogue, Entry, Pricing, Rates, Token};

/// Anthropic's protocol wants a limit in every request; this one is sent when nobody knows the model's own.
const ANTHROPIC_OUTPUT_TOKENS: u64 = 4096;

/// A model with everything resolved.
pub(crate) struct Resolved {
    pub(crate) model: wire::Model,
    /// Someone described it: the catalogue, or the provider's `models`.
    pub(crate) known: bool,
    /// The provider switches it off on this day.
    pub(crate) deprecated_on: Option<Date>,
}

/// Resolves `name` at a provider of this type that describes these models.
pub(crate) fn resolve(
    catalogue: &Catalogue,
    (kind, name): (ProviderType, &str),
    described: &[ProviderModel],
) -> Resolved {
    let entry = catalogue.look_up(kind, name);
    let own = described.iter().find(|model| model.name == name);
    let known = entry.is_some() || own.is_some();
    let nothing = ProviderModel::default();
    let ProviderModel {
        name: _,
        context_window,
        max_output_tokens,
        tokenizer,
        pricing,
        tools,
        parallel_tools,
        vision,
        json_schema,
    } = own.unwrap_or(&nothing);
    let entry = entry.as_ref();
    let from_entry = |ability: fn(&Entry) -> bool| entry.is_none_or(ability);
    let without_limit = (kind == ProviderType::Anthropic).then_some(ANTHROPIC_OUTPUT_TOKENS);
    // Refused before this is asked, if it does not read. Prices that somebody gives replace all that was known.
    let (price, pieces) = match prices(pricing.as_ref()).ok().flatten() {
        Some(Prices { tokens, pieces }) => (tokens.and_then(|tokens| tokens.resolve(kind)), pieces),
        None => (entry.and_then(|entry| entry.price(kind)), entry.and_then(|entry| entry.pieces.as_deref().cloned())),
    };
    let deprecated_on = entry.and_then(|entry| entry.deprecated_on);
    let model = wire::Model {
        name: name.to_owned(),
        context_window_tokens: context_window.or(entry.and_then(|entry| entry.context_window)),
        max_output_tokens: max_output_tokens.or(entry.and_then(|entry| entry.max_output_tokens)).or(without_limit),
        tokenizer: tokenizer.map_or_else(|| catalogue::tokenizer(kind, name), self::tokenizer),
        price,
        pieces,
        tools: tools.unwrap_or_else(|| from_entry(|entry| entry.tools)),
        parallel_tools: parallel_tools.unwrap_or_else(|| from_entry(|entry| entry.parallel_tools)),
        vision: vision.unwrap_or_else(|| from_entry(|entry| entry.vision)),
        json_schema: json_schema.unwrap_or_else(|| from_entry(|entry| entry.json_schema)),
        abilities: entry.map(|entry| entry.abilities).unwrap_or_default(),
        deprecated_on: deprecated_on.map(|day| day.to_string()),
    };
    Resolved { model, known, deprecated_on }
}

/// The prices a user gave.
#[derive(Debug, PartialEq)]
pub(crate) struct Prices {
    tokens: Option<Pricing>,
    pieces: Option<wire::Pieces>,
}

/// Reads them. The error names the field below `pricing`, and says what is wrong with it.
pub(crate) fn prices(pricing: Option<&spillway_crds::Pricing>) -> Result<Option<Prices>, (String, String)> {
    let Some(pricing) = pricing else { return Ok(None) };
    Ok(Some(Prices { tokens: tokens(pricing)?, pieces: pieces(pricing)? }))
}

fn tokens(pricing: &spillway_crds::Pricing) -> Result<Option<Pricing>, (String, String)> {
    let spillway_crds::Pricing {
        input_per_million,
        output_per_million,
        cache_read_per_million,
        cache_write_per_million,
        cache_write_1h_per_million,
        reasoning_per_million,
        audio_input_per_million,
        audio_output_per_million,
        image_input_per_million,
        image_output_per_million,
        tiers,
        per_image: _,
        images: _,
        per_million_pixels: _,
        per_million_characters: _,
        per_second: _,
        per_search: _,
    } = pricing;
    let given = [
        (Token::Input, input_per_million.as_ref()),
        (Token::Output, output_per_million.as_ref()),
        (Token::CacheRead, cache_read_per_million.as_ref()),
        (Token::CacheWrite, cache_write_per_million.as_ref()),
        (Token::CacheWrite1h, cache_write_1h_per_million.as_ref()),
        (Token::Reasoning, reasoning_per_million.as_ref()),
        (Token::AudioInput, audio_input_per_million.as_ref()),
        (Token::AudioOutput, audio_output_per_million.as_ref()),
        (Token::ImageInput, image_input_per_million.as_ref()),
        (Token::ImageOutput, image_output_per_million.as_ref()),
    ];
    let rates = rates("", given)?;
    let mut above: Vec<(u64, Rates)> = Vec::new();
    for (index, given) in tiers.iter().enumerate() {
        let tier = tier(index, given)?;
        if tier.0 == 0 || above.iter().any(|(bound, _)| *bound == tier.0) {
            let problem = format!("{} is given twice, or is 0: each tier begins somewhere else", tier.0);
            return Err((format!("tiers[{index}].aboveTokens"), problem));
        }
        above.push(tier);
    }
    above.sort_unstable_by_key(|(bound, _)| *bound);
    let standard = Cards { rates, above };
    Ok((standard != Cards::default()).then(|| Pricing { standard, ..Pricing::default() }))
}

fn pieces(pricing: &spillway_crds::Pricing) -> Result<Option<wire::Pieces>, (String, String)> {
    let looks = pricing.images.iter().enumerate().map(|(index, image)| look(index, image));
    let pieces = wire::Pieces {
        image_nanos: of_one("perImage", pricing.per_image.as_ref())?,
        looks: looks.collect::<Result<_, _>>()?,
        pixel_nanos: of_million("perMillionPixels", pricing.per_million_pixels.as_ref())?,
        character_nanos: of_million("perMillionCharacters", pricing.per_million_characters.as_ref())?,
        second_nanos: of_one("perSecond", pricing.per_second.as_ref())?,
        search_nanos: of_one("perSearch", pricing.per_search.as_ref())?,
    };
    Ok((pieces != wire::Pieces::default()).then_some(pieces))
}

fn look(index: usize, image: &spillway_crds::ImagePrice) -> Result<wire::Look, (String, String)> {
    let spillway_crds::ImagePrice { quality, size, per_image } = image;
    let (width, height) = catalogue::size(size)
        .ok_or_else(|| (format!("images[{index}].size"), format!("{size:?} is no size such as \"1024x1024\"")))?;
    let image_nanos = of_one(&format!("images[{index}].perImage"), Some(per_image))?.unwrap_or_default();
    Ok(wire::Look { quality: quality.clone(), width, height, image_nanos })
}

/// A price of one, per million of them.
fn of_one(at: &str, price: Option<&Money>) -> Result<Option<u64>, (String, String)> {
    let read = |price: &Money| {
        let Money(text) = price;
        catalogue::of_one(text).ok_or_else(|| (at.to_owned(), format!("{text:?} {}", catalogue::NO_AMOUNT)))
    };
    price.map(read).transpose()
}

fn of_million(at: &str, price: Option<&Money>) -> Result<Option<u64>, (String, String)> {
    price.map(Money::nanos).transpose().map_err(|error| (at.to_owned(), error.to_string()))
}

fn tier(index: usize, given: &spillway_crds::PricingTier) -> Result<(u64, Rates), (String, String)> {
    let spillway_crds::PricingTier {
        above_tokens,
        input_per_million,
        output_per_million,
        cache_read_per_million,
        cache_write_per_million,
        cache_write_1h_per_million,
        reasoning_per_million,
    } = given;
    let given = [
        (Token::Input, input_per_million.as_ref()),
        (Token::Output, output_per_million.as_ref()),
        (Token::CacheRead, cache_read_per_million.as_ref()),
        (Token::CacheWrite, cache_write_per_million.as_ref()),
        (Token::CacheWrite1h, cache_write_1h_per_million.as_ref()),
        (Token::Reasoning, reasoning_per_million.as_ref()),
    ];
    Ok((*above_tokens, rates(&format!("tiers[{index}]."), given)?))
}

fn rates<const N: usize>(at: &str, given: [(Token, Option<&Money>); N]) -> Result<Rates, (String, String)> {
    let mut rates = Rates::default();
    for (token, price) in given {
        let nanos = price.map(Money::nanos).transpose();
        let nanos = nanos.map_err(|error| (format!("{at}{}", token.field()), error.to_string()))?;
        rates.set(token, nanos);
    }
    Ok(rates)
}

const fn tokenizer(written: Tokenizer) -> wire::Tokenizer {
    match written {
        Tokenizer::O200kBase => wire::Tokenizer::O200kBase,
        Tokenizer::Cl100kBase => wire::Tokenizer::Cl100kBase,
        Tokenizer::Qwen2 => wire::Tokenizer::Qwen2,
        Tokenizer::DeepSeekV3 => wire::Tokenizer::DeepSeekV3,
        Tokenizer::Tekken => wire::Tokenizer::Tekken,
        Tokenizer::Estimate => wire::Tokenizer::Estimate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(kind: ProviderType, name: &str, described: &[ProviderModel]) -> Resolved {
        super::resolve(&Catalogue::default(), (kind, name), described)
    }

    #[test]
    fn what_the_provider_says_wins_field_by_field() {
        let mut own =
            ProviderModel { name: "gpt-4o-mini".into(), context_window: Some(4096), ..ProviderModel::default() };
        own.vision = Some(false);
        let Resolved { model, known, .. } = resolve(ProviderType::OpenAI, "gpt-4o-mini", &[own]);
        assert!(known);
        assert_eq!((model.context_window_tokens, model.max_output_tokens), (Some(4096), Some(16_384)));
        assert_eq!((model.vision, model.tools), (false, true));
        assert_eq!(model.price.map(|price| price.rates.input_nanos), Some(150_000_000));
        assert_eq!(model.abilities.tool_choice, Some(true));
    }

    #[test]
    fn an_unknown_model_is_unknown_and_not_free() {
        let Resolved { model, known, .. } = resolve(ProviderType::OpenAICompatible, "mystery", &[]);
        assert!(!known);
        assert_eq!((model.context_window_tokens, model.price, model.max_output_tokens), (None, None, None));
        assert!(model.tools && model.vision && model.json_schema, "only the provider can know");
        assert_eq!(model.tokenizer, wire::Tokenizer::Estimate);
        assert_eq!(resolve(ProviderType::Anthropic, "mystery", &[]).model.max_output_tokens, Some(4096));
    }

    #[test]
    fn a_user_can_say_what_long_prompts_and_rare_tokens_cost() {
        let own: ProviderModel = serde_json::from_value(serde_json::json!({
            "name": "own",
            "pricing": {"inputPerMillion": "1", "outputPerMillion": "2", "cacheWrite1hPerMillion": "3",
                "reasoningPerMillion": "4", "audioInputPerMillion": "5",
                "tiers": [{"aboveTokens": 400_000, "outputPerMillion": "9"}, {"aboveTokens": 200_000, "inputPerMillion": "7"}]},
        }))
        .unwrap();
        let price = resolve(ProviderType::OpenAICompatible, "own", &[own]).model.price.unwrap();
        let rates = wire::Rates {
            cache_write_1h_nanos: Some(3_000_000_000),
            reasoning_nanos: Some(4_000_000_000),
            audio_input_nanos: Some(5_000_000_000),
            ..wire::Rates::plain(1_000_000_000, 2_000_000_000)
        };
        assert_eq!(price.rates, rates);
        let card = |above_tokens, input_nanos, output_nanos| wire::Card {
            tier: wire::ServiceTier::Standard,
            above_tokens,
            rates: wire::Rates { input_nanos, output_nanos, ..rates },
        };
        let want = [card(200_000, 7_000_000_000, 2_000_000_000), card(400_000, 7_000_000_000, 9_000_000_000)];
        assert_eq!(price.cards, want);
    }

    #[test]
    fn a_user_can_say_what_a_piece_costs_and_nothing_else_is_known_then() {
        let described = |pricing: serde_json::Value| {
            let own: ProviderModel =
                serde_json::from_value(serde_json::json!({"name": "whisper-1", "pricing": pricing})).unwrap();
            let Resolved { model, .. } = resolve(ProviderType::OpenAI, "whisper-1", &[own]);
            (model.price.map(|price| price.rates.input_nanos), model.pieces)
        };
        let none = wire::Pieces::default();
        let look = |image_nanos| wire::Look { quality: "high".into(), width: 1024, height: 1536, image_nanos };
        let rows = [
            (
                serde_json::json!({"perSecond": "0.0001", "perMillionCharacters": "15"}),
                (
                    None,
                    Some(wire::Pieces {
                        second_nanos: Some(100_000_000_000),
                        character_nanos: Some(15_000_000_000),
                        ..none.clone()
                    }),
                ),
            ),
            (
                serde_json::json!({"perImage": "0.04", "perMillionPixels": "0.02", "perSearch": "0",
                    "images": [{"quality": "high", "size": "1024x1536", "perImage": "0.000000075"}]}),
                (
                    None,
                    Some(wire::Pieces {
                        image_nanos: Some(40_000_000_000_000),
                        pixel_nanos: Some(20_000_000),
                        search_nanos: Some(0),
                        looks: vec![look(75_000_000)],
                        ..none
                    }),
                ),
            ),
            (serde_json::json!({"inputPerMillion": "1", "outputPerMillion": "2"}), (Some(1_000_000_000), None)),
            (serde_json::json!({}), (None, None)),
        ];
        for (pricing, want) in rows {
            assert_eq!(described(pricing.clone()), want, "{pricing}");
        }
        let known = resolve(ProviderType::OpenAI, "whisper-1", &[]).model;
        assert!(known.pieces.is_some_and(|pieces| pieces.second_nanos.is_some()), "the catalogue has one");
    }

    #[test]
    fn a_price_that_does_not_read_names_its_field() {
        let rows = [
            (serde_json::json!({"perSecond": "1000"}), "perSecond"),
            (serde_json::json!({"perMillionPixels": "x"}), "perMillionPixels"),
            (serde_json::json!({"images": [{"quality": "low", "size": "big", "perImage": "1"}]}), "images[0].size"),
            (
                serde_json::json!({"images": [{"quality": "low", "size": "1x1", "perImage": "-1"}]}),
                "images[0].perImage",
            ),
            (serde_json::json!({"inputPerMillion": "1", "outputPerMillion": "x"}), "outputPerMillion"),
            (
                serde_json::json!({"inputPerMillion": "1", "outputPerMillion": "1", "tiers": [{"aboveTokens": 0}]}),
                "tiers[0].aboveTokens",
            ),
            (
                serde_json::json!({"inputPerMillion": "1", "outputPerMillion": "1",
                    "tiers": [{"aboveTokens": 5}, {"aboveTokens": 6, "cacheReadPerMillion": ""}]}),
                "tiers[1].cacheReadPerMillion",
            ),
        ];
        for (pricing, want) in rows {
            let pricing = serde_json::from_value(pricing).unwrap();
            assert_eq!(prices(Some(&pricing)).map_err(|(field, _)| field), Err(want.to_owned()));
        }
    }
}
