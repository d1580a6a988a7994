//! Where the ledger of rights is kept: whoever writes it by compare-and-swap leads.
//!
//! A ConfigMap, like the ledger of usage: it takes 1 MiB of bytes as they are, a client needs no schema to read it, and no status
//! can be written by mistake that money rests on. `resourceVersion` is the token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use spillway_policy::quota::Token;
use tokio::time::timeout;

/// The ConfigMap in the operator's own namespace.
pub const CONFIG_MAP_NAME: &str = "spillway-rights";
const FIELD: &str = "rights.json.gz";
/// The API server takes 1 MiB for the whole object.
const MAX_BYTES: usize = 1_000_000;
/// Beyond this, no more values of headers and users are taken in: the rest is for everybody else.
pub(super) const BYTES_OF_VALUES: usize = 600_000;
/// The same before anything was stored, which is soon.
pub(super) const ROOM_AT_FIRST: usize = 100_000;
/// For one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the ledger is kept. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    Cluster(Box<Api<ConfigMap>>),
    /// As long as the process lives.
    Memory(Arc<Mutex<Kept>>),
    /// At the simulated API server.
    #[cfg(test)]
    Simulated,
}

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    version: u64,
    bytes: Option<Arc<[u8]>>,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// None: nothing was ever stored.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) token: Token,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What is stored has this version now.
    Done(Token),
    /// Something else is stored than was expected.
    Conflict,
}

/// Why the ledger could not be read, or what became of a write is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the API server refused to {0} ConfigMap {CONFIG_MAP_NAME}: {1}")]
    Api(&'static str, Box<kube::Error>),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    #[error(
        "the ledger of rights has {0} bytes, a ConfigMap takes {MAX_BYTES} (hint: fewer pods, or fewer budgets and limits per header value or user)"
    )]
    TooLarge(usize),
}

// === impl Store ===

impl Store {
    /// In this namespace.
    #[must_use]
    pub fn cluster(client: kube::Client, namespace: &str) -> Self {
        Self::Cluster(Box::new(Api::namespaced(client, namespace)))
    }

    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    pub(super) async fn read(&self) -> Result<Read, StoreError> {
        match self {
            #[cfg(test)]
            Self::Simulated => super::tests::turmoil::api::read().await,
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Read { bytes: kept.bytes.as_ref().map(|bytes| bytes.to_vec()), token: kept.token() })
            }
            Self::Cluster(maps) => {
                let found = timeout(PATIENCE, maps.get_opt(CONFIG_MAP_NAME)).await.map_err(|_| StoreError::Slow)?;
                let found = found.map_err(|error| StoreError::Api("read", Box::new(error)))?;
                let token = token(found.as_ref());
                let bytes = found.and_then(|map| map.binary_data).and_then(|mut data| data.remove(FIELD));
                Ok(Read { bytes: bytes.map(|ByteString(bytes)| bytes), token })
            }
        }
    }

    /// Stores this if what is stored is still of that version. An error says nothing of whether it was.
    pub(super) async fn write(&self, expects: Token, bytes: Arc<[u8]>) -> Result<Outcome, StoreError> {
        match self {
            #[cfg(test)]
            Self::Simulated => super::tests::turmoil::api::write(&expects, &bytes).await,
            Self::Memory(_) | Self::Cluster(_) if bytes.len() > MAX_BYTES => Err(StoreError::TooLarge(bytes.len())),
            Self::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.token() != expects {
                    return Ok(Outcome::Conflict);
                }
                *kept = Kept { version: kept.version + 1, bytes: Some(bytes) };
                Ok(Outcome::Done(kept.token()))
            }
            Self::Cluster(maps) => {
                let map = config_map(&bytes, &expects);
                let params = PostParams::default();
                let written = match &*expects {
                    "" => timeout(PATIENCE, maps.create(&params, &map)).await,
                    _ => timeout(PATIENCE, maps.replace(CONFIG_MAP_NAME, &params, &map)).await,
                };
                match written.map_err(|_| StoreError::Slow)? {
                    Ok(map) => Ok(Outcome::Done(token(Some(&map)))),
                    Err(kube::Error::Api(status)) if is_conflict(&status) => Ok(Outcome::Conflict),
                    Err(error) => Err(StoreError::Api("write", Box::new(error))),
                }
            }
        }
    }
}

// === impl Kept ===

impl Kept {
    fn token(&self) -> Token {
        self.version.to_string().into()
    }
}

fn is_conflict(status: &kube::core::Status) -> bool {
    status.is_conflict() || status.is_already_exists() || status.is_not_found()
}

/// Empty: there is no object yet.
fn token(map: Option<&ConfigMap>) -> Token {
    map.and_then(|map| map.metadata.resource_version.as_deref()).unwrap_or_default().into()
}

fn config_map(bytes: &[u8], expects: &Token) -> ConfigMap {
    let resource_version = Some(expects.to_string()).filter(|version| !version.is_empty());
    let metadata = ObjectMeta { name: Some(CONFIG_MAP_NAME.to_owned()), resource_version, ..ObjectMeta::default() };
    let binary_data = Some(BTreeMap::from([(FIELD.to_owned(), ByteString(bytes.to_vec()))]));
    ConfigMap { metadata, binary_data, ..ConfigMap::default() }
}
