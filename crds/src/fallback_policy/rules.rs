//! The rules of a FallbackPolicy.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// What happens to a prompt that does not fit the context window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "!has(self.onExceeded) || self.onExceeded != 'Summarize' || has(self.summarize)",
    "onExceeded: Summarize needs contextWindow.summarize: which backend writes the summary"
))]
#[serde(rename_all = "camelCase")]
pub struct ContextWindow {
    /// `Reject` (default): refuse with `context_length_exceeded`. `LargerModel`: the smallest window that is large enough,
    /// among the backends of the rule for ContextWindowExceeded. `Truncate`: drop the oldest messages. `Summarize`: replace
    /// them by a summary, or drop them where there is none in time. `Hybrid`: LargerModel, and Truncate when no window is
    /// large enough. Whatever is chosen, a request that fits but for the limit it sets for its answer is sent with a lower
    /// one, down to `reserveOutputTokens`, and the header `x-spillway-max-output-tokens` says so; LargerModel and Hybrid
    /// look for a larger window first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceeded: Option<OnExceeded>,
    /// Tokens kept free for the answer when the request sets no limit of its own: at most half of a window. Default: 1024,
    /// and at most a quarter of the smallest window among the route's backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub reserve_output_tokens: Option<u64>,
    /// What may be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
    /// How the summary is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summarize: Option<Summarize>,
    /// Who counts a prompt whose length alone does not tell whether it fits. `Local` (default): Spillway, exactly where the
    /// model's tokenizer is known and by a corrected estimate elsewhere. `Provider`: the provider's own counting endpoint,
    /// where it has one (Anthropic, Gemini, VertexAI, Bedrock, VLLM, LlamaCpp, and OpenAI for responses); such a question is
    /// not billed, counts towards the provider's limits and takes two seconds at most, and what began alike is not asked
    /// about again. Where there is no answer, Spillway counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<TokenCounter>,
}

/// Who counts a prompt: `Local` or `Provider`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenCounter {
    #[default]
    Local,
    Provider,
}

/// What happens to a prompt that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceeded {
    #[default]
    Reject,
    LargerModel,
    Truncate,
    Summarize,
    Hybrid,
}

/// What may be dropped from a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Truncate {
    /// Whether system messages stay. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_system: Option<bool>,
    /// The newest messages that stay. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep_last: Option<u32>,
    /// What goes first. Default: `OldestFirst`. A question goes with its answer and a tool call with its results. Only where
    /// all that may go has gone, the longest texts of what stays are cut, system messages never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropOrder>,
}

/// `OldestFirst`, or `MiddleOut`: the middle of the conversation, so that how it began stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DropOrder {
    OldestFirst,
    MiddleOut,
}

/// How a summary of old messages is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summarize {
    /// The backend that writes it: one of the route's, of any role but Shadow, which is charged for it. There is a new summary
    /// each time a conversation has grown by another quarter of the window, made of the one before; until then it is used
    /// again. It has half of the time that its request has left; after that, messages are left out.
    #[schemars(length(min = 1, max = 63))]
    pub backend: String,
    /// The newest messages that stay as they are. Default: 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep_last: Option<u32>,
    /// The longest summary, in tokens. Default: 800. It needs room in the window, with a quarter more around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_summary_tokens: Option<u32>,
}

/// Where to go after a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackRule {
    /// The failures this rule is for.
    // Not written `on`: kubectl reads YAML 1.1, where that is `true`.
    #[serde(rename = "onErrors")]
    #[schemars(length(min = 1, max = 12))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub on: Vec<ErrorClass>,
    /// Names of backends, in the order they are tried; each must be able to serve the request (window, tools, images, JSON
    /// schema). An empty list gives the failure to the application.
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub to: Vec<String>,
}

/// The classes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ErrorClass {
    ConnectionError,
    Timeout,
    ContextWindowExceeded,
    BadRequest,
    NotFound,
    ContentPolicyViolation,
    Authentication,
    InternalServerError,
    RateLimited,
    ServiceUnavailable,
    PermissionDenied,
    UnprocessableEntity,
}

/// When the same backend is asked again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// How often, after the first attempt. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: Option<u32>,
    /// After which failures. Default: RateLimited, Timeout, ServiceUnavailable, ConnectionError and InternalServerError.
    #[serde(rename = "onErrors", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub on: Vec<ErrorClass>,
    /// How long to wait before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// The share of requests that may be asked more than once. Default: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<RetryBudget>,
    /// The longest `Retry-After` that is waited for; a longer one sends the request to the next backend. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honour_retry_after: Option<Duration>,
}

/// How long to wait before a retry: the base, doubled each time up to the most, with jitter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "!has(self.base) || !has(self.max) || duration(self.base) <= duration(self.max)",
    "backoff.base is longer than backoff.max"
))]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Before the first retry. Default: `250ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Duration>,
    /// The longest wait. Default: `8s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Duration>,
}

/// How many attempts there may be beyond one for each request: retries, fallbacks and hedges together. A request that finds
/// the budget spent gets the failure it has, with `x-should-retry: false`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// Extra attempts for each request of the last ten seconds, from 0 to 1. Default: 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ratio: Option<f64>,
    /// Extra attempts a second that are always allowed, for each sidecar. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub min_per_second: Option<u32>,
}

/// When a second backend is asked although the first one may still answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hedge {
    /// How long the first backend may be silent: until its first content, or a whole answer.
    pub after: Duration,
    /// The share of requests asked twice, from 0 to 1. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ratio: Option<f64>,
}

/// When a failing backend is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Failures in a row that open it. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub failure_threshold: Option<u32>,
    /// The share of failures in the window that opens it, from 0 to 1. Default: 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub failure_ratio: Option<f64>,
    /// Requests in the window before the share counts. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: Option<u32>,
    /// The window of the share, from `1s` to `1h`. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// Successful probes in a row that close it. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: Option<u32>,
    /// How long it stays open before a probe, from `10ms` to `1h`; twice as long after each probe that fails, up to three
    /// times. Default: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_for: Option<Duration>,
    /// `Pod` (default): each sidecar judges for itself. `Fleet`: besides, all sidecars of the route judge together, by the
    /// failures of all of them: it opens for all, a few of them probe, and it closes for all. What one has seen reaches the
    /// others within a few seconds. Without the operator it is as with `Pod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<BreakerScope>,
}

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BreakerScope {
    Pod,
    Fleet,
}
