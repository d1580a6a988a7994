//! What the conditions of all objects come to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use spillway_crds::{BackendState, FallbackPolicy, ModelBudget, ModelRoute};

use crate::resources::Resources;

/// How things are.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) routes: Vec<RouteLine>,
    /// Sidecars that run the newest revision of a route, and those that should: each as often as it has routes.
    pub(super) programmed: u64,
    pub(super) ready: u64,
    /// What is not as it should be, in the order of the objects.
    pub(super) problems: Vec<String>,
}

/// One ModelRoute.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteLine {
    pub(super) name: String,
    pub(super) sidecars: Option<String>,
    pub(super) backends: Option<String>,
    pub(super) spent_today: Option<String>,
}

// === impl View ===

impl View {
    /// Of one namespace, or of all.
    pub(super) fn of(resources: &Resources, namespace: Option<&str>) -> Self {
        let mut view = Self::default();
        for route in chosen(&resources.routes, namespace) {
            view.route(route);
        }
        for provider in chosen(&resources.providers, namespace) {
            view.conditions(provider, "", provider.status.as_ref().map(|status| &status.conditions[..]));
        }
        for policy in chosen(&resources.policies, namespace) {
            view.policy(policy);
        }
        for budget in chosen(&resources.budgets, namespace) {
            view.budget(budget);
        }
        view
    }

    fn route(&mut self, route: &ModelRoute) {
        let status = route.status.as_ref();
        self.conditions(route, "", status.map(|status| &status.conditions[..]));
        let counts = status.and_then(|status| status.sidecars).unwrap_or_default();
        self.programmed += u64::from(counts.programmed);
        self.ready += u64::from(counts.ready);
        for backend in status.iter().flat_map(|status| &status.backends) {
            // What does not resolve is what condition ResolvedRefs is about.
            if matches!(backend.state, BackendState::Open | BackendState::HalfOpen) {
                let why = backend.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                self.problems.push(format!("{}: backend {} is {:?}{why}", title(route), backend.name, backend.state));
            }
        }
        let summary = status.and_then(|status| status.summary.as_ref());
        self.routes.push(RouteLine {
            name: full_name(route),
            sidecars: summary.map(|summary| summary.sidecars.clone()),
            backends: summary.map(|summary| summary.backends.clone()),
            spent_today: status.and_then(|status| status.spend.as_ref()).map(|spend| format!("${}", spend.day)),
        });
    }

    fn policy(&mut self, policy: &FallbackPolicy) {
        let ancestors = policy.status.as_ref().map(|status| &status.ancestors[..]).unwrap_or_default();
        if ancestors.is_empty() {
            self.conditions(policy, "", None);
        }
        for ancestor in ancestors {
            let route = format!(" for ModelRoute {}/{}", ancestor.ancestor_ref.namespace, ancestor.ancestor_ref.name);
            self.conditions(policy, &route, Some(&ancestor.conditions));
        }
    }

    fn budget(&mut self, budget: &ModelBudget) {
        let status = budget.status.as_ref();
        self.conditions(budget, "", status.map(|status| &status.conditions[..]));
        if status.and_then(|status| status.exhausted) == Some(true) {
            let resets = status.and_then(|status| status.resets_at.as_ref());
            let resets = resets.map(|time| format!(", starts again at {}", time.0)).unwrap_or_default();
            self.problems.push(format!("{}: all of ${} is used up{resets}", title(budget), budget.spec.limit));
        }
    }

    /// What the conditions of an object say against it. `part`: which part of it they are about.
    fn conditions<K: Resource<DynamicType = ()>>(&mut self, object: &K, part: &str, conditions: Option<&[Condition]>) {
        let object_title = title(object);
        let conditions = conditions.unwrap_or_default();
        if conditions.is_empty() {
            self.problems.push(format!("{object_title}{part}: no operator has seen it yet"));
            return;
        }
        let newest = object.meta().generation;
        if conditions.iter().any(|condition| condition.observed_generation < newest) {
            self.problems.push(format!("{object_title}{part}: the operator has not seen its newest edition yet"));
        }
        for Condition { type_, status, reason, message, .. } in conditions.iter().filter(|it| it.status != "True") {
            self.problems.push(format!("{object_title}{part}: {type_} is {status} ({reason}): {message}"));
        }
    }
}

fn chosen<'a, K: Resource>(all: &'a [K], namespace: Option<&str>) -> Vec<&'a K> {
    let is_chosen = |object: &&K| namespace.is_none_or(|wanted| object.namespace().as_deref() == Some(wanted));
    let mut chosen: Vec<&K> = all.iter().filter(is_chosen).collect();
    chosen.sort_by_cached_key(|object| full_name(*object));
    chosen
}

fn full_name<K: Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn title<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), full_name(object))
}
