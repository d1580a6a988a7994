//! ModelBudget: what it may cost.

mod status;

pub use status::{ModelBudgetStatus, ValueSpend, WorkloadSpend};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Money;

/// What the routes of a namespace may cost in a period.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "ModelBudget",
    namespaced,
    cel,
    doc = "What the ModelRoutes of a namespace may cost in a period.",
    shortname = "mb",
    category = "spillway",
    status = "ModelBudgetStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Limit", "type": "string", "jsonPath": ".spec.limit"}"#,
    printcolumn = r#"{"name": "Period", "type": "string", "jsonPath": ".spec.period"}"#,
    printcolumn = r#"{"name": "Spent", "type": "string", "jsonPath": ".status.spent"}"#,
    printcolumn = r#"{"name": "Remaining", "type": "string", "jsonPath": ".status.remaining"}"#,
    printcolumn = r#"{"name": "Exhausted", "type": "boolean", "jsonPath": ".status.exhausted"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Resets", "type": "string", "jsonPath": ".status.resetsAt", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].message", "priority": 1}"#
)]
#[x_kube(validation = Rule::new("self.limit.matches('[1-9]')")
    .message("a budget is more than 0: to stop all use, delete the route")
    .field_path(".limit"))]
#[serde(rename_all = "camelCase")]
pub struct ModelBudgetSpec {
    /// Which requests count. Default: all of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<BudgetSelector>,
    /// The most that may be spent in a period, in US dollars.
    pub limit: Money,
    /// When the count starts again. `Once`: never.
    pub period: Period,
    /// The time zone in which periods start, such as `Europe/Berlin`, by its present rule. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_+/-]+$"))]
    pub time_zone: Option<String>,
    /// `Strict` (default): never more, because every request sets its worst case aside. `Expected`: sets the usual cost
    /// aside. `Warn`: only reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// What happens when the budget is used up. Default: `Block`; under `enforcement: Warn`, `Warn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Percentages of the limit at which an Event is written, once in each period. Default: 50, 80 and 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 1000)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub alert_at: Vec<u32>,
}

/// Which requests count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "(has(self.per) && self.per == 'Header') == has(self.header)",
    "per: Header needs the header's name in header, and nothing else takes one"
))]
#[serde(rename_all = "camelCase")]
pub struct BudgetSelector {
    /// Names of ModelRoutes of this namespace. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub routes: Vec<String>,
    /// What has a budget of its own. Default: `Namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<BudgetPer>,
    /// The request header whose values have budgets of their own, for `per: Header`: up to 10,000 values in a period, and
    /// fewer where the operator keeps many budgets. All beyond share one, `(others)` in status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
}

/// What has a budget of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetPer {
    #[default]
    Namespace,
    Workload,
    Header,
    JobRun,
}

/// When the count starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
    Once,
}

/// How a budget is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    #[default]
    Strict,
    Expected,
    Warn,
}

/// What happens when a budget is used up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "(self.action == 'Downgrade') == (has(self.to) && size(self.to) > 0)",
    "action: Downgrade needs the backends to go on with in to, and nothing else takes them"
))]
#[serde(rename_all = "camelCase")]
pub struct OnExhausted {
    /// `Block`: refuse with 429. `Downgrade`: use the backends in `to` only. `Warn`: go on.
    pub action: ExhaustedAction,
    /// Names of the backends to go on with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub to: Vec<String>,
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExhaustedAction {
    Block,
    Downgrade,
    Warn,
}
