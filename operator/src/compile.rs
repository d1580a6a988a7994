//! Resources -> what every pod is to run, and what is to be said about each object.
//!
//! Pure and total: no client, no clock, no log line, and no input makes it fail. A broken resource becomes a [`Diagnostic`]
//! and is left out; its neighbours still ship. The same resources give the same bytes, whatever order they come in.

mod aws_key;
mod budget;
mod chain;
mod conflict;
mod credential;
mod diagnostic;
mod duration;
mod endpoint;
mod fallback;
mod identity_host;
mod key_document;
mod known;
mod model;
mod policy;
mod provider;
mod public;
mod rest;
mod route;
mod secret;
mod unsupported;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use secrecy::SecretString;
use spillway_crds::{BackendStatus, LabelSelector, LossBehaviour, ModelBudget, ModelRoute};
use spillway_wire as wire;

pub use diagnostic::{Diagnostic, Kind, ObjectRef, Severity};
pub use rest::RESET;
pub use secret::{HOSTS_ANNOTATION, SECRET_LABEL};

use crate::resources::Resources;
use conflict::{by_age, oldest_wins};
use provider::Provider;

/// Everything that follows from a state of the world.
#[derive(Debug, Default)]
pub struct Compiled {
    /// By `namespace/name`: the routes that are sent to sidecars.
    pub routes: BTreeMap<String, CompiledRoute>,
    /// By `namespace/name`: the providers that may be used, with or without their key.
    pub providers: wire::Map<wire::Provider>,
    /// By `namespace/name`: the budgets that are kept.
    pub budgets: wire::Map<wire::Budget>,
    /// By `namespace/name` of a route and the name of a limit of its: what that is without an operator, where it is said.
    pub losses: BTreeMap<(String, String), LossBehaviour>,
    /// By what [`wire::Provider::credential`] says.
    pub credentials: BTreeMap<String, SecretString>,
    pub egress: wire::Egress,
    /// In the order of their objects.
    pub diagnostics: Vec<Diagnostic>,
    /// By `namespace/name`: what statuses say of every route, sent or not.
    pub facts: BTreeMap<String, RouteFacts>,
}

/// A route and who gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledRoute {
    pub namespace: String,
    /// Which pods of the namespace get it. None: all.
    pub selector: Option<LabelSelector>,
    pub route: wire::Route,
}

/// What a route's status says beside its conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteFacts {
    pub models: Vec<String>,
    pub backends: Vec<BackendStatus>,
    /// The name of the FallbackPolicy that applies.
    pub policy: Option<String>,
}

/// The providers, as routes see them.
struct Providers<'a> {
    found: BTreeMap<String, Found>,
    namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// Models that are switched off soon after this day are told.
    today: Option<Date>,
}

enum Found {
    Ready(Box<Provider>),
    Refused { namespace: String },
}

/// Compiles the state of the world.
#[must_use]
pub fn compile(resources: &Resources) -> Compiled {
    let Resources { providers, routes, policies, budgets, secrets, namespaces, settings } = resources;
    let mut diagnostics = Vec::new();
    let mut found = BTreeMap::new();
    for given in by_age(providers) {
        let object = ObjectRef::of(Kind::ModelProvider, given);
        let compiled = provider::compile(given, secrets, settings, &mut diagnostics);
        let refused = || Found::Refused { namespace: object.namespace.clone() };
        found.insert(object.key(), compiled.map_or_else(refused, |provider| Found::Ready(Box::new(provider))));
    }
    let providers = Providers { found, namespaces, today: settings.today };
    let names: BTreeSet<String> = routes.iter().map(|route| ObjectRef::of(Kind::ModelRoute, route).key()).collect();
    let by_route = policy::index(policies, &names, &mut diagnostics);
    let (mut claims, mut facts) = (Vec::new(), BTreeMap::new());
    for given in by_age(routes) {
        let object = ObjectRef::of(Kind::ModelRoute, given);
        let policy = by_route.get(&object.key());
        let outcome = route::compile(given, &providers, policy, &mut diagnostics);
        let policy = policy.map(|(policy, _)| policy.name.clone());
        facts.insert(object.key(), RouteFacts { models: outcome.models, backends: outcome.backends, policy });
        claims.extend(outcome.claim);
    }
    chain::soften(&by_route, &mut diagnostics);
    let losses = routes.iter().flat_map(losses).collect();
    let mut routes = oldest_wins(claims, &mut diagnostics);
    let budgets = keep_budgets(budgets, &mut routes, &facts, &mut diagnostics);
    diagnostics.sort();
    diagnostics.dedup();
    let mut allowed_private_ranges = settings.allowed_private_ranges.clone();
    allowed_private_ranges.sort_unstable();
    allowed_private_ranges.dedup();
    let egress = wire::Egress { allowed_private_ranges };
    let (providers, credentials) = providers.split();
    Compiled { routes, providers, budgets, losses, credentials, egress, diagnostics, facts }
}

fn losses(route: &ModelRoute) -> impl Iterator<Item = ((String, String), LossBehaviour)> {
    let key = ObjectRef::of(Kind::ModelRoute, route).key();
    let limits = route.spec.limits.iter();
    limits.filter_map(move |limit| Some(((key.clone(), limit.name.clone()), limit.on_control_plane_loss?)))
}

/// Each in the order of its name, which is their order in every route.
fn keep_budgets(
    given: &[ModelBudget],
    sent: &mut BTreeMap<String, CompiledRoute>,
    facts: &BTreeMap<String, RouteFacts>,
    diagnostics: &mut Vec<Diagnostic>,
) -> wire::Map<wire::Budget> {
    let given: BTreeMap<String, &ModelBudget> =
        given.iter().map(|budget| (ObjectRef::of(Kind::ModelBudget, budget).key(), budget)).collect();
    let mut routes = budget::Routes { sent, facts };
    let compiled =
        given.into_iter().filter_map(|(key, budget)| Some((key, budget::compile(budget, &mut routes, diagnostics)?)));
    compiled.collect()
}

// === impl Compiled ===

impl Compiled {
    /// What a pod with these labels runs: its routes and the providers they use, and nothing of anyone else.
    #[must_use]
    pub fn view(&self, namespace: &str, labels: &BTreeMap<String, String>) -> wire::Snapshot {
        let mine = |route: &&CompiledRoute| route.selects(namespace, labels);
        let routes: wire::Map<wire::Route> = self
            .of_namespace(namespace)
            .filter(|(_, route)| mine(route))
            .map(|(key, route)| (key.clone(), route.route.clone()))
            .collect();
        let used: BTreeSet<&String> =
            routes.values().flat_map(|route| &route.backends).map(|backend| &backend.provider).collect();
        let providers =
            used.into_iter().filter_map(|key| Some((key.clone(), self.providers.get(key)?.clone()))).collect();
        let counting: BTreeSet<&String> = routes.values().flat_map(|route| &route.budgets).collect();
        let budgets =
            counting.into_iter().filter_map(|key| Some((key.clone(), self.budgets.get(key)?.clone()))).collect();
        wire::Snapshot { revision: String::new(), routes, providers, budgets, egress: self.egress.clone() }.seal()
    }

    /// What is to be said about an object.
    pub fn diagnostics_of(&self, object: &ObjectRef) -> impl Iterator<Item = &Diagnostic> {
        // Sorted by object first.
        let start = self.diagnostics.partition_point(|one| one.object < *object);
        self.diagnostics[start..].iter().take_while(move |one| one.object == *object)
    }

    pub(crate) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = (&String, &CompiledRoute)> {
        let prefix = format!("{namespace}/");
        self.routes.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix))
    }
}

// === impl CompiledRoute ===

impl CompiledRoute {
    /// Whether a pod gets this route.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

// === impl Providers ===

impl Providers<'_> {
    fn split(self) -> (wire::Map<wire::Provider>, BTreeMap<String, SecretString>) {
        let (mut providers, mut credentials) = (wire::Map::new(), BTreeMap::new());
        for (key, found) in self.found {
            if let Found::Ready(provider) = found {
                credentials.extend(provider.keys);
                providers.insert(key, provider.wire);
            }
        }
        (providers, credentials)
    }
}

#[cfg(test)]
mod tests;
