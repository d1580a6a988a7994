//! Limits on requests, tokens and requests in flight.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A limit on requests, tokens or requests in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "has(self.requests) || has(self.tokens) || has(self.concurrency)",
    "a limit limits something: set requests, tokens or concurrency"
))]
#[x_kube(validation = (
    "(has(self.requests) || has(self.tokens)) == has(self.window)",
    "requests and tokens are counted over a window, such as window: 1m; concurrency has none"
))]
#[x_kube(validation = (
    "(has(self.per) && self.per == 'Header') == has(self.header)",
    "per: Header needs the header's name in header, and nothing else takes one"
))]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The name that errors and metrics use for this limit.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What has a count of its own. Default: `Route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitPer>,
    /// The request header whose values are counted apart, for `per: Header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
    /// `Fleet` (default): one count for all pods. `Pod`: one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<LimitScope>,
    /// Requests in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: Option<u32>,
    /// Tokens in a window, prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub tokens: Option<u64>,
    /// Requests at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// The time over which requests and tokens are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// How much may be used at once. Default: the limit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub burst: Option<u64>,
    /// Where requests wait instead of being refused. Default: they are refused with 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// What happens to a fleet-wide limit when no operator is reachable for five minutes. Default: `Hold` until then, then
    /// `Floor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_control_plane_loss: Option<LossBehaviour>,
}

/// Where requests wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// The most requests that wait. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub depth: Option<u32>,
    /// The longest wait. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What has a count of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitPer {
    Route,
    Namespace,
    Workload,
    Pod,
    Header,
}

/// How far a count reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitScope {
    Fleet,
    Pod,
}

/// What happens to a fleet-wide limit without an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LossBehaviour {
    Hold,
    Floor,
    Deny,
}
