//! Accounts at providers, with everything resolved: no field means "ask the catalogue".

use serde::{Deserialize, Serialize};

use crate::{Abilities, ActiveHealth, Map, PassiveHealth, Pieces, Price};

/// An account at a provider, as a sidecar needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// The `ModelProvider.spec.type` the user wrote (`OpenAI`, `Groq`, …): a label for headers and metrics.
    pub kind: String,
    pub dialect: Dialect,
    /// Scheme, host, port and path prefix, without a trailing slash: `https://api.openai.com/v1`.
    pub base_url: String,
    /// Azure OpenAI's `api-version`, for the URLs that name deployments. None: those of `/openai/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The region that requests are signed for, or that the model is in. [`Self::base_url`] is in it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The project that is billed. Where paths name it, [`Self::base_url`] has it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    pub auth: AuthScheme,
    /// Which [`crate::Credential`] to send. None: the provider takes no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Further ones, in the order in which they stand in for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_credentials: Vec<String>,
    /// How a credential that is a JSON document becomes a key; without a credential, how the pod's own identity does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    #[serde(default)]
    pub headers: Headers,
    /// The HTTP proxy that every connection goes through: `http://egress.corp:3128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    pub timeouts: ProviderTimeouts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_health: Option<ActiveHealth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive_health: Option<PassiveHealth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// What the account allows the fleet as a whole in each minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// Which protocol the provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
    Cohere,
    /// Google's Vertex AI, where each model is spoken to as its maker does.
    VertexAi,
    /// Ollama's own API. Its copy of OpenAI's is [`Self::OpenAi`].
    Ollama,
    /// Amazon Bedrock: Converse, and Anthropic's own words for a Claude that is to be asked so.
    Bedrock,
}

/// How the key travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthScheme {
    /// `authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
    /// `api-key: KEY`
    ApiKey,
    /// `x-goog-api-key: KEY`
    GoogApiKey,
    /// `authorization: AWS4-HMAC-SHA256 …`, a signature over the request for [`Provider::region`], with an [`AwsKey`]; or
    /// `authorization: Bearer KEY` with a key that is none.
    SigV4,
    None,
}

/// What a [`crate::Credential`] of AWS holds, as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsKey {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

/// Who gives a short-lived key for another proof of identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub cloud: Cloud,
    /// What the key is to be good for, where the cloud asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom the pod becomes. None: whom the cloud takes it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cloud {
    Google,
    Azure,
    Aws,
}

// === impl Provider ===

impl Provider {
    /// The keys it may be sent, in their order.
    pub fn credentials(&self) -> impl Iterator<Item = &String> {
        self.credential.iter().chain(&self.more_credentials)
    }
}

/// Headers set on, and removed from, every request to the provider. Names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTimeouts {
    /// TCP and TLS, together.
    pub connect_ms: u64,
    /// From the last byte of the request to the first of the answer's head.
    pub first_byte_ms: u64,
    /// Between two reads of the answer's body.
    pub idle_ms: u64,
    /// The whole attempt.
    pub total_ms: u64,
}

/// What is known of a model at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name the provider knows it by.
    pub name: String,
    /// Prompt and answer together. None: unknown, nothing is refused before the provider refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    pub tokenizer: Tokenizer,
    /// None: unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What it costs by the piece, where anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Pieces>,
    pub tools: bool,
    pub parallel_tools: bool,
    pub vision: bool,
    pub json_schema: bool,
    /// What else is known of what it takes.
    #[serde(default, skip_serializing_if = "Abilities::is_unknown")]
    pub abilities: Abilities,
    /// The day its maker takes it away: `2026-11-21`. It is shown, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_on: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tokenizer {
    O200kBase,
    Cl100kBase,
    Qwen2,
    DeepSeekV3,
    Tekken,
    /// No tokenizer is known, or none that this sidecar has: counts are estimates, and are marked so.
    #[serde(other)]
    Estimate,
}
