//! Everything compile may look at: plain values, gathered before it runs.

use std::collections::BTreeMap;

use jiff::civil::Date;
use k8s_openapi::api::core::v1::Secret;
use spillway_crds::{FallbackPolicy, ModelBudget, ModelProvider, ModelRoute};

use crate::catalogue::Catalogue;

/// The state of the world as far as it decides what sidecars run.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    pub providers: Vec<ModelProvider>,
    pub routes: Vec<ModelRoute>,
    pub policies: Vec<FallbackPolicy>,
    pub budgets: Vec<ModelBudget>,
    /// Those that carry [`crate::compile::SECRET_LABEL`]; one without it is treated as if it did not exist.
    pub secrets: Vec<Secret>,
    /// Labels of namespaces, by name.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub settings: CompileSettings,
}

/// What the operator's flags say about compiling.
#[derive(Clone, Debug, Default)]
pub struct CompileSettings {
    /// Private ranges that sidecars may connect to, in CIDR notation.
    pub allowed_private_ranges: Vec<String>,
    /// Endpoints by `namespace/name` of the ModelProvider, instead of what the resource says. They come from the command
    /// line of `spillway dev`, so they are trusted: the Secret's list of hosts does not apply to them.
    pub endpoint_overrides: BTreeMap<String, String>,
    /// The namespaces whose Secrets can be read. Empty: all of them.
    pub secret_namespaces: Vec<String>,
    /// What is known of models.
    pub catalogue: Catalogue,
    /// Models that are switched off soon after this day are told. None: none are.
    pub today: Option<Date>,
}

#[cfg(test)]
pub(crate) mod world;
