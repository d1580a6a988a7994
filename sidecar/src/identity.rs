//! Who we are to a cloud: short-lived keys for a document in a Secret, or for the pod's own identity.
//!
//! An exchange goes where a provider's requests may go: the same address rule, the same proxy, bounded in time and size.
//! Only the metadata services of the clouds lie outside of that rule. Their addresses are constants of this folder, or come
//! from the pod's environment where the cloud put them; no resource can name one.

mod aws;
mod azure;
mod environment;
mod exchange;
mod google;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use spillway_wire::{Cloud, Exchange};

pub use environment::Environment;
pub(crate) use exchange::Way;
pub(crate) use tokens::Given;

use exchange::Trouble;
use tokens::Tokens;

use crate::{
    secrets::{self, Secrets},
    sign::AwsCredentials,
};

/// What a request proves itself with.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// The value of the `authorization` header, marked sensitive.
    Header(HeaderValue),
    /// What the request is signed with.
    Aws(Arc<AwsCredentials>),
}

/// Why there is no proof. It goes to the application, so it names hosts, files and what was said, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NoProof {
    pub(crate) lack: Lack,
    why: String,
}

/// Where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Whoever gives proofs takes too long.
    Slow,
    /// They cannot be asked, or not now.
    Unreachable,
    /// They say no.
    Refused,
    /// Nobody was asked: what we would ask with is not there, or makes no sense.
    Setup,
}

/// A proof and how long it is good for.
#[derive(Debug)]
struct Token {
    proof: Proof,
    lives: Duration,
}

/// Where proofs come from.
#[derive(Debug)]
enum Source {
    Google(google::Source),
    Azure(azure::Source),
    Aws(aws::Source),
    #[cfg(test)]
    Scripted(tests::Script),
}

/// The identity of one provider. Kept from config to config while nothing about it changes.
pub(crate) struct Identity {
    exchange: Exchange,
    region: Option<String>,
    way: Way,
    environment: Arc<Environment>,
    /// By the key's number, with the version of its document; the pod's own identity is number 0.
    tokens: Mutex<BTreeMap<usize, (u64, Arc<Tokens>)>>,
}

/// A document that proofs are fetched with.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    /// Of the provider's keys, from 1 on.
    pub(crate) number: usize,
    pub(crate) version: u64,
    pub(crate) text: &'a SecretString,
}

// === impl Proof ===

impl Proof {
    /// An access token, as it travels.
    fn bearer(token: &str) -> Result<Self, Trouble> {
        let value = SecretString::from(format!("Bearer {token}"));
        let mut value = HeaderValue::from_str(value.expose_secret())
            .map_err(|_| Trouble::NoToken("no header carries it".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self::Header(value))
    }

    fn secrets(&self) -> Secrets {
        match self {
            Self::Header(value) => Secrets::of(value.to_str().ok().map(|text| text.trim_start_matches("Bearer "))),
            Self::Aws(key) => {
                let parts = [Some(&key.secret_access_key), key.session_token.as_ref()];
                Secrets::of(parts.into_iter().flatten().map(ExposeSecret::expose_secret))
            }
        }
    }
}

// === impl NoProof ===

impl NoProof {
    /// With something that is to be known beside it.
    fn and(&self, more: &str) -> Self {
        Self { lack: self.lack, why: format!("{} ({more})", self.why) }
    }
}

impl From<Trouble> for NoProof {
    fn from(trouble: Trouble) -> Self {
        Self { lack: trouble.lack(), why: trouble.to_string() }
    }
}

// === impl Identity ===

impl Identity {
    pub(crate) fn new(exchange: Exchange, region: Option<String>, way: Way, environment: Arc<Environment>) -> Self {
        Self { exchange, region, way, environment, tokens: Mutex::default() }
    }

    /// Whether this one, and the tokens it holds, can serve a config that asks for this.
    pub(crate) fn serves(&self, exchange: &Exchange, region: Option<&str>, way: &Way) -> bool {
        self.exchange == *exchange && self.region.as_deref() == region && self.way == *way
    }

    /// A proof for the next request, waited for no longer than `patience`; Err: why there is none. Without a document it is
    /// about the pod's own identity.
    pub(crate) async fn proof(&self, document: Option<Document<'_>>, patience: Duration) -> Result<Given, NoProof> {
        let given = self.tokens(document)?.get(patience).await;
        given.map_err(|why| match (why.lack, document) {
            (Lack::Refused, Some(_)) => why.and("put a document that is good into its Secret"),
            (Lack::Refused, None) => {
                why.and("see what the pod's ServiceAccount is at the cloud, and what it may do there")
            }
            (Lack::Slow | Lack::Unreachable | Lack::Setup, _) => why,
        })
    }

    /// The text without the tokens at hand, should a provider repeat one. None: it does not.
    pub(crate) fn taken_out_of(&self, text: &str) -> Option<String> {
        secrets::taken_out_of(text, self.lock().values(), |(_, tokens), text| tokens.taken_out_of(text))
    }

    fn tokens(&self, document: Option<Document<'_>>) -> Result<Arc<Tokens>, Trouble> {
        let (number, version) = document.map_or((0, 0), |document| (document.number, document.version));
        let mut known = self.lock();
        if let Some((_, tokens)) = known.get(&number).filter(|(known, _)| *known == version) {
            return Ok(Arc::clone(tokens));
        }
        let source = self.source(document.map(|document| document.text))?;
        let tokens = Arc::new(Tokens::new(source, self.way.clone()));
        known.insert(number, (version, Arc::clone(&tokens)));
        Ok(tokens)
    }

    fn source(&self, document: Option<&SecretString>) -> Result<Source, Trouble> {
        let Exchange { cloud, scope, role } = &self.exchange;
        let scope = scope.as_deref().unwrap_or_default();
        let (environment, role) = (&*self.environment, role.as_deref());
        let document = document.map(ExposeSecret::expose_secret);
        Ok(match (cloud, document) {
            (Cloud::Google, Some(text)) => Source::Google(google::Source::of_key_file(text, scope)?),
            (Cloud::Google, None) => Source::Google(google::Source::of_pod(environment, scope, role)),
            (Cloud::Azure, Some(text)) => Source::Azure(azure::Source::of_document(environment, text, scope)?),
            (Cloud::Azure, None) => Source::Azure(azure::Source::of_pod(environment, scope, role)),
            (Cloud::Aws, Some(_)) => {
                return Err(Trouble::Setup("a key of AWS is not exchanged for another".to_owned()));
            }
            (Cloud::Aws, None) => Source::Aws(aws::Source::of_pod(environment, self.region.as_deref(), role)?),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, (u64, Arc<Tokens>)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

// === impl Source ===

impl Source {
    /// Who is asked.
    fn url(&self) -> &str {
        match self {
            Self::Google(source) => source.url(),
            Self::Azure(source) => source.url(),
            Self::Aws(source) => source.url(),
            #[cfg(test)]
            Self::Scripted(_) => "https://tokens.example/t",
        }
    }

    /// With what somebody has to know who meant another source.
    fn explained(&self, trouble: Trouble) -> Trouble {
        match self {
            Self::Aws(aws::Source::Machine { .. }) => Trouble::OfMachine(Box::new(trouble)),
            _ => trouble,
        }
    }

    async fn fetch(&self, way: &Way) -> Result<Token, Trouble> {
        match self {
            Self::Google(source) => source.fetch(way).await,
            Self::Azure(source) => source.fetch(way).await,
            Self::Aws(source) => source.fetch(way).await,
            #[cfg(test)]
            Self::Scripted(script) => script.fetch().await,
        }
    }
}

#[cfg(test)]
mod tests;
