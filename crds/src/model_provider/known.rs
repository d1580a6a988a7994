//! The providers Spillway knows by name, and what a user may tell about a model.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value},
};

use super::pricing::Pricing;

/// The providers Spillway knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    OpenAI,
    Anthropic,
    OpenAICompatible,
    AzureOpenAI,
    Gemini,
    VertexAI,
    Bedrock,
    Cohere,
    AI21,
    AzureAI,
    Baseten,
    Cerebras,
    Cloudflare,
    DashScope,
    Databricks,
    DeepInfra,
    DeepSeek,
    Featherless,
    Fireworks,
    Friendli,
    GitHubModels,
    Groq,
    HuggingFace,
    Hyperbolic,
    Jina,
    LiteLLM,
    LlamaCpp,
    LMStudio,
    MetaLlama,
    Mistral,
    Moonshot,
    Nebius,
    Novita,
    Nscale,
    NvidiaNim,
    Ollama,
    OpenRouter,
    Perplexity,
    SambaNova,
    SGLang,
    Spillway,
    Together,
    Vercel,
    VLLM,
    VolcEngine,
    Voyage,
    XAI,
    ZAI,
}

/// What is to be known of a model. Every field but the name may be left to the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderModel {
    /// The name the provider knows the model by.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[!-~]+$"))]
    pub name: String,
    /// Tokens of prompt and answer together. Default: from the catalogue, else unknown, and then only the provider refuses
    /// what is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_window: Option<u64>,
    /// The most tokens an answer may have. Default: from the catalogue, else unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output_tokens: Option<u64>,
    /// How tokens are counted. Default: by the model's family, else `estimate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<Tokenizer>,
    /// What it costs. Default: from the catalogue, else unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Whether it takes tools. Default: from the catalogue, else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Whether it may call several tools at once. Default: from the catalogue, else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tools: Option<bool>,
    /// Whether it takes images. Default: from the catalogue, else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// Whether it can be held to a JSON schema. One that cannot, and takes tools, is made to call one that takes the answer;
    /// the application sees the answer and no call. Default: from the catalogue, else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<bool>,
}

/// How tokens are counted: by the vocabulary of OpenAI's models since GPT-4o (`o200k_base`) and before (`cl100k_base`), of
/// Qwen 2, 2.5 and 3 (`qwen2`), of DeepSeek V3 and R1 (`deepseek_v3`), of Mistral's since Nemo (`tekken`), or by an
/// `estimate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    #[serde(rename = "o200k_base")]
    O200kBase,
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    #[serde(rename = "qwen2")]
    Qwen2,
    #[serde(rename = "deepseek_v3")]
    DeepSeekV3,
    Tekken,
    Estimate,
}

// === impl ProviderType ===

impl ProviderType {
    /// The one that is written so in `spec.type`.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::deserialize(IntoDeserializer::<value::Error>::into_deserializer(name)).ok()
    }

    /// The name as it is written in `spec.type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::OpenAICompatible => "OpenAICompatible",
            Self::AzureOpenAI => "AzureOpenAI",
            Self::Gemini => "Gemini",
            Self::VertexAI => "VertexAI",
            Self::Bedrock => "Bedrock",
            Self::Cohere => "Cohere",
            Self::AI21 => "AI21",
            Self::AzureAI => "AzureAI",
            Self::Baseten => "Baseten",
            Self::Cerebras => "Cerebras",
            Self::Cloudflare => "Cloudflare",
            Self::DashScope => "DashScope",
            Self::Databricks => "Databricks",
            Self::DeepInfra => "DeepInfra",
            Self::DeepSeek => "DeepSeek",
            Self::Featherless => "Featherless",
            Self::Fireworks => "Fireworks",
            Self::Friendli => "Friendli",
            Self::GitHubModels => "GitHubModels",
            Self::Groq => "Groq",
            Self::HuggingFace => "HuggingFace",
            Self::Hyperbolic => "Hyperbolic",
            Self::Jina => "Jina",
            Self::LiteLLM => "LiteLLM",
            Self::LlamaCpp => "LlamaCpp",
            Self::LMStudio => "LMStudio",
            Self::MetaLlama => "MetaLlama",
            Self::Mistral => "Mistral",
            Self::Moonshot => "Moonshot",
            Self::Nebius => "Nebius",
            Self::Novita => "Novita",
            Self::Nscale => "Nscale",
            Self::NvidiaNim => "NvidiaNim",
            Self::Ollama => "Ollama",
            Self::OpenRouter => "OpenRouter",
            Self::Perplexity => "Perplexity",
            Self::SambaNova => "SambaNova",
            Self::SGLang => "SGLang",
            Self::Spillway => "Spillway",
            Self::Together => "Together",
            Self::Vercel => "Vercel",
            Self::VLLM => "VLLM",
            Self::VolcEngine => "VolcEngine",
            Self::Voyage => "Voyage",
            Self::XAI => "XAI",
            Self::ZAI => "ZAI",
        }
    }
}

impl fmt::Display for ProviderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
