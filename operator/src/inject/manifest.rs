//! Finds the pods inside manifests, for `spillway inject -f`.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Injection, Refusal, patch, wanted};

/// Why a manifest could not be injected.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{object} cannot be injected")]
    Refused { object: String, source: Refusal },
    #[error("{object} has no pod in it that can be read")]
    Unreadable { object: String, source: serde_json::Error },
    #[error("{object}: the patch does not apply")]
    Patch { object: String, source: json_patch::PatchError },
}

/// Injects the pod template of `document` in place, if it has one and does not opt out. Returns warnings.
pub fn inject(document: &mut Value, namespace: &str, injection: &Injection) -> Result<Vec<String>, ManifestError> {
    if let Some(items) = document.get_mut("items").and_then(Value::as_array_mut) {
        let mut warnings = Vec::new();
        for item in items {
            warnings.extend(inject(item, namespace, injection)?);
        }
        return Ok(warnings);
    }
    let object = title(document);
    let namespace = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(namespace).to_owned();
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    let path = match kind {
        "Pod" => "",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return Ok(Vec::new()),
    };
    let misplaced = misplaced(document, path).map(|found| {
        format!("{object}: {found} stands at metadata of the {kind}, where nobody reads it: move it to {path}/metadata")
    });
    let Some(template) = document.pointer_mut(path) else { return Ok(Vec::new()) };
    let warnings = inject_template(template, &object, &namespace, injection)?;
    Ok(misplaced.into_iter().chain(warnings).collect())
}

/// What asks for, or against, the sidecar on an object around the pods instead of on the pods.
fn misplaced(document: &Value, path: &str) -> Option<&'static str> {
    const ASKS: &str = "spillway.dev/inject";
    let places = [
        ("/metadata/annotations", "annotation spillway.dev/inject"),
        ("/metadata/labels", "label spillway.dev/inject"),
    ];
    let found = places.iter().find(|(place, _)| document.pointer(place).is_some_and(|all| all.get(ASKS).is_some()));
    found.filter(|_| !path.is_empty()).map(|(_, what)| *what)
}

fn inject_template(
    template: &mut Value,
    object: &str,
    namespace: &str,
    injection: &Injection,
) -> Result<Vec<String>, ManifestError> {
    let object = object.to_owned();
    if !template.get("metadata").is_some_and(Value::is_object) {
        template["metadata"] = json!({});
    }
    let pod: Pod = match serde_json::from_value(template.clone()) {
        Ok(pod) => pod,
        Err(source) => return Err(ManifestError::Unreadable { object, source }),
    };
    // Whoever runs the command asks for it: it stands in for the namespace's label.
    match wanted(&pod.metadata, true) {
        Ok(true) => {}
        Ok(false) => return Ok(vec![format!("{object} opts out and is left as it is")]),
        Err(source) => return Err(ManifestError::Refused { object, source }),
    }
    let injected = match patch(&pod, namespace, injection) {
        Ok(injected) => injected,
        Err(source) => return Err(ManifestError::Refused { object, source }),
    };
    match json_patch::patch(template, &injected.patch) {
        Ok(()) => Ok(injected.warnings.into_iter().map(|warning| format!("{object}: {warning}")).collect()),
        Err(source) => Err(ManifestError::Patch { object, source }),
    }
}

fn title(document: &Value) -> String {
    let text = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or("(unnamed)");
    format!("{} {}", text("/kind"), text("/metadata/name"))
}
