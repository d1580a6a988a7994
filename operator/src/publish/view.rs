//! What one group of pods runs, ready to be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use spillway_wire::{Budget, Down, Egress, Provider, Route, Snapshot};

/// A hash of each route and all it depends on, by `namespace/name`. Tells whether a sidecar that runs another revision
/// runs the same of this route: a change of one route does not make its neighbours look outdated.
pub(super) type RouteHashes = BTreeMap<String, [u8; 8]>;

/// A snapshot as it is sent, with what has to be known about it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) revision: String,
    /// The line that carries it, shared by everyone it is sent to.
    pub(super) line: Bytes,
    /// The keys its providers send.
    pub(super) credentials: BTreeSet<String>,
    pub(super) routes: Arc<RouteHashes>,
}

// === impl View ===

impl View {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let Snapshot { revision, routes, .. } = &snapshot;
        let revision = revision.clone();
        let credentials = snapshot.providers.values().flat_map(Provider::credentials).cloned().collect();
        let routes = routes.iter().map(|(name, route)| (name.clone(), hash(route, &snapshot))).collect();
        let line = line(&Down::Snapshot { snapshot: Box::new(snapshot) });
        Self { revision, line, credentials, routes: Arc::new(routes) }
    }
}

/// A message as a line.
pub(super) fn line(message: &Down) -> Bytes {
    let mut line = serde_json::to_vec(message).expect("maps with string keys and plain values always serialise");
    line.push(b'\n');
    line.into()
}

fn hash(route: &Route, snapshot: &Snapshot) -> [u8; 8] {
    #[derive(Serialize)]
    struct Parts<'a> {
        route: &'a Route,
        providers: BTreeMap<&'a str, Option<&'a Provider>>,
        budgets: Vec<Option<&'a Budget>>,
        egress: &'a Egress,
    }
    let Snapshot { revision: _, routes: _, providers, budgets, egress } = snapshot;
    let providers = route.backends.iter().map(|backend| (backend.provider.as_str(), providers.get(&backend.provider)));
    let budgets = route.budgets.iter().map(|name| budgets.get(name)).collect();
    let parts = Parts { route, providers: providers.collect(), budgets, egress };
    let bytes = serde_json::to_vec(&parts).expect("maps with string keys and plain values always serialise");
    let mut hash = [0; 8];
    hash.copy_from_slice(&Sha256::digest(&bytes)[..8]);
    hash
}
