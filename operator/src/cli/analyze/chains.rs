//! Fallbacks that never help, and backends that nobody is sent to.

use kube::ResourceExt;
use spillway_crds::{ErrorClass, FallbackPolicySpec, FallbackRule, OnExceeded};
use spillway_wire as wire;

use super::{
    Seen,
    finding::{Finding, Severity},
};
use crate::compile::{CompiledRoute, Kind, ObjectRef};

/// A policy with the routes it applies to.
struct Applied<'a> {
    object: ObjectRef,
    spec: &'a FallbackPolicySpec,
    routes: Vec<(&'a str, &'a CompiledRoute)>,
}

fn applied<'a>(seen: &Seen<'a>) -> Vec<Applied<'a>> {
    let of = |object: &ObjectRef| {
        let policies = seen.compiled.facts.iter().filter(|(_, facts)| facts.policy.as_deref() == Some(&object.name));
        let mine = policies.filter_map(|(key, _)| Some((key.as_str(), seen.compiled.routes.get(key)?)));
        mine.filter(|(_, route)| route.namespace == object.namespace).collect()
    };
    let policies = seen.resources.policies.iter();
    policies
        .map(|policy| {
            let object = ObjectRef::of(Kind::FallbackPolicy, policy);
            let routes = of(&object);
            Applied { object, spec: &policy.spec, routes }
        })
        .collect()
}

/// A rule whose backends have all been asked by then: the only one that can have failed is the one it leads to.
pub(super) fn rules_to_who_failed(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for Applied { object, spec, routes } in applied(seen) {
        for (key, CompiledRoute { route, .. }) in routes {
            let mut primaries = route.backends.iter().filter(|backend| backend.role == wire::Role::Primary);
            let (Some(only), None) = (primaries.next(), primaries.next()) else { continue };
            let leads_back = |rule: &FallbackRule| !rule.to.is_empty() && rule.to.iter().all(|name| *name == only.name);
            for (index, _) in spec.fallbacks.iter().enumerate().filter(|(_, rule)| leads_back(rule)) {
                let why =
                    format!("leads to {:?} alone, the one backend of ModelRoute {key} that can have failed", only.name);
                let fix = "name another backend, or use spec.retries to ask the same one again";
                let about = (Severity::Warning, "FallbackNeverHelps");
                found.push(Finding::new(about, &object, format!("spec.fallbacks[{index}].to"), why, fix));
            }
        }
    }
}

/// Where prompts are shortened nobody goes on to a larger window.
pub(super) fn rules_that_shortening_preempts(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for policy in &seen.resources.policies {
        let mode = policy.spec.context_window.as_ref().and_then(|window| window.on_exceeded);
        let Some(mode @ (OnExceeded::Truncate | OnExceeded::Summarize)) = mode else { continue };
        let object = ObjectRef::of(Kind::FallbackPolicy, policy);
        let rules = policy.spec.fallbacks.iter().enumerate();
        for (index, rule) in rules.filter(|(_, rule)| rule.on.contains(&ErrorClass::ContextWindowExceeded)) {
            let why =
                format!("is never used for ContextWindowExceeded, because onExceeded: {mode:?} shortens the prompt");
            let fix = format!("use Hybrid, which asks {} first, or remove the class from the rule", rule.to.join(", "));
            let about = (Severity::Warning, "FallbackNeverHelps");
            found.push(Finding::new(about, &object, format!("spec.fallbacks[{index}].onErrors"), why, fix));
        }
    }
}

/// A Fallback that no rule names is never asked.
pub(super) fn unnamed_fallbacks(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for route in &seen.resources.routes {
        let object = ObjectRef::of(Kind::ModelRoute, route);
        let Some(CompiledRoute { route: compiled, .. }) = seen.compiled.routes.get(&object.key()) else { continue };
        let policy = seen.compiled.facts.get(&object.key()).and_then(|facts| facts.policy.as_ref());
        for (index, backend) in route.spec.backends.iter().enumerate() {
            let is_fallback = backend.role == Some(spillway_crds::Role::Fallback);
            if !is_fallback || is_asked(seen, compiled, &backend.name) {
                continue;
            }
            let (why, fix) = match policy {
                Some(policy) => (
                    format!(
                        "is a Fallback that no rule of FallbackPolicy {}/{policy} names, so it is never asked",
                        object.namespace
                    ),
                    "add it to a rule in spec.fallbacks of the policy".to_owned(),
                ),
                None => (
                    "is a Fallback, and the route has no FallbackPolicy, so it is never asked".to_owned(),
                    format!(
                        "create a FallbackPolicy with targetRefs {} whose rules name {:?}",
                        route.name_any(),
                        backend.name
                    ),
                ),
            };
            let about = (Severity::Warning, "BackendUnreachable");
            found.push(Finding::new(about, &object, format!("spec.backends[{index}]"), why, fix));
        }
    }
}

/// Whether anything leads to a backend that is no first choice: a rule, a summary to write, a budget that is used up.
fn is_asked(seen: &Seen<'_>, route: &wire::Route, name: &String) -> bool {
    let mut budgets = route.budgets.iter().filter_map(|key| seen.compiled.budgets.get(key));
    let leads =
        |budget: &wire::Budget| matches!(&budget.on_exhausted, wire::OnExhausted::Downgrade(to) if to.contains(name));
    route.fallbacks.iter().any(|rule| rule.to.contains(name))
        || route.context_window.summarize.as_ref().is_some_and(|summaries| summaries.backend == *name)
        || budgets.any(leads)
}

/// A fallback that cannot do what the first choice does serves only some of the requests that need it.
pub(super) fn fallbacks_that_do_less(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for Applied { object, spec, routes } in applied(seen) {
        for (key, CompiledRoute { route, .. }) in routes {
            let Some(first) = route.backends.iter().find(|backend| backend.role == wire::Role::Primary) else {
                continue;
            };
            for backend in &route.backends {
                let rule = spec.fallbacks.iter().position(|rule| rule.to.contains(&backend.name));
                let Some(index) = rule.filter(|_| backend.name != first.name) else { continue };
                let (has, lacks) = (&first.model, &backend.model);
                let what = [(has.tools && !lacks.tools, "tools"), (has.vision && !lacks.vision, "images")];
                let what: Vec<&str> = what.into_iter().filter(|(less, _)| *less).map(|(_, what)| what).collect();
                if what.is_empty() {
                    continue;
                }
                let what = what.join(" and no ");
                let why = format!(
                    "{:?} takes no {what}, which {:?} does: requests of ModelRoute {key} with them have one fallback less",
                    backend.name, first.name
                );
                let fix = "name a backend that takes them as well";
                let about = (Severity::Info, "FallbackDoesLess");
                found.push(Finding::new(about, &object, format!("spec.fallbacks[{index}].to"), why, fix));
            }
        }
    }
}
