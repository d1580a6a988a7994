//! The backends of a route, each with its provider and model, or why it has none.

use jiff::civil::Date;
use spillway_crds::{Backend, BackendState, BackendStatus, ConditionType, ProviderRef, Reason, Role};
use spillway_wire as wire;

use crate::compile::diagnostic::{Diagnostic, ObjectRef};
use crate::compile::provider::Provider;
use crate::compile::{Found, Providers, model};

/// The backends of a route.
pub(super) struct Resolved {
    /// Those a sidecar gets.
    pub(super) usable: Vec<wire::Backend>,
    pub(super) statuses: Vec<BackendStatus>,
}

type Problem = (Reason, String);

/// Resolves every backend on its own: one that cannot be used does not touch its neighbours.
pub(super) fn resolve(
    object: &ObjectRef,
    backends: &[Backend],
    providers: &Providers<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Resolved {
    let mut resolved = Resolved { usable: Vec::new(), statuses: Vec::new() };
    for (index, backend) in backends.iter().enumerate() {
        let Backend { name, provider_ref, model, role, weight: _, when: _, shadow_percent: _ } = backend;
        let role = role.unwrap_or_default();
        let key = provider_key(object, provider_ref);
        let found = provider(object, &key, providers);
        let mut status = BackendStatus {
            name: name.clone(),
            provider: key.clone(),
            model: model.clone(),
            role,
            state: BackendState::Closed,
            context_window: None,
            learnt_context_window: None,
            message: None,
        };
        let mut problem = found.as_ref().err().cloned();
        if let Ok(provider) = found {
            let model::Resolved { model, known, deprecated_on } =
                model::resolve(&provider.catalogue, (provider.kind, model), &provider.models);
            status.context_window = model.context_window_tokens;
            if !known {
                diagnostics.push(unknown_model(object, index, backend, provider));
            }
            if let Some((today, day)) = providers.today.zip(deprecated_on) {
                diagnostics.extend(deprecated(object, index, (backend, provider), (today, day)));
            }
            resolved.usable.push(sent(backend, key, model));
            problem = without_key(provider);
        }
        if let Some((reason, message)) = problem {
            status.state = BackendState::Unresolved;
            status.message = Some(message.clone());
            let path = format!("spec.backends[{index}].providerRef");
            diagnostics.push(Diagnostic::warn(object, (ConditionType::ResolvedRefs, reason), path, message));
        }
        resolved.statuses.push(status);
    }
    resolved
}

/// A backend as a sidecar gets it.
fn sent(backend: &Backend, provider: String, model: wire::Model) -> wire::Backend {
    let Backend { name, provider_ref: _, model: _, role, weight, when, shadow_percent } = backend;
    let role = wire_role(role.unwrap_or_default());
    let (name, when, weight) = (name.clone(), when.clone(), weight.unwrap_or(1));
    let shadow_ppm = (role == wire::Role::Shadow).then(|| shadow_percent.unwrap_or(100).min(100) * 10_000);
    wire::Backend { name, provider, model, role, weight, when, shadow_ppm }
}

fn provider_key(object: &ObjectRef, reference: &ProviderRef) -> String {
    let ProviderRef { name, namespace } = reference;
    format!("{}/{name}", namespace.as_deref().unwrap_or(&object.namespace))
}

fn provider<'a>(object: &ObjectRef, key: &str, providers: &'a Providers<'_>) -> Result<&'a Provider, Problem> {
    match providers.found.get(key) {
        // Whether a provider exists that one may not use is nobody's business: both answers are the same.
        None if !key.starts_with(&format!("{}/", object.namespace)) => Err(not_permitted(object, key)),
        None => {
            let message = format!("ModelProvider {key} does not exist: create it, or correct the name");
            Err((Reason::ProviderNotFound, message))
        }
        Some(Found::Refused { namespace }) if *namespace != object.namespace => Err(not_permitted(object, key)),
        Some(Found::Refused { namespace: _ }) => {
            let message = format!("ModelProvider {key} is not accepted: its own conditions say why");
            Err((Reason::ProviderNotReady, message))
        }
        Some(Found::Ready(provider)) => {
            let labels = providers.namespaces.get(&object.namespace);
            if provider.admits(&object.namespace, labels) { Ok(provider) } else { Err(not_permitted(object, key)) }
        }
    }
}

fn not_permitted(object: &ObjectRef, key: &str) -> Problem {
    let message = format!(
        "ModelProvider {key} does not exist or is not for namespace {}: its spec.allowedNamespaces has to let it in",
        object.namespace
    );
    (Reason::RefNotPermitted, message)
}

/// The backend is sent all the same: a sidecar passes over one whose key it does not have, and uses it once the key comes.
fn without_key(provider: &Provider) -> Option<Problem> {
    let missing = provider.wire.credential.is_some() && provider.keys.is_empty();
    missing.then(|| {
        let message =
            format!("the key of ModelProvider {} may not be used: its own conditions say why", provider.object.key());
        (Reason::ProviderNotReady, message)
    })
}

fn unknown_model(object: &ObjectRef, index: usize, backend: &Backend, provider: &Provider) -> Diagnostic {
    let message = format!(
        "nothing is known of {:?} at {}: its window is not checked and its cost not counted, unless ModelProvider {} \
         describes it in spec.models",
        backend.model,
        provider.kind,
        provider.object.key()
    );
    let path = format!("spec.backends[{index}].model");
    Diagnostic::warn(object, (ConditionType::Accepted, Reason::ModelUnknown), path, message)
}

/// So long before a model is switched off its users are told.
const NOTICE_DAYS: i32 = 60;

/// The message does not count the days: it would be another one every day.
fn deprecated(
    object: &ObjectRef,
    index: usize,
    (backend, provider): (&Backend, &Provider),
    (today, day): (Date, Date),
) -> Option<Diagnostic> {
    if (day - today).get_days() > NOTICE_DAYS {
        return None;
    }
    let Backend { name, model, .. } = backend;
    let (when, fix) = if day <= today {
        ("switched", "move to a newer model")
    } else {
        ("switches", "move to a newer model before that")
    };
    let message = format!("backend {name}: {} {when} {model:?} off on {day}: {fix}", provider.kind);
    let path = format!("spec.backends[{index}].model");
    Some(Diagnostic::warn(object, (ConditionType::Warning, Reason::ModelsDeprecated), path, message))
}

const fn wire_role(role: Role) -> wire::Role {
    match role {
        Role::Primary => wire::Role::Primary,
        Role::Fallback => wire::Role::Fallback,
        Role::Shadow => wire::Role::Shadow,
    }
}
