//! The objects that tests apply, as JSON values: kubectl takes them as well as YAML, and nothing has to be indented.

use serde_json::{Value, json};

/// The namespace of the providers and their keys; the chart was installed with a Role for it.
pub const KEYS: &str = "e2e-ai";
/// The key of the LLM servers, as `e2e/llm/llm.yaml` sets it.
pub const LLM_KEY: &str = "demo-key-that-opens-nothing-else";

/// The image with the SDKs.
#[must_use]
pub fn app_image() -> String {
    std::env::var("SPILLWAY_DEMO_APP")
        .unwrap_or_else(|_| concat!("localhost/spillway-app:", env!("CARGO_PKG_VERSION")).into())
}

/// A Secret with a provider key that has opted in for `hosts`.
#[must_use]
pub fn provider_key(name: &str, hosts: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "namespace": KEYS,
            "labels": {"spillway.dev/provider-key": "true"},
            "annotations": {"spillway.dev/allowed-hosts": hosts},
        },
        "stringData": {"apiKey": key},
    })
}

/// A ModelProvider for one of the LLM servers, `small` or `large`, usable from every namespace.
#[must_use]
pub fn provider(name: &str, server: &str, secret: &str) -> Value {
    let window = if server == "small" { 512 } else { 8192 };
    json!({
        "apiVersion": "spillway.dev/v1alpha1", "kind": "ModelProvider",
        "metadata": {"name": name, "namespace": KEYS},
        "spec": {
            "type": "OpenAICompatible",
            "endpoint": format!("http://{server}.llm.svc/v1"),
            "allowInsecure": true,
            "credentials": {"secretRef": {"name": secret, "key": "apiKey"}},
            "timeouts": {"connect": "1s", "firstByte": "30s"},
            "models": [{
                "name": server, "contextWindow": window, "maxOutputTokens": 256,
                "pricing": {"inputPerMillion": "1.00", "outputPerMillion": "4.00"},
            }],
            "allowedNamespaces": {"from": "All"},
        },
    })
}

/// A ModelRoute that asks provider `small` first and may fall back to `large`.
#[must_use]
pub fn route(name: &str) -> Value {
    route_by(name, &json!([backend("small", "small", "Primary"), backend("large", "large", "Fallback")]))
}

/// A ModelRoute with these backends.
#[must_use]
pub fn route_by(name: &str, backends: &Value) -> Value {
    json!({
        "apiVersion": "spillway.dev/v1alpha1", "kind": "ModelRoute",
        "metadata": {"name": name}, "spec": {"backends": backends},
    })
}

/// A backend: the model that `server` serves, at the ModelProvider `provider`.
#[must_use]
pub fn backend(server: &str, provider: &str, role: &str) -> Value {
    json!({"name": server, "providerRef": {"name": provider, "namespace": KEYS}, "model": server, "role": role})
}

/// A FallbackPolicy for the route of the same name: a larger window or another server, when there is need.
#[must_use]
pub fn policy(route: &str, on_exceeded: &str) -> Value {
    json!({
        "apiVersion": "spillway.dev/v1alpha1", "kind": "FallbackPolicy",
        "metadata": {"name": route},
        "spec": {
            "targetRefs": [{"group": "spillway.dev", "kind": "ModelRoute", "name": route}],
            "contextWindow": {"onExceeded": on_exceeded, "reserveOutputTokens": 64, "truncate": {"keepLast": 1}},
            "fallbacks": [
                {"onErrors": ["ContextWindowExceeded"], "to": ["large"]},
                {"onErrors": ["ConnectionError", "Timeout", "ServiceUnavailable", "InternalServerError"], "to": ["large"]},
            ],
        },
    })
}

/// A FallbackPolicy under which prompts are made to fit in this way.
#[must_use]
pub fn window_policy(route: &str, context_window: &Value) -> Value {
    let mut policy = policy(route, "Reject");
    policy["spec"]["contextWindow"] = context_window.clone();
    policy
}

/// A Deployment of the application, with the annotation that asks for the sidecar.
#[must_use]
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {"spillway.dev/inject": "true"}},
                "spec": pod_spec(&["python3", "app.py", "wait"]),
            },
        },
    })
}

/// A pod that passes Pod Security `restricted`, as most applications' do.
#[must_use]
pub fn pod_spec(command: &[&str]) -> Value {
    json!({
        "terminationGracePeriodSeconds": 2,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "app", "image": app_image(), "imagePullPolicy": "IfNotPresent", "command": command,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}
