//! Small types that several kinds use.

mod duration;
mod money;
mod selector;

pub use duration::{Duration, DurationError};
pub use money::{Money, MoneyError};
pub use selector::{LabelSelector, LabelSelectorRequirement, SelectorOperator};

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Names a ModelProvider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// The name of the ModelProvider.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the namespace of the object that refers to it. Another namespace has to be let in by the
    /// provider's `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Names a key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret. It has to carry the label `spillway.dev/provider-key: "true"`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its `data`. Default: `apiKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}
