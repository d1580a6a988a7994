//! Who is calling: a sidecar by its pod's bound token, or another replica by the operator's own ServiceAccount.
//!
//! Tokens are verified offline against cached keys, so that identity keeps working while the API server is away. A token says which pod
//! it was made for; what that pod is (its labels, its workload) comes from the pod index only. In `spillway dev` there are no
//! pods: one random token stands for one fixed pod.

mod claims;
mod cluster;
mod keys;
mod verify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use spillway_wire::SidecarIdentity;

use crate::pods::{PodEntry, Pods};

pub use claims::Claims;
pub use cluster::ApiServer;
pub use verify::TokenVerifier;

/// A new pod's sidecar may be faster than the watch that tells of the pod.
const POD_PATIENCE: Duration = Duration::from_secs(3);

/// Why a caller is refused. Says what is wrong with the token without repeating any of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("there is no bearer token (fix: send `authorization: Bearer TOKEN`)")]
    Missing,
    #[error("the token is not a JWT: {0}")]
    Malformed(&'static str),
    #[error("the token is signed with {0}, only RS256 and ES256 are accepted")]
    Algorithm(String),
    #[error("the token is signed with key {0:?}, which the API server does not list")]
    UnknownKey(String),
    #[error("the token's signature does not match its content")]
    Signature,
    #[error("the token is not meant for us, its audience is not {:?}", verify::AUDIENCE)]
    Audience,
    #[error("the token comes from another issuer than {0:?}")]
    Issuer(String),
    #[error("the token expired {0} s ago")]
    Expired(i64),
    #[error("the token is not valid for another {0} s (hint: compare the nodes' clocks)")]
    NotYetValid(i64),
    #[error("the token is not bound to a pod (fix: use a projected serviceAccountToken volume)")]
    NotBound,
    #[error("the token is not the one this operator was started with")]
    NotTheToken,
    #[error("the API server does not vouch for the token")]
    Review,
    #[error("pod {namespace}/{pod} is not an injected pod of this cluster, or is gone")]
    UnknownPod { namespace: String, pod: String },
    #[error("pod {namespace}/{pod} is being deleted")]
    Terminating { namespace: String, pod: String },
    #[error("ServiceAccount {0} is not the operator's")]
    NotAReplica(String),
    #[error("the token cannot be checked now: {0}")]
    Unavailable(String),
}

/// A sidecar that has proven who it is.
#[derive(Clone, Debug)]
pub struct Caller {
    pub identity: SidecarIdentity,
    pub terminating: bool,
    /// When its token ends. None: never.
    pub expires: Option<Instant>,
}

/// Decides who a caller is.
pub enum Authenticator {
    Cluster {
        verifier: Box<TokenVerifier>,
        pods: Pods,
        /// `namespace/name` of the operator's own ServiceAccount.
        own_account: String,
    },
    /// One token, one pod. Only the token's hash is kept.
    Fixed { token: [u8; 32], pod: Arc<PodEntry> },
}

// === impl Refusal ===

impl Refusal {
    /// The answer's status: 401 for a bad token, 403 for a good one of the wrong caller.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing
            | Self::Malformed(_)
            | Self::Algorithm(_)
            | Self::UnknownKey(_)
            | Self::Signature
            | Self::Audience
            | Self::Issuer(_)
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::NotBound
            | Self::NotTheToken
            | Self::Review => StatusCode::UNAUTHORIZED,
            Self::UnknownPod { .. } | Self::Terminating { .. } | Self::NotAReplica(_) => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

// === impl Authenticator ===

impl Authenticator {
    /// Sidecars are pods of the index, replicas have this ServiceAccount (`namespace/name`).
    #[must_use]
    pub fn cluster(verifier: TokenVerifier, pods: Pods, own_account: String) -> Self {
        Self::Cluster { verifier: Box::new(verifier), pods, own_account }
    }

    /// Whoever knows the token is this pod.
    #[must_use]
    pub fn fixed(token: &SecretString, pod: PodEntry) -> Self {
        Self::Fixed { token: Sha256::digest(token.expose_secret()).into(), pod: Arc::new(pod) }
    }

    /// Which sidecar sends these headers.
    pub async fn sidecar(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let token = bearer(headers)?;
        match self {
            Self::Fixed { token: expected, pod } => {
                // Hashes are compared, so the time this takes tells nothing about the token.
                let hash: [u8; 32] = Sha256::digest(token).into();
                if hash == *expected { Ok(caller(pod, None)) } else { Err(Refusal::NotTheToken) }
            }
            Self::Cluster { verifier, pods, .. } => {
                let (claims, expires) = verifier.verify(token).await?;
                let found = tokio::time::timeout(POD_PATIENCE, pods.wait_for(&claims.pod_uid)).await.ok().flatten();
                // A uid is never used twice; the names are compared because an answer about another pod must be impossible.
                match found.filter(|pod| pod.namespace == claims.namespace && pod.name == claims.pod) {
                    Some(pod) => Ok(caller(&pod, Some(expires))),
                    None if !pods.read().is_ready() => {
                        Err(Refusal::Unavailable("pods are still being listed".to_owned()))
                    }
                    None => Err(Refusal::UnknownPod { namespace: claims.namespace, pod: claims.pod }),
                }
            }
        }
    }

    /// Whether another replica of this operator sends these headers.
    pub async fn replica(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers)?;
        match self {
            Self::Fixed { .. } => Err(Refusal::NotTheToken),
            Self::Cluster { verifier, own_account, .. } => {
                let (claims, _) = verifier.verify(token).await?;
                let account = format!("{}/{}", claims.namespace, claims.service_account);
                if account == *own_account { Ok(()) } else { Err(Refusal::NotAReplica(account)) }
            }
        }
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cluster { .. } => "Cluster",
            Self::Fixed { .. } => "Fixed",
        })
    }
}

fn caller(pod: &PodEntry, expires: Option<Instant>) -> Caller {
    let identity = SidecarIdentity {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        workload: pod.workload.clone(),
        revision: pod.revision().map(str::to_owned),
        tenant: pod.tenant().map(str::to_owned),
        job: pod.job.clone(),
    };
    Caller { identity, terminating: pod.terminating, expires }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Refusal::Missing)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token.trim()) } else { Err(Refusal::Missing) }
}

#[cfg(test)]
mod tests;
