//! A token in, its claims out; the API server is asked only for keys it has not shown yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use sha2::{Digest, Sha256};

use super::Refusal;
use super::claims::{Claims, Payload};
use super::cluster::ApiServer;
use super::keys::KeyRing;
use crate::clock::Clock;

/// What sidecars' tokens are made for.
pub(super) const AUDIENCE: &str = "spillway";
/// However many unknown keys callers come up with, the API server is asked this often at most.
const REFETCH: Duration = Duration::from_secs(30);
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Real ones have some 1,200 characters.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Tokens whose signatures are remembered. A sidecar shows one token for most of an hour.
const MAX_REMEMBERED: usize = 20_000;

/// Verifies tokens offline.
pub struct TokenVerifier {
    api: ApiServer,
    ring: RwLock<KeyRing>,
    /// What was in tokens that passed every check but that of time, by the token's hash: a fleet that reports every few seconds would
    /// otherwise keep a core busy with signatures.
    remembered: Mutex<HashMap<[u8; 32], Payload>>,
    /// When the keys were last asked for; held while asking, so that one caller asks and the others wait for it.
    asked: tokio::sync::Mutex<Option<Instant>>,
    clock: Clock,
}

// === impl TokenVerifier ===

impl TokenVerifier {
    #[must_use]
    pub fn new(api: ApiServer, clock: Clock) -> Self {
        Self { api, ring: RwLock::default(), remembered: Mutex::default(), asked: tokio::sync::Mutex::default(), clock }
    }

    /// The claims of a token that is ours and valid now, and when it ends.
    pub async fn verify(&self, token: &str) -> Result<(Claims, Instant), Refusal> {
        let name: [u8; 32] = Sha256::digest(token).into();
        let known = self.remembered().get(&name).cloned();
        let payload = match known {
            Some(payload) => payload,
            None => {
                let kid = signed_by(token)?;
                if !self.knows(&kid) {
                    self.refetch(&kid).await;
                }
                let Some(checked) = self.check(token, &kid) else {
                    // No keys yet: a cluster that hides them, or an API server that is starting.
                    let claims = self.api.review(token).await?;
                    return Ok((claims, self.clock.monotonic() + REFETCH));
                };
                let payload = checked?;
                let mut remembered = self.remembered();
                if remembered.len() >= MAX_REMEMBERED {
                    remembered.clear();
                }
                remembered.insert(name, payload.clone());
                payload
            }
        };
        let now = self.clock.unix();
        let left = Duration::from_secs(u64::try_from(payload.exp.saturating_sub(now)).unwrap_or_default());
        // Clamped, because the sum of an instant and an absurd duration does not exist.
        let expires = self.clock.monotonic() + left.min(LONGEST_LIFE);
        Ok((payload.claims(now)?, expires))
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<[u8; 32], Payload>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, kid: &str) -> bool {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).get(kid).is_some()
    }

    async fn refetch(&self, kid: &str) {
        let mut asked = self.asked.lock().await;
        let now = self.clock.monotonic();
        if self.knows(kid) || asked.is_some_and(|asked| now.duration_since(asked) < REFETCH) {
            return;
        }
        *asked = Some(now);
        match self.api.keys().await {
            Ok(published) => self.ring.write().unwrap_or_else(PoisonError::into_inner).merge(published, now),
            Err(error) => tracing::warn!(error, "the API server's token keys could not be read"),
        }
    }

    /// None: no keys are known at all.
    fn check(&self, token: &str, kid: &str) -> Option<Result<Payload, Refusal>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let issuer = ring.issuer()?;
        let Some((algorithm, key)) = ring.get(kid) else {
            return Some(Err(Refusal::UnknownKey(kid.chars().take(64).collect())));
        };
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        // The times are checked in `claims`, against the clock that was handed to us.
        validation.validate_exp = false;
        let decoded = decode::<Payload>(token, key, &validation);
        Some(decoded.map(|data| data.claims).map_err(|error| refusal(error.kind(), issuer)))
    }
}

/// The id of the key that is said to have signed the token.
fn signed_by(token: &str) -> Result<String, Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::Malformed("it has more than 16384 bytes"));
    }
    let header = decode_header(token)
        .map_err(|_| Refusal::Malformed("its header does not parse or names no usable algorithm"))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(Refusal::Algorithm(format!("{:?}", header.alg)));
    }
    header.kid.ok_or(Refusal::Malformed("its header names no key"))
}

fn refusal(kind: &ErrorKind, issuer: &str) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::InvalidIssuer => Refusal::Issuer(issuer.to_owned()),
        ErrorKind::InvalidAlgorithm => Refusal::Malformed("its algorithm is not that of its key"),
        ErrorKind::MissingRequiredClaim(_) => Refusal::Malformed("it lacks exp, aud or iss"),
        _ => Refusal::Malformed("its content does not parse"),
    }
}
