//! Why a pod that asks for the sidecar cannot have it, each reason with its fix.

use k8s_openapi::{
    api::core::v1::{Container, PodSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    container::{SIDECAR, VOLUMES},
    overrides::Overrides,
};

/// A pod that cannot be injected, worded for the person who applies it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "pod {pod} sets {field}: true, so {harm} (fix: remove {field}, or opt out with annotation spillway.dev/inject: \"false\")"
    )]
    Shares { pod: String, field: &'static str, harm: &'static str },
    #[error(
        "container {container:?} of pod {pod} takes port {port}, which the sidecar needs as its {role} port (fix: set annotation config.spillway.dev/{role}-port to a free port)"
    )]
    PortTaken { pod: String, container: String, port: u16, role: &'static str },
    #[error("pod {pod} has a {what} named {name:?} that Spillway did not add (fix: rename it)")]
    NameTaken { pod: String, what: &'static str, name: String },
    #[error(
        "pod {pod} runs on Windows, the sidecar is built for Linux only (fix: opt out with annotation spillway.dev/inject: \"false\")"
    )]
    Windows { pod: String },
    #[error("annotation {name} is {value:?}, but must be {want}")]
    Annotation { name: String, value: String, want: &'static str },
}

impl Refusal {
    pub(super) fn annotation(name: &str, value: &str, want: &'static str) -> Self {
        Self::Annotation { name: name.to_owned(), value: value.to_owned(), want }
    }
}

/// The pod under examination.
pub(super) struct Subject<'a> {
    pub(super) spec: &'a PodSpec,
    pub(super) namespace: &'a str,
    pub(super) metadata: &'a ObjectMeta,
    /// It carries our status annotation, so a sidecar in it is ours.
    pub(super) ours: bool,
}

/// Ok says whether the sidecar is in the pod already.
pub(super) fn injectable(subject: &Subject<'_>, overrides: &Overrides) -> Result<bool, Refusal> {
    shared_namespaces(subject)?;
    let present = sidecar_present(subject)?;
    if !present {
        volume_names(subject)?;
    }
    ports(subject, overrides)?;
    Ok(present)
}

fn shared_namespaces(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec = subject.spec;
    let rows = [
        (spec.host_network, "hostNetwork", "the sidecar's loopback port would be open to the whole node"),
        (
            spec.share_process_namespace,
            "shareProcessNamespace",
            "the application could read the provider keys in the sidecar's memory",
        ),
        (spec.host_pid, "hostPID", "the application could read the provider keys in the sidecar's memory"),
    ];
    if let Some((_, field, harm)) = rows.into_iter().find(|(set, ..)| *set == Some(true)) {
        return Err(Refusal::Shares { pod: subject.name(), field, harm });
    }
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Err(Refusal::Windows { pod: subject.name() });
    }
    Ok(())
}

fn sidecar_present(subject: &Subject<'_>) -> Result<bool, Refusal> {
    let named = |container: &&Container| container.name == SIDECAR;
    let taken = || Refusal::NameTaken { pod: subject.name(), what: "container", name: SIDECAR.to_owned() };
    if subject.spec.containers.iter().any(|container| named(&container)) {
        return Err(taken());
    }
    match subject.init().iter().find(named) {
        None => Ok(false),
        Some(_) if subject.ours => Ok(true),
        Some(_) => Err(taken()),
    }
}

fn volume_names(subject: &Subject<'_>) -> Result<(), Refusal> {
    let mut volumes = subject.spec.volumes.as_deref().unwrap_or_default().iter();
    match volumes.find(|volume| VOLUMES.contains(&volume.name.as_str())) {
        Some(volume) => Err(Refusal::NameTaken { pod: subject.name(), what: "volume", name: volume.name.clone() }),
        None => Ok(()),
    }
}

fn ports(subject: &Subject<'_>, overrides: &Overrides) -> Result<(), Refusal> {
    let others = subject.init().iter().chain(&subject.spec.containers).filter(|container| container.name != SIDECAR);
    for container in others {
        for declared in container.ports.as_deref().unwrap_or_default() {
            for (port, role) in [(overrides.data_port, "data"), (overrides.admin_port, "admin")] {
                if declared.container_port == i32::from(port) {
                    let (pod, container) = (subject.name(), container.name.clone());
                    return Err(Refusal::PortTaken { pod, container, port, role });
                }
            }
        }
    }
    Ok(())
}

// === impl Subject ===

impl Subject<'_> {
    fn init(&self) -> &[Container] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    /// Pods made by a controller have only a prefix of a name when they are admitted.
    fn name(&self) -> String {
        let name = self.metadata.name.as_deref().or(self.metadata.generate_name.as_deref()).unwrap_or("(unnamed)");
        format!("{}/{name}", self.namespace)
    }
}
