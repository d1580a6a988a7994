//! What is known of the world's models: windows, prices, abilities. Read once, when first asked.
//!
//! The data is `data/catalogue.json.gz`, built by `data/build.py`; see `data/NOTICE` for where it comes from.

mod tokenizer;

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde::Deserialize;
use spillway_crds::ProviderType;

pub(crate) use tokenizer::tokenizer;

static DATA: &[u8] = include_bytes!("../data/catalogue.json.gz");

/// By the provider's type, then by the model's name there.
static MODELS: LazyLock<HashMap<String, HashMap<String, Row>>> = LazyLock::new(|| {
    let mut text = Vec::new();
    let read = GzDecoder::new(DATA).read_to_end(&mut text);
    read.map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice(&text).map_err(|error| error.to_string()))
        .expect("the built-in catalogue reads, as its test shows")
});

/// A model as the catalogue has it. Prices are nano-dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub input_nanos: Option<u64>,
    pub output_nanos: Option<u64>,
    pub cache_read_nanos: Option<u64>,
    pub cache_write_nanos: Option<u64>,
    pub tools: bool,
    pub parallel_tools: bool,
    pub vision: bool,
    pub json_schema: bool,
}

#[derive(Debug, Deserialize)]
struct Row(Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, String);

/// What is known of `model` at a provider of this type.
#[must_use]
pub fn look_up(provider: ProviderType, model: &str) -> Option<Entry> {
    let models = MODELS.get(provider.as_str())?;
    let row = models.get(model).or_else(|| models.get(fine_tuned_from(model)?))?;
    let Row(context_window, max_output_tokens, input, output, cache_read, cache_write, flags) = row;
    Some(Entry {
        context_window: *context_window,
        max_output_tokens: *max_output_tokens,
        input_nanos: *input,
        output_nanos: *output,
        cache_read_nanos: *cache_read,
        cache_write_nanos: *cache_write,
        tools: flags.contains('t'),
        parallel_tools: flags.contains('p'),
        vision: flags.contains('v'),
        json_schema: flags.contains('j'),
    })
}

/// `ft:gpt-4o-mini-2024-07-18:my-org::id` is billed as `ft:gpt-4o-mini-2024-07-18`.
fn fine_tuned_from(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?;
    let length = base.find(':')?;
    Some(&model[.."ft:".len() + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_models_are_known() {
        let mini = look_up(ProviderType::OpenAI, "gpt-4o-mini").unwrap();
        assert_eq!((mini.context_window, mini.max_output_tokens), (Some(128_000), Some(16_384)));
        assert_eq!((mini.input_nanos, mini.output_nanos), (Some(150_000_000), Some(600_000_000)));
        assert_eq!(mini.cache_read_nanos, Some(75_000_000));
        assert!(mini.tools && mini.parallel_tools && mini.vision && mini.json_schema);
        let haiku = look_up(ProviderType::Anthropic, "claude-haiku-4-5").unwrap();
        assert_eq!((haiku.context_window, haiku.cache_write_nanos), (Some(200_000), Some(1_250_000_000)));
        let embedding = look_up(ProviderType::OpenAI, "text-embedding-3-small").unwrap();
        assert_eq!((embedding.input_nanos, embedding.output_nanos), (Some(20_000_000), Some(0)));
    }

    #[test]
    fn a_name_is_looked_up_at_its_own_provider_only() {
        assert_eq!(look_up(ProviderType::Anthropic, "gpt-4o-mini"), None);
        assert_eq!(look_up(ProviderType::OpenAICompatible, "gpt-4o-mini"), None);
        assert_eq!(look_up(ProviderType::OpenAI, "no-such-model"), None);
        assert!(look_up(ProviderType::Mistral, "mistral-small-latest").is_some(), "without the list's prefix");
    }

    #[test]
    fn a_fine_tuned_model_has_the_price_of_its_base() {
        let own = look_up(ProviderType::OpenAI, "ft:gpt-4o-mini-2024-07-18:acme::abc123");
        assert_eq!(own, look_up(ProviderType::OpenAI, "ft:gpt-4o-mini-2024-07-18"));
        assert!(own.is_some());
        for odd in ["ft:", "ft::", "ft:gpt", "ft:é:x"] {
            assert_eq!(look_up(ProviderType::OpenAI, odd), None, "{odd}");
        }
    }

    #[test]
    fn no_price_is_zero_for_want_of_knowledge() {
        for (provider, models) in MODELS.iter().filter(|(provider, _)| *provider != "Ollama") {
            for (name, Row(_, _, input, output, ..)) in models {
                assert!(!matches!((input, output), (Some(0), Some(0))), "{provider} {name}");
                assert_eq!(input.is_none(), output.is_none(), "{provider} {name}");
            }
        }
    }
}
