//! The validating webhook: the same compile, on what is known now, with the new object in its place.
//!
//! What can never work is refused with the field and the fix. What could come to work when other objects change only
//! warns: GitOps applies in any order. So does a field that this version does not enforce yet: the object is well
//! written, a later version will serve it, and its `Accepted=False, reason UnsupportedValue` says where it stands. An object whose spec did not change always passes, so that a stricter
//! version of the operator never stands in the way of a label, a finalizer or a deletion.

use kube::{
    ResourceExt,
    api::DynamicObject,
    core::admission::{AdmissionRequest, AdmissionResponse, Operation},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use spillway_crds::Reason;

use crate::{
    compile::{Diagnostic, Kind, ObjectRef, Severity, compile},
    resources::Resources,
};

/// The longest list of reasons; the first few are what people act on.
const SHOWN: usize = 8;

/// Answers one admission request. `gather` is asked only if there is something to compile.
pub fn review(request: &AdmissionRequest<DynamicObject>, gather: impl FnOnce() -> Resources) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(object) = &request.object else { return response };
    let written = matches!(request.operation, Operation::Create | Operation::Update);
    let unchanged = request.old_object.as_ref().is_some_and(|old| old.data["spec"] == object.data["spec"]);
    if !written || unchanged || object.metadata.deletion_timestamp.is_some() {
        return response;
    }
    let Some(kind) = kind(&request.kind.kind) else { return response };
    let namespace = request.namespace.clone().or_else(|| object.namespace()).unwrap_or_else(|| "default".to_owned());
    let name = ObjectRef { kind, namespace, name: object.name_any() };
    let object = match serde_json::to_value(object) {
        Ok(object) => object,
        Err(error) => return response.deny(format!("spillway: {error}")),
    };
    let mut resources = gather();
    if let Err(error) = substitute(&mut resources, &name, object) {
        return response.deny(format!("spillway: {name} cannot be read: {error}"));
    }
    let diagnostics = compile(&resources).diagnostics;
    let about = diagnostics.iter().filter(|diagnostic| diagnostic.object == name);
    let (refused, warned): (Vec<_>, Vec<_>) = about.partition(|diagnostic| never_works(diagnostic));
    // A route may make a chain useless that somebody else has written; that is not for its own author to mend.
    let of_policy = |one: &&Diagnostic| {
        let mine = one.object.namespace == name.namespace && one.route.as_ref() == Some(&name.name);
        name.kind == Kind::ModelRoute && one.object.kind == Kind::FallbackPolicy && mine && never_works(one)
    };
    let of_policy = diagnostics.iter().filter(of_policy).map(ToString::to_string);
    let warnings = warned.into_iter().map(Diagnostic::text).chain(of_policy);
    let mut response = response;
    if !refused.is_empty() {
        response = response.deny(format!("spillway: {}", sentence(&refused)));
    }
    response.warnings = Some(warnings.take(SHOWN).map(|text| format!("spillway: {text}")).collect());
    response
}

/// Whatever else changes, in the cluster or in the next version.
fn never_works(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Refuse && diagnostic.reason != Reason::UnsupportedValue
}

fn kind(name: &str) -> Option<Kind> {
    let kinds = [Kind::ModelProvider, Kind::ModelRoute, Kind::FallbackPolicy, Kind::ModelBudget];
    kinds.into_iter().find(|kind| kind.as_str() == name)
}

/// Puts the object where its older self is, or adds it.
fn substitute(resources: &mut Resources, name: &ObjectRef, object: Value) -> Result<(), serde_json::Error> {
    match name.kind {
        Kind::ModelProvider => put(&mut resources.providers, name, object),
        Kind::ModelRoute => put(&mut resources.routes, name, object),
        Kind::FallbackPolicy => put(&mut resources.policies, name, object),
        Kind::ModelBudget => put(&mut resources.budgets, name, object),
    }
}

fn put<K>(list: &mut Vec<K>, name: &ObjectRef, object: Value) -> Result<(), serde_json::Error>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut object: K = serde_json::from_value(object)?;
    object.meta_mut().namespace = Some(name.namespace.clone());
    list.retain(|other| ObjectRef::of(name.kind, other) != *name);
    list.push(object);
    Ok(())
}

fn sentence(refused: &[&Diagnostic]) -> String {
    let mut text: Vec<String> = refused.iter().take(SHOWN).map(|diagnostic| diagnostic.text()).collect();
    if refused.len() > SHOWN {
        text.push(format!("and {} more", refused.len() - SHOWN));
    }
    text.join("; ")
}

#[cfg(test)]
mod tests;
