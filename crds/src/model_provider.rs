//! ModelProvider: an account at a provider.

mod account;
mod known;
mod pricing;

pub use account::{
    ActiveHealth, AllowedNamespaces, Credentials, Empty, FromNamespaces, HeaderRules, Health, PassiveHealth,
    ProviderTimeouts, Proxy, Quota, WorkloadIdentity,
};
pub use known::{ProviderModel, ProviderType, Tokenizer};
pub use pricing::{ImagePrice, Pricing, PricingTier};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// An account at a provider: where it is, which key opens it and what it allows.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "ModelProvider",
    namespaced,
    cel,
    doc = "An account at a provider of language models: where it is, which key opens it and who may use it.",
    shortname = "mp",
    category = "spillway",
    status = "ModelProviderStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".spec.type"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name": "ResolvedRefs", "type": "string", "jsonPath": ".status.conditions[?(@.type=='ResolvedRefs')].status"}"#,
    printcolumn = r#"{"name": "Routes", "type": "integer", "jsonPath": ".status.routes"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Endpoint", "type": "string", "jsonPath": ".status.endpoint", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='ResolvedRefs')].message", "priority": 1}"#
)]
#[x_kube(validation = Rule::new("has(self.endpoint) || !(self.type in ['OpenAICompatible', 'LMStudio', 'LiteLLM', 'LlamaCpp', 'SGLang', 'Spillway', 'VLLM'])")
    .message("this type has no public endpoint: set spec.endpoint, for example http://llm.models.svc:8000/v1 with allowInsecure: true")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("has(self.endpoint) || self.type != 'AzureOpenAI'")
    .message("AzureOpenAI has no public endpoint: set spec.endpoint, for example https://my-resource.openai.azure.com")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("has(self.endpoint) || self.type != 'AzureAI'")
    .message("AzureAI has no public endpoint: set spec.endpoint, for example https://my-resource.services.ai.azure.com/models")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("has(self.endpoint) || self.type != 'Cloudflare'")
    .message("Cloudflare has no public endpoint: set spec.endpoint, for example https://api.cloudflare.com/client/v4/accounts/my-account-id/ai/v1")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("has(self.endpoint) || self.type != 'Databricks'")
    .message("Databricks has no public endpoint: set spec.endpoint, for example https://my-workspace.cloud.databricks.com/serving-endpoints")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("has(self.endpoint) || self.type != 'Ollama'")
    .message("Ollama has no public endpoint: set spec.endpoint, for example http://ollama.models.svc:11434 with allowInsecure: true")
    .field_path(".endpoint"))]
#[x_kube(validation = Rule::new("!has(self.apiVersion) || self.type == 'AzureOpenAI'")
    .message("only AzureOpenAI has versions of its API to choose from")
    .field_path(".apiVersion"))]
#[x_kube(validation = Rule::new("!has(self.region) || self.type in ['Bedrock', 'VertexAI']")
    .message("only Bedrock and VertexAI have regions to choose from")
    .field_path(".region"))]
#[x_kube(validation = Rule::new("has(self.region) || self.type != 'Bedrock'")
    .message("Bedrock needs spec.region, for example us-east-1: its requests are signed for a region")
    .field_path(".region"))]
#[x_kube(validation = Rule::new("!has(self.project) || self.type == 'VertexAI'")
    .message("only VertexAI has projects")
    .field_path(".project"))]
#[x_kube(validation = Rule::new("self.type != 'VertexAI' || has(self.endpoint) || (has(self.region) && has(self.project))")
    .message("VertexAI needs spec.region and spec.project, for example europe-west4 and my-project-123")
    .field_path(".project"))]
#[x_kube(validation = Rule::new("!has(self.credentials.workloadIdentity) || self.type in ['AzureAI', 'AzureOpenAI', 'Bedrock', 'VertexAI']")
    .message("only AzureAI, AzureOpenAI, Bedrock and VertexAI know pods by their workload identity: use secretRef")
    .field_path(".credentials"))]
#[x_kube(validation = Rule::new("!has(self.endpoint) || !self.endpoint.startsWith('http://') || (has(self.allowInsecure) && self.allowInsecure)")
    .message("an http:// endpoint sends keys and prompts in clear: use https://, or set spec.allowInsecure: true")
    .field_path(".endpoint"))]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderSpec {
    /// The provider: decides the protocol, the default endpoint and how the key travels. `OpenAICompatible` is any server
    /// that speaks the OpenAI protocol. `Ollama` is asked in its own API, or in OpenAI's if the endpoint ends in `/v1`; in its
    /// own it is told not to cut a prompt that is too long for it, which it does without a word where it is not told.
    /// `VertexAI` serves Gemini, Claude and others; a model of another maker is named with it: `meta/llama-4-scout`.
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// Scheme, host, port and path prefix of the API, such as `https://api.openai.com/v1`. Default: the public endpoint of
    /// the type, in `region` and for `project` where the type has those. It may not contain credentials, a query or a
    /// fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"))]
    pub endpoint: Option<String>,
    /// The version of Azure OpenAI's API, such as `2024-10-21`: requests then go to
    /// `openai/deployments/<model>/…?api-version=<apiVersion>` below the endpoint. Default: none, and requests go to
    /// `openai/v1/…`, where the model is the deployment's name as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^\d{4}-\d{2}-\d{2}(-preview)?$"))]
    pub api_version: Option<String>,
    /// Bedrock: the AWS region, such as `us-east-1`. VertexAI: the location, such as `europe-west4`, `global`, or the
    /// multi-regions `us` and `eu`. The public endpoint is the one of this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^[a-z][-a-z0-9]*[a-z0-9]$"))]
    pub region: Option<String>,
    /// VertexAI: the id of the Google Cloud project that is billed, such as `my-project-123`. It becomes part of every path:
    /// `/v1/projects/<project>/locations/<region>` is added to an endpoint that has no path of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 128), regex(pattern = r"^([a-z0-9][-a-z0-9.]*:)?[a-z0-9][-a-z0-9]*[a-z0-9]$"))]
    pub project: Option<String>,
    /// Allows an `http://` endpoint, which sends keys and prompts unencrypted. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_insecure: Option<bool>,
    /// How the provider knows who calls: exactly one of its fields.
    pub credentials: Credentials,
    /// Headers set on, or removed from, every request to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderRules>,
    /// An HTTP proxy on the way out. Default: none; proxies in the environment are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// What the account allows, shared by the whole fleet. Where its answers say that less is left (`x-ratelimit-remaining-requests`
    /// and the like), because others use it as well or it is smaller than that, less is handed out until they say otherwise.
    /// Default: no limit of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// How long to wait for the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ProviderTimeouts>,
    /// How the provider's health is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Models that the built-in catalogue does not know or gets wrong. What is given here wins, field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub models: Vec<ProviderModel>,
    /// Which namespaces may route to this provider. Default: its own only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// What is observed of a ModelProvider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderStatus {
    /// `Accepted`: the spec is understood. `ResolvedRefs`: the Secret exists and may be sent to the endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The endpoint in use, defaults resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// ModelRoutes that use this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub routes: Option<u32>,
}
