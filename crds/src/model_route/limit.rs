//! Limits on requests, tokens and requests in flight.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A limit on requests, tokens or requests in flight. Of `requests`, `tokens` and `concurrency`, those that are given hold
/// together. What is over it waits in the `queue`, or is refused with 429, `Retry-After` and what is left in
/// `x-ratelimit-*`.
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
    /// What has a count of its own. Default: `Route`. With scope `Pod` each pod counts for itself, and `Route`, `Namespace`,
    /// `Workload` and `Pod` are the same. `Header` and `User` count each value apart, up to 10,000 values at a time; all
    /// beyond share one count, and so do all requests that name none. With scope `Fleet` a value's count begins when a pod
    /// first asks for it, and the operator is asked before its first request in a pod passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitPer>,
    /// The request header whose values are counted apart, for `per: Header`. None that carries credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
    /// `Pod` (default): one count for each pod. `Fleet`: one for all pods together, kept exactly: each uses the part that the
    /// operator gives it. For requests and tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<LimitScope>,
    /// Requests in a window. A request that was never sent to a provider is not counted; one that is tried on several is
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: Option<u32>,
    /// Tokens in a window, prompt and answer together. The prompt and `max_tokens` (or `reserveOutputTokens` of the
    /// FallbackPolicy), up to the longest answer any backend of the route gives, are reserved once, before the first
    /// attempt; when the request is over, what all its attempts were billed takes their place. Retries, hedges and
    /// escalations to another backend reserve nothing more: what they come to beyond the reservation is used already when
    /// it is known, so a window can be passed by that much, and it is made up for before anybody gets more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub tokens: Option<u64>,
    /// Requests at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// The time over which requests and tokens are counted, from `100ms` to `744h` (31 days). The limit holds in every such
    /// stretch of time, wherever it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// How much of `requests` or `tokens` may be used at once; the rest becomes available evenly over the window. Default:
    /// all of the limit. With both, give each a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub burst: Option<u64>,
    /// Where requests wait instead of being refused: never past their own deadline, and in turns between the values of the
    /// route's first limit per `Header` or `User`. Default: they are refused with 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// What a pod that reaches no operator goes on with, under scope `Fleet`. `Hold` (default): all of its part for five
    /// minutes, then its share of a fifth of the limit. `Floor`: that share, after ten seconds. `Deny`: nothing, after ten
    /// seconds. Of a limit per `Header` or `User` no pod has a share before it asks: there `Hold` ends after five minutes, and
    /// `Floor` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_control_plane_loss: Option<LossBehaviour>,
}

/// Where requests wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// The most requests that wait. When it is full, whoever has most in it makes room for others. Whatever is given here,
    /// half of the requests that a sidecar takes on at once is left to those that do not wait: beyond that, in all queues
    /// together, they are refused with 429. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub depth: Option<u32>,
    /// The longest wait, up to `1h`; a request that could not be served by then is refused at once. Default: `30s`.
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
    /// Each value of the request header named in `header`.
    Header,
    /// Each value of the body's `user` (OpenAI) or `metadata.user_id` (Anthropic).
    User,
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
