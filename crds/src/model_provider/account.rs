//! What belongs to an account rather than to its models: keys, headers, timeouts, quota, who may use it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LabelSelector, SecretKeyRef};

/// How the provider knows who calls: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "(has(self.secretRef) ? 1 : 0) + (has(self.secretRefs) ? 1 : 0) + (has(self.workloadIdentity) ? 1 : 0) + (has(self.none) ? 1 : 0) == 1",
    "set exactly one of secretRef, secretRefs, workloadIdentity and none (credentials: {none: {}} for a provider without keys)"
))]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A key in a Secret of this namespace; for Bedrock an API key, or an access key as `{"accessKeyId": "…",
    /// "secretAccessKey": "…"}` (with `sessionToken` for a temporary one) or as the file that `aws configure` writes. The Secret opts in with the label `spillway.dev/provider-key: "true"`, and names
    /// the hosts its key may be sent to in the annotation `spillway.dev/allowed-hosts` (default: the public host of the type).
    ///
    /// In place of a key it may hold a JSON document that short-lived keys are fetched with. VertexAI: the key file of a
    /// Google service account. AzureOpenAI and AzureAI: `{"tenantId": "…", "clientId": "…", "clientSecret": "…"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Several keys, each like `secretRef`. The first usable one is sent. A key that is refused (401) rests until it changes
    /// or for a minute, one that is not paid for (402) for as long as the provider says, and so does one that is over its
    /// limit (429), for the model that was asked for; meanwhile the next one is sent, at once and within the same request.
    /// One whose Secret is missing is passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    pub secret_refs: Vec<SecretKeyRef>,
    /// The pod's own cloud identity, exchanged for a short-lived key: for AzureAI, AzureOpenAI, Bedrock and VertexAI. The pod
    /// needs what the cloud's own clients need: on AKS the label and the ServiceAccount of Azure Workload Identity (or a
    /// managed identity of the node), on EKS an annotated ServiceAccount (IRSA) or a Pod Identity association (or the role
    /// of the node, where its metadata service lets pods ask), on GKE a ServiceAccount with Workload Identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// The provider takes no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
}

/// Nothing: written as `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Empty {}

/// The pod's own cloud identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// Azure: who the token is for. Default: `https://cognitiveservices.azure.com`. The other clouds have no choice here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub audience: Option<String>,
    /// Whom to become. Bedrock: the ARN of the role (default: the one of the ServiceAccount). VertexAI: the e-mail address
    /// of a service account that the pod's own may impersonate. Azure: the client id of a managed identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub role: Option<String>,
}

/// Headers of every request to the provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderRules {
    /// Headers to set, such as `OpenAI-Organization: org-1`. Credentials belong into `credentials`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::headers")]
    pub set: BTreeMap<String, String>,
    /// Headers to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub remove: Vec<String>,
}

/// An HTTP proxy on the way out. Names of providers are resolved by the proxy; its own address has to be one that sidecars
/// may connect to. A key may be sent through it to an `http://` endpoint only if the Secret allows the proxy's host as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Where the proxy is: `http://egress.corp:3128`.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s/?#@]+/?$"))]
    pub url: String,
}

/// What the account allows, shared by the whole fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Requests a minute. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, prompt and answer together. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub tokens_per_minute: Option<u64>,
    /// Requests at one time. Not kept for a whole fleet: a limit with `concurrency` in a ModelRoute is, in each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
}

/// How long to wait for the provider. Each is between `1ms` and `1h`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderTimeouts {
    /// To connect, TLS included. Default: `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// From the last byte of the request to the head of the answer, which comes only when all of it is generated unless it
    /// is streamed. Default: `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer. Default: `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// For the whole attempt. Default: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

/// How the provider's health is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// By the results of ordinary requests, of all routes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveHealth>,
    /// By requests made for the purpose, from every sidecar that uses the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealth>,
}

/// Health by the results of ordinary requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PassiveHealth {
    /// Failures in a row after which the provider counts as unhealthy. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failures: Option<u32>,
    /// How long it stays unhealthy before it is tried again, from `1s` to `1h`. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recover_after: Option<Duration>,
}

/// Health by requests made for the purpose, with the provider's key. Three checks in a row without an answer below 500 make
/// it unhealthy, or as many as `passive.failures`; one with such an answer makes it healthy again at once. Without `passive`,
/// ordinary requests have no say in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveHealth {
    /// The path below the endpoint to GET, such as `/models`.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^\s?#]*$"))]
    pub path: String,
    /// Time between two checks of one sidecar, give or take a tenth, from `5s` to `1h`. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// Which namespaces may route to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "self.from == 'Selector' ? has(self.selector) : !has(self.selector)",
    "selector goes with from: Selector, and only with it"
))]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// `Same`: the provider's own namespace. `All`: every namespace. `Selector`: those whose labels match.
    pub from: FromNamespaces,
    /// Labels of the namespaces, for `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    Same,
    All,
    Selector,
}
