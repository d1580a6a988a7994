//! The claims of a bound ServiceAccount token that we use.

use serde::Deserialize;

use super::Refusal;

/// Accepted difference between the clocks of the token's issuer and ours.
const LEEWAY_SECONDS: i64 = 60;

/// Which pod and ServiceAccount a token was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub namespace: String,
    pub service_account: String,
    pub pod: String,
    pub pod_uid: String,
}

/// The token's payload, as the API server writes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Payload {
    pub(super) exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Option<Kubernetes>,
}

#[derive(Clone, Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Option<Bound>,
    serviceaccount: Bound,
}

#[derive(Clone, Debug, Deserialize)]
struct Bound {
    name: String,
    uid: String,
}

// === impl Payload ===

impl Payload {
    /// Checks the times and takes out what we need.
    pub(super) fn claims(self, now: i64) -> Result<Claims, Refusal> {
        let Self { exp, nbf, kubernetes } = self;
        if now > exp.saturating_add(LEEWAY_SECONDS) {
            return Err(Refusal::Expired(now - exp));
        }
        if let Some(nbf) = nbf.filter(|nbf| now < nbf.saturating_sub(LEEWAY_SECONDS)) {
            return Err(Refusal::NotYetValid(nbf - now));
        }
        let Some(Kubernetes { namespace, pod: Some(pod), serviceaccount }) = kubernetes else {
            return Err(Refusal::NotBound);
        };
        Ok(Claims { namespace, service_account: serviceaccount.name, pod: pod.name, pod_uid: pod.uid })
    }
}
