//! Where config comes from, and what becomes of it here.
//!
//! A feed (the operator's stream, or files) brings messages; [`Intake`] applies each to the runtime, remembers it in the
//! journal and says in the ack what is in use and what had to be refused. Whatever a feed does, last-good config stays
//! in use.

mod file;
mod lines;
mod operator;

use std::{collections::BTreeMap, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use spillway_wire::{Ack, Credential, Down, Map, PROTOCOL, Snapshot, Subscribe};
use tokio::sync::watch;

pub use self::{file::FileFeed, operator::OperatorFeed};
use crate::{
    clock,
    journal::{Journal, Slot},
    runtime::Runtime,
};

/// One of the two places config comes from.
pub enum Feed {
    Operator(OperatorFeed),
    File(FileFeed),
}

/// Applies what a feed brings.
pub struct Intake {
    runtime: Arc<Runtime>,
    journal: Journal,
    ack: watch::Sender<Ack>,
    /// For the journal alone; the runtime has its own copy, in the form it sends.
    keys: BTreeMap<String, HeldKey>,
}

struct HeldKey {
    version: String,
    value: SecretString,
}

/// A [`Credential`] that borrows, so that a key is not copied on its way to the journal.
#[derive(Serialize)]
struct SavedKey<'a> {
    key: &'a str,
    version: &'a str,
    value: &'a str,
}

// === impl Feed ===

impl Feed {
    /// Never returns: a feed that fails tries again.
    pub async fn run(self, intake: Intake) {
        match self {
            Self::Operator(feed) => feed.run(intake).await,
            Self::File(feed) => feed.run(intake).await,
        }
    }
}

// === impl Intake ===

impl Intake {
    #[must_use]
    pub fn new(runtime: Arc<Runtime>, journal: Journal) -> Self {
        Self { runtime, journal, ack: watch::Sender::default(), keys: BTreeMap::new() }
    }

    /// What is in use and what was refused, and every change of it.
    #[must_use]
    pub fn ack(&self) -> watch::Receiver<Ack> {
        self.ack.subscribe()
    }

    /// Puts back what the journal remembers, so that requests are served before the feed is reached.
    pub fn restore(&mut self) {
        for credential in self.journal.load::<Vec<Credential>>(Slot::Credentials).unwrap_or_default() {
            self.hold(credential);
        }
        let Some(snapshot) = self.journal.load::<Snapshot>(Slot::Snapshot) else { return };
        let revision = snapshot.revision.clone();
        match self.runtime.apply(snapshot) {
            Ok(()) => {
                tracing::info!(revision, "last-good config is in use until the operator is reached");
                self.acknowledge(|ack| ack.running = Some(revision));
                // Its age is counted from here; how long the boot before had waited is not known any more.
                self.confirm();
            }
            // Another version of this program wrote it; the operator sends one that fits.
            Err(reason) => tracing::warn!(revision, reason, "journalled config cannot be used"),
        }
    }

    /// The first words to the operator.
    #[must_use]
    pub fn subscribe(&self, boot: &str) -> Subscribe {
        Subscribe {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot.to_owned(),
            revision: self.ack.borrow().running.clone(),
            credentials: self.versions(),
        }
    }

    /// Applies one message. [`Down::Trust`] is only remembered: the connection is the feed's own.
    pub fn take(&mut self, message: Down) {
        match message {
            Down::Snapshot { snapshot } => self.take_snapshot(*snapshot),
            Down::Credential { credential } => {
                tracing::info!(
                    credential = credential.key,
                    version = credential.version,
                    withdrawn = credential.value.is_none(),
                    "credential changed"
                );
                self.hold(credential);
                self.journal.save(Slot::Credentials, &self.saved_keys());
                self.acknowledge(|_| ());
            }
            Down::Trust { ca_pem } => self.journal.save(Slot::Trust, &ca_pem),
            Down::Rights { rights } => self.runtime.take_rights(&rights),
            Down::Ping => {}
        }
        self.runtime.rights.heard();
        self.confirm();
    }

    /// A snapshot that cannot even be read. The reason is what the operator's status will say.
    pub fn refuse(&self, revision: String, reason: String) {
        tracing::error!(revision, reason, "config refused, the one before stays in use");
        self.acknowledge(|ack| ack.refused = Some((revision, reason)));
    }

    fn take_snapshot(&self, snapshot: Snapshot) {
        let revision = snapshot.revision.clone();
        let saved = snapshot.clone();
        match self.runtime.apply(snapshot) {
            Ok(()) => {
                let routes = saved.routes.len();
                tracing::info!(revision, routes, providers = saved.providers.len(), "config in use");
                self.journal.save(Slot::Snapshot, &saved);
                self.acknowledge(|ack| {
                    ack.running = Some(revision);
                    ack.refused = None;
                });
            }
            Err(reason) => self.refuse(revision, reason),
        }
    }

    fn hold(&mut self, credential: Credential) {
        let Credential { key, version, value } = credential.clone();
        match value {
            Some(value) => drop(self.keys.insert(key, HeldKey { version, value: value.into() })),
            None => drop(self.keys.remove(&key)),
        }
        self.runtime.set_credential(credential);
    }

    fn saved_keys(&self) -> Vec<SavedKey<'_>> {
        self.keys
            .iter()
            .map(|(key, held)| SavedKey { key, version: &held.version, value: held.value.expose_secret() })
            .collect()
    }

    fn versions(&self) -> Map<String> {
        self.keys.iter().map(|(key, held)| (key.clone(), held.version.clone())).collect()
    }

    /// The source was heard: what is in use is what should be, or the ack says why not.
    fn confirm(&self) {
        let ack = self.ack.borrow();
        self.runtime.telemetry.metrics.config(ack.running.as_deref(), clock::now());
    }

    /// Changes the ack, and wakes who waits for it only if it differs.
    fn acknowledge(&self, change: impl FnOnce(&mut Ack)) {
        let degraded = self.runtime.degraded();
        self.ack.send_if_modified(|ack| {
            let before = ack.clone();
            change(ack);
            ack.degraded = degraded;
            *ack != before
        });
    }
}

#[cfg(test)]
mod tests;
