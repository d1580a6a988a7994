//! Taking the operator away, and a sidecar's process.

use anyhow::Result;

use crate::{Space, kubectl, manifest};

const SYSTEM: &str = "spillway-system";

/// No operator runs while this lives.
#[derive(Debug)]
pub struct Outage;

// === impl Outage ===

impl Outage {
    /// Scales the operator to 0 and waits until none runs.
    pub fn begin() -> Result<Self> {
        let outage = Self;
        kubectl(&["-n", SYSTEM, "scale", "deployment/spillway", "--replicas=0"])?;
        kubectl(&[
            "-n",
            SYSTEM,
            "wait",
            "--for=delete",
            "--timeout=60s",
            "pod",
            "-l",
            "app.kubernetes.io/name=spillway",
        ])?;
        Ok(outage)
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let _ = kubectl(&["-n", SYSTEM, "scale", "deployment/spillway", "--replicas=2"]);
        let _ = kubectl(&["-n", SYSTEM, "rollout", "status", "deployment/spillway", "--timeout=90s"]);
    }
}

/// Ends the sidecar's process from a container beside it, as `kubectl debug` offers it: the image has no shell of its own.
pub fn end_sidecar(space: &Space) -> Result<()> {
    let pod = space.kubectl(&["get", "pods", "-l", "app=app", "-o", "jsonpath={.items[0].metadata.name}"])?;
    let image = format!("--image={}", manifest::app_image());
    space.kubectl(&[
        "debug",
        &pod,
        &image,
        "--image-pull-policy=IfNotPresent",
        "--target=spillway-sidecar",
        "--profile=restricted",
        "--quiet",
        "--",
        "python3",
        "-c",
        "import os, signal; os.kill(1, signal.SIGTERM)",
    ])?;
    space.wait(&format!("pod/{pod}"), "jsonpath={.status.initContainerStatuses[0].restartCount}=1", "60s")?;
    space.wait(&format!("pod/{pod}"), "jsonpath={.status.initContainerStatuses[0].ready}=true", "60s")
}
