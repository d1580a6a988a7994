//! Providers nobody uses, routes that hang by one thread, and keys that travel in clear.

use std::collections::BTreeSet;

use spillway_wire as wire;

use super::{
    Seen,
    finding::{Finding, Severity},
};
use crate::compile::{Kind, ObjectRef};

/// A provider that no route names.
pub(super) fn unused(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    let facts = seen.compiled.facts.values().flat_map(|facts| &facts.backends);
    let used: BTreeSet<&str> = facts.map(|backend| backend.provider.as_str()).collect();
    for provider in &seen.resources.providers {
        let object = ObjectRef::of(Kind::ModelProvider, provider);
        if !used.contains(object.key().as_str()) {
            let why = "no ModelRoute has a backend at it";
            let fix = "remove it, or name it in providerRef of a backend";
            found.push(Finding::new((Severity::Info, "ProviderUnused"), &object, "metadata.name", why, fix));
        }
    }
}

/// A key that goes to an `http://` endpoint.
pub(super) fn keys_in_clear(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for provider in &seen.resources.providers {
        let object = ObjectRef::of(Kind::ModelProvider, provider);
        let Some(sent) = seen.compiled.providers.get(&object.key()) else { continue };
        if sent.base_url.starts_with("http://") && (sent.credential.is_some() || sent.exchange.is_some()) {
            let why = "its keys and prompts travel in clear, readable for whoever is on the way";
            let fix = "use an https:// endpoint, or credentials: {none: {}} where it needs no key";
            found.push(Finding::new((Severity::Info, "KeysInClear"), &object, "spec.endpoint", why, fix));
        }
    }
}

/// A route that nobody can be served by.
pub(super) fn nobody_serves(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for_each_route(seen, |object, route| {
        if !route.backends.iter().any(|backend| backend.role == wire::Role::Primary) {
            let why = "none of its Primary backends can be used, so every request is refused";
            let fix = "see what is said of its backends' providers";
            found.push(Finding::new((Severity::Error, "NoUsableBackend"), object, "spec.backends", why, fix));
        }
    });
}

/// A route that one provider's outage takes down.
pub(super) fn single_points_of_failure(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for_each_route(seen, |object, route| {
        let trouble = |rule: &&wire::FallbackRule| {
            let classes = [wire::ErrorClass::ServiceUnavailable, wire::ErrorClass::Connection];
            classes.iter().any(|class| rule.on.contains(class))
        };
        let asked_then: BTreeSet<&String> = route.fallbacks.iter().filter(trouble).flat_map(|rule| &rule.to).collect();
        let serves =
            |backend: &&wire::Backend| backend.role == wire::Role::Primary || asked_then.contains(&backend.name);
        let providers: BTreeSet<&str> =
            route.backends.iter().filter(serves).map(|backend| backend.provider.as_str()).collect();
        let Some(only) = providers.first().filter(|_| providers.len() == 1) else { return };
        let others =
            route.backends.iter().any(|backend| backend.provider != **only && backend.role != wire::Role::Shadow);
        let why = format!("when ModelProvider {only} is down, nobody answers");
        let fix = if others {
            "name a backend at another provider in a rule of its FallbackPolicy for ConnectionError, ServiceUnavailable and Timeout"
        } else {
            "add a backend at another provider, and a FallbackPolicy with a rule for ConnectionError, ServiceUnavailable and Timeout"
        };
        found.push(Finding::new((Severity::Info, "SinglePointOfFailure"), object, "spec.backends", why, fix));
    });
}

/// A route that no running pod gets, as the cluster says.
pub(super) fn nobody_calls(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for route in &seen.resources.routes {
        let object = ObjectRef::of(Kind::ModelRoute, route);
        let sidecars = route.status.as_ref().and_then(|status| status.sidecars.as_ref());
        let programmed = route.status.iter().flat_map(|status| &status.conditions);
        let nobody = programmed.filter(|one| one.type_ == "Programmed").any(|one| one.reason == "NoSidecars");
        if nobody || sidecars.is_some_and(|sidecars| sidecars.ready == 0) {
            let (field, fix) = match &route.spec.workload_selector {
                Some(_) => ("spec.workloadSelector", "correct the labels, or inject pods that have them"),
                None => (
                    "metadata.namespace",
                    "annotate the pod template spillway.dev/inject: \"true\", or remove the route",
                ),
            };
            let why = "no running pod with a sidecar gets this route, so nobody can call it";
            found.push(Finding::new((Severity::Info, "NoSidecars"), &object, field, why, fix));
        }
    }
}

fn for_each_route(seen: &Seen<'_>, mut look: impl FnMut(&ObjectRef, &wire::Route)) {
    for route in &seen.resources.routes {
        let object = ObjectRef::of(Kind::ModelRoute, route);
        if let Some(compiled) = seen.compiled.routes.get(&object.key()) {
            look(&object, &compiled.route);
        }
    }
}
