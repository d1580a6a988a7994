//! How a route chooses among its first choices, and what it may cost.

use spillway_crds::{Backend, ConditionType, ModelRouteSpec, Money, Reason, Role, Strategy};
use spillway_expression::{Expression, Subject};
use spillway_wire as wire;

use super::header;
use crate::compile::diagnostic::{Diagnostic, ObjectRef};

/// The part of a `wire::Route` that decides who is asked.
pub(super) struct Choice {
    pub(super) strategy: wire::Strategy,
    pub(super) max_cost_nanos: Option<u64>,
    pub(super) affinity_header: Option<String>,
}

/// Lowers the strategy. What cannot work is refused; what changes nothing is said.
pub(super) fn choice(object: &ObjectRef, spec: &ModelRouteSpec, found: &mut Vec<Diagnostic>) -> Choice {
    let strategy = spec.strategy.unwrap_or_default();
    check_weights(object, strategy, &spec.backends, found);
    check_whens(object, &spec.backends, found);
    check_shadows(object, &spec.backends, found);
    if spec.cascade.is_some() && strategy != Strategy::Cascade {
        found.push(no_effect(object, "spec.cascade".into(), "has no effect: only strategy Cascade looks at it"));
    }
    Choice {
        strategy: match strategy {
            Strategy::Priority => wire::Strategy::Priority,
            Strategy::Cascade => cascade(object, spec, found),
            Strategy::Weighted => wire::Strategy::Weighted,
            Strategy::LeastCost => wire::Strategy::LeastCost,
            Strategy::LeastLatency => wire::Strategy::LeastLatency,
            Strategy::LeastBusy => wire::Strategy::LeastBusy,
        },
        max_cost_nanos: spec.max_cost_per_request.as_ref().and_then(|money| max_cost(object, money, found)),
        affinity_header: affinity(object, spec, found),
    }
}

fn is_primary(backend: &Backend) -> bool {
    backend.role.unwrap_or_default() == Role::Primary
}

fn no_effect(object: &ObjectRef, path: String, message: impl Into<String>) -> Diagnostic {
    Diagnostic::warn(object, (ConditionType::Accepted, Reason::NoEffect), path, message)
}

fn check_weights(object: &ObjectRef, strategy: Strategy, backends: &[Backend], found: &mut Vec<Diagnostic>) {
    for (index, backend) in backends.iter().enumerate() {
        let path = format!("spec.backends[{index}].weight");
        match (strategy, backend.weight) {
            (Strategy::Weighted, None) if is_primary(backend) => {
                let message = "is missing: strategy Weighted needs one on every Primary backend";
                found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
            }
            (Strategy::Weighted, Some(weight)) if weight > 1_000_000 => {
                let message = format!("{weight} is more than 1000000");
                found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
            }
            (Strategy::Weighted, Some(_)) if !is_primary(backend) => {
                let message = "has no effect: only Primary backends have a share of the requests";
                found.push(no_effect(object, path, message));
            }
            (Strategy::Weighted, _) | (_, None) => {}
            (_, Some(_)) => {
                found.push(no_effect(object, path, "has no effect: only strategy Weighted looks at weights"));
            }
        }
    }
    let idle = |backend: &Backend| backend.weight == Some(0);
    if strategy == Strategy::Weighted && backends.iter().filter(|backend| is_primary(backend)).all(idle) {
        let message = "no Primary backend has a weight above 0, so the first one that can serve gets every request";
        found.push(no_effect(object, "spec.backends".into(), message));
    }
}

/// Compiles every expression, with the function a sidecar uses.
fn check_whens(object: &ObjectRef, backends: &[Backend], found: &mut Vec<Diagnostic>) {
    for (index, backend) in backends.iter().enumerate() {
        let path = format!("spec.backends[{index}].when");
        found.extend(backend.when.as_deref().and_then(|when| expression(object, Subject::Request, path, when)));
    }
    let always = |backend: &&Backend| is_primary(backend) && backend.when.is_none();
    if !backends.iter().any(|backend| always(&backend)) && backends.iter().any(is_primary) {
        let message =
            "every Primary backend has a when, so a request of which none is true is refused: leave one without";
        found.push(Diagnostic::warn(object, (ConditionType::Accepted, Reason::NotAlways), "spec.backends", message));
    }
}

fn check_shadows(object: &ObjectRef, backends: &[Backend], found: &mut Vec<Diagnostic>) {
    for (index, backend) in backends.iter().enumerate() {
        let path = format!("spec.backends[{index}].shadowPercent");
        match (backend.role.unwrap_or_default(), backend.shadow_percent) {
            (Role::Shadow, Some(percent)) if !(1..=100).contains(&percent) => {
                let message = format!("{percent} is outside of 1 to 100");
                found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
            }
            (Role::Shadow, _) | (_, None) => {}
            (_, Some(_)) => found.push(no_effect(object, path, "has no effect: only a Shadow backend gets copies")),
        }
    }
}

fn cascade(object: &ObjectRef, spec: &ModelRouteSpec, found: &mut Vec<Diagnostic>) -> wire::Strategy {
    let escalate_when = spec.cascade.as_ref().map(|cascade| cascade.escalate_when.clone()).unwrap_or_default();
    let path = "spec.cascade.escalateWhen".to_owned();
    if escalate_when.is_empty() {
        let message = "is missing: strategy Cascade needs to know when to ask the next backend";
        found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    } else {
        found.extend(expression(object, Subject::Response, path, &escalate_when));
    }
    if spec.backends.iter().filter(|backend| is_primary(backend)).count() == 1 {
        let message = "has no effect: there is one Primary backend only, so there is nobody to escalate to";
        found.push(no_effect(object, "spec.cascade".into(), message));
    }
    wire::Strategy::Cascade { escalate_when }
}

fn expression(object: &ObjectRef, subject: Subject, path: String, source: &str) -> Option<Diagnostic> {
    let invalid = Expression::compile(subject, source).err()?;
    Some(Diagnostic::refuse(object, Reason::Invalid, path, format!("{source:?}: {invalid}")))
}

fn max_cost(object: &ObjectRef, money: &Money, found: &mut Vec<Diagnostic>) -> Option<u64> {
    let problem = match money.nanos() {
        Ok(0) => "\"0\" lets nothing through: give what one request may cost, in US dollars, or remove it".to_owned(),
        Ok(nanos) => return Some(nanos),
        Err(error) => error.to_string(),
    };
    found.push(Diagnostic::refuse(object, Reason::Invalid, "spec.maxCostPerRequest", problem));
    None
}

fn affinity(object: &ObjectRef, spec: &ModelRouteSpec, found: &mut Vec<Diagnostic>) -> Option<String> {
    let header = match header::name(&spec.affinity.as_ref()?.header, "name the session in another header") {
        Ok(header) => header,
        Err(problem) => {
            found.push(Diagnostic::refuse(object, Reason::Invalid, "spec.affinity.header", problem));
            return None;
        }
    };
    if spec.backends.iter().filter(|backend| is_primary(backend)).count() == 1 {
        found.push(no_effect(object, "spec.affinity".into(), "has no effect: there is one Primary backend only"));
    } else if spec.strategy == Some(Strategy::Cascade) {
        let message = "has no effect: strategy Cascade goes from the first backend to the last, whoever asks";
        found.push(no_effect(object, "spec.affinity".into(), message));
    }
    Some(header)
}

/// Says which backends are never or last asked because nobody knows what they cost.
pub(super) fn check_prices(
    object: &ObjectRef,
    choice: &Choice,
    spec: &ModelRouteSpec,
    usable: &[wire::Backend],
    found: &mut Vec<Diagnostic>,
) {
    let what = match (choice.max_cost_nanos, &choice.strategy) {
        (Some(_), _) => "spec.maxCostPerRequest passes it over for every request",
        (None, wire::Strategy::LeastCost) => "strategy LeastCost asks it last",
        (None, _) => return,
    };
    for (index, backend) in spec.backends.iter().enumerate() {
        let known = usable.iter().find(|usable| usable.name == backend.name);
        if known.is_none_or(|known| known.model.price.is_some() || known.model.pieces.is_some()) {
            continue;
        }
        let message = format!(
            "the price of {:?} is unknown, so {what}: give it one in spec.models[].pricing of its ModelProvider",
            backend.model
        );
        let path = format!("spec.backends[{index}].model");
        found.push(Diagnostic::warn(object, (ConditionType::Accepted, Reason::PriceUnknown), path, message));
    }
}
