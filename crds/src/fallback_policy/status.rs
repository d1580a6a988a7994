//! What is observed of a FallbackPolicy, in the shape the Gateway API gives to policies: by the object it applies to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What is observed of a FallbackPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackPolicyStatus {
    /// One entry for each route it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ancestors: Vec<AncestorStatus>,
    /// The names of the routes, separated by commas, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub targets: Option<String>,
}

/// How the policy stands with one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    /// The route.
    pub ancestor_ref: AncestorRef,
    /// Who wrote this entry: `spillway.dev/operator`.
    #[schemars(length(min = 1, max = 253))]
    pub controller_name: String,
    /// `Accepted`: the policy applies to the route. `ResolvedRefs`: the route has every backend it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The route that a policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AncestorRef {
    /// `spillway.dev`.
    #[schemars(length(max = 253))]
    pub group: String,
    /// `ModelRoute`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The namespace of the route.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of the route.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
