//! The mutating webhook: does this pod want the sidecar, may it have it, and what must be added.
//!
//! Everything below this file is pure; nothing here calls the API server, so an admission costs microseconds and works
//! while the API server is the only thing that answers.

mod check;
mod container;
pub mod manifest;
mod overrides;
mod patch;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::admission::{AdmissionRequest, AdmissionResponse};

pub use check::Refusal;
pub use container::{SIDECAR, app_env};
pub use patch::{INJECTED_LABEL, Injected, STATUS_ANNOTATION, patch};

/// Asks for the sidecar, or opts out of it: an annotation or a label of the pod, a label of the namespace.
pub const INJECT: &str = "spillway.dev/inject";
/// The sidecar image of this version.
pub const DEFAULT_IMAGE: &str = concat!("localhost/spillway-sidecar:", env!("CARGO_PKG_VERSION"));

/// What the injected container needs to know, the same for every pod.
#[derive(Clone, Debug)]
pub struct Injection {
    pub image: String,
    pub pull_policy: String,
    /// `https://spillway.<namespace>.svc:8443`
    pub operator_url: String,
    /// The operator's CA: public, so it travels as plain env.
    pub ca_pem: String,
}

/// Answers one admission request. `namespace_asks`: the webhook was called because the namespace's label asks.
pub fn review(request: &AdmissionRequest<Pod>, namespace_asks: bool, injection: &Injection) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(pod) = &request.object else { return response };
    let namespace = request.namespace.as_deref().or(pod.metadata.namespace.as_deref()).unwrap_or("default");
    let injected =
        match wanted(&pod.metadata, namespace_asks).map(|wanted| wanted.then(|| patch(pod, namespace, injection))) {
            Ok(None) => return response,
            Ok(Some(Ok(injected))) => injected,
            Ok(Some(Err(refusal))) | Err(refusal) => return response.deny(format!("spillway: {refusal}")),
        };
    let warnings = injected.warnings.into_iter().map(|warning| format!("spillway: {warning}")).collect();
    let patched = if injected.patch.0.is_empty() { Ok(response) } else { response.with_patch(injected.patch) };
    match patched {
        Ok(mut response) => {
            response.warnings = Some(warnings);
            response
        }
        Err(error) => AdmissionResponse::invalid(format!("spillway: the patch does not serialise: {error}")),
    }
}

/// The pod's own word wins over its namespace's; its annotation over its label.
pub fn wanted(pod: &ObjectMeta, namespace_asks: bool) -> Result<bool, Refusal> {
    let own = [&pod.annotations, &pod.labels].into_iter().flatten().find_map(|map| map.get(INJECT));
    match own.map(String::as_str) {
        None => Ok(namespace_asks),
        Some("true" | "enabled") => Ok(true),
        Some("false" | "disabled") => Ok(false),
        Some(other) => Err(Refusal::annotation(INJECT, other, "\"true\" or \"false\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(annotation: Option<&str>, label: Option<&str>) -> ObjectMeta {
        let map = |value: Option<&str>| value.map(|value| [(INJECT.to_owned(), value.to_owned())].into());
        ObjectMeta { annotations: map(annotation), labels: map(label), ..ObjectMeta::default() }
    }

    #[test]
    fn the_pod_wins_over_its_namespace_and_the_annotation_over_the_label() {
        let rows = [
            (None, None, false, Some(false)),
            (None, None, true, Some(true)),
            (Some("true"), None, false, Some(true)),
            (None, Some("true"), false, Some(true)),
            (Some("enabled"), None, false, Some(true)),
            (Some("false"), None, true, Some(false)),
            (None, Some("disabled"), true, Some(false)),
            (Some("false"), Some("true"), true, Some(false)),
            (Some("yes please"), None, true, None),
        ];
        for (annotation, label, namespace, want) in rows {
            let got = wanted(&meta(annotation, label), namespace).ok();
            assert_eq!(got, want, "annotation {annotation:?}, label {label:?}, namespace {namespace}");
        }
    }
}
