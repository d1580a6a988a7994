//! ModelBudget -> `wire::Budget`, and its name in every route whose requests it counts.

mod zone;

use std::collections::BTreeMap;

use spillway_crds::{
    BudgetPer, BudgetSelector, ConditionType, Enforcement, ExhaustedAction, ModelBudget, ModelBudgetSpec, OnExhausted,
    Period, Reason, Role,
};
use spillway_wire as wire;

use super::diagnostic::{Diagnostic, Kind, ObjectRef, Severity};
use super::route::header;
use super::{CompiledRoute, RouteFacts};

/// As in the schema.
const ALERTS: usize = 16;
const ALERT_PERCENT: u32 = 1000;
/// Every budget of a route is asked before each of its requests.
const BUDGETS_OF_A_ROUTE: usize = 16;

/// Everything routes are known by here.
pub(super) struct Routes<'a> {
    pub(super) sent: &'a mut BTreeMap<String, CompiledRoute>,
    /// Of all there are, sent or not.
    pub(super) facts: &'a BTreeMap<String, RouteFacts>,
}

/// Compiles one budget and tells its routes of it. None: it was refused, and a diagnostic says why.
pub(super) fn compile(
    budget: &ModelBudget,
    routes: &mut Routes<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<wire::Budget> {
    let object = ObjectRef::of(Kind::ModelBudget, budget);
    let mut found = Vec::new();
    let lowered = lower(&object, &budget.spec, &mut found);
    let counted = counted(&object, &budget.spec, routes, &mut found);
    let refused = found.iter().any(|one| one.severity == Severity::Refuse);
    diagnostics.append(&mut found);
    let lowered = lowered.filter(|_| !refused)?;
    check_backends(&object, &lowered, &counted, routes, diagnostics);
    for key in counted {
        let Some(route) = routes.sent.get_mut(&key) else { continue };
        if route.route.budgets.len() < BUDGETS_OF_A_ROUTE {
            route.route.budgets.push(object.key());
        } else {
            let message =
                format!("does not count ModelRoute {key}, which has {BUDGETS_OF_A_ROUTE} budgets: remove one");
            let about = (ConditionType::ResolvedRefs, Reason::Conflicted);
            diagnostics.push(Diagnostic::warn(&object, about, "spec.selector.routes", message));
        }
    }
    Some(lowered)
}

fn lower(object: &ObjectRef, spec: &ModelBudgetSpec, found: &mut Vec<Diagnostic>) -> Option<wire::Budget> {
    let ModelBudgetSpec { selector, limit, period, time_zone, enforcement, on_exhausted, alert_at } = spec;
    let mut refuse = |path: String, message: String| {
        found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    };
    let limit_nanos = match limit.nanos() {
        Ok(0) => Err("is 0: a budget is more than that; to stop all use, delete the route".to_owned()),
        Ok(nanos) => Ok(nanos),
        Err(error) => Err(error.to_string()),
    };
    let limit_nanos = limit_nanos.map_err(|message| refuse("spec.limit".to_owned(), message)).ok();
    let per = per(selector.as_ref(), &mut refuse);
    let zone = time_zone.as_deref().map_or(Ok(None), zone::rule);
    let zone = zone.map_err(|message| refuse("spec.timeZone".to_owned(), message)).ok();
    check_alerts(alert_at, &mut refuse);
    let (reserve, on_exhausted) = behaviour(enforcement.unwrap_or_default(), on_exhausted.as_ref(), &mut refuse);
    let every = match period {
        Period::Hour => wire::Every::Hour,
        Period::Day => wire::Every::Day,
        Period::Week => wire::Every::Week,
        Period::Month => wire::Every::Month,
        Period::Once => wire::Every::Once,
    };
    let period = wire::Period { every, zone: zone? };
    Some(wire::Budget { limit_nanos: limit_nanos?, per: per?, period, reserve, on_exhausted })
}

fn per(selector: Option<&BudgetSelector>, refuse: &mut impl FnMut(String, String)) -> Option<wire::BudgetPer> {
    let path = || "spec.selector.header".to_owned();
    let per = selector.and_then(|selector| selector.per).unwrap_or_default();
    let header = selector.and_then(|selector| selector.header.as_deref());
    match (per, header) {
        (BudgetPer::Header, Some(header)) => match header::name(header, "name the tenant in another header") {
            Ok(header) => Some(wire::BudgetPer::Header(header)),
            Err(message) => {
                refuse(path(), message);
                None
            }
        },
        (BudgetPer::Header, None) => {
            refuse(path(), "is missing: per: Header counts the values of the header named here".to_owned());
            None
        }
        (BudgetPer::Namespace | BudgetPer::Workload | BudgetPer::JobRun, Some(_)) => {
            refuse(path(), "goes with per: Header".to_owned());
            None
        }
        (BudgetPer::Namespace, None) => Some(wire::BudgetPer::Namespace),
        (BudgetPer::Workload, None) => Some(wire::BudgetPer::Workload),
        (BudgetPer::JobRun, None) => Some(wire::BudgetPer::JobRun),
    }
}

fn check_alerts(alert_at: &[u32], refuse: &mut impl FnMut(String, String)) {
    if alert_at.len() > ALERTS {
        refuse("spec.alertAt".to_owned(), format!("has {} entries, a budget takes at most {ALERTS}", alert_at.len()));
    }
    for (index, percent) in alert_at.iter().enumerate() {
        if !(1..=ALERT_PERCENT).contains(percent) {
            refuse(format!("spec.alertAt[{index}]"), format!("{percent} is outside of 1 to {ALERT_PERCENT}"));
        }
    }
}

fn behaviour(
    enforcement: Enforcement,
    exhausted: Option<&OnExhausted>,
    refuse: &mut impl FnMut(String, String),
) -> (wire::Reserve, wire::OnExhausted) {
    let action = exhausted.map(|exhausted| exhausted.action);
    let to = exhausted.map_or(&[][..], |exhausted| &exhausted.to);
    let downgrades = action == Some(ExhaustedAction::Downgrade);
    if downgrades && to.is_empty() {
        refuse(
            "spec.onExhausted.to".to_owned(),
            "is empty: action: Downgrade goes on with the backends named here".into(),
        );
    } else if !downgrades && !to.is_empty() {
        refuse("spec.onExhausted.to".to_owned(), "goes with action: Downgrade".to_owned());
    }
    let reserve = match (enforcement, action) {
        (Enforcement::Warn, Some(ExhaustedAction::Block | ExhaustedAction::Downgrade)) => {
            let message =
                "does nothing under enforcement: Warn, which only reports: remove it, or use enforcement: Strict";
            refuse("spec.onExhausted.action".to_owned(), message.to_owned());
            wire::Reserve::Nothing
        }
        (Enforcement::Warn, _) | (_, Some(ExhaustedAction::Warn)) => wire::Reserve::Nothing,
        (Enforcement::Strict, _) => wire::Reserve::WorstCase,
        (Enforcement::Expected, _) => wire::Reserve::Usual,
    };
    let on_exhausted = if downgrades { wire::OnExhausted::Downgrade(to.to_vec()) } else { wire::OnExhausted::Block };
    (reserve, on_exhausted)
}

/// The routes whose requests count, by `namespace/name`.
fn counted(
    object: &ObjectRef,
    spec: &ModelBudgetSpec,
    routes: &Routes<'_>,
    found: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let named = spec.selector.as_ref().map_or(&[][..], |selector| &selector.routes);
    if named.is_empty() {
        let prefix = format!("{}/", object.namespace);
        let all = routes.facts.range(prefix.clone()..).map(|(key, _)| key);
        return all.take_while(|key| key.starts_with(&prefix)).cloned().collect();
    }
    let mut keys = Vec::new();
    for (index, name) in named.iter().enumerate() {
        let key = format!("{}/{name}", object.namespace);
        if !routes.facts.contains_key(&key) {
            let message = format!("ModelRoute {key} does not exist: create it, or correct the name");
            let about = (ConditionType::ResolvedRefs, Reason::TargetNotFound);
            found.push(Diagnostic::warn(object, about, format!("spec.selector.routes[{index}]"), message));
        } else if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// Backends to go on with have to be there, in every route.
fn check_backends(
    object: &ObjectRef,
    budget: &wire::Budget,
    counted: &[String],
    routes: &Routes<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let wire::OnExhausted::Downgrade(to) = &budget.on_exhausted else { return };
    for (index, name) in to.iter().enumerate() {
        for key in counted {
            let Some(facts) = routes.facts.get(key) else { continue };
            let is_it = |backend: &&spillway_crds::BackendStatus| backend.name == *name;
            let trouble = match facts.backends.iter().find(is_it) {
                Some(backend) if backend.role == Role::Shadow => "is of role Shadow and answers nobody",
                Some(_) => continue,
                None => "is not there",
            };
            let message = format!(
                "backend {name:?} of ModelRoute {key} {trouble}: add it there, or requests are refused once the \
                 budget is used up"
            );
            let about = (ConditionType::ResolvedRefs, Reason::BackendNotFound);
            diagnostics.push(Diagnostic::warn(object, about, format!("spec.onExhausted.to[{index}]"), message));
        }
    }
}
