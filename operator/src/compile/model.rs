//! What is known of a model: the provider's own description first, field by field, then the catalogue.

use spillway_crds::{MoneyError, Pricing, ProviderModel, ProviderType, Tokenizer};
use spillway_wire as wire;

use crate::catalogue::{self, Entry};

/// Anthropic's protocol wants a limit in every request; this one is sent when nobody knows the model's own.
const ANTHROPIC_OUTPUT_TOKENS: u64 = 4096;

/// A model with everything resolved.
pub(crate) struct Resolved {
    pub(crate) model: wire::Model,
    /// Someone described it: the catalogue, or the provider's `models`.
    pub(crate) known: bool,
}

/// Resolves `name` at a provider of this type that describes these models.
pub(crate) fn resolve(kind: ProviderType, name: &str, described: &[ProviderModel]) -> Resolved {
    let entry = catalogue::look_up(kind, name);
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
    let from_entry = |ability: fn(&Entry) -> bool| entry.as_ref().is_none_or(ability);
    let without_limit = (kind == ProviderType::Anthropic).then_some(ANTHROPIC_OUTPUT_TOKENS);
    // Refused before this is asked, if it does not read.
    let own_price = prices(pricing.as_ref()).unwrap_or_default();
    let model = wire::Model {
        name: name.to_owned(),
        context_window_tokens: context_window.or(entry.and_then(|entry| entry.context_window)),
        max_output_tokens: max_output_tokens.or(entry.and_then(|entry| entry.max_output_tokens)).or(without_limit),
        tokenizer: tokenizer.map_or_else(|| catalogue::tokenizer(kind, name), self::tokenizer),
        price: own_price.or_else(|| entry.as_ref().and_then(listed_price)),
        tools: tools.unwrap_or_else(|| from_entry(|entry| entry.tools)),
        parallel_tools: parallel_tools.unwrap_or_else(|| from_entry(|entry| entry.parallel_tools)),
        vision: vision.unwrap_or_else(|| from_entry(|entry| entry.vision)),
        json_schema: json_schema.unwrap_or_else(|| from_entry(|entry| entry.json_schema)),
    };
    Resolved { model, known }
}

/// The prices a user gave. The error names the field.
pub(crate) fn prices(pricing: Option<&Pricing>) -> Result<Option<wire::Price>, (&'static str, MoneyError)> {
    let Some(Pricing { input_per_million, output_per_million, cache_read_per_million, cache_write_per_million }) =
        pricing
    else {
        return Ok(None);
    };
    let optional = |field, price: &Option<spillway_crds::Money>| {
        price.as_ref().map(|price| price.nanos().map_err(|error| (field, error))).transpose()
    };
    Ok(Some(wire::Price {
        input_nanos: input_per_million.nanos().map_err(|error| ("inputPerMillion", error))?,
        output_nanos: output_per_million.nanos().map_err(|error| ("outputPerMillion", error))?,
        cache_read_nanos: optional("cacheReadPerMillion", cache_read_per_million)?,
        cache_write_nanos: optional("cacheWritePerMillion", cache_write_per_million)?,
    }))
}

fn listed_price(entry: &Entry) -> Option<wire::Price> {
    Some(wire::Price {
        input_nanos: entry.input_nanos?,
        output_nanos: entry.output_nanos?,
        cache_read_nanos: entry.cache_read_nanos,
        cache_write_nanos: entry.cache_write_nanos,
    })
}

const fn tokenizer(written: Tokenizer) -> wire::Tokenizer {
    match written {
        Tokenizer::O200kBase => wire::Tokenizer::O200kBase,
        Tokenizer::Cl100kBase => wire::Tokenizer::Cl100kBase,
        Tokenizer::Estimate => wire::Tokenizer::Estimate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_says_wins_field_by_field() {
        let mut own =
            ProviderModel { name: "gpt-4o-mini".into(), context_window: Some(4096), ..ProviderModel::default() };
        own.vision = Some(false);
        let Resolved { model, known } = resolve(ProviderType::OpenAI, "gpt-4o-mini", &[own]);
        assert!(known);
        assert_eq!((model.context_window_tokens, model.max_output_tokens), (Some(4096), Some(16_384)));
        assert_eq!((model.vision, model.tools), (false, true));
        assert_eq!(model.price.map(|price| price.input_nanos), Some(150_000_000));
    }

    #[test]
    fn an_unknown_model_is_unknown_and_not_free() {
        let Resolved { model, known } = resolve(ProviderType::OpenAICompatible, "mystery", &[]);
        assert!(!known);
        assert_eq!((model.context_window_tokens, model.price, model.max_output_tokens), (None, None, None));
        assert!(model.tools && model.vision && model.json_schema, "only the provider can know");
        assert_eq!(model.tokenizer, wire::Tokenizer::Estimate);
        assert_eq!(resolve(ProviderType::Anthropic, "mystery", &[]).model.max_output_tokens, Some(4096));
    }
}
