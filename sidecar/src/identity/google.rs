//! Google: the key file of a service account (RFC 7523), or the metadata server of GKE and Compute Engine.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderName, HeaderValue, header};
use rustls::{SignatureScheme, sign::SigningKey};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;

use super::{
    Environment, Proof, Token,
    exchange::{Question, Trouble, Way, form},
};
use crate::clock;

#[derive(Debug)]
pub(super) enum Source {
    KeyFile(Box<KeyFile>),
    Pod { metadata: String, iam: String, scope: String, become_: Option<String> },
}

/// What a key file says, ready for use.
#[derive(Debug)]
pub(super) struct KeyFile {
    email: String,
    key_id: Option<String>,
    token_uri: String,
    scope: String,
    key: Arc<dyn SigningKey>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: String,
}

/// Where tokens are given, and whom an assertion is for, wherever a file says to ask.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest Google allows.
const LIFETIME: Duration = Duration::from_secs(3600);

// === impl Source ===

impl Source {
    pub(super) fn of_key_file(text: &str, scope: &str) -> Result<Self, Trouble> {
        let setup = |why: &str| Trouble::Setup(format!("the document in the Secret {why}"));
        let document: Document =
            serde_json::from_str(text).map_err(|_| setup("is not the key file of a service account"))?;
        let Document { kind, client_email: email, private_key, private_key_id: key_id, token_uri } = document;
        if kind != "service_account" {
            let kind: String = kind.chars().filter(|it| !it.is_control()).take(40).collect();
            return Err(setup(&format!("is of type {kind:?}, only key files of type \"service_account\" can be used")));
        }
        if email.is_empty() {
            return Err(setup("has no client_email"));
        }
        let key = PrivateKeyDer::from_pem_slice(private_key.as_bytes())
            .map_err(|_| setup("has no private_key in PEM"))
            .and_then(|key| {
                rustls::crypto::ring::sign::any_supported_type(&key)
                    .map_err(|_| setup("has a private_key that is no RSA key of 2048 bits or more"))
            })?;
        let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
        Ok(Self::KeyFile(Box::new(KeyFile { email, key_id, token_uri, scope: scope.to_owned(), key })))
    }

    pub(super) fn of_pod(environment: &Environment, scope: &str, role: Option<&str>) -> Self {
        Self::Pod {
            metadata: environment.metadata.clone(),
            iam: environment.google_iam.clone(),
            scope: scope.to_owned(),
            become_: role.map(str::to_owned),
        }
    }

    /// Who is asked, and last.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::KeyFile(file) => &file.token_uri,
            Self::Pod { iam, become_: Some(_), .. } => iam,
            Self::Pod { metadata, .. } => metadata,
        }
    }

    pub(super) async fn fetch(&self, way: &Way) -> Result<Token, Trouble> {
        match self {
            Self::KeyFile(file) => {
                let assertion = file.assertion(clock::since_epoch())?;
                let fields = [("grant_type", GRANT), ("assertion", assertion.as_str())];
                Token::of(way.ask(Question::form(file.token_uri.clone(), &fields)).await?)
            }
            Self::Pod { metadata, iam, scope, become_ } => {
                let path = "/computeMetadata/v1/instance/service-accounts/default/token";
                let question = Question::get(format!("{metadata}{path}?{}", form(&[("scopes", scope)])))
                    .header(HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"))
                    .local();
                let own = Token::of(way.ask(question).await?)?;
                match become_ {
                    Some(account) => become_account(way, iam, account, scope, own).await,
                    None => Ok(own),
                }
            }
        }
    }
}

/// A token of another account, for one that may impersonate it.
async fn become_account(way: &Way, iam: &str, account: &str, scope: &str, own: Token) -> Result<Token, Trouble> {
    let Proof::Header(authorization) = own.proof else { return Ok(own) };
    let url = format!("{iam}/v1/projects/-/serviceAccounts/{account}:generateAccessToken");
    let body = json!({"scope": [scope], "lifetime": format!("{}s", LIFETIME.as_secs())});
    let question = Question::json(url, &body).header(header::AUTHORIZATION, authorization);
    let Impersonated { access_token, expire_time } = way.ask(question).await?;
    Ok(Token { proof: Proof::bearer(&access_token)?, lives: super::aws::until(&expire_time)? })
}

// === impl KeyFile ===

impl KeyFile {
    /// A JWT that says who asks and for what, signed with the account's key.
    fn assertion(&self, now: Duration) -> Result<String, Trouble> {
        let mut head = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            head["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email, "scope": self.scope, "aud": TOKEN_URI,
            "iat": now.as_secs(), "exp": (now + LIFETIME).as_secs(),
        });
        let part = |value: &serde_json::Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let unsigned =
            || Trouble::Setup("the private_key of the document in the Secret cannot sign with RS256".to_owned());
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(unsigned)?;
        let signature = signer.sign(signed.as_bytes()).map_err(|_| unsigned())?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

// === impl Token ===

impl Token {
    fn of(Answer { access_token, expires_in }: Answer) -> Result<Self, Trouble> {
        Ok(Self { proof: Proof::bearer(&access_token)?, lives: Duration::from_secs(expires_in) })
    }
}
