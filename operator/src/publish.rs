//! Gets the compiled config to the sidecars: each pod its own view, and only what is new to it.
//!
//! The [`Publisher`] holds the newest config and one slot for each open stream. A publication works out the view of every connected pod
//! (pods with equal labels share one) and changes a slot only if the pod's revision or keys differ, so that an unchanged
//! config wakes nobody. Every replica publishes; nothing here depends on who leads.
//!
//! Lock order: the pod index before the publisher's own state.

pub mod ack;
pub mod auth;
mod config;
mod endpoint;
#[cfg(test)]
mod samples;
mod session;
mod stream;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use spillway_wire::{Ack, Delivery, SidecarIdentity, Subscribe};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::changes::Changes;
use crate::compile::Compiled;
use crate::conditions::RouteFleet;
use crate::metrics::Metrics;
use crate::pods::{PodEntry, PodIndex, Pods};

use ack::{Acks, Heard};
use config::Config;
use view::{RouteHashes, View};

pub use endpoint::Endpoint;

/// Rights that wait for a stream to send them. The oldest make room: what they brought comes again.
const WAITING_RIGHTS: usize = 8;

/// The newest config and everyone who gets it. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    pods: Pods,
    changes: Changes,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    config: Option<Arc<Config>>,
    streams: HashMap<String, Connected>,
    acks: Acks,
    /// What was in the config before this one, and in older revisions that some sidecar still runs.
    past: HashMap<String, Arc<RouteHashes>>,
    streams_opened: u64,
}

/// What a stream has to bring its sidecar to.
#[derive(Clone)]
struct Push {
    view: Arc<View>,
    config: Arc<Config>,
}

/// The publisher's end of a stream.
struct Connected {
    id: u64,
    boot: String,
    pod: Arc<PodEntry>,
    push: watch::Sender<Option<Push>>,
    ack: watch::Sender<Ack>,
    rights: broadcast::Sender<Bytes>,
    evict: CancellationToken,
}

/// The stream's end. Dropping it signs the stream off.
struct Slot {
    publisher: Publisher,
    uid: String,
    id: u64,
    push: watch::Receiver<Option<Push>>,
    ack: watch::Receiver<Ack>,
    rights: broadcast::Receiver<Bytes>,
    evicted: CancellationToken,
}

// === impl Publisher ===

impl Publisher {
    #[must_use]
    pub fn new(pods: Pods, changes: Changes, metrics: Metrics) -> Self {
        Self { inner: Arc::new(Inner { pods, changes, metrics, state: Mutex::default() }) }
    }

    /// Makes this the config of every sidecar. Sends nothing to those whose view of it is the one they have.
    pub fn publish(&self, compiled: Arc<Compiled>) {
        let mut state = self.state();
        let before = state.config.take();
        let config = Arc::new(Config::succeed(before.as_deref(), compiled));
        state.config = Some(config.clone());
        state.remember(before.as_deref());
        for connected in state.streams.values() {
            connected.offer(&config);
        }
    }

    /// Keeps streams in step with the pod index: a relabelled pod gets its new view, a deleted pod's stream ends.
    pub async fn follow_pods(&self) {
        let mut pods = self.inner.pods.subscribe();
        loop {
            {
                let index = pods.borrow_and_update();
                if index.is_ready() {
                    self.refresh(&index);
                }
            }
            self.inner.changes.fleet();
            if pods.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes what a report says of the running config and of its backends; also for reports that another replica passed on.
    pub fn record(&self, delivery: &Delivery) {
        let uid = &delivery.from.uid;
        let mut state = self.state();
        let heard = state.acks.record(uid, &delivery.report);
        let of_this_boot = state.streams.get(uid).filter(|connected| connected.boot == delivery.report.boot);
        if let (Heard::News, Some(connected)) = (heard, of_this_boot) {
            connected.ack.send_replace(delivery.report.ack.clone());
        }
        drop(state);
        let refuses = delivery.report.ack.refused.is_some();
        let label = match heard {
            Heard::News if refuses => "refuses",
            Heard::News => "acknowledges",
            Heard::Nothing => "repeats",
        };
        self.inner.metrics.reports.with_label_values(&[label]).inc();
        if heard == Heard::News {
            self.inner.changes.fleet();
        }
    }

    /// How far every route has come, by `namespace/name`. A route that concerns no pod is not listed.
    #[must_use]
    pub fn fleets(&self, pods: &PodIndex) -> BTreeMap<String, RouteFleet> {
        let state = self.state();
        let mut fleets = BTreeMap::new();
        let Some(config) = &state.config else { return fleets };
        for pod in pods.iter().filter(|pod| state.expects(pod)) {
            let view = config.view(&pod.namespace, &pod.labels);
            let word = state.acks.get(&pod.uid);
            let runs = word.and_then(|word| word.ack.running.as_ref()).and_then(|revision| {
                if *revision == view.revision { Some(view.routes.clone()) } else { state.past.get(revision).cloned() }
            });
            ack::tally(&mut fleets, &pod.name, &view, word, runs.as_deref());
        }
        fleets
    }

    /// Sends rights, as a line, to this pod's stream. False: it does not end here.
    pub(crate) fn rights(&self, uid: &str, line: impl FnOnce() -> Bytes) -> bool {
        let stream = self.state().streams.get(uid).map(|connected| connected.rights.clone());
        stream.is_some_and(|stream| stream.send(line()).is_ok())
    }

    /// Sidecars with a stream to this replica.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.state().streams.len()
    }

    /// Opens a slot for a stream; an older stream of the same pod is told to end. None: the pod is gone.
    fn open(&self, from: &SidecarIdentity, subscribe: &Subscribe) -> Option<Slot> {
        // Held until the stream is in: a relabelled pod is either seen here or finds its stream in `refresh`.
        let index = self.inner.pods.read();
        let pod = index.get(&from.uid)?.clone();
        let mut state = self.state();
        let (slot, older) = state.connect(self, pod, subscribe);
        let open = state.streams.len();
        drop(state);
        drop(index);
        if let Some(older) = older {
            older.evict.cancel();
        }
        self.streams_are(open);
        self.inner.changes.fleet();
        Some(slot)
    }

    fn close(&self, uid: &str, id: u64) {
        let mut state = self.state();
        if state.streams.get(uid).is_some_and(|connected| connected.id == id) {
            state.streams.remove(uid);
        }
        let open = state.streams.len();
        drop(state);
        self.streams_are(open);
    }

    fn refresh(&self, index: &PodIndex) {
        let mut state = self.state();
        state.acks.retain(|uid| index.get(uid).is_some());
        let gone: Vec<String> = state.streams.keys().filter(|uid| index.get(uid).is_none()).cloned().collect();
        for uid in gone {
            if let Some(connected) = state.streams.remove(&uid) {
                connected.evict.cancel();
            }
        }
        let known: Vec<Arc<PodEntry>> = state.streams.keys().filter_map(|uid| index.get(uid).cloned()).collect();
        for pod in known {
            state.reoffer(&pod);
        }
    }

    fn streams_are(&self, open: usize) {
        self.inner.metrics.streams.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("nothing panics while holding the publisher's state")
    }
}

// === impl State ===

impl State {
    /// A pod counts once its sidecar runs, by the API server's word or by its own stream, until it is deleted.
    fn expects(&self, pod: &PodEntry) -> bool {
        pod.is_expected() || (!pod.terminating && self.streams.contains_key(&pod.uid))
    }

    fn connect(
        &mut self,
        publisher: &Publisher,
        pod: Arc<PodEntry>,
        subscribe: &Subscribe,
    ) -> (Slot, Option<Connected>) {
        let uid = pod.uid.clone();
        self.acks.subscribed(&uid, subscribe);
        self.streams_opened += 1;
        let (id, evict) = (self.streams_opened, CancellationToken::new());
        let (push, ack) = (watch::Sender::new(None), watch::Sender::new(Ack::default()));
        let (rights, waiting) = broadcast::channel(WAITING_RIGHTS);
        let slot = Slot {
            publisher: publisher.clone(),
            uid: uid.clone(),
            id,
            push: push.subscribe(),
            ack: ack.subscribe(),
            rights: waiting,
            evicted: evict.clone(),
        };
        let connected = Connected { id, boot: subscribe.boot.clone(), pod, push, ack, rights, evict };
        if let Some(config) = &self.config {
            connected.offer(config);
        }
        (slot, self.streams.insert(uid, connected))
    }

    /// Keeps what was in the config that was replaced, because sidecars run it until they have the new one.
    fn remember(&mut self, before: Option<&Config>) {
        let running = self.acks.running();
        self.past.retain(|revision, _| running.contains(revision));
        self.past.extend(before.into_iter().flat_map(Config::revisions));
    }

    fn reoffer(&mut self, pod: &Arc<PodEntry>) {
        let Self { config, streams, .. } = self;
        let Some(connected) = streams.get_mut(&pod.uid) else { return };
        if connected.pod.labels == pod.labels {
            return;
        }
        connected.pod = pod.clone();
        if let Some(config) = config {
            connected.offer(config);
        }
    }
}

// === impl Connected ===

impl Connected {
    /// Wakes the stream if there is something new for it.
    fn offer(&self, config: &Arc<Config>) {
        let view = config.view(&self.pod.namespace, &self.pod.labels);
        self.push.send_if_modified(|current| {
            let same =
                |push: &Push| push.view.revision == view.revision && Arc::ptr_eq(&push.config.keys, &config.keys);
            let is_new = !current.as_ref().is_some_and(same);
            *current = Some(Push { view, config: config.clone() });
            is_new
        });
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        self.publisher.close(&self.uid, self.id);
    }
}

#[cfg(test)]
mod tests;
