//! The contract between operator and sidecar, two processes that upgrade separately.
//!
//! Version rule: only ever add optional fields (`#[serde(default)]`), never change the meaning of one. A reader ignores
//! fields it does not know. A new *enum variant* is a breaking change for old sidecars: they refuse the whole
//! snapshot and say so, which is right for anything that limits (it must not be silently ignored).
//!
//! Units are in the names: `_ms` milliseconds, `_nanos` billionths of a US dollar, `_tokens` tokens, `_bytes` bytes.

mod abilities;
mod address;
mod budget;
mod pieces;
mod price;
mod provider;
mod quota;
mod report;
mod snapshot;
mod stream;
mod traffic;
mod validation;

pub use abilities::Abilities;
pub use address::METADATA;
pub use budget::{Budget, BudgetPer, Every, OnExhausted, Period, Reserve, Span};
pub use pieces::{Look, Pieces};
pub use price::{Card, Price, Rates, ServiceTier};
pub use provider::{
    AuthScheme, AwsKey, Cloud, Dialect, Exchange, Headers, Model, Provider, ProviderTimeouts, Quota, Tokenizer,
};
pub use quota::{
    AccountName, AccountUse, Allowance, BackendName, BreakerEvidence, BreakerSay, BreakerVerdict, Counts, Flow, Grant,
    OTHERS, Permit, PermitAsk, QuotaDelivery, QuotaReport, RateName, RateOf, Rights, RightsDelivery, Share, Stamp,
};
pub use report::{Ack, Delivery, Report, RestState, RestingBackend, SidecarIdentity, UsageKey, UsageLine, UsageTotals};
pub use snapshot::{
    Backend, ContextWindow, Counter, DropOrder, Egress, ErrorClass, FallbackRule, Hint, OnExceeded, PassThrough,
    RequestRules, Retries, Role, Route, Snapshot, Streaming, Summarize, Truncate, Unsupported,
};
pub use stream::{Credential, Down, PROTOCOL, Subscribe, paths};
pub use traffic::{
    ActiveHealth, Breaker, BreakerScope, Hedge, Limit, LimitPer, LimitScope, PassiveHealth, Queue, RetryBudget,
    Strategy,
};
pub use validation::{SchemaCheck, Validation};

/// A map whose order is the order of its keys, so that equal contents are equal bytes.
pub type Map<V> = std::collections::BTreeMap<String, V>;
