//! The API server's public keys, kept longer than it lists them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Tokens live an hour; a key that vanished from the list may still have signed one of them.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Who issues tokens, and the keys that are listed now.
#[derive(Debug)]
pub struct Published {
    pub issuer: String,
    keys: Vec<(String, Algorithm, DecodingKey)>,
}

/// Every key that was listed in the last day.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    issuer: Option<String>,
    keys: HashMap<String, Listed>,
}

#[derive(Debug)]
struct Listed {
    algorithm: Algorithm,
    key: DecodingKey,
    seen: Instant,
}

// === impl Published ===

impl Published {
    /// From the answers of `/.well-known/openid-configuration` and `/openid/v1/jwks`. Keys of types we do not accept are left out.
    pub fn parse(configuration: &str, jwks: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
        }
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }
        let Configuration { issuer } = serde_json::from_str(configuration)?;
        let Jwks { keys } = serde_json::from_str(jwks)?;
        Ok(Self { issuer, keys: keys.into_iter().filter_map(usable).collect() })
    }
}

/// The algorithm follows from the key, never from the token that claims to be signed with it.
fn usable(jwk: Value) -> Option<(String, Algorithm, DecodingKey)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some((jwk.common.key_id?, algorithm, key))
}

// === impl KeyRing ===

impl KeyRing {
    pub(super) fn merge(&mut self, published: Published, now: Instant) {
        let Published { issuer, keys } = published;
        self.issuer = Some(issuer);
        for (kid, algorithm, key) in keys {
            self.keys.insert(kid, Listed { algorithm, key, seen: now });
        }
        self.keys.retain(|_, listed| now.duration_since(listed.seen) < KEEP);
    }

    /// None until the keys could be had once.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(super) fn get(&self, kid: &str) -> Option<(Algorithm, &DecodingKey)> {
        self.keys.get(kid).map(|listed| (listed.algorithm, &listed.key))
    }
}
