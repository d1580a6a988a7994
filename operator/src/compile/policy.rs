//! Which FallbackPolicy applies to which route: of two, the older one.

use std::collections::{BTreeMap, BTreeSet};

use spillway_crds::{ConditionType, FallbackPolicy, FallbackPolicySpec, FallbackRule, GROUP, Reason, Retries};

use super::conflict::by_age;
use super::diagnostic::{Diagnostic, Kind, ObjectRef};
use super::duration::Bounds;
use super::{rest, window};

/// A wait between two attempts.
pub(crate) const WAIT: Bounds = Bounds { at_least: 0, at_most: 3_600_000 };

/// The policy of each route, by the route's key.
pub(crate) type ByRoute<'a> = BTreeMap<String, (ObjectRef, &'a FallbackPolicySpec)>;

/// Finds the policy of each route in `routes` (keys), and says what is wrong with the others.
pub(crate) fn index<'a>(
    policies: &'a [FallbackPolicy],
    routes: &BTreeSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> ByRoute<'a> {
    let mut by_route = ByRoute::new();
    for policy in by_age(policies) {
        let object = ObjectRef::of(Kind::FallbackPolicy, policy);
        let mut found = check(&object, &policy.spec);
        let refused = found.iter().any(|one| !one.reason.is_advice());
        diagnostics.append(&mut found);
        if refused {
            continue;
        }
        for (position, target) in policy.spec.target_refs.iter().enumerate() {
            let path = format!("spec.targetRefs[{position}]");
            let key = format!("{}/{}", object.namespace, target.name);
            if !routes.contains(&key) {
                let message = format!("ModelRoute {key} does not exist: create it, or correct the name");
                let about = (ConditionType::Accepted, Reason::TargetNotFound);
                diagnostics.push(Diagnostic::warn(&object, about, path, message).about(&target.name));
            } else if let Some((older, _)) = by_route.get(&key) {
                let message =
                    format!("{older} is older and already applies to ModelRoute {key}: a route has one policy");
                let about = (ConditionType::Accepted, Reason::Conflicted);
                diagnostics.push(Diagnostic::warn(&object, about, path, message).about(&target.name));
            } else {
                by_route.insert(key, (object.clone(), &policy.spec));
            }
        }
    }
    by_route
}

/// What can be said of a policy without its routes.
fn check(object: &ObjectRef, spec: &FallbackPolicySpec) -> Vec<Diagnostic> {
    let FallbackPolicySpec { target_refs, context_window, fallbacks, retries, hedge, circuit_breaker } = spec;
    let mut found = Vec::new();
    let mut invalid = |path: String, message: String| {
        found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    };
    if target_refs.is_empty() {
        invalid("spec.targetRefs".into(), "names no ModelRoute: a policy applies to at least one".into());
    }
    for (index, target) in target_refs.iter().enumerate() {
        if target.group != GROUP || target.kind != "ModelRoute" {
            let message = format!(
                "{} of group {:?}: a FallbackPolicy applies to kind ModelRoute of group {GROUP}",
                target.kind, target.group
            );
            invalid(format!("spec.targetRefs[{index}]"), message);
        }
        if target_refs[..index].iter().any(|earlier| earlier.name == target.name) {
            invalid(format!("spec.targetRefs[{index}].name"), format!("{:?} is named twice", target.name));
        }
    }
    for (index, rule) in fallbacks.iter().enumerate() {
        if rule.on.is_empty() {
            invalid(format!("spec.fallbacks[{index}].onErrors"), "names no failure, so the rule is for nothing".into());
        }
    }
    found.extend(never_reached(object, fallbacks));
    let mut invalid = |path: String, message: String| {
        found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    };
    if let Some(given) = context_window {
        window::check(given, &mut invalid);
    }
    if let Some(retries) = retries {
        check_retries(retries, &mut invalid);
    }
    if let Some(hedge) = hedge {
        rest::check_hedge(hedge, &mut invalid);
    }
    if let Some(breaker) = circuit_breaker {
        rest::check_breaker(breaker, &mut invalid);
    }
    found
}

/// The first rule that names a failure decides; a later one that names it too is for nothing there.
fn never_reached(object: &ObjectRef, rules: &[FallbackRule]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for class in &rule.on {
            let Some(earlier) = rules[..index].iter().position(|earlier| earlier.on.contains(class)) else { continue };
            let message =
                format!("spec.fallbacks[{earlier}] names {class:?} already, and the first rule decides: remove one");
            let about = (ConditionType::Accepted, Reason::FallbackNeverHelps);
            found.push(Diagnostic::warn(object, about, format!("spec.fallbacks[{index}].onErrors"), message));
        }
    }
    found
}

fn check_retries(retries: &Retries, invalid: &mut impl FnMut(String, String)) {
    let Retries { attempts, on: _, backoff, budget, honour_retry_after } = retries;
    if let Some(attempts) = attempts.filter(|attempts| *attempts > 10) {
        invalid(
            "spec.retries.attempts".into(),
            format!("{attempts} is more than 10: every one of them may cost money"),
        );
    }
    if let Some(budget) = budget {
        rest::check_budget(budget, invalid);
    }
    let backoff = backoff.clone().unwrap_or_default();
    let mut read = |field: &str, value: Option<&spillway_crds::Duration>| match WAIT.read(value) {
        Ok(ms) => ms,
        Err(message) => {
            invalid(format!("spec.retries.{field}"), message);
            None
        }
    };
    read("honourRetryAfter", honour_retry_after.as_ref());
    let base = read("backoff.base", backoff.base.as_ref());
    let max = read("backoff.max", backoff.max.as_ref());
    if let (Some(base), Some(max)) = (base, max)
        && base > max
    {
        invalid("spec.retries.backoff.base".into(), format!("{base} ms is longer than backoff.max, {max} ms"));
    }
}
