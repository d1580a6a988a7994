//! The operator as a peer: one HTTP/2 connection over TLS that carries the config stream and the reports.
//!
//! Trust is narrow on purpose: the CA bundle given to us and no other root, no proxy from the environment, no redirect. The
//! token is read again for each request because the kubelet replaces it while we run.

mod dns;
#[cfg(test)]
pub(crate) mod fake;

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderValue, StatusCode, header};
use reqwest::{Client, Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;

use crate::settings::{self, OperatorSource};

/// TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From sending a request to the head of its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead peer is noticed after 15 s, before the stream's own silence limit.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tokens are about 1 KiB.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// How much of a refusal goes to the log.
const MAX_REASON_BYTES: usize = 512;

/// How to reach the operator.
#[derive(Debug)]
pub struct Link {
    url: String,
    token_file: PathBuf,
    client: Mutex<Client>,
}

/// Why the operator was not reached, or what it said instead of yes.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("CA bundle {0}")]
    Trust(String),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("token {path} cannot be read (hint: it is a projected volume of audience spillway)")]
    Token { path: PathBuf, source: io::Error },
    #[error("token {path} does not look like a token")]
    TokenContent { path: PathBuf },
    #[error("operator cannot be reached")]
    Http(#[source] reqwest::Error),
    #[error("operator does not answer within {}s", ANSWER_TIMEOUT.as_secs())]
    Silent,
    #[error("operator answers {status}: {reason}")]
    Refused { status: StatusCode, reason: String },
}

// === impl LinkError ===

impl LinkError {
    /// True if the same words would be refused again for ever.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS => false,
                status => status.is_client_error(),
            },
            Self::Trust(_) | Self::Tls(_) | Self::Token { .. } | Self::TokenContent { .. } => false,
            Self::Http(_) | Self::Silent => false,
        }
    }
}

impl From<reqwest::Error> for LinkError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

// === impl Link ===

impl Link {
    /// Nothing is connected yet; the first request does that.
    pub fn new(source: &OperatorSource, ca_pem: &str) -> Result<Self, LinkError> {
        let client = Mutex::new(client(ca_pem)?);
        Ok(Self { url: source.url.clone(), token_file: source.token_file.clone(), client })
    }

    /// Trusts `ca_pem`, and nothing else, from the next connection on.
    pub fn trust(&self, ca_pem: &str) -> Result<(), LinkError> {
        let client = client(ca_pem)?;
        *self.client.lock().expect("nothing panics while holding the client") = client;
        Ok(())
    }

    /// Sends `body` as JSON and waits for the head of a successful answer.
    pub async fn post<T: Serialize + Sync>(&self, path: &str, body: &T) -> Result<Response, LinkError> {
        let client = self.client.lock().expect("nothing panics while holding the client").clone();
        let authorization = self.authorization()?;
        let request =
            client.post(format!("{}{path}", self.url)).header(header::AUTHORIZATION, authorization).json(body);
        let response = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await.map_err(|_| LinkError::Silent)??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let reason = tokio::time::timeout(ANSWER_TIMEOUT, reason(response)).await.unwrap_or_default();
        Err(LinkError::Refused { status, reason })
    }

    fn authorization(&self) -> Result<HeaderValue, LinkError> {
        let path = || self.token_file.clone();
        let mut token = String::from("Bearer ");
        let read = File::open(&self.token_file).and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut token));
        read.map_err(|source| LinkError::Token { path: path(), source })?;
        let mut value =
            HeaderValue::from_str(token.trim_end()).map_err(|_| LinkError::TokenContent { path: path() })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn client(ca_pem: &str) -> Result<Client, LinkError> {
    let mut roots = RootCertStore::empty();
    for certificate in settings::certificates(ca_pem).map_err(LinkError::Trust)? {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .dns_resolver(dns::Resolver::default())
        .user_agent(concat!("spillway-sidecar/", env!("CARGO_PKG_VERSION")))
        .http2_prior_knowledge()
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .http2_keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .build()?;
    Ok(client)
}

/// The beginning of a refusal's body.
async fn reason(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_REASON_BYTES {
            break;
        }
    }
    bytes.truncate(MAX_REASON_BYTES);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
