//! What is observed of a ModelRoute.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, Role};

/// What is observed of a ModelRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelRouteStatus {
    /// `Accepted`: the spec is understood. `ResolvedRefs`: every provider exists and may be used. `Programmed`: every sidecar
    /// the route concerns runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many sidecars the route concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<SidecarCounts>,
    /// The backends as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub backends: Vec<BackendStatus>,
    /// What was spent through the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Spend>,
    /// The above in the short forms that `kubectl get` shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RouteSummary>,
}

/// How many sidecars a route concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarCounts {
    /// Sidecars that should run the route.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub ready: u32,
    /// Sidecars that run its newest revision.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub programmed: u32,
    /// Sidecars that refused it.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub rejected: u32,
}

/// One backend as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The backend's name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// `namespace/name` of its ModelProvider.
    #[schemars(length(max = 317))]
    pub provider: String,
    /// The provider's name of the model.
    #[schemars(length(max = 256))]
    pub model: String,
    /// What the backend is for.
    pub role: Role,
    /// Whether it may be asked: what it is in at least half of the sidecars that report. `message` says in how many.
    pub state: BackendState,
    /// Its context window in tokens, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub context_window: Option<u64>,
    /// The window that the provider says it has, where that is smaller than `contextWindow`: it refused a prompt and named
    /// it. The smallest that any sidecar was told. There it is used instead of the other one, and is what `GET /v1/models` and
    /// `POST /v1/tokenize` tell applications; it is forgotten after four hours, or ten minutes where it was said once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub learnt_context_window: Option<u64>,
    /// Why it is not asked, or not by every sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Whether a backend may be asked, in the words of circuit breakers: closed is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackendState {
    /// It is asked.
    Closed,
    /// It failed too often, or its provider asked for a pause, and it rests.
    Open,
    /// It is being tried again.
    HalfOpen,
    /// It is left out, because something it needs does not exist or may not be used.
    Unresolved,
}

/// What was spent, in US dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spend {
    /// Since midnight UTC.
    pub day: Money,
    /// Since the first of the month, UTC.
    pub month: Money,
    /// Requests this month whose price nobody knows; their cost is in none of the amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub unpriced_requests: Option<u64>,
}

/// Short forms that `kubectl get` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteSummary {
    /// The model names, separated by commas.
    #[schemars(length(max = 8192))]
    pub models: String,
    /// Usable backends of all backends: `2/3`.
    #[schemars(length(max = 32))]
    pub backends: String,
    /// Sidecars that run it of all that should: `12/12`.
    #[schemars(length(max = 32))]
    pub sidecars: String,
}
