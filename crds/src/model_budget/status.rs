//! What is observed of a ModelBudget.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Money;

/// What is observed of a ModelBudget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelBudgetStatus {
    /// `Accepted`: the spec is understood. `ResolvedRefs`: the routes it names exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Spent in this period, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Money>,
    /// Set aside for requests in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Money>,
    /// What nobody can spend any more in this period: pods that had the right to it are gone and did not say what became of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Money>,
    /// What is left: the limit less what is spent, set aside and stranded, and never less than 0. Where each workload, Job or
    /// value has a budget of its own, these are sums over all that were heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Money>,
    /// When this period began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::timestamp")]
    pub period_start: Option<Time>,
    /// When the count starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::timestamp")]
    pub resets_at: Option<Time>,
    /// Whether the limit is reached; where there are several, any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted: Option<bool>,
    /// The percentages of `alertAt` that were reached in this period; where there are several budgets, by any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 1000)))]
    pub alerted: Vec<u32>,
    /// The workloads that spent the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub top_workloads: Vec<WorkloadSpend>,
    /// The values of the header that spent the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub top_values: Vec<ValueSpend>,
}

/// What one workload spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpend {
    /// The workload: `Deployment/checkout`.
    #[schemars(length(max = 317))]
    pub workload: String,
    /// Spent in this period, in US dollars.
    pub spent: Money,
}

/// What requests with one value of the header spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueSpend {
    /// The value, cut where it is too long.
    #[schemars(length(max = 317))]
    pub value: String,
    /// Spent in this period, in US dollars.
    pub spent: Money,
}
