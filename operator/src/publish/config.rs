//! One compiled config, with the views pods have of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::view::{RouteHashes, View};
use crate::compile::Compiled;

/// A provider key and the name of its value.
pub(super) struct Key {
    pub(super) version: String,
    pub(super) value: SecretString,
}

/// By what `Provider::credential` says.
pub(super) type Keys = BTreeMap<String, Key>;

/// A compiled config. Its views are worked out when they are first asked for.
pub(super) struct Config {
    compiled: Arc<Compiled>,
    pub(super) keys: Arc<Keys>,
    views: Arc<Mutex<Views>>,
}

#[derive(Default)]
struct Views {
    by_labels: HashMap<String, HashMap<BTreeMap<String, String>, Arc<View>>>,
    /// Pods of one StatefulSet differ in labels and not in what they run: they share one view.
    by_revision: HashMap<String, Arc<View>>,
}

// === impl Config ===

impl Config {
    /// The config after `before`. What is equal is carried over: a new Secret does not make new views, a new route does not make new keys.
    pub(super) fn succeed(before: Option<&Self>, compiled: Arc<Compiled>) -> Self {
        let keys: Keys =
            compiled.credentials.iter().map(|(name, value)| (name.clone(), Key::new(name, value))).collect();
        let same_keys = before.filter(|before| versions(&before.keys).eq(versions(&keys)));
        let same_views = before.filter(|before| {
            let Compiled { routes, providers, budgets, egress, losses: _, credentials: _, diagnostics: _, facts: _ } =
                &*before.compiled;
            *routes == compiled.routes
                && *providers == compiled.providers
                && *budgets == compiled.budgets
                && *egress == compiled.egress
        });
        let keys = same_keys.map_or_else(|| Arc::new(keys), |before| before.keys.clone());
        let views = same_views.map_or_else(Arc::default, |before| before.views.clone());
        Self { compiled, keys, views }
    }

    /// What a pod with these labels runs.
    pub(super) fn view(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Arc<View> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.by_labels.get(namespace).and_then(|by_labels| by_labels.get(labels)) {
            return view.clone();
        }
        let snapshot = self.compiled.view(namespace, labels);
        let view = views.by_revision.get(&snapshot.revision).cloned().unwrap_or_else(|| Arc::new(View::new(snapshot)));
        views.by_revision.insert(view.revision.clone(), view.clone());
        views.by_labels.entry(namespace.to_owned()).or_default().insert(labels.clone(), view.clone());
        view
    }

    /// What is in each revision that was worked out so far.
    pub(super) fn revisions(&self) -> Vec<(String, Arc<RouteHashes>)> {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.by_revision.iter().map(|(revision, view)| (revision.clone(), view.routes.clone())).collect()
    }
}

fn versions(keys: &Keys) -> impl Iterator<Item = (&str, &str)> {
    keys.iter().map(|(name, key)| (name.as_str(), key.version.as_str()))
}

// === impl Key ===

impl Key {
    fn new(name: &str, value: &SecretString) -> Self {
        // Named, so that two providers with one key do not show that they have.
        let digest = Sha256::new().chain_update(name).chain_update([0]).chain_update(value.expose_secret()).finalize();
        let version = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { version, value: value.clone() }
    }
}
