//! Small configs for the tests of this module.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::json;
use spillway_crds::LabelSelector;
use spillway_wire::{Ack, Delivery, Report, RestState, RestingBackend, SidecarIdentity, Subscribe};

use crate::compile::{Compiled, CompiledRoute};
use crate::pods::PodEntry;

/// A config that is built route by route.
#[derive(Default)]
pub(super) struct Sample(Compiled);

impl Sample {
    /// Namespace `shop` has this route to this provider, for pods with this label `app`, or for all.
    pub(super) fn route(mut self, name: &str, provider: &str, app: Option<&str>) -> Self {
        let provider = format!("ai/{provider}");
        let route = json!({
            "namespace": "shop", "name": name, "models": [name],
            "backends": [{"name": "main", "provider": provider, "role": "Primary",
                          "model": {"name": "m", "tokenizer": "Estimate", "tools": true, "parallel_tools": true, "vision": false,
                                    "json_schema": true}}],
            "context_window": {"on_exceeded": "Reject", "reserve_output_tokens": 1,
                               "truncate": {"keep_system": true, "keep_last": 1}},
            "retries": {"attempts": 1, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 1, "honour_retry_after_ms": 1},
            "request": {"unsupported": "Drop", "max_body_bytes": 1, "timeout_ms": 1},
            "streaming": {"first_token_timeout_ms": 1, "idle_timeout_ms": 1},
        });
        let selector = app.map(|app| LabelSelector::label("app", app));
        let route = CompiledRoute { namespace: "shop".into(), selector, route: serde_json::from_value(route).unwrap() };
        self.0.routes.insert(format!("shop/{name}"), route);
        let wire = json!({
            "kind": "OpenAI", "dialect": "OpenAi", "base_url": "https://api.example/v1", "auth": "Bearer", "credential": provider,
            "timeouts": {"connect_ms": 1, "first_byte_ms": 1, "idle_ms": 1, "total_ms": 1},
        });
        self.0.providers.insert(provider, serde_json::from_value(wire).unwrap());
        self
    }

    pub(super) fn key(mut self, provider: &str, value: &str) -> Self {
        self.0.credentials.insert(format!("ai/{provider}"), SecretString::from(value.to_owned()));
        self
    }

    /// The route asks for another model from now on.
    pub(super) fn changed(mut self, name: &str) -> Self {
        self.0.routes.get_mut(&format!("shop/{name}")).unwrap().route.models.push("another".into());
        self
    }

    pub(super) fn build(self) -> Compiled {
        self.0
    }
}

pub(super) fn labels(app: &str) -> BTreeMap<String, String> {
    [("app".to_owned(), app.to_owned())].into()
}

pub(super) fn pod(uid: &str, app: &str) -> PodEntry {
    PodEntry {
        uid: uid.into(),
        namespace: "shop".into(),
        name: format!("pod-{uid}"),
        labels: labels(app),
        workload: format!("Deployment/{app}"),
        job: None,
        terminating: false,
        running: true,
    }
}

pub(super) fn identity(uid: &str) -> SidecarIdentity {
    let [namespace, workload] = ["shop", "Deployment/web"].map(str::to_owned);
    SidecarIdentity { namespace, pod: format!("pod-{uid}"), uid: uid.into(), workload, ..SidecarIdentity::default() }
}

pub(super) fn subscribe(boot: &str, revision: Option<&str>) -> Subscribe {
    let revision = revision.map(str::to_owned);
    Subscribe { protocol: 1, version: "0.1.0".into(), boot: boot.into(), revision, credentials: BTreeMap::new() }
}

pub(super) fn running(revision: &str) -> Ack {
    Ack { running: Some(revision.to_owned()), ..Ack::default() }
}

pub(super) fn delivery(uid: &str, boot: &str, sequence: u64, ack: Ack) -> Delivery {
    let report = Report { boot: boot.into(), sequence, ack, usage: Vec::new(), last: false, backends: Vec::new() };
    Delivery { from: identity(uid), report }
}

pub(super) fn resting(route: &str, backend: &str) -> RestingBackend {
    let (state, reason) = (RestState::Open, "5 failures in a row".to_owned());
    RestingBackend { route: route.into(), backend: backend.into(), state, reason, since: 100, until: Some(130) }
}
