//! The resources users write: ModelProvider, ModelRoute, FallbackPolicy, ModelBudget.
//!
//! Doc comments of the fields are the user manual: they become the descriptions that `kubectl explain` prints. Every
//! list, string and map has a bound, because an unbounded one makes CEL rules too expensive for the API server and lets
//! one object fill its store. Types keep what the user wrote ([`Money`] and [`Duration`] stay text until asked), so that
//! one odd object can always be read, named and reported instead of breaking the watch for its neighbours.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a hidden twin of each type inside a function, as public as the type"
)]

mod condition;
mod fallback_policy;
mod model_budget;
mod model_provider;
mod model_route;
mod schema;
mod shared;

pub use condition::{ConditionStatus, ConditionType, Reason, condition};
pub use fallback_policy::{
    AncestorRef, AncestorStatus, Backoff, BreakerScope, CircuitBreaker, ContextWindow, DropOrder, ErrorClass,
    FallbackPolicy, FallbackPolicySpec, FallbackPolicyStatus, FallbackRule, Hedge, OnExceeded, Retries, RetryBudget,
    Summarize, TargetRef, TokenCounter, Truncate,
};
pub use model_budget::{
    BudgetPer, BudgetSelector, Enforcement, ExhaustedAction, ModelBudget, ModelBudgetSpec, ModelBudgetStatus,
    OnExhausted, Period, ValueSpend, WorkloadSpend,
};
pub use model_provider::{
    ActiveHealth, AllowedNamespaces, Credentials, Empty, FromNamespaces, HeaderRules, Health, ImagePrice,
    ModelProvider, ModelProviderSpec, ModelProviderStatus, PassiveHealth, Pricing, PricingTier, ProviderModel,
    ProviderTimeouts, ProviderType, Proxy, Quota, Tokenizer, WorkloadIdentity,
};
pub use model_route::{
    Affinity, Backend, BackendState, BackendStatus, Batching, Cache, CacheScope, Cascade, Deduplicate, Hint, Hold,
    Limit, LimitPer, LimitScope, LossBehaviour, ModelRoute, ModelRouteSpec, ModelRouteStatus, PassThrough, Queue,
    RequestRules, Role, RouteSummary, RuleAction, RulePhase, SchemaCheck, SidecarCounts, Spend, Strategy, Streaming,
    Unsupported, Validation, ValidationLevel, ValidationRule,
};
pub use shared::{
    Duration, DurationError, LabelSelector, LabelSelectorRequirement, Money, MoneyError, ProviderRef, SecretKeyRef,
    SelectorOperator,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of every kind in this crate.
pub const GROUP: &str = "spillway.dev";
/// The version of every kind in this crate.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all four kinds, in the order in which they build on each other.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![ModelProvider::crd(), ModelRoute::crd(), FallbackPolicy::crd(), ModelBudget::crd()];
    for crd in &mut crds {
        schema::adapt(crd);
    }
    crds
}
