//! The providers this version can talk to: one row each. What makes a provider special beyond its row is code of the
//! sidecar's dialects.

use spillway_crds::ProviderType::{self, self as T};
use spillway_wire::AuthScheme::{self, Bearer, XApiKey};
use spillway_wire::Dialect;

/// What is known of a provider by its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    kind: ProviderType,
    pub(crate) dialect: Dialect,
    pub(crate) auth: AuthScheme,
    /// None: it runs on someone's own machines, so the endpoint has to be given.
    pub(crate) base_url: Option<&'static str>,
}

const KNOWN: [Known; 23] = [
    open(T::OpenAI, "https://api.openai.com/v1"),
    Known {
        kind: T::Anthropic,
        dialect: Dialect::Anthropic,
        auth: XApiKey,
        base_url: Some("https://api.anthropic.com/v1"),
    },
    open(T::Cerebras, "https://api.cerebras.ai/v1"),
    open(T::DeepInfra, "https://api.deepinfra.com/v1/openai"),
    open(T::DeepSeek, "https://api.deepseek.com/v1"),
    open(T::Fireworks, "https://api.fireworks.ai/inference/v1"),
    open(T::Groq, "https://api.groq.com/openai/v1"),
    open(T::Mistral, "https://api.mistral.ai/v1"),
    open(T::Moonshot, "https://api.moonshot.ai/v1"),
    open(T::Nebius, "https://api.studio.nebius.ai/v1"),
    open(T::Novita, "https://api.novita.ai/v3/openai"),
    open(T::NvidiaNim, "https://integrate.api.nvidia.com/v1"),
    open(T::OpenRouter, "https://openrouter.ai/api/v1"),
    open(T::Perplexity, "https://api.perplexity.ai"),
    open(T::SambaNova, "https://api.sambanova.ai/v1"),
    open(T::Together, "https://api.together.ai/v1"),
    open(T::XAI, "https://api.x.ai/v1"),
    own(T::OpenAICompatible),
    own(T::LiteLLM),
    own(T::LlamaCpp),
    own(T::Ollama),
    own(T::SGLang),
    own(T::VLLM),
];

const fn open(kind: ProviderType, base_url: &'static str) -> Known {
    Known { kind, dialect: Dialect::OpenAi, auth: Bearer, base_url: Some(base_url) }
}

const fn own(kind: ProviderType) -> Known {
    Known { kind, dialect: Dialect::OpenAi, auth: Bearer, base_url: None }
}

/// What is known of a provider of this type. None: this version cannot talk to it.
pub(crate) fn known(kind: ProviderType) -> Option<Known> {
    KNOWN.iter().find(|row| row.kind == kind).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::endpoint::Endpoint;

    #[test]
    fn every_row_has_an_endpoint_that_reads_back() {
        for row in KNOWN {
            let Some(base_url) = row.base_url else { continue };
            let endpoint = Endpoint::parse(base_url).unwrap();
            assert!(endpoint.https, "{}", row.kind);
            assert_eq!(endpoint.to_string(), base_url, "{}", row.kind);
        }
    }
}
