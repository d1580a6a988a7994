//! What a route does when there is too much traffic, or when it goes wrong: limits, breakers, budgets of retries, hedges,
//! strategies. Shares and ratios are in parts per million, so that equal configs are equal bytes.

use serde::{Deserialize, Serialize};

/// A limit of one route. Of `requests`, `tokens` and `concurrency`, those that are given hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub name: String,
    pub per: LimitPer,
    #[serde(default, skip_serializing_if = "LimitScope::is_pod")]
    pub scope: LimitScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What `requests` and `tokens` are counted over. 0 where there is neither.
    #[serde(default)]
    pub window_ms: u64,
    /// How much may be used at once. None: all of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// None: what is over the limit is refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

/// What has a count of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitPer {
    Pod,
    Route,
    Namespace,
    Workload,
    /// Each value of this request header; its name is in lower case.
    Header(String),
    /// Each value of the body's `user` (OpenAI) or `metadata.user_id` (Anthropic).
    User,
}

/// How far a count reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitScope {
    #[default]
    Pod,
    /// Every sidecar counts towards it; each uses the part that comes with [`crate::Rights`].
    Fleet,
}

impl LimitScope {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_pod(&self) -> bool {
        *self == Self::Pod
    }
}

/// Where requests wait instead of being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub depth: u32,
    pub timeout_ms: u64,
}

/// When a failing backend is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// The share of failures in the window that opens it.
    pub failure_ratio_ppm: u32,
    /// Attempts in the window before the share counts.
    pub min_requests: u32,
    pub window_ms: u64,
    /// Successful probes in a row that close it.
    pub success_threshold: u32,
    /// How long it stays open before the first probe; longer after each probe that fails.
    pub open_for_ms: u64,
    #[serde(default, skip_serializing_if = "BreakerScope::is_pod")]
    pub scope: BreakerScope,
    /// Whenever this text changes, every breaker of the route is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
}

/// Who judges whether it opens and closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BreakerScope {
    /// Each sidecar for itself.
    #[default]
    Pod,
    /// All of them together, by [`crate::BreakerEvidence`]; and each for itself, as long as it hears nothing.
    Fleet,
}

impl Breaker {
    #[must_use]
    pub const fn is_fleet(&self) -> bool {
        matches!(self.scope, BreakerScope::Fleet)
    }
}

impl BreakerScope {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_pod(&self) -> bool {
        *self == Self::Pod
    }
}

/// How many attempts there may be beyond one for each request: retries, fallbacks and hedges together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBudget {
    /// Extra attempts for each request.
    pub ratio_ppm: u32,
    /// Extra attempts a second that are always allowed.
    pub min_per_second: u32,
}

/// When a second backend is asked although the first one may still answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hedge {
    /// How long the first one may be silent.
    pub after_ms: u64,
    /// The share of requests that may be asked twice.
    pub max_ratio_ppm: u32,
}

/// In which order the primary backends are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// In the user's order.
    #[default]
    Priority,
    Weighted,
    LeastCost,
    LeastLatency,
    LeastBusy,
    /// In the user's order, and on to the next one where this expression over the answer is true.
    Cascade {
        escalate_when: String,
    },
}

/// How the health of a provider is watched, beside the results of ordinary requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveHealth {
    /// Below the provider's base URL.
    pub path: String,
    pub interval_ms: u64,
}

/// How a provider's health follows from the results of ordinary requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassiveHealth {
    /// Failures in a row, of any route, after which it counts as unhealthy.
    pub failures: u32,
    pub recover_after_ms: u64,
}
