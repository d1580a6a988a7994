//! Which pods run a sidecar, who owns them, and what their labels are: the API server's word, which is the only one that counts.
//!
//! [`PodIndex`] is a plain value; [`Pods`] shares it between the watch that feeds it and everyone who reads or waits. It keeps a
//! few strings of each injected pod instead of the whole object: ten thousand pods are a few megabytes.

mod workload;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::runtime::watcher;
use tokio::sync::watch;

/// The name of the injected container.
pub const SIDECAR_CONTAINER: &str = "spillway-sidecar";

/// The label of a pod that names whom its use is billed to.
pub const TENANT_LABEL: &str = "spillway.dev/tenant";
/// What a Deployment, and a StatefulSet or DaemonSet, puts on the pods of one edition.
const REVISION_LABELS: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// An injected pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEntry {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// `Deployment/checkout`, `Job/nightly`, `Pod/name`: what people call the thing that costs money.
    pub workload: String,
    /// The Job it was made for: one of many where the workload is a CronJob.
    pub job: Option<String>,
    /// Someone asked for its deletion; it may still send its last report.
    pub terminating: bool,
    /// Its sidecar container runs, so it is expected to run the current config.
    pub running: bool,
}

/// One boot of one pod's sidecar: a counter that only ever grows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    pub uid: String,
    pub boot: String,
}

/// Every injected pod, by uid.
#[derive(Clone, Debug, Default)]
pub struct PodIndex {
    by_uid: HashMap<String, Arc<PodEntry>>,
    by_namespace: BTreeMap<String, BTreeSet<String>>,
    /// What a relist has brought so far; becomes visible as a whole, so that a relist never looks like a mass deletion.
    relist: Option<HashMap<String, Arc<PodEntry>>>,
    ready: bool,
}

/// The shared index: one writer, any number of readers and waiters.
#[derive(Clone, Debug)]
pub struct Pods {
    index: Arc<watch::Sender<PodIndex>>,
}

// === impl PodEntry ===

impl PodEntry {
    /// Which edition of its workload it is, if that has editions.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        REVISION_LABELS.iter().find_map(|label| self.labels.get(*label)).map(String::as_str)
    }

    /// Whom its use is billed to, if somebody said so.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.labels.get(TENANT_LABEL).map(String::as_str).filter(|tenant| !tenant.is_empty())
    }

    /// What the index keeps of a pod. None: it has no sidecar of ours, or it is over.
    #[must_use]
    pub fn from_pod(pod: &Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref()?;
        let injected =
            spec.init_containers.iter().flatten().chain(&spec.containers).any(|c| c.name == SIDECAR_CONTAINER);
        let status = pod.status.as_ref();
        let over = matches!(status.and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
        if !injected || over {
            return None;
        }
        let statuses = status
            .into_iter()
            .flat_map(|s| s.init_container_statuses.iter().flatten().chain(s.container_statuses.iter().flatten()));
        Some(Self {
            uid: meta.uid.clone()?,
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            labels: meta.labels.clone().unwrap_or_default(),
            workload: workload::of(meta),
            job: workload::job(meta),
            terminating: meta.deletion_timestamp.is_some(),
            running: statuses.into_iter().any(sidecar_runs),
        })
    }

    /// Counts towards "n of m sidecars run this".
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.running && !self.terminating
    }
}

fn sidecar_runs(status: &ContainerStatus) -> bool {
    status.name == SIDECAR_CONTAINER && status.state.as_ref().is_some_and(|state| state.running.is_some())
}

// === impl PodIndex ===

impl PodIndex {
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Arc<PodEntry>> {
        self.by_uid.get(uid)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<PodEntry>> {
        self.by_uid.values()
    }

    /// The injected pods of one namespace, in a fixed order.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<PodEntry>> {
        self.by_namespace.get(namespace).into_iter().flatten().filter_map(|uid| self.by_uid.get(uid))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// The first complete list has been seen; before that, "not in here" means nothing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Takes one event of the watch. True: something a reader can see has changed.
    pub fn apply(&mut self, event: watcher::Event<Pod>) -> bool {
        match event {
            watcher::Event::Init => {
                self.relist = Some(HashMap::new());
                false
            }
            watcher::Event::InitApply(pod) => {
                if let (Some(relist), Some(entry)) = (&mut self.relist, PodEntry::from_pod(&pod)) {
                    relist.insert(entry.uid.clone(), Arc::new(entry));
                }
                false
            }
            watcher::Event::InitDone => {
                let relist = self.relist.take().unwrap_or_default();
                self.by_namespace.clear();
                for entry in relist.values() {
                    self.by_namespace.entry(entry.namespace.clone()).or_default().insert(entry.uid.clone());
                }
                let changed = !self.ready || self.by_uid != relist;
                self.by_uid = relist;
                self.ready = true;
                changed
            }
            watcher::Event::Apply(pod) => match PodEntry::from_pod(&pod) {
                Some(entry) => self.insert(entry),
                None => pod.metadata.uid.is_some_and(|uid| self.remove(&uid)),
            },
            watcher::Event::Delete(pod) => pod.metadata.uid.is_some_and(|uid| self.remove(&uid)),
        }
    }

    /// Puts a pod in, or replaces what is known of it. True: that changed something.
    pub fn insert(&mut self, entry: PodEntry) -> bool {
        if self.by_uid.get(&entry.uid).is_some_and(|known| **known == entry) {
            return false;
        }
        self.by_namespace.entry(entry.namespace.clone()).or_default().insert(entry.uid.clone());
        self.by_uid.insert(entry.uid.clone(), Arc::new(entry));
        true
    }

    /// Forgets a pod. True: it was known.
    pub fn remove(&mut self, uid: &str) -> bool {
        let Some(entry) = self.by_uid.remove(uid) else { return false };
        if let Some(uids) = self.by_namespace.get_mut(&entry.namespace) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_namespace.remove(&entry.namespace);
            }
        }
        true
    }
}

// === impl Pods ===

impl Default for Pods {
    fn default() -> Self {
        Self { index: Arc::new(watch::Sender::new(PodIndex::default())) }
    }
}

impl Pods {
    /// An index that never changes by itself: `spillway dev` knows its one pod from the start.
    #[must_use]
    pub fn fixed(entries: impl IntoIterator<Item = PodEntry>) -> Self {
        let mut index = PodIndex { ready: true, ..PodIndex::default() };
        for entry in entries {
            index.insert(entry);
        }
        Self { index: Arc::new(watch::Sender::new(index)) }
    }

    /// Applies a change in place; readers are woken only if it says that something changed.
    pub fn update(&self, change: impl FnOnce(&mut PodIndex) -> bool) {
        self.index.send_if_modified(change);
    }

    /// A short look. Do not hold it across an await.
    pub fn read(&self) -> watch::Ref<'_, PodIndex> {
        self.index.borrow()
    }

    /// Wakes on every visible change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<PodIndex> {
        self.index.subscribe()
    }

    /// The pod, as soon as the watch has brought it. Never returns for a pod that never comes: give it a timeout.
    pub async fn wait_for(&self, uid: &str) -> Option<Arc<PodEntry>> {
        let mut index = self.index.subscribe();
        let seen = index.wait_for(|index| index.get(uid).is_some()).await.ok()?;
        seen.get(uid).cloned()
    }

    /// Feeds the index until the watch ends. Errors of the watch change nothing: the last known state stays.
    pub async fn follow(&self, events: impl Stream<Item = watcher::Result<watcher::Event<Pod>>>) {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.update(|index| index.apply(event)),
                Err(error) => tracing::warn!(%error, "the watch of pods failed, keeping what is known"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
