//! What the operator knows of the cluster: one reflector per kind, and when they are complete.
//!
//! Rights this needs (the chart grants no more): get, list, watch on the four kinds of `spillway.dev`, on pods and on namespaces;
//! on Secrets either everywhere or, with `--secret-namespace`, in those namespaces only. Only Secrets and pods
//! that carry our labels are asked for.
//!
//! A store shows nothing until its first list is complete, and keeps what it has while a watch is broken: a relist never
//! looks like a mass deletion, and an API server that is away changes nothing. One object that does not deserialise is kept as
//! such, with its name, and costs its neighbours nothing. So does one namespace whose Secrets may not be read.

mod fresh;
mod gate;

use std::fmt::Debug;

use futures::{FutureExt, StreamExt, future::BoxFuture};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use spillway_crds::{FallbackPolicy, ModelBudget, ModelProvider, ModelRoute};

use self::{fresh::Fresh, gate::Gate};
use crate::{catalogue::Held, changes::Changes, inject::INJECTED_LABEL, pods::Pods};

/// Marks a Secret whose owner lets Spillway use it.
const PROVIDER_KEY: &str = "spillway.dev/provider-key=true";

/// An object as it was read, or what was left of one that could not be.
pub type Tolerant<K> = DeserializeGuard<K>;

/// The reflectors' read sides.
#[derive(Clone)]
pub struct Stores {
    pub providers: Store<Tolerant<ModelProvider>>,
    pub routes: Store<Tolerant<ModelRoute>>,
    pub policies: Store<Tolerant<FallbackPolicy>>,
    pub budgets: Store<Tolerant<ModelBudget>>,
    /// One for each namespace, or one for all.
    pub secrets: Vec<Store<Secret>>,
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// What is known of models; someone else fills it.
    pub models: Held,
    /// In the order of `secrets`.
    gates: Vec<Gate>,
}

/// The watches behind the stores. They end only when dropped.
pub type Watches = Vec<(&'static str, BoxFuture<'static, ()>)>;

// === impl Stores ===

impl Stores {
    /// Makes the stores, and the watches that fill them once they are polled.
    #[must_use]
    pub fn watching(client: &Client, secret_namespaces: &[String], changes: &Changes) -> (Self, Watches) {
        let mut watches = Watches::new();
        let everything = watcher::Config::default();
        let labelled = everything.clone().labels(PROVIDER_KEY);
        let secrets: Vec<Api<Secret>> = if secret_namespaces.is_empty() {
            vec![Api::all(client.clone())]
        } else {
            secret_namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
        };
        let gates = vec![Gate::default(); secrets.len()];
        let all = Gate::default();
        let stores = Self {
            providers: typed("modelproviders", client, changes, &mut watches),
            routes: typed("modelroutes", client, changes, &mut watches),
            policies: typed("fallbackpolicies", client, changes, &mut watches),
            budgets: typed("modelbudgets", client, changes, &mut watches),
            secrets: secrets
                .into_iter()
                .zip(&gates)
                .map(|(api, gate)| follow("secrets", watcher(api, labelled.clone()), changes, gate, &mut watches))
                .collect(),
            namespaces: {
                let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
                follow("namespaces", watcher(api, everything), changes, &all, &mut watches)
            },
            models: Held::default(),
            gates,
        };
        (stores, watches)
    }

    /// Which stores have not seen their first complete list yet.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        let secrets = self.secrets.iter().zip(&self.gates).all(|(store, gate)| ready(store) || gate.is_closed());
        let rows = [
            ("modelproviders", ready(&self.providers)),
            ("modelroutes", ready(&self.routes)),
            ("fallbackpolicies", ready(&self.policies)),
            ("modelbudgets", ready(&self.budgets)),
            ("secrets", secrets),
            ("namespaces", ready(&self.namespaces)),
            ("catalogue", self.models.is_read()),
        ];
        rows.into_iter().filter(|(_, ready)| !ready).map(|(name, _)| name).collect()
    }
}

fn ready<K>(store: &Store<K>) -> bool
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

fn typed<K>(name: &'static str, client: &Client, changes: &Changes, watches: &mut Watches) -> Store<Tolerant<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<Tolerant<K>> = Api::all(client.clone());
    follow(name, watcher(api, watcher::Config::default()), changes, &Gate::default(), watches)
}

/// Fills a store from a watch for ever, and rings for events that `compile` could care about.
fn follow<K>(
    name: &'static str,
    events: impl futures::Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    changes: &Changes,
    gate: &Gate,
    watches: &mut Watches,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let writer = reflector::store::Writer::<K>::default();
    let store = writer.as_reader();
    let (changes, gate) = (changes.clone(), gate.clone());
    let task = async move {
        let events = events.default_backoff().modify(|object| object.managed_fields_mut().clear()).reflect(writer);
        let mut events = std::pin::pin!(events);
        let mut fresh = Fresh::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) if fresh.concerns(&event) => changes.resources(),
                Ok(_) => {}
                // Every watch that was away for a while is told so; it lists again at once.
                Err(watcher::Error::WatchError(status)) if status.code == 410 => {
                    tracing::debug!(kind = name, "the watch starts again from a list");
                }
                Err(error) => {
                    gate.note(&error);
                    tracing::warn!(kind = name, %error, "the watch failed and is tried again, what is known stays")
                }
            }
        }
    };
    watches.push((name, task.boxed()));
    store
}

/// Feeds the index of injected pods.
pub async fn follow_pods(client: Client, pods: Pods) {
    let config = watcher::Config::default().labels(&format!("{INJECTED_LABEL}=true"));
    pods.follow(watcher(Api::<Pod>::all(client), config).default_backoff()).await;
}
