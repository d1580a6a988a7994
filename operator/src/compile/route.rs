//! ModelRoute -> `wire::Route`. A broken backend is left out and said so; a broken spec is refused as a whole.

mod backend;
pub(super) mod header;
mod limit;
mod request;
mod strategy;
mod validation;

use spillway_crds::{BackendStatus, FallbackPolicySpec, ModelRoute, ModelRouteSpec, Reason, Role};
use spillway_wire as wire;

use super::conflict::Claim;
use super::diagnostic::{Diagnostic, Kind, ObjectRef, Severity};
use super::fallback::{self, Backends};
use super::{Providers, rest, unsupported};

/// The most names a route serves, as in the schema.
const MODELS: usize = 32;
/// The most backends, as in the schema; the sidecar's own bound is higher.
const BACKENDS: usize = 16;

/// What became of a route.
pub(crate) struct Outcome {
    /// None: it was refused, and a diagnostic says why.
    pub(crate) claim: Option<Claim>,
    /// For the status.
    pub(crate) backends: Vec<BackendStatus>,
    /// For the status.
    pub(crate) models: Vec<String>,
}

/// Compiles one route under its policy.
pub(crate) fn compile(
    route: &ModelRoute,
    providers: &Providers<'_>,
    policy: Option<&(ObjectRef, &FallbackPolicySpec)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Outcome {
    let object = ObjectRef::of(Kind::ModelRoute, route);
    let ModelRoute { spec, .. } = route;
    let mut found = unsupported::route(&object, spec);
    let Parts { models, request, mut streaming, choice, limits, validation } = parts(&object, spec, &mut found);
    let resolved = backend::resolve(&object, &spec.backends, providers, diagnostics);
    strategy::check_prices(&object, &choice, spec, &resolved.usable, &mut found);
    let refused = found.iter().any(|one| one.severity == Severity::Refuse);
    diagnostics.append(&mut found);
    if refused {
        return Outcome { claim: None, backends: resolved.statuses, models };
    }
    let named: Vec<String> = spec.backends.iter().map(|backend| backend.name.clone()).collect();
    let reset = route.metadata.annotations.as_ref().and_then(|annotations| annotations.get(rest::RESET));
    let reset = reset.map(String::as_str);
    let about = Backends { route: &object.name, reset, named: &named, usable: &resolved.usable };
    let rules = fallback::compile(policy, &about, diagnostics);
    request::be_patient(&mut streaming, spec.streaming.as_ref(), &rules.fallbacks);
    // Even without a usable backend the route is sent: an application is told that its model is out of order, not that there
    // is no such model. Each missing backend has its own diagnostic.
    let route = wire::Route {
        budgets: Vec::new(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        models: models.clone(),
        policy: policy.map(|(object, _)| object.key()),
        backends: resolved.usable,
        context_window: rules.context_window,
        fallbacks: rules.fallbacks,
        retries: rules.retries,
        request,
        streaming,
        strategy: choice.strategy,
        limits,
        breaker: Some(rules.breaker),
        hedge: rules.hedge,
        max_cost_nanos: choice.max_cost_nanos,
        affinity_header: choice.affinity_header,
        validation,
    };
    let claim = Claim { object, selector: spec.workload_selector.clone(), models: models.clone(), route };
    Outcome { claim: Some(claim), backends: resolved.statuses, models }
}

/// What the spec says without a look at anything else.
struct Parts {
    models: Vec<String>,
    request: wire::RequestRules,
    streaming: wire::Streaming,
    choice: strategy::Choice,
    limits: Vec<wire::Limit>,
    validation: wire::Validation,
}

fn parts(object: &ObjectRef, spec: &ModelRouteSpec, found: &mut Vec<Diagnostic>) -> Parts {
    let ModelRouteSpec {
        models: _,
        workload_selector: _,
        backends: _,
        request,
        streaming,
        limits,
        // Read together by `strategy`.
        strategy: _,
        cascade: _,
        max_cost_per_request: _,
        affinity: _,
        validation,
        // Refused by `unsupported`, where they are used.
        cache: _,
        deduplicate: _,
        batching: _,
    } = spec;
    let models = models(object, spec, found);
    check_backends(object, spec, found);
    Parts {
        models,
        request: request::rules(object, request.as_ref(), found),
        streaming: request::streaming(object, streaming.as_ref(), found),
        choice: strategy::choice(object, spec, found),
        limits: limit::compile(object, limits, found),
        validation: validation::compile(validation.as_ref()),
    }
}

/// The names the route serves.
fn models(object: &ObjectRef, spec: &ModelRouteSpec, refusals: &mut Vec<Diagnostic>) -> Vec<String> {
    if spec.models.is_empty() {
        return vec![object.name.clone()];
    }
    let mut refuse = |path: String, message: String| {
        refusals.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    };
    if spec.models.len() > MODELS {
        refuse("spec.models".into(), format!("has {} names, a route takes at most {MODELS}", spec.models.len()));
    }
    for (index, model) in spec.models.iter().enumerate() {
        let path = format!("spec.models[{index}]");
        let stem = model.strip_suffix('*').unwrap_or(model);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
        if model.is_empty() || model.len() > 128 || !stem.bytes().all(plain) {
            let message =
                format!("{model:?} is no name of a model: letters, digits and ._:/@+- up to 128, and a * at the end");
            refuse(path, message);
        } else if spec.models[..index].contains(model) {
            refuse(path, format!("{model:?} is named twice"));
        }
    }
    spec.models.clone()
}

fn check_backends(object: &ObjectRef, spec: &ModelRouteSpec, refusals: &mut Vec<Diagnostic>) {
    let mut refuse = |path: String, message: String| {
        refusals.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
    };
    let backends = &spec.backends;
    if backends.len() > BACKENDS {
        refuse("spec.backends".into(), format!("has {} entries, a route takes at most {BACKENDS}", backends.len()));
    }
    if !backends.iter().any(|backend| backend.role.unwrap_or_default() == Role::Primary) {
        refuse(
            "spec.backends".into(),
            "has no entry of role Primary (the default), so there is nobody to ask first".into(),
        );
    }
    for (index, backend) in backends.iter().enumerate() {
        let name = &backend.name;
        let path = format!("spec.backends[{index}].name");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name =
            (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-');
        if !is_name {
            refuse(path, format!("{name:?} is no name: lower-case letters, digits and '-', at most 63"));
        } else if backends[..index].iter().any(|earlier| earlier.name == *name) {
            refuse(path, format!("{name:?} is the name of two backends: policies could not tell them apart"));
        }
        // It becomes a header of every answer.
        let model = &backend.model;
        if model.is_empty() || model.len() > 256 || !model.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("{model:?} is no name of a model: printable ASCII without spaces, at most 256");
            refuse(format!("spec.backends[{index}].model"), message);
        }
    }
}
