//! What travels from a sidecar to the operator: what it runs, and what it has used.
//!
//! A report is *cumulative* and complete: it carries every total this boot ever counted in the days it still remembers
//! (today and yesterday). The reader keeps the larger of two totals with one key, so a report that is lost, repeated or late changes
//! nothing but the delay. Sent within a second of a change and at least every ten.

use serde::{Deserialize, Serialize};

use crate::Map;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The boot that [`crate::Subscribe`] named.
    pub boot: String,
    /// Grows by one with each report of this boot.
    pub sequence: u64,
    pub ack: Ack,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<UsageLine>,
    /// True for the last report of its boot: of a sidecar that is going away, or of a boot that is over and whose totals
    /// the next one delivers. What such a report says of the config is of no interest any more.
    #[serde(default)]
    pub last: bool,
    /// Backends that are left alone now, or only tried: [`Report::MAX_BACKENDS`] at most. All others are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<RestingBackend>,
}

/// A backend that a sidecar leaves alone for now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RestingBackend {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
    pub state: RestState,
    /// Why, in words: [`RestingBackend::MAX_REASON_BYTES`] at most.
    pub reason: String,
    /// Seconds since 1970 when it was last found wanting.
    pub since: u64,
    /// Seconds since 1970 when it is tried again. None: the next request may try it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What a breaker is that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RestState {
    /// No request gets to it.
    Open,
    /// One request at a time tries whether it is well again.
    HalfOpen,
}

/// Which config the sidecar runs, and which one it had to refuse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The revision in use. None: none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// The newest revision it could not use, and why; cleared by the next one it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(String, String)>,
    /// Route names (`namespace/name`) with a reason why they cannot serve here although the snapshot was taken.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub degraded: Map<String>,
    /// Context windows that proved smaller than the config says, in tokens, by route and then by backend:
    /// [`Report::MAX_BACKENDS`] backends at most.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub learnt_windows: Map<Map<u64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageLine {
    #[serde(flatten)]
    pub key: UsageKey,
    #[serde(flatten)]
    pub totals: UsageTotals,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageKey {
    /// UTC day the request was admitted in: `2026-11-21`.
    pub day: String,
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
    /// `namespace/name` of the ModelProvider.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// Totals since the sidecar's boot, for one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotals {
    pub requests: u64,
    pub errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_nanos: u64,
    /// Requests whose price nobody knows; their cost is not in `cost_nanos`.
    #[serde(default)]
    pub unpriced: u64,
}

/// A report with the identity that the receiving replica verified, passed on to the replica that holds the lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub from: SidecarIdentity,
    pub report: Report,
}

/// Who a sidecar is, by its verified token and the API server's own record of the pod: never by its own word.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SidecarIdentity {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    /// `Deployment/checkout`, `CronJob/nightly`, or `Pod/name` for a bare pod.
    pub workload: String,
    /// Which edition of the workload: its pods' `pod-template-hash`, or `controller-revision-hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The pod's label `spillway.dev/tenant`: whoever may make pods in a namespace chooses it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The Job that the pod belongs to, one of many where the workload is a CronJob: `nightly-29384400`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

// === impl Report ===

impl Report {
    /// An outage of everything must not make a report that nobody takes.
    pub const MAX_BACKENDS: usize = 512;
}

// === impl RestingBackend ===

impl RestingBackend {
    pub const MAX_REASON_BYTES: usize = 400;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json, to_value};

    use super::*;

    fn report(backends: Value) -> Value {
        json!({"boot": "b", "sequence": 1, "ack": {"running": "r1"}, "last": false, "backends": backends})
    }

    #[test]
    fn a_backend_that_is_left_alone_survives_the_journey() {
        let line =
            |state: &str| json!({"route": "shop/chat", "backend": "mini", "state": state, "reason": "x", "since": 1});
        let mut open = line("Open");
        open["until"] = json!(31);
        let sent = report(json!([open, line("HalfOpen")]));
        let read: Report = from_value(sent.clone()).unwrap();
        assert_eq!((read.backends[0].state, read.backends[0].until), (RestState::Open, Some(31)));
        assert_eq!((read.backends[1].state, read.backends[1].until), (RestState::HalfOpen, None));
        assert_eq!(to_value(read).unwrap(), sent);
    }

    #[test]
    fn a_report_of_a_sidecar_that_knows_nothing_of_it_says_that_all_are_asked() {
        let mut old = report(json!([]));
        old.as_object_mut().unwrap().remove("backends");
        let read: Report = from_value(old.clone()).unwrap();
        assert_eq!(read.backends, []);
        assert_eq!(to_value(read).unwrap(), old, "nor is anything sent of it");
    }
}
