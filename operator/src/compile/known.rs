//! The providers this version can talk to: one row each. What makes a provider special beyond its row is code of the
//! sidecar's dialects.

use spillway_crds::ProviderType::{self, self as T};
use spillway_wire::AuthScheme::{self, ApiKey, Bearer, GoogApiKey, SigV4, XApiKey};
use spillway_wire::Dialect;

use super::endpoint::Endpoint;

/// What is known of a provider by its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    kind: ProviderType,
    pub(crate) dialect: Dialect,
    pub(crate) auth: AuthScheme,
    /// None: it runs on someone's own machines, so the endpoint has to be given, or `public` makes it of region and project.
    pub(crate) base_url: Option<&'static str>,
}

const KNOWN: [Known; 48] = [
    open(T::OpenAI, "https://api.openai.com/v1"),
    Known {
        kind: T::Anthropic,
        dialect: Dialect::Anthropic,
        auth: XApiKey,
        base_url: Some("https://api.anthropic.com/v1"),
    },
    Known {
        kind: T::Gemini,
        dialect: Dialect::Gemini,
        auth: GoogApiKey,
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
    },
    Known { kind: T::VertexAI, dialect: Dialect::VertexAi, auth: Bearer, base_url: None },
    Known { kind: T::Cohere, dialect: Dialect::Cohere, auth: Bearer, base_url: Some("https://api.cohere.com/v2") },
    Known { kind: T::Bedrock, dialect: Dialect::Bedrock, auth: SigV4, base_url: None },
    open(T::AI21, "https://api.ai21.com/studio/v1"),
    own(T::AzureAI),
    Known { kind: T::AzureOpenAI, dialect: Dialect::OpenAi, auth: ApiKey, base_url: None },
    open(T::Baseten, "https://inference.baseten.co/v1"),
    open(T::Cerebras, "https://api.cerebras.ai/v1"),
    own(T::Cloudflare),
    open(T::DashScope, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    own(T::Databricks),
    open(T::DeepInfra, "https://api.deepinfra.com/v1/openai"),
    open(T::DeepSeek, "https://api.deepseek.com/v1"),
    open(T::Featherless, "https://api.featherless.ai/v1"),
    open(T::Fireworks, "https://api.fireworks.ai/inference/v1"),
    open(T::Friendli, "https://api.friendli.ai/serverless/v1"),
    open(T::GitHubModels, "https://models.github.ai/inference"),
    open(T::Groq, "https://api.groq.com/openai/v1"),
    open(T::HuggingFace, "https://router.huggingface.co/v1"),
    open(T::Hyperbolic, "https://api.hyperbolic.xyz/v1"),
    open(T::Jina, "https://api.jina.ai/v1"),
    open(T::MetaLlama, "https://api.llama.com/compat/v1"),
    open(T::Mistral, "https://api.mistral.ai/v1"),
    open(T::Moonshot, "https://api.moonshot.ai/v1"),
    open(T::Nebius, "https://api.studio.nebius.ai/v1"),
    open(T::Novita, "https://api.novita.ai/v3/openai"),
    open(T::Nscale, "https://inference.api.nscale.com/v1"),
    open(T::NvidiaNim, "https://integrate.api.nvidia.com/v1"),
    open(T::OpenRouter, "https://openrouter.ai/api/v1"),
    open(T::Perplexity, "https://api.perplexity.ai"),
    open(T::SambaNova, "https://api.sambanova.ai/v1"),
    open(T::Together, "https://api.together.ai/v1"),
    open(T::Vercel, "https://ai-gateway.vercel.sh/v1"),
    open(T::VolcEngine, "https://ark.cn-beijing.volces.com/api/v3"),
    open(T::Voyage, "https://api.voyageai.com/v1"),
    open(T::XAI, "https://api.x.ai/v1"),
    open(T::ZAI, "https://api.z.ai/api/paas/v4"),
    own(T::OpenAICompatible),
    own(T::LMStudio),
    own(T::LiteLLM),
    own(T::LlamaCpp),
    Known { kind: T::Ollama, dialect: Dialect::Ollama, auth: Bearer, base_url: None },
    own(T::SGLang),
    own(T::Spillway),
    own(T::VLLM),
];

#[cfg(test)]
impl Known {
    /// A row that is in no table.
    pub(crate) const fn new(
        kind: ProviderType,
        dialect: Dialect,
        auth: AuthScheme,
        base_url: Option<&'static str>,
    ) -> Self {
        Self { kind, dialect, auth, base_url }
    }
}

const fn open(kind: ProviderType, base_url: &'static str) -> Known {
    Known { kind, dialect: Dialect::OpenAi, auth: Bearer, base_url: Some(base_url) }
}

const fn own(kind: ProviderType) -> Known {
    Known { kind, dialect: Dialect::OpenAi, auth: Bearer, base_url: None }
}

// === impl Known ===

impl Known {
    /// What is spoken at an endpoint: Ollama has its own API, and below `/v1` a copy of OpenAI's.
    pub(crate) fn dialect_at(&self, endpoint: &Endpoint) -> Dialect {
        match self.dialect {
            Dialect::Ollama if endpoint.ends_in("/v1") => Dialect::OpenAi,
            dialect => dialect,
        }
    }
}

/// What is known of a provider of this type. None: this version cannot talk to it.
pub(crate) fn known(kind: ProviderType) -> Option<Known> {
    KNOWN.iter().find(|row| row.kind == kind).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sidecar's table says how each provider wants its requests; where it is and how the key travels is written in both.
    #[test]
    fn sidecars_know_the_same_providers() {
        for row in spillway_providers::rows() {
            let known = KNOWN.iter().find(|known| known.kind.as_str() == row.kind);
            let known = known.unwrap_or_else(|| panic!("no type {}", row.kind));
            let auth = match row.auth {
                spillway_providers::Auth::Bearer => Bearer,
                spillway_providers::Auth::ApiKey => ApiKey,
            };
            assert_eq!((known.auth, known.base_url), (auth, row.base_url), "{}", row.kind);
        }
        for known in KNOWN.iter().filter(|known| matches!(known.dialect, Dialect::OpenAi | Dialect::Ollama)) {
            assert_eq!(spillway_providers::row(known.kind.as_str()).kind, known.kind.as_str());
        }
    }

    #[test]
    fn an_endpoint_says_which_of_its_apis_ollama_is_asked_in() {
        let rows = [
            (T::Ollama, "http://ollama:11434", Dialect::Ollama),
            (T::Ollama, "http://gateway/ollama/", Dialect::Ollama),
            (T::Ollama, "http://ollama:11434/v1/", Dialect::OpenAi),
            (T::VLLM, "http://vllm:8000", Dialect::OpenAi),
            (T::VertexAI, "https://vertex.internal/v1", Dialect::VertexAi),
        ];
        for (kind, endpoint, want) in rows {
            let dialect = known(kind).unwrap().dialect_at(&Endpoint::parse(endpoint).unwrap());
            assert_eq!(dialect, want, "{kind} {endpoint}");
        }
    }

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
