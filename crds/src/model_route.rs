//! ModelRoute: what applications call.

mod limit;
mod shape;
mod status;

pub use limit::{Limit, LimitPer, LimitScope, LossBehaviour, Queue};
pub use shape::{
    Affinity, Batching, Cache, CacheScope, Cascade, Deduplicate, Hint, Hold, PassThrough, RequestRules, RuleAction,
    RulePhase, SchemaCheck, Streaming, Unsupported, Validation, ValidationLevel, ValidationRule,
};
pub use status::{BackendState, BackendStatus, ModelRouteStatus, RouteSummary, SidecarCounts, Spend};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LabelSelector, Money, ProviderRef};

/// The model names applications may ask for, and the backends that answer.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "spillway.dev",
    version = "v1alpha1",
    kind = "ModelRoute",
    namespaced,
    cel,
    doc = "Serves model names to the applications of its namespace from an ordered list of backends.",
    shortname = "mr",
    category = "spillway",
    status = "ModelRouteStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Models", "type": "string", "jsonPath": ".status.summary.models"}"#,
    printcolumn = r#"{"name": "Backends", "type": "string", "jsonPath": ".status.summary.backends"}"#,
    printcolumn = r#"{"name": "Sidecars", "type": "string", "jsonPath": ".status.summary.sidecars"}"#,
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Programmed')].status"}"#,
    printcolumn = r#"{"name": "Spend(Day)", "type": "string", "jsonPath": ".status.spend.day"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "ResolvedRefs", "type": "string", "jsonPath": ".status.conditions[?(@.type=='ResolvedRefs')].status", "priority": 1}"#,
    printcolumn = r#"{"name": "Spend(Month)", "type": "string", "jsonPath": ".status.spend.month", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Programmed')].message", "priority": 1}"#
)]
#[x_kube(validation = Rule::new("self.backends.exists(b, !has(b.role) || b.role == 'Primary')")
    .message("give at least one backend the role Primary (the default): Fallback and Shadow backends are not asked first")
    .field_path(".backends"))]
#[x_kube(validation = Rule::new("!has(self.strategy) || self.strategy != 'Weighted' || self.backends.all(b, has(b.weight) || (has(b.role) && b.role != 'Primary'))")
    .message("strategy Weighted needs a weight on every Primary backend")
    .field_path(".backends"))]
#[x_kube(validation = Rule::new("!has(self.strategy) || self.strategy != 'Cascade' || has(self.cascade)")
    .message("strategy Cascade needs spec.cascade.escalateWhen: when to ask the next backend")
    .field_path(".strategy"))]
#[serde(rename_all = "camelCase")]
pub struct ModelRouteSpec {
    /// The names an application may put into the `model` field; `*` at the end matches the rest of a name. Default: the
    /// name of this ModelRoute. An exact name is chosen before a glob, a longer glob before a shorter one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/@+-]*\*?$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub models: Vec<String>,
    /// Which injected pods of this namespace get the route, by their labels. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<LabelSelector>,
    /// The candidates, in the order in which strategy Priority asks them.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub backends: Vec<Backend>,
    /// Which of the Primary backends that can serve a request is asked. Default: `Priority`.
    ///
    /// `Priority`: the first one. `Weighted`: by turns, so that each has its share of the requests, give or take one.
    /// `LeastCost`: the one whose worst case for this request (its prompt, and as long an answer as it may give) is
    /// cheapest; unknown prices come last. `LeastLatency`: the faster of two that are drawn, by a moving average of the
    /// time to a stream's first content or to a whole answer, times the requests in flight; slow answers and failures are
    /// forgotten by half every ten seconds. `LeastBusy`: the one with the fewest requests in flight. `Cascade`: the first
    /// one, and the next one where `cascade.escalateWhen` is true of its answer. All of it is what one pod has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Keeps requests that belong together with one backend. Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// When strategy Cascade asks the next backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<Cascade>,
    /// Backends that could cost more than this for a request are passed over, as a first choice and as a fallback: by its
    /// prompt and the longest answer it may get (`max_tokens`, or what the model can give). So are backends without a known
    /// price. When none is left, the request is refused with `cost_limit_exceeded`. It bounds each attempt by itself: a
    /// cascade that asks on, a hedge or a retry may cost as much once more each. In US dollars. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_per_request: Option<Money>,
    /// Limits: all are checked, then all are taken from. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub limits: Vec<Limit>,
    /// What is done to the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRules>,
    /// What prompts and answers are checked for. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Answers that may be given again. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Identical requests in flight that share one call. Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<Deduplicate>,
    /// Small embedding calls that become one. Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
    /// How long a stream may be silent, and how much of it is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Streaming>,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// The name that policies, headers and metrics use for this backend.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The ModelProvider to ask.
    pub provider_ref: ProviderRef,
    /// The name the provider knows the model by. At Bedrock a model's id, with its regions (`eu.amazon.nova-pro-v1:0`), or
    /// the ARN of an inference profile; `invoke/` in front of a Claude's asks it in Anthropic's own words instead of
    /// Converse's.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[!-~]+$"))]
    pub model: String,
    /// Share of the requests under strategy Weighted, relative to the other weights. 0: only asked when no backend with a
    /// weight can serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<u32>,
    /// A CEL expression over the request: the backend is a candidate, as a first choice and as a fallback, only where it is
    /// true. One that fails (a division by zero, a conversion) is as good as false, and counted. Default: always.
    ///
    /// Of `request` there are `tokens` (of the prompt: counted if that was necessary already, else estimated), `maxTokens`
    /// (0: not set), `messages` (how many), `hasTools`, `hasImages`, `hasJsonSchema`, `stream`, `model` (as asked for),
    /// `user` (of the body), `text` (of the last user message, its first 16 KiB), `headers` (names in lower case; none
    /// that carries credentials; empty where missing), `hour` (0 to 23, UTC) and `weekday` (0 is Sunday, UTC). Besides
    /// operators there are `size`, `contains`, `startsWith`, `endsWith`, `matches` (a regular expression), `int`,
    /// `double`, `uint`, `string`, `min`, `max`, `has`, `all`, `exists`, `exists_one`, `map` and `filter`.
    ///
    /// `request.tokens > 4000 || request.hasTools`, `request.headers["x-tier"] == "gold"`,
    /// `["code", "rust"].exists(word, request.text.contains(word))`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub when: Option<String>,
    /// `Primary` (default): asked by the strategy. `Fallback`: asked by fallback rules only. `Shadow`: gets a copy of
    /// requests that were answered, without keeping anybody waiting; its answer is read and thrown away, its cost is counted
    /// as its own, and its failures change nothing. At most 32 copies of a pod are on their way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Of a Shadow: how many of a hundred requests it gets a copy of. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub shadow_percent: Option<u32>,
}

/// What a backend is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    #[default]
    Primary,
    Fallback,
    Shadow,
}

/// How the first backend is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    #[default]
    Priority,
    Weighted,
    LeastCost,
    LeastLatency,
    LeastBusy,
    Cascade,
}
