//! What was found out -> the status of each object. Pure: the time and the object's previous conditions are arguments.

mod backends;
mod budget;
mod fleet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use spillway_crds::{
    AncestorRef, AncestorStatus, BackendState, BackendStatus, ConditionStatus, ConditionType, FallbackPolicy,
    FallbackPolicyStatus, GROUP, ModelProvider, ModelProviderStatus, ModelRoute, ModelRouteStatus, Money, Reason, Role,
    RouteSummary, Spend, condition,
};

use crate::compile::{Compiled, Diagnostic, Kind, ObjectRef};

pub use backends::Breakers;
pub use budget::{BudgetFigures, budget_status};
pub use fleet::RouteFleet;

/// Who writes the entries of `status.ancestors`.
pub const CONTROLLER_NAME: &str = "spillway.dev/operator";

/// What was spent through a route, in nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpendFigures {
    pub day_nanos: u64,
    pub month_nanos: u64,
    /// Requests this month whose price nobody knows.
    pub unpriced_requests: u64,
}

/// Conditions in the making.
struct Writer<'a> {
    generation: Option<i64>,
    previous: &'a [Condition],
    now: Timestamp,
}

/// The status of a route.
#[must_use]
pub fn route_status(
    route: &ModelRoute,
    compiled: &Compiled,
    fleet: &RouteFleet,
    spend: SpendFigures,
    now: Timestamp,
) -> ModelRouteStatus {
    let object = ObjectRef::of(Kind::ModelRoute, route);
    let mut facts = compiled.facts.get(&object.key()).cloned().unwrap_or_default();
    let shown = route.status.as_ref().map_or(&[][..], |status| &status.backends);
    fleet.breakers.judge(&mut facts.backends, shown, fleet.expected);
    let previous = route.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let writer = Writer { generation: route.metadata.generation, previous, now };
    let found: Vec<&Diagnostic> = compiled.diagnostics_of(&object).collect();
    let models = facts.models.join(",");
    let policy = facts.policy.map(|policy| format!(" with FallbackPolicy {policy}")).unwrap_or_default();
    let accepted = writer.of(ConditionType::Accepted, &found, &format!("serves {models}{policy}"));
    let is_compiled = compiled.routes.contains_key(&object.key());
    let is_usable = |backend: &BackendStatus| backend.state != BackendState::Unresolved && backend.role != Role::Shadow;
    let has_backend = is_compiled && facts.backends.iter().any(is_usable);
    let is_accepted = accepted.status == ConditionStatus::True.as_str();
    let (status, reason, message) = fleet.programmed(is_accepted, has_backend);
    let programmed = writer.condition(ConditionType::Programmed, (status, reason), &message);
    let usable = facts.backends.iter().filter(|backend| backend.state == BackendState::Closed).count();
    let SpendFigures { day_nanos, month_nanos, unpriced_requests } = spend;
    let resolved = writer.of(ConditionType::ResolvedRefs, &found, "every provider exists and may be used");
    ModelRouteStatus {
        conditions: [accepted, resolved, programmed].into_iter().chain(writer.warning(&found)).collect(),
        sidecars: Some(fleet.counts()),
        summary: Some(RouteSummary {
            models,
            backends: format!("{usable}/{}", facts.backends.len()),
            sidecars: fleet.summary(),
        }),
        backends: facts.backends,
        spend: Some(Spend {
            day: Money::from_nanos(day_nanos),
            month: Money::from_nanos(month_nanos),
            unpriced_requests: (unpriced_requests > 0).then_some(unpriced_requests),
        }),
    }
}

/// The status of a provider.
#[must_use]
pub fn provider_status(provider: &ModelProvider, compiled: &Compiled, now: Timestamp) -> ModelProviderStatus {
    let object = ObjectRef::of(Kind::ModelProvider, provider);
    let key = object.key();
    let previous = provider.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let writer = Writer { generation: provider.metadata.generation, previous, now };
    let found: Vec<&Diagnostic> = compiled.diagnostics_of(&object).collect();
    let uses = |backends: &[spillway_crds::BackendStatus]| backends.iter().any(|backend| backend.provider == key);
    let routes = compiled.facts.values().filter(|facts| uses(&facts.backends)).count();
    let endpoint = compiled.providers.get(&key).map(|provider| provider.base_url.clone());
    let reached = endpoint.as_deref().unwrap_or_default();
    let resolved =
        match compiled.providers.get(&key).map(|provider| (provider.credentials().count(), &provider.exchange)) {
            Some((0, None)) => format!("{reached} takes no key"),
            Some((0, Some(_))) => format!("pods get their keys of {reached} for their own identity"),
            Some((1, _)) => format!("the key may be sent to {reached}"),
            Some((keys, _)) => format!("the {keys} keys may be sent to {reached}"),
            None => "no reference is broken".to_owned(),
        };
    ModelProviderStatus {
        conditions: vec![
            writer.of(ConditionType::Accepted, &found, &format!("{} at {reached}", provider.spec.type_)),
            writer.of(ConditionType::ResolvedRefs, &found, &resolved),
        ],
        endpoint,
        routes: Some(u32::try_from(routes).unwrap_or(u32::MAX)),
    }
}

/// The status of a policy: one entry for each route it names.
#[must_use]
pub fn policy_status(policy: &FallbackPolicy, compiled: &Compiled, now: Timestamp) -> FallbackPolicyStatus {
    let object = ObjectRef::of(Kind::FallbackPolicy, policy);
    let found: Vec<&Diagnostic> = compiled.diagnostics_of(&object).collect();
    let before = policy.status.as_ref().map_or(&[][..], |status| &status.ancestors);
    let ancestor = |name: &String| {
        let ancestor_ref = AncestorRef {
            group: GROUP.to_owned(),
            kind: Kind::ModelRoute.as_str().to_owned(),
            namespace: object.namespace.clone(),
            name: name.clone(),
        };
        let previous = before.iter().find(|entry| entry.ancestor_ref == ancestor_ref);
        let previous = previous.map_or(&[][..], |entry| &entry.conditions);
        let writer = Writer { generation: policy.metadata.generation, previous, now };
        let here: Vec<&Diagnostic> =
            found.iter().copied().filter(|one| one.route.as_ref().is_none_or(|route| route == name)).collect();
        let fine = format!("ModelRoute {name} has every backend it names");
        let resolved = match here.iter().find(|one| one.reason == Reason::TargetNotFound) {
            Some(missing) => {
                writer.condition(ConditionType::ResolvedRefs, (ConditionStatus::False, missing.reason), &missing.text())
            }
            None => writer.of(ConditionType::ResolvedRefs, &here, &fine),
        };
        let accepted = writer.of(ConditionType::Accepted, &here, &format!("applies to ModelRoute {name}"));
        AncestorStatus {
            ancestor_ref,
            controller_name: CONTROLLER_NAME.to_owned(),
            conditions: vec![accepted, resolved],
        }
    };
    let mut names: Vec<String> = Vec::new();
    for target in &policy.spec.target_refs {
        if !names.contains(&target.name) {
            names.push(target.name.clone());
        }
    }
    let targets = Some(names.join(",")).filter(|names| !names.is_empty());
    FallbackPolicyStatus { ancestors: names.iter().map(ancestor).collect(), targets }
}

// === impl Writer ===

impl Writer<'_> {
    /// False for the reason of the first problem of this type, with the text of all; else true with `fine`, and advice.
    fn of(&self, kind: ConditionType, found: &[&Diagnostic], fine: &str) -> Condition {
        let here = || found.iter().filter(|one| one.condition == kind);
        let problems: Vec<String> = here().filter(|one| !one.reason.is_advice()).map(|one| one.text()).collect();
        if let Some(first) = here().find(|one| !one.reason.is_advice()) {
            return self.condition(kind, (ConditionStatus::False, first.reason), &problems.join("; "));
        }
        let positive = match kind {
            ConditionType::Accepted => Reason::Accepted,
            ConditionType::ResolvedRefs => Reason::ResolvedRefs,
            ConditionType::Programmed => Reason::Programmed,
            // Never asked for: it is there only with a reason of its own.
            ConditionType::Warning => Reason::ModelsDeprecated,
        };
        let advice: String = here().map(|one| format!("; note: {}", one.text())).collect();
        self.condition(kind, (ConditionStatus::True, positive), &format!("{fine}{advice}"))
    }

    /// What works and will not for ever, if there is anything.
    fn warning(&self, found: &[&Diagnostic]) -> Option<Condition> {
        let here: Vec<&&Diagnostic> = found.iter().filter(|one| one.condition == ConditionType::Warning).collect();
        let text: Vec<String> = here.iter().map(|one| one.text()).collect();
        let reason = here.first()?.reason;
        Some(self.condition(ConditionType::Warning, (ConditionStatus::True, reason), &text.join("; ")))
    }

    fn condition(&self, kind: ConditionType, value: (ConditionStatus, Reason), message: &str) -> Condition {
        condition(kind, value, message, self.generation, self.previous, self.now)
    }
}

#[cfg(test)]
mod tests;
