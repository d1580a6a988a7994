//! What travels from the operator to a sidecar: one HTTP/2 request, answered by JSON messages, one a line.

use serde::{Deserialize, Serialize};

use crate::{Map, Rights, Snapshot};

/// The version of this protocol that both sides speak.
pub const PROTOCOL: u32 = 1;

/// Paths on the operator's sidecar port. All are POST with `authorization: Bearer <projected token>`.
pub mod paths {
    /// Body [`super::Subscribe`]; answer: a stream of [`super::Down`], `application/x-ndjson`.
    pub const SUBSCRIBE: &str = "/v1/subscribe";
    /// Body [`crate::Report`]; answer 204.
    pub const REPORT: &str = "/v1/report";
    /// Body [`crate::QuotaReport`]; answer 204. What it brings comes as [`super::Down::Rights`].
    pub const QUOTA: &str = "/v1/quota";
    /// Between replicas only: body a list of [`crate::Delivery`]; answer 204.
    pub const RELAY: &str = "/v1/relay";
    /// Between replicas only: body a list of [`crate::QuotaDelivery`]; answer 204.
    pub const RELAY_QUOTA: &str = "/v1/relay/quota";
    /// Between replicas only: no body; answer: a stream of [`crate::RightsDelivery`], `application/x-ndjson`, for the sources
    /// whose reports the asking replica relays.
    pub const RIGHTS: &str = "/v1/rights";
}

/// The first words of a sidecar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subscribe {
    pub protocol: u32,
    /// The sidecar's own version, `0.1.0`.
    pub version: String,
    /// Names this start of this container; with the pod's uid it names a counter that only ever grows.
    pub boot: String,
    /// The revision it runs already. The operator does not send that one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Versions of the credentials it holds, by key.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub credentials: Map<String>,
}

/// One line from the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Down {
    /// Replaces everything before it. The operator sends the next one only after this one was acknowledged.
    Snapshot { snapshot: Box<Snapshot> },
    /// Sent before the snapshot that needs it.
    Credential { credential: Credential },
    /// The CA bundle to trust from the next connection on.
    Trust { ca_pem: String },
    /// What it may spend. Apart from the config: it changes all the time.
    Rights { rights: Rights },
    /// Every 10 s, so that a dead connection is noticed.
    Ping,
}

/// A provider key. It travels apart from the snapshot so that a snapshot may be logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    /// What [`crate::Provider::credential`] says: `namespace/provider`.
    pub key: String,
    /// A hash of the value; two equal versions are the same key.
    pub version: String,
    /// None: withdrawn, forget it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.value.is_some() { "[redacted]" } else { "withdrawn" };
        f.debug_struct("Credential")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("value", &value)
            .finish()
    }
}
