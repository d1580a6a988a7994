//! FallbackPolicy: what happens when a request does not work.

mod rules;
mod status;

pub use rules::{
    Backoff, BreakerScope, CircuitBreaker, ContextWindow, DropOrder, ErrorClass, FallbackRule, Hedge, OnExceeded,
    Retries, RetryBudget, Summarize, TokenCounter, Truncate,
};
pub use status::{AncestorRef, AncestorStatus, FallbackPolicyStatus};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// What happens to requests of the routes it names when they do not fit or do not work.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "FallbackPolicy",
    plural = "fallbackpolicies",
    namespaced,
    cel,
    doc = "What happens to requests of a ModelRoute that do not fit the context window or that a provider fails.",
    shortname = "fp",
    category = "spillway",
    status = "FallbackPolicyStatus",
    derive = "PartialEq",
    label("gateway.networking.k8s.io/policy", "Direct"),
    printcolumn = r#"{"name": "Targets", "type": "string", "jsonPath": ".status.targets"}"#,
    printcolumn = r#"{"name": "On-Exceeded", "type": "string", "jsonPath": ".spec.contextWindow.onExceeded"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.ancestors[0].conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.ancestors[0].conditions[?(@.type=='Accepted')].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct FallbackPolicySpec {
    /// The ModelRoutes of this namespace it applies to. A route has one policy: of two, the older one applies.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<TargetRef>,
    /// What happens to a prompt that does not fit the context window. Default: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<ContextWindow>,
    /// Where to go after which failure; the first rule that names the failure decides. Default: nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fallbacks: Vec<FallbackRule>,
    /// When the same backend is asked again. Default: once, after a connection error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// When a second backend is asked although the first one may still answer: only before the first content of an answer,
    /// and never the same backend. It is the next first choice, or where the rules send a Timeout to. The first good answer
    /// wins; the other call is ended at once and charged its prompt, because it may be billed. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// When a failing backend is left alone. Without it a backend is left alone by the defaults of its fields; a high
    /// `failureThreshold` and a `failureRatio` of 1 come close to never. What counts as a failure is ConnectionError, Timeout,
    /// InternalServerError and ServiceUnavailable. A provider that answers RateLimited with `Retry-After` is left alone for
    /// as long as it says (ten minutes at most), for that model and on every route, and a key that is refused three times in a row is left alone
    /// until it is replaced, or for a minute. To try everybody at once: `spillway reset-breaker ROUTE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// Names a ModelRoute of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "self.group == 'spillway.dev' && self.kind == 'ModelRoute'",
    "a FallbackPolicy applies to ModelRoutes: group spillway.dev, kind ModelRoute"
))]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// `spillway.dev`.
    #[schemars(length(max = 253))]
    pub group: String,
    /// `ModelRoute`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The name of the ModelRoute.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
