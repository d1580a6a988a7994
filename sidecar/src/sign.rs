//! AWS Signature Version 4: who asks, as headers that only the holder of the secret key can write.
//!
//! Pure: what is signed, with what, and when are all arguments. Signed are the host, the content's type, the date and the
//! body; what else a request carries may be changed on its way.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request},
    sign::v4::SigningParams,
};
use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

/// A key of AWS, or what a workload's identity was exchanged for.
#[derive(Clone, Debug)]
pub(crate) struct AwsCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    /// Of temporary credentials.
    pub(crate) session_token: Option<SecretString>,
}

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// Since 1970.
    pub(crate) at: Duration,
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// What the `host` header says.
    pub(crate) authority: &'a str,
    /// Path and query as they are sent.
    pub(crate) target: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) digest: &'a Digest,
}

/// What a signature says of a body.
#[derive(Clone, Debug)]
pub(crate) struct Digest(String);

/// Why a request cannot be signed. It never quotes a secret.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub(crate) struct SignError(String);

// === impl Digest ===

impl Digest {
    /// Reads all of it, which is what signing a large body costs.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

// === impl AwsCredentials ===

impl AwsCredentials {
    /// Reads a [`spillway_wire::AwsKey`]. None: it is some other key.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let key: spillway_wire::AwsKey = serde_json::from_str(key).ok()?;
        Some(Self {
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key.into(),
            session_token: key.session_token.map(SecretString::from),
        })
    }
}

/// The headers that sign a request: `authorization`, `x-amz-date`, and `x-amz-security-token` for temporary credentials.
pub(crate) fn sign(
    credentials: &AwsCredentials,
    scope: Scope<'_>,
    signed: Signed<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let AwsCredentials { access_key_id, secret_access_key, session_token } = credentials;
    let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let identity = Credentials::new(access_key_id, secret_access_key.expose_secret(), token, None, "spillway").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(SystemTime::UNIX_EPOCH + scope.at)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| SignError(error.to_string()))?
        .into();
    let Signed { method, authority, target, content_type, digest } = signed;
    let headers = [(header::HOST.as_str(), authority), (header::CONTENT_TYPE.as_str(), content_type)];
    let url = format!("https://{authority}{target}");
    let request = SignableRequest::new(method, url, headers.into_iter(), SignableBody::Precomputed(digest.0.clone()))
        .map_err(|error| SignError(error.to_string()))?;
    let (instructions, _) = sign_request(request, &params).map_err(|error| SignError(error.to_string()))?.into_parts();
    instructions.headers().map(|(name, value)| written(name, value)).collect()
}

fn written(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), SignError> {
    let fits_not = || SignError(format!("{name} fits no header"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fits_not())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| fits_not())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, path::Path};

    use flate2::read::GzDecoder;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Vec<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/tests/conformance/data/sigv4.jsonl.gz");
        let mut text = String::new();
        GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_signature_is_the_one_amazons_own_library_makes() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 32);
        for row in vectors {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            let credentials = AwsCredentials {
                access_key_id: text("access_key").to_owned(),
                secret_access_key: text("secret_key").into(),
                session_token: row["session_token"].as_str().map(SecretString::from),
            };
            let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text("date")).unwrap();
            let at = at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
            let scope = Scope {
                region: text("region"),
                service: text("service"),
                at: Duration::from_secs(at.try_into().unwrap()),
            };
            let rest = text("url").strip_prefix("https://").unwrap();
            let (authority, _) = rest.split_once('/').unwrap();
            let signed = Signed {
                method: text("method"),
                authority,
                target: &rest[authority.len()..],
                content_type: row["headers_in"]["content-type"].as_str().unwrap(),
                digest: &Digest::of(text("body").as_bytes()),
            };
            let headers = sign(&credentials, scope, signed).unwrap();
            for (name, want) in row["headers_out"].as_object().unwrap() {
                if name == "content-type" {
                    continue;
                }
                let got = headers.iter().find(|(header, _)| header.as_str() == name);
                assert_eq!(got.and_then(|(_, value)| value.to_str().ok()), want.as_str(), "{} {name}", text("id"));
            }
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "canary-secret".into(),
            session_token: Some("canary-token".into()),
        };
        let scope = Scope { region: "us-east-1", service: "bedrock", at: Duration::ZERO };
        let digest = &Digest::of(b"");
        let signed = Signed { method: "POST", authority: "a", target: "/", content_type: "application/json", digest };
        let headers = sign(&credentials, scope, signed).unwrap();
        assert!(!format!("{credentials:?} {headers:?}").contains("canary"));
    }
}
