//! What a sidecar runs: complete, immutable, named by a hash of its content.
//!
//! There are no gaps: windows, prices, timeouts and defaults are resolved by the operator and written out, so that what a
//! sidecar does can be read from its `/debug/config` alone. Keys are not in here (see [`crate::Credential`]), so a
//! snapshot may be logged and compared.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Breaker, Budget, Hedge, Limit, Map, Model, Provider, RetryBudget, Strategy, Validation};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// A hash of everything else, made by [`Snapshot::seal`].
    #[serde(default)]
    pub revision: String,
    /// By `namespace/name` of the ModelRoute.
    #[serde(default)]
    pub routes: Map<Route>,
    /// By `namespace/name` of the ModelProvider.
    #[serde(default)]
    pub providers: Map<Provider>,
    /// By `namespace/name` of the ModelBudget.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub budgets: Map<Budget>,
    #[serde(default)]
    pub egress: Egress,
}

impl Snapshot {
    /// Names this snapshot by its content. A fixed hash over sorted maps: two versions of the operator, and two
    /// replicas of one, agree on the revision.
    #[must_use]
    pub fn seal(mut self) -> Self {
        self.revision.clear();
        let bytes = serde_json::to_vec(&self).expect("maps with string keys and plain values always serialise");
        let digest = Sha256::digest(&bytes);
        self.revision = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self
    }
}

/// Where sidecars may connect to, beyond public addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Egress {
    /// Private ranges that are allowed, in CIDR notation. Link-local and metadata addresses never are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_private_ranges: Vec<String>,
}

/// One ModelRoute with its FallbackPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub namespace: String,
    pub name: String,
    /// Exact names and globs (`gpt-4o*`) an application may ask for.
    pub models: Vec<String>,
    /// Its FallbackPolicy, `namespace/name`, for messages. None: it has none, and what follows is as good as any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// In the user's order.
    pub backends: Vec<Backend>,
    pub context_window: ContextWindow,
    /// First match wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<FallbackRule>,
    pub retries: Retries,
    pub request: RequestRules,
    pub streaming: Streaming,
    #[serde(default)]
    pub strategy: Strategy,
    /// All are checked, then all are taken from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Keys into [`Snapshot::budgets`]: what its requests cost counts towards each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<String>,
    /// None: no backend is ever left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// Backends whose worst case costs more are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_nanos: Option<u64>,
    /// Requests with one value of this header stay with one backend, while it can serve them. In lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_header: Option<String>,
    #[serde(default, skip_serializing_if = "Validation::is_none")]
    pub validation: Validation,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    pub name: String,
    /// Key into [`Snapshot::providers`].
    pub provider: String,
    pub model: Model,
    pub role: Role,
    /// Its share under strategy Weighted, relative to the others'.
    #[serde(default = "one")]
    pub weight: u32,
    /// An expression over the request; the backend is a candidate only where it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// For a shadow: the share of requests that it gets a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_ppm: Option<u32>,
}

const fn one() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Primary,
    /// Used by fallback rules only.
    Fallback,
    /// Gets copies; its answers are thrown away.
    Shadow,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextWindow {
    pub on_exceeded: OnExceeded,
    /// Room kept for the answer when the request sets no limit of its own.
    pub reserve_output_tokens: u64,
    pub truncate: Truncate,
    /// Of [`OnExceeded::Summarize`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summarize: Option<Summarize>,
    #[serde(default, skip_serializing_if = "Counter::is_local")]
    pub count: Counter,
}

/// Who counts a prompt whose length alone does not decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counter {
    /// The sidecar, exactly or by an estimate.
    #[default]
    Local,
    /// The provider, if it has a way to ask it, and the sidecar otherwise.
    Provider,
}

impl Counter {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_local(&self) -> bool {
        *self == Self::Local
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExceeded {
    Reject,
    /// The smallest sufficient window among the candidates of the rule for ContextWindowExceeded.
    LargerModel,
    /// Drop the oldest messages.
    Truncate,
    /// Replace the oldest messages by a summary, or drop them where there is none.
    Summarize,
    /// LargerModel, and Truncate when none is large enough.
    Hybrid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncate {
    pub keep_system: bool,
    /// The newest messages that are never dropped.
    pub keep_last: u32,
    #[serde(default, skip_serializing_if = "DropOrder::is_oldest_first")]
    pub order: DropOrder,
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropOrder {
    #[default]
    OldestFirst,
    /// What is in the middle: how a conversation began is kept, and how it ends.
    MiddleOut,
}

impl DropOrder {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_oldest_first(&self) -> bool {
        *self == Self::OldestFirst
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summarize {
    /// The backend of the route that writes summaries.
    pub backend: String,
    /// The newest messages that stay as they are.
    pub keep_last: u32,
    /// The longest summary.
    pub max_tokens: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FallbackRule {
    pub on: Vec<ErrorClass>,
    /// Backend names, in the order they are tried. Empty: the error goes to the application.
    pub to: Vec<String>,
}

/// The twelve classes of a failed attempt, as in the mapping LiteLLM documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ErrorClass {
    #[serde(rename = "ConnectionError")]
    Connection,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retries {
    /// Attempts on the same backend after the first one.
    pub attempts: u32,
    pub on: Vec<ErrorClass>,
    pub backoff_base_ms: u64,
    pub backoff_max_ms: u64,
    /// The longest `Retry-After` that is waited for; a longer one counts as "not now" and the next candidate is tried.
    pub honour_retry_after_ms: u64,
    /// None: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<RetryBudget>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRules {
    /// Body fields added when the application did not send them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub defaults: Map<serde_json::Value>,
    /// Body fields that replace what the application sent.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<serde_json::Value>,
    pub unsupported: Unsupported,
    pub max_body_bytes: u64,
    /// The whole logical request, retries and fallbacks included; for a stream, until its first byte.
    pub timeout_ms: u64,
    /// What an application may decide for a single request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
    /// What of that which a provider keeps for its account an application may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_through: Vec<PassThrough>,
}

/// What a provider keeps for everybody who has its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PassThrough {
    Files,
    Batches,
    Responses,
    ChatCompletions,
    Models,
}

/// What a header of a request may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hint {
    Backend,
    Timeout,
    Unsupported,
    NoFallback,
}

/// What happens to a parameter the backend's dialect cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unsupported {
    Drop,
    Reject,
    Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streaming {
    /// From sending the request to the first content of the answer.
    pub first_token_timeout_ms: u64,
    /// Between two pieces of content.
    pub idle_timeout_ms: u64,
    /// A stream is held back until it has brought this much content, or for [`Self::hold_ms`], whichever comes first: what
    /// fails until then is answered by another backend. 0 and 0: nothing is held back.
    #[serde(default)]
    pub hold_bytes: u64,
    #[serde(default)]
    pub hold_ms: u64,
    /// A stream that brings the same piece of content so many times in a row is ended. None: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_repeats: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_names_the_content_and_nothing_else() {
        let empty = Snapshot::default().seal();
        assert_eq!(empty.revision, Snapshot { revision: "stale".into(), ..Snapshot::default() }.seal().revision);
        let other = Snapshot { egress: Egress { allowed_private_ranges: vec!["10.0.0.0/8".into()] }, ..empty.clone() };
        assert_ne!(empty.revision, other.seal().revision);
        assert_eq!(empty.revision.len(), 16);
    }

    #[test]
    fn a_field_from_a_newer_operator_is_ignored() {
        let newer = r#"{"revision":"r","routes":{},"providers":{},"egress":{},"hologram":{"depth":3}}"#;
        assert_eq!(serde_json::from_str::<Snapshot>(newer).unwrap().revision, "r");
    }
}
