//! Pod in, JSON patch out. Pure.
//!
//! The patch only adds: it never replaces a list or a value that is there (the one exception is our own status
//! annotation). It is a fixpoint: a pod that was patched needs no further patch, so other webhooks may run before, after
//! and in between. No `test` operations: the API server applies the patch to the very object it showed us.

use std::collections::BTreeMap;

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec};
use serde_json::{Value, json};

use super::{
    Injection, Refusal,
    check::{self, Subject},
    container::{self, SIDECAR},
    overrides::{self, Overrides},
};

/// Selects injected pods; set by the patch, never by users.
pub const INJECTED_LABEL: &str = "spillway.dev/injected";
/// Says what was done, as JSON.
pub const STATUS_ANNOTATION: &str = "spillway.dev/status";

/// What to do to a pod, and what its owner should know.
#[derive(Debug)]
pub struct Injected {
    /// Empty when everything is in place already.
    pub patch: Patch,
    pub warnings: Vec<String>,
}

/// Works out what `pod` needs. `namespace` is the request's: a pod often carries none itself.
pub fn patch(pod: &Pod, namespace: &str, injection: &Injection) -> Result<Injected, Refusal> {
    let nothing = BTreeMap::new();
    let annotations = pod.metadata.annotations.as_ref().unwrap_or(&nothing);
    let (overrides, mut warnings) = overrides::read(annotations)?;
    let Some(spec) = &pod.spec else { return Ok(Injected { patch: Patch(Vec::new()), warnings }) };
    let ours = annotations.contains_key(STATUS_ANNOTATION);
    let present = check::injectable(&Subject { spec, namespace, metadata: &pod.metadata, ours }, &overrides)?;

    let mut additions = Additions::default();
    additions.env_of_all(spec, &overrides, &mut warnings);
    if !present {
        let sidecar = container::sidecar(injection, &overrides);
        let is_empty = spec.init_containers.as_ref().is_none_or(Vec::is_empty);
        additions.first(&["spec", "initContainers"], is_empty, sidecar);
    }
    additions.volumes(spec);
    additions.key("labels", pod.metadata.labels.as_ref(), INJECTED_LABEL, "true");
    if !present || !ours {
        let status = status(injection, &overrides);
        additions.key("annotations", pod.metadata.annotations.as_ref(), STATUS_ANNOTATION, &status);
    }
    Ok(Injected { patch: Patch(additions.operations), warnings })
}

fn status(injection: &Injection, overrides: &Overrides) -> String {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "container": SIDECAR,
        "image": injection.image,
        "dataPort": overrides.data_port,
        "adminPort": overrides.admin_port,
    })
    .to_string()
}

/// The operations, in an order in which every index still means what it meant in the pod we were shown.
#[derive(Default)]
struct Additions {
    operations: Vec<PatchOperation>,
}

// === impl Additions ===

impl Additions {
    fn add(&mut self, path: &[&str], value: Value) {
        self.operations
            .push(PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value }));
    }

    /// Puts `item` first into a list that may not exist yet.
    fn first(&mut self, list: &[&str], is_empty: bool, item: Value) {
        if is_empty {
            self.add(list, json!([item]));
        } else {
            self.add(&[list, &["0"]].concat(), item);
        }
    }

    /// Appends `items` to a list that may not exist yet.
    fn append(&mut self, list: &[&str], is_empty: bool, items: Vec<Value>) {
        if items.is_empty() {
            return;
        }
        if is_empty {
            self.add(list, Value::Array(items));
        } else {
            for item in items {
                self.add(&[list, &["-"]].concat(), item);
            }
        }
    }

    /// Sets one label or annotation in a map that may not exist yet.
    fn key(&mut self, map: &str, present: Option<&BTreeMap<String, String>>, key: &str, value: &str) {
        match present {
            Some(entries) if entries.get(key).is_some_and(|entry| entry == value) => {}
            Some(_) => self.add(&["metadata", map, key], json!(value)),
            None => self.add(&["metadata", map], json!({key: value})),
        }
    }

    fn volumes(&mut self, spec: &PodSpec) {
        let present = spec.volumes.as_deref().unwrap_or_default();
        let missing = container::volumes().into_iter().zip(container::VOLUMES);
        let missing = missing.filter(|(_, name)| !present.iter().any(|volume| volume.name == *name));
        self.append(&["spec", "volumes"], present.is_empty(), missing.map(|(volume, _)| volume).collect());
    }

    /// Application containers and ordinary init containers; not other people's sidecars.
    fn env_of_all(&mut self, spec: &PodSpec, overrides: &Overrides, warnings: &mut Vec<String>) {
        for (index, container) in spec.containers.iter().enumerate() {
            self.env("containers", index, container, overrides, warnings);
        }
        let init = spec.init_containers.as_deref().unwrap_or_default().iter().enumerate();
        for (index, container) in init.filter(|(_, container)| container.restart_policy.as_deref() != Some("Always")) {
            self.env("initContainers", index, container, overrides, warnings);
        }
    }

    fn env(
        &mut self,
        list: &str,
        index: usize,
        container: &Container,
        overrides: &Overrides,
        warnings: &mut Vec<String>,
    ) {
        let present = container.env.as_deref().unwrap_or_default();
        let mut missing = Vec::new();
        for (name, value) in container::app_env(overrides.data_port) {
            match present.iter().find(|variable| variable.name == name) {
                None => missing.push(json!({"name": name, "value": value})),
                Some(own) if name.ends_with("_BASE_URL") && own.value.as_deref() != Some(&value) => {
                    warnings.push(format!(
                        "container {:?} sets {name} itself, so its calls do not go through Spillway (remove the variable, or set it to {value})",
                        container.name
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(proxy) = proxied(present) {
            warnings.push(format!(
                "container {:?} sets {proxy}: most HTTP clients would send calls to 127.0.0.1 there too (fix: set NO_PROXY=127.0.0.1,localhost)",
                container.name
            ));
        }
        self.append(&["spec", list, &index.to_string(), "env"], present.is_empty(), missing);
    }
}

/// The proxy variable that would catch calls to the sidecar.
fn proxied(env: &[EnvVar]) -> Option<&str> {
    let is = |variable: &EnvVar, names: &[&str]| names.iter().any(|name| variable.name.eq_ignore_ascii_case(name));
    let exempt = |variable: &EnvVar| {
        is(variable, &["NO_PROXY"])
            && variable.value.as_ref().is_none_or(|list| list.contains("127.0.0.1") || list == "*")
    };
    let proxy = env.iter().find(|variable| is(variable, &["HTTP_PROXY", "ALL_PROXY"]))?;
    (!env.iter().any(exempt)).then_some(proxy.name.as_str())
}

#[cfg(test)]
mod tests;
