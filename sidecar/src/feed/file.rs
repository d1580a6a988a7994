//! Config from files: tests, and machines without an operator. Both files are looked at five times a second.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use spillway_wire::{Credential, Down, Snapshot};
use tokio::time::sleep;

use super::Intake;
use crate::chain::Chain;

const POLL: Duration = Duration::from_millis(200);
/// As for a message of the operator.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Follows a snapshot, and keys beside it.
pub struct FileFeed {
    config: Watched,
    credentials: Option<Watched>,
    held: BTreeMap<String, String>,
}

/// A file and how it looked when it was last read.
struct Watched {
    path: PathBuf,
    seen: Option<Stamp>,
    usable: bool,
}

type Stamp = (SystemTime, u64);

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot be read")]
    Io(#[from] io::Error),
    #[error("is {0} bytes, at most {MAX_FILE_BYTES} are read")]
    TooLarge(u64),
    #[error("is not what it should be")]
    Content(#[from] serde_json::Error),
}

// === impl FileFeed ===

impl FileFeed {
    #[must_use]
    pub fn new(config: PathBuf, credentials: Option<PathBuf>) -> Self {
        Self { config: Watched::new(config), credentials: credentials.map(Watched::new), held: BTreeMap::new() }
    }

    pub(super) async fn run(mut self, mut intake: Intake) {
        loop {
            self.poll(&mut intake);
            sleep(POLL).await;
        }
    }

    /// Keys first: a snapshot finds the ones it needs.
    pub(super) fn poll(&mut self, intake: &mut Intake) {
        if let Some(found) = self.credentials.as_mut().and_then(Watched::changed::<BTreeMap<String, String>>) {
            for credential in self.differences(found) {
                intake.take(Down::Credential { credential });
            }
        }
        if let Some(snapshot) = self.config.changed::<Snapshot>() {
            // Written by hand, it has no name; the name is that of its content.
            let snapshot = if snapshot.revision.is_empty() { snapshot.seal() } else { snapshot };
            intake.take(Down::Snapshot { snapshot: Box::new(snapshot) });
        }
        if self.config.usable {
            intake.take(Down::Ping);
        }
    }

    fn differences(&mut self, found: BTreeMap<String, String>) -> Vec<Credential> {
        let gone = self.held.keys().filter(|key| !found.contains_key(*key));
        let mut changes: Vec<Credential> =
            gone.map(|key| Credential { key: key.clone(), version: String::new(), value: None }).collect();
        let mut held = BTreeMap::new();
        for (key, value) in found {
            let version = version(&value);
            if self.held.get(&key) != Some(&version) {
                changes.push(Credential { key: key.clone(), version: version.clone(), value: Some(value) });
            }
            held.insert(key, version);
        }
        self.held = held;
        changes
    }
}

fn version(value: &str) -> String {
    Sha256::digest(value).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

// === impl Watched ===

impl Watched {
    const fn new(path: PathBuf) -> Self {
        Self { path, seen: None, usable: false }
    }

    /// The content, if the file looks different from last time and can be used.
    fn changed<T: DeserializeOwned>(&mut self) -> Option<T> {
        let stamp = stamp(&self.path);
        let now = stamp.as_ref().ok().copied();
        if now.is_some() && now == self.seen {
            return None;
        }
        self.seen = now;
        let content = stamp.map_err(Unusable::Io).and_then(|(_, length)| read(&self.path, length));
        self.usable = content.is_ok();
        match content {
            Ok(content) => Some(content),
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%path, error = %Chain(&error), "file is not usable, what was read before stays in use");
                None
            }
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len()))
}

fn read<T: DeserializeOwned>(path: &Path, length: u64) -> Result<T, Unusable> {
    if length > MAX_FILE_BYTES {
        return Err(Unusable::TooLarge(length));
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
