//! Which tokenizer counts a model's tokens, where that is public.

use spillway_crds::ProviderType;
use spillway_wire::Tokenizer;

/// OpenAI's families by the start of the name, the more special ones first.
const OPENAI: [(&str, Tokenizer); 13] = [
    ("gpt-4o", Tokenizer::O200kBase),
    ("chatgpt-4o", Tokenizer::O200kBase),
    ("gpt-4.1", Tokenizer::O200kBase),
    ("gpt-4.5", Tokenizer::O200kBase),
    ("gpt-5", Tokenizer::O200kBase),
    ("o1", Tokenizer::O200kBase),
    ("o3", Tokenizer::O200kBase),
    ("o4", Tokenizer::O200kBase),
    ("codex-mini", Tokenizer::O200kBase),
    ("gpt-4", Tokenizer::Cl100kBase),
    ("gpt-3.5", Tokenizer::Cl100kBase),
    ("text-embedding-3", Tokenizer::Cl100kBase),
    ("text-embedding-ada-002", Tokenizer::Cl100kBase),
];

/// Open families by words in a name, the more special ones first. Before Nemo, Mistral's models have another vocabulary, and so
/// have its larger ones of that time.
const OPEN: [(&str, Tokenizer); 24] = [
    ("gpt-oss", Tokenizer::O200kBase),
    ("distill-llama", Tokenizer::Estimate),
    ("distill-qwen", Tokenizer::Qwen2),
    ("qwq-32b", Tokenizer::Qwen2),
    ("deepseek-v3", Tokenizer::DeepSeekV3),
    ("deepseek.v3", Tokenizer::DeepSeekV3),
    ("deepseek-r1", Tokenizer::DeepSeekV3),
    ("deepseek.r1", Tokenizer::DeepSeekV3),
    ("mistral-nemo", Tokenizer::Tekken),
    ("ministral", Tokenizer::Tekken),
    ("pixtral-12b", Tokenizer::Tekken),
    ("devstral", Tokenizer::Tekken),
    ("magistral", Tokenizer::Tekken),
    ("voxtral", Tokenizer::Tekken),
    ("mistral-small-latest", Tokenizer::Tekken),
    ("mistral-small-2501", Tokenizer::Tekken),
    ("mistral-small-2503", Tokenizer::Tekken),
    ("mistral-small-2506", Tokenizer::Tekken),
    ("mistral-small-24b", Tokenizer::Tekken),
    ("mistral-small:24b", Tokenizer::Tekken),
    ("mistral-small-3", Tokenizer::Tekken),
    ("mistral-small3", Tokenizer::Tekken),
    ("mistral-large-3", Tokenizer::Tekken),
    ("mistral-large-2512", Tokenizer::Tekken),
];

/// The tokenizer of `model`. OpenAI's names are trusted where its models are served under them: one that merely calls itself
/// `gpt-4o` on someone's own server may be anything. Open models are served by everybody under names much like their own; what
/// their templates say is a guess, which is corrected by what comes back.
pub(crate) fn tokenizer(provider: ProviderType, model: &str) -> Tokenizer {
    let openai = |name: &str| {
        let name = name.strip_prefix("ft:").unwrap_or(name);
        OPENAI.iter().find(|(start, _)| name.starts_with(start)).map(|(_, found)| *found)
    };
    let found = match provider {
        ProviderType::OpenAI | ProviderType::AzureOpenAI => openai(model).or_else(|| open(provider, model)),
        ProviderType::OpenRouter | ProviderType::LiteLLM => {
            model.strip_prefix("openai/").and_then(openai).or_else(|| open(provider, model))
        }
        ProviderType::Anthropic
        | ProviderType::Gemini
        | ProviderType::Cohere
        | ProviderType::AI21
        | ProviderType::Jina
        | ProviderType::Perplexity
        | ProviderType::Voyage
        | ProviderType::XAI => None,
        _ => open(provider, model),
    };
    found.unwrap_or(Tokenizer::Estimate)
}

fn open(provider: ProviderType, model: &str) -> Option<Tokenizer> {
    let name = model.to_ascii_lowercase();
    if provider == ProviderType::DeepSeek && name.starts_with("deepseek-") {
        return Some(Tokenizer::DeepSeekV3);
    }
    // There, all but the largest are other models that it taught.
    if provider == ProviderType::Ollama && name.contains("deepseek-r1") && !name.contains("671b") {
        return None;
    }
    if is_qwen(&name) {
        return Some(Tokenizer::Qwen2);
    }
    OPEN.iter().find(|(word, _)| name.contains(word)).map(|(_, found)| *found)
}

/// Whether it is of Qwen 2, 2.5 or 3: `qwen-2.5` and `Qwen3-8b`, and neither `qwen-72b` nor `qwen-2b`. Qwen 3.5 has another
/// vocabulary.
fn is_qwen(name: &str) -> bool {
    name.match_indices("qwen").any(|(at, qwen)| {
        let rest = name[at + qwen.len()..].trim_start_matches(['-', '_', 'v', ' ']);
        let Some(after) = rest.strip_prefix(['2', '3']) else { return false };
        let is_other = rest.starts_with('3') && is_minor(after);
        !after.starts_with(|next: char| next.is_ascii_digit() || next == 'b') && !is_other
    })
}

/// `.5` or `p5`.
fn is_minor(after: &str) -> bool {
    after.strip_prefix(['.', 'p']).is_some_and(|minor| minor.starts_with(|next: char| next.is_ascii_digit()))
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

    #[test]
    fn open_models_are_known_by_their_names_wherever_they_are_served() {
        use ProviderType as P;
        use Tokenizer::{DeepSeekV3, Estimate, O200kBase, Qwen2, Tekken};
        let rows = [
            (P::Groq, "llama-3.3-70b-versatile", Estimate),
            (P::Groq, "openai/gpt-oss-120b", O200kBase),
            (P::Groq, "meta-llama/llama-4-scout-17b-16e-instruct", Estimate),
            (P::Groq, "deepseek-r1-distill-llama-70b", Estimate),
            (P::Together, "Qwen/Qwen2.5-72B-Instruct-Turbo", Qwen2),
            (P::Together, "deepseek-ai/DeepSeek-R1", DeepSeekV3),
            (P::Fireworks, "accounts/fireworks/models/qwen3-235b-a22b", Qwen2),
            (P::Fireworks, "accounts/fireworks/models/deepseek-v3p1", DeepSeekV3),
            (P::Cerebras, "qwen-3-32b", Qwen2),
            (P::DeepInfra, "mistralai/Mistral-Small-24B-Instruct-2501", Tekken),
            (P::Bedrock, "us.deepseek.r1-v1:0", DeepSeekV3),
            (P::Bedrock, "mistral.mistral-large-2402-v1:0", Estimate),
            (P::Mistral, "mistral-small-2503", Tekken),
            (P::Mistral, "open-mistral-nemo", Tekken),
            (P::Mistral, "mistral-large-2411", Estimate),
            (P::Mistral, "open-mixtral-8x7b", Estimate),
            (P::DeepSeek, "deepseek-chat", DeepSeekV3),
            (P::Ollama, "llama2:7b", Estimate),
            (P::Ollama, "qwen3:8b", Qwen2),
            (P::Ollama, "qwen3.5:9b", Estimate),
            (P::Ollama, "deepseek-r1:8b", Estimate),
            (P::Ollama, "deepseek-r1:671b", DeepSeekV3),
            (P::VLLM, "meta-llama/Llama-3.3-70B-Instruct", Estimate),
            (P::VLLM, "Qwen/Qwen3-32B", Qwen2),
            (P::VLLM, "Qwen/Qwen-72B", Estimate),
            (P::OpenAICompatible, "mistral-nemo:12b", Tekken),
        ];
        for (provider, model, want) in rows {
            assert_eq!(tokenizer(provider, model), want, "{provider} {model}");
        }
    }
}
