//! What requests run on: the config in use, the keys, the counters.

mod admit;
mod aside;
mod budgets;
mod clean;
mod connections;
mod fleet;
mod gate;
mod generation;
mod items;
mod keys;
mod learnt;
mod limits;
mod live;
mod lower;
mod memory;
mod rights;
mod schemas;
mod shadows;
mod summaries;
mod verdicts;
mod window;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use spillway_wire::{Credential, Map, Snapshot};
use tokio::sync::watch;

pub(crate) use aside::{Aside, Heavy, LARGE};
pub(crate) use budgets::{Budget, Due};
pub(crate) use connections::Connected;
pub(crate) use fleet::{FleetLimit, LinePlace};
pub(crate) use gate::{Admission, Failed, OfKey, Rest, View as GateView, Who};
pub use generation::Generation;
pub(crate) use generation::{Backend, Check, HoldRule, Provider, RequestRules, Route, Strategy};
pub(crate) use items::Items;
pub(crate) use keys::KeySlot;
pub(crate) use limits::{Asked, Hold as LimitHold, LimitRule, Limits as RouteLimits, Load, Per};
pub(crate) use live::InFlight;
pub(crate) use memory::{Hold, Memory};
pub use rights::Rights;
#[cfg(test)]
pub(crate) use rights::value_of;
pub(crate) use rights::{AccountView, Allowance, Away, Denied, Reserved, unix};
pub(crate) use shadows::ShadowPlace;
pub(crate) use summaries::{Summaries, Summary, SummaryKey, Waited};
pub(crate) use window::SummaryRule;

use crate::{clock, identity::Environment, telemetry::Telemetry, upstream::connect::Dialer, usage::UsageTable};
use connections::Connections;
use keys::Keys;
use lower::Parts;
use schemas::Schemas;
use shadows::Shadows;

/// What requests run on. One for the process.
#[derive(Debug)]
pub struct Runtime {
    generation: watch::Sender<Option<Arc<Generation>>>,
    dialer: Dialer,
    keys: Keys,
    /// What the clouds have told the pod about itself.
    environment: Arc<Environment>,
    pub usage: Arc<UsageTable>,
    pub telemetry: Arc<Telemetry>,
    pub(crate) memory: Memory,
    pub(crate) aside: Aside,
    /// What answers said, for requests that only name it.
    pub(crate) items: Items,
    /// What it may spend.
    pub rights: Arc<Rights>,
    limits: Limits,
    connections: Connections,
    in_flight: AtomicUsize,
    /// Of those in flight, the ones in queues of limits.
    waiting: AtomicUsize,
    /// Names this start of the process in request ids.
    boot: u64,
    dice: AtomicU64,
    served: AtomicU64,
    shadows: Shadows,
    pub(crate) schemas: Schemas,
    pub(crate) summaries: Summaries,
}

/// What the process may hold at once, whatever it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Request bodies, and answers that come whole.
    pub buffered_bytes: u64,
    pub requests: usize,
}

/// Leave to wait in a queue, until dropped.
#[must_use = "dropping it lets somebody else wait"]
#[derive(Debug)]
pub(crate) struct WaitingPlace {
    runtime: Arc<Runtime>,
}

/// One request in flight, counted until dropped.
#[must_use = "dropping it ends the request's place"]
#[derive(Debug)]
pub(crate) struct Place {
    runtime: Arc<Runtime>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        // Three bodies of the largest size a route takes by default; more requests than one core can usefully carry.
        Self { buffered_bytes: 96 << 20, requests: 4096 }
    }
}

// === impl Runtime ===

impl Runtime {
    /// `seed` is any random number: it names the boot and starts the dice.
    #[must_use]
    pub fn new(limits: Limits, telemetry: Arc<Telemetry>, usage: Arc<UsageTable>, seed: u64) -> Arc<Self> {
        Self::in_cloud(Environment::default(), limits, telemetry, usage, seed)
    }

    /// The same in a pod that may have an identity in a cloud.
    #[must_use]
    pub fn in_cloud(
        environment: Environment,
        limits: Limits,
        telemetry: Arc<Telemetry>,
        usage: Arc<UsageTable>,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            generation: watch::Sender::new(None),
            dialer: Dialer::new(),
            keys: Keys::default(),
            environment: Arc::new(environment),
            usage,
            telemetry,
            memory: Memory::new(limits.buffered_bytes),
            aside: Aside::new(),
            items: Items::default(),
            rights: Rights::new(&format!("{seed:016x}")),
            limits,
            connections: Connections::of(limits.requests),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            boot: seed,
            dice: AtomicU64::new(seed),
            served: AtomicU64::new(0),
            shadows: Shadows::new(),
            schemas: Schemas::new(),
            summaries: Summaries::default(),
        })
    }

    /// Takes a config if it can be run; the reason if not, and the one before stays.
    pub fn apply(&self, snapshot: Snapshot) -> Result<(), String> {
        let before = self.generation();
        let Self { dialer, keys, usage, environment, rights, .. } = self;
        let parts = Parts { dialer, keys, usage, environment, rights, before: before.as_deref() };
        let next = lower::lower(snapshot, &parts)?;
        for route in &next.routes {
            route.state.limits.resize(&route.limits);
        }
        if let Some(before) = &before {
            next.reset_breakers(before, clock::now());
            next.revise_breakers(clock::now());
        }
        next.watch_breakers(self.rights.due());
        self.rights.configure(&next.snapshot);
        // Cannot fail, and nobody waits: requests in flight keep the generation they began with.
        self.generation.send_replace(Some(Arc::new(next)));
        Ok(())
    }

    /// Takes a new key, or forgets one: from the next attempt on.
    pub fn set_credential(&self, credential: Credential) {
        self.keys.set(credential);
    }

    /// Versions of the keys that are here, for the operator.
    #[must_use]
    pub fn credential_versions(&self) -> Map<String> {
        self.keys.versions()
    }

    /// The config in use. None: none has arrived yet.
    #[must_use]
    pub fn generation(&self) -> Option<Arc<Generation>> {
        self.generation.borrow().clone()
    }

    /// Says when the config changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Generation>>> {
        self.generation.subscribe()
    }

    /// Routes none of whose first choices can be used here now, and why.
    #[must_use]
    pub fn degraded(&self) -> Map<String> {
        let Some(generation) = self.generation() else { return Map::new() };
        let reason = |route: &Arc<Route>| {
            let out = route.without_key();
            let mut usable =
                spillway_policy::fallback::primaries(&route.candidates).filter(|index| !out.contains(*index));
            let why = || format!("no key has arrived for {}", route.providers_without_key());
            let needs_operator = || {
                let named = self.rights.silent().is_none().then(|| route.needs_operator()).flatten()?;
                Some((route.name.clone(), named))
            };
            let no_key = usable.next().is_none().then(|| (route.name.clone(), why()));
            no_key.or_else(needs_operator)
        };
        generation.routes.iter().filter_map(reason).collect()
    }

    /// Requests in flight, streams included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A place for one more request. Err: how many there may be.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, usize> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.limits.requests {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(self.limits.requests);
        }
        Ok(Place { runtime: Arc::clone(self) })
    }

    /// Leave to wait in the queue of a limit. Err: as many wait as may. Whoever waits holds a place of its own among the
    /// requests in flight, and half of these are left to those who do not: one route's queue does not close the others.
    pub(crate) fn may_wait(self: &Arc<Self>) -> Result<WaitingPlace, usize> {
        let most = self.limits.requests / 2;
        let place = WaitingPlace { runtime: Arc::clone(self) };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= most { Err(most) } else { Ok(place) }
    }

    /// How many connections are served at once.
    pub(crate) const fn most_connections(&self) -> usize {
        self.connections.most
    }

    /// A new connection.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.enter()
    }

    /// Leave for one copy of a request of so many bytes. None: there are enough on their way.
    pub(crate) fn shadow(&self, bytes: u64) -> Option<(ShadowPlace, Hold)> {
        let place = self.shadows.enter()?;
        let mut memory = self.memory.hold();
        memory.grow_to(bytes).then_some((place, memory))
    }

    /// The process drains: copies nobody waits for are given up.
    pub fn end_shadows(&self) {
        self.shadows.drain();
    }

    /// A number no other request of any sidecar is likely to have: `5f3a09c1-2b`.
    pub(crate) fn request_id(&self) -> String {
        let served = self.served.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{served:x}", self.boot >> 32)
    }

    /// A random number: splitmix64 over a counter, which is plenty to keep callers from pausing in step.
    pub(crate) fn roll(&self) -> u64 {
        let mut mixed = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

// === impl Place ===

impl Place {
    pub(crate) const fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.runtime.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runtime.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
