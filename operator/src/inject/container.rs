//! What is added to a pod: the sidecar container, its volumes, and the env of the application containers.
//!
//! Everything here passes Pod Security `restricted`: no root, no capabilities, no iptables, projected and memory-backed
//! volumes only. The token volume and the journal are mounted in the sidecar and nowhere else.

use serde_json::{Value, json};

use super::{Injection, overrides::Overrides};

/// The injected container's name: what makes a pod "injected".
pub const SIDECAR: &str = "spillway-sidecar";
/// Volumes by name; a pod that has volumes of these names by itself cannot be injected.
pub(super) const VOLUMES: [&str; 2] = [TOKEN_VOLUME, JOURNAL_VOLUME];

const TOKEN_VOLUME: &str = "spillway-token";
const JOURNAL_VOLUME: &str = "spillway-journal";
const TOKEN_DIR: &str = "/var/run/spillway/token";
const JOURNAL_DIR: &str = "/var/run/spillway/journal";
/// Any non-zero uid will do; this one is `nonroot` in common minimal images.
const UID: u32 = 65532;

/// The native sidecar: an init container that starts first, keeps running, and ends after the application.
pub(super) fn sidecar(injection: &Injection, overrides: &Overrides) -> Value {
    let probe = |path: &str| json!({"path": path, "port": overrides.admin_port, "scheme": "HTTP"});
    json!({
        "name": SIDECAR,
        "image": injection.image,
        "imagePullPolicy": injection.pull_policy,
        "restartPolicy": "Always",
        "env": env(injection, overrides),
        "ports": [{"name": "spillway-admin", "containerPort": overrides.admin_port, "protocol": "TCP"}],
        // The application starts once this passes; the sidecar answers it after 5 s even without config, so a pod never
        // hangs on Spillway. The bound only catches a process that cannot start at all.
        "startupProbe": {"httpGet": probe("/startupz"), "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 30},
        // Slow to act: a throttled sidecar must not be killed for it. Readiness is not probed: what the sidecar waits
        // for must not take the application out of its Service.
        "livenessProbe": {"httpGet": probe("/livez"), "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 6},
        "resources": resources(overrides),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsGroup": UID,
            "runAsNonRoot": true,
            "runAsUser": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIR, "readOnly": true},
            {"name": JOURNAL_VOLUME, "mountPath": JOURNAL_DIR},
        ],
    })
}

/// The volumes behind [`sidecar`]'s mounts, in the order of [`VOLUMES`].
pub(super) fn volumes() -> [Value; 2] {
    [
        // A projected token works for pods with `automountServiceAccountToken: false` too. The kubelet renews it.
        json!({"name": TOKEN_VOLUME, "projected": {"sources": [
            {"serviceAccountToken": {"audience": "spillway", "expirationSeconds": 3600, "path": "token"}},
        ]}}),
        // Survives a restart of the container, not the pod; in memory, so it counts towards the sidecar's own limit.
        json!({"name": JOURNAL_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}),
    ]
}

/// What makes an unmodified SDK call the sidecar. The keys are placeholders: SDKs refuse to start without one.
pub fn app_env(data_port: u16) -> [(&'static str, String); 4] {
    let origin = format!("http://127.0.0.1:{data_port}");
    [
        ("OPENAI_BASE_URL", format!("{origin}/v1")),
        ("OPENAI_API_KEY", "spillway".to_owned()),
        ("ANTHROPIC_BASE_URL", origin),
        ("ANTHROPIC_API_KEY", "spillway".to_owned()),
    ]
}

fn env(injection: &Injection, overrides: &Overrides) -> Value {
    let field = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    json!([
        {"name": "SPILLWAY_OPERATOR", "value": injection.operator_url},
        {"name": "SPILLWAY_CA_PEM", "value": injection.ca_pem},
        {"name": "SPILLWAY_TOKEN_FILE", "value": format!("{TOKEN_DIR}/token")},
        {"name": "SPILLWAY_JOURNAL_DIR", "value": JOURNAL_DIR},
        {"name": "SPILLWAY_DATA_ADDR", "value": format!("127.0.0.1:{}", overrides.data_port)},
        {"name": "SPILLWAY_ADMIN_ADDR", "value": format!("0.0.0.0:{}", overrides.admin_port)},
        {"name": "SPILLWAY_LOG", "value": overrides.log_level},
        {"name": "SPILLWAY_DRAIN", "value": overrides.drain},
        {"name": "SPILLWAY_POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
        {"name": "SPILLWAY_POD_NAME", "valueFrom": field("metadata.name")},
        // Most pods have no name yet when they are admitted, so the kubelet puts it together.
        {"name": "SPILLWAY_POD", "value": "$(SPILLWAY_POD_NAMESPACE)/$(SPILLWAY_POD_NAME)"},
    ])
}

fn resources(overrides: &Overrides) -> Value {
    let mut limits = json!({"memory": overrides.memory_limit});
    if let Some(cpu) = &overrides.cpu_limit {
        limits["cpu"] = json!(cpu);
    }
    json!({"requests": {"cpu": overrides.cpu_request, "memory": overrides.memory_request}, "limits": limits})
}
