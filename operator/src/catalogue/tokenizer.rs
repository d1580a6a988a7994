//! Which tokenizer counts a model's tokens exactly, where that is public.

use spillway_crds::ProviderType;
use spillway_wire::Tokenizer;

/// Families by the start of the name, the more special ones first.
const FAMILIES: [(&str, Tokenizer); 14] = [
    ("gpt-4o", Tokenizer::O200kBase),
    ("chatgpt-4o", Tokenizer::O200kBase),
    ("gpt-4.1", Tokenizer::O200kBase),
    ("gpt-4.5", Tokenizer::O200kBase),
    ("gpt-5", Tokenizer::O200kBase),
    ("gpt-oss", Tokenizer::O200kBase),
    ("o1", Tokenizer::O200kBase),
    ("o3", Tokenizer::O200kBase),
    ("o4", Tokenizer::O200kBase),
    ("codex-mini", Tokenizer::O200kBase),
    ("gpt-4", Tokenizer::Cl100kBase),
    ("gpt-3.5", Tokenizer::Cl100kBase),
    ("text-embedding-3", Tokenizer::Cl100kBase),
    ("text-embedding-ada-002", Tokenizer::Cl100kBase),
];

/// The tokenizer of `model`. Names are trusted where OpenAI's models are served under them; a model that merely calls itself
/// `gpt-4o` on someone's own server may be anything.
pub(crate) fn tokenizer(provider: ProviderType, model: &str) -> Tokenizer {
    let name = match provider {
        ProviderType::OpenAI | ProviderType::AzureOpenAI => model,
        ProviderType::OpenRouter | ProviderType::LiteLLM => match model.strip_prefix("openai/") {
            Some(name) => name,
            None => return Tokenizer::Estimate,
        },
        _ => return Tokenizer::Estimate,
    };
    let name = name.strip_prefix("ft:").unwrap_or(name);
    FAMILIES.iter().find(|(start, _)| name.starts_with(start)).map_or(Tokenizer::Estimate, |(_, found)| *found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_models_are_counted_exactly_and_others_estimated() {
        let rows = [
            (ProviderType::OpenAI, "gpt-4o-mini", Tokenizer::O200kBase),
            (ProviderType::OpenAI, "gpt-4-turbo", Tokenizer::Cl100kBase),
            (ProviderType::OpenAI, "gpt-4.1-nano", Tokenizer::O200kBase),
            (ProviderType::OpenAI, "ft:gpt-3.5-turbo:acme::x", Tokenizer::Cl100kBase),
            (ProviderType::OpenAI, "text-embedding-3-large", Tokenizer::Cl100kBase),
            (ProviderType::OpenAI, "mystery", Tokenizer::Estimate),
            (ProviderType::OpenRouter, "openai/gpt-4o", Tokenizer::O200kBase),
            (ProviderType::OpenRouter, "mistralai/gpt-4o", Tokenizer::Estimate),
            (ProviderType::OpenAICompatible, "gpt-4o", Tokenizer::Estimate),
            (ProviderType::Anthropic, "claude-haiku-4-5", Tokenizer::Estimate),
        ];
        for (provider, model, want) in rows {
            assert_eq!(tokenizer(provider, model), want, "{provider} {model}");
        }
    }
}
