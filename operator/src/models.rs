//! What the platform's own people know of models: a ConfigMap over the built-in catalogue, followed while it is edited.
//!
//! Every replica follows it, since every replica compiles. A version that does not read is told in the log and as an Event on the
//! ConfigMap, and the one before stays in force.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        events::{Event, EventType, Recorder, Reporter},
        watcher,
    },
};

use crate::{catalogue::Held, changes::Changes};

/// The ConfigMap that is followed when no flag names another.
pub const CONFIG_MAP: &str = "spillway-catalogue";
/// An Event's note may have 1 kB.
const NOTE_CHARS: usize = 256;

/// A ConfigMap to follow.
pub struct Models {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    pub held: Held,
    pub changes: Changes,
    /// This replica, as its Events name it.
    pub instance: String,
}

// === impl Models ===

impl Models {
    /// Follows it for ever.
    pub async fn follow(self) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut found = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => found = None,
                Ok(watcher::Event::InitApply(map)) => found = Some(map),
                Ok(watcher::Event::InitDone) => self.take(found.take()).await,
                Ok(watcher::Event::Apply(map)) => self.take(Some(map)).await,
                Ok(watcher::Event::Delete(_)) => self.take(None).await,
                Err(error) => {
                    tracing::warn!(name = self.name, %error, "the catalogue's ConfigMap cannot be watched, what is known stays");
                    // Without leave to read it there is nothing to wait for.
                    if is_forbidden(&error) && !self.held.is_read() {
                        self.take(None).await;
                    }
                }
            }
        }
    }

    async fn take(&self, map: Option<ConfigMap>) {
        let documents = map.as_ref().and_then(|map| map.data.clone()).unwrap_or_default();
        match self.held.take(documents) {
            None => {}
            Some(Ok(models)) => {
                if map.is_some() {
                    tracing::info!(name = self.name, models, "the catalogue is overridden");
                }
                self.changes.resources();
            }
            Some(Err(error)) => {
                tracing::warn!(name = self.name, %error, "the catalogue's ConfigMap is refused, what was in force stays");
                self.tell(map.as_ref(), &error.to_string()).await;
                // Whoever waits for the first look has seen it.
                self.changes.resources();
            }
        }
    }

    async fn tell(&self, map: Option<&ConfigMap>, problem: &str) {
        let Some(map) = map else { return };
        let reporter = Reporter { controller: spillway_crds::GROUP.to_owned(), instance: Some(self.instance.clone()) };
        let note = format!("refused, what was in force stays: {problem}");
        let event = Event {
            type_: EventType::Warning,
            reason: "CatalogueRefused".to_owned(),
            note: Some(note.chars().take(NOTE_CHARS).collect()),
            action: "Read".to_owned(),
            secondary: None,
        };
        if let Err(error) = Recorder::new(self.client.clone(), reporter).publish(&event, &map.object_ref(&())).await {
            tracing::debug!(%error, "an Event was not published");
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// The documents of the ConfigMap as they are now, for a command that looks once.
pub async fn read(client: Client, namespace: &str, name: &str) -> kube::Result<Option<BTreeMap<String, String>>> {
    let map = Api::<ConfigMap>::namespaced(client, namespace).get_opt(name).await?;
    Ok(map.map(|map| map.data.unwrap_or_default()))
}
