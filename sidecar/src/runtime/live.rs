//! What routes and backends have learnt and hold while they run. Handed on to the next config, by name: an edit of a route
//! neither forgets that a backend is down nor hands out its limits anew.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use spillway_policy::{
    NanoUsd,
    balance::{Load, PeakEwma},
    calibrate::Calibration,
    retry::budget::{self, Budget, Share},
};

use super::{fleet::Lines, gate::Gate, generation::Generation, learnt::LearntWindow, limits::Limits};
use crate::clock;

/// Of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    pub(crate) limits: Arc<Limits>,
    /// Who waits for limits of the whole fleet.
    pub(crate) lines: Lines,
    budget: Mutex<Budget>,
    hedges: Mutex<Share>,
    refused: AtomicU64,
}

/// Of one backend of one route.
#[derive(Debug, Default)]
pub(crate) struct BackendState {
    pub(crate) gate: Arc<Gate>,
    /// How far it is behind its share under strategy Weighted.
    pub(crate) behind: AtomicI64,
    /// What its model makes of our estimates.
    pub(crate) calibration: Arc<Calibration>,
    in_flight: AtomicU32,
    /// What an answer has cost of late, in nano-dollars, and one more. 0: there was none.
    usual: AtomicU64,
    /// An answer came whose cost nobody knows.
    unpriced: AtomicBool,
    latency: Mutex<PeakEwma>,
}

/// Of one provider.
#[derive(Debug, Default)]
pub(crate) struct ProviderState {
    /// Its health, by what every route sees of it.
    pub(crate) gate: Arc<Gate>,
    models: Mutex<BTreeMap<String, ModelState>>,
}

/// Of one model at one provider.
#[derive(Clone, Debug)]
pub(crate) struct ModelState {
    /// Whether the key may use it, and when it may be asked again: limits are by model nearly everywhere.
    pub(crate) gate: Arc<Gate>,
    pub(crate) window: Arc<LearntWindow>,
}

/// One attempt at a backend, counted until dropped: for a stream, until its end.
#[derive(Debug)]
#[must_use = "dropping it says that the attempt is over"]
pub(crate) struct InFlight {
    state: Arc<BackendState>,
    /// When it was sent, until it is known how long it took.
    sent: Option<Instant>,
}

// === impl RouteState ===

impl RouteState {
    /// A request has come, and earns its share of extra attempts.
    pub(crate) fn request(&self, hedge_ppm: u32, now: Instant) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).request(now);
        self.hedges.lock().unwrap_or_else(PoisonError::into_inner).request(hedge_ppm);
    }

    /// Leave for one more attempt than one. False: the budget is spent.
    pub(crate) fn take(&self, rule: Option<&budget::Rule>, now: Instant) -> bool {
        let may = rule.is_none_or(|rule| self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(rule, now));
        self.refused.fetch_add(u64::from(!may), Ordering::Relaxed);
        may
    }

    /// Extra attempts that were not made because the budget was spent.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many extra attempts there could be now.
    pub(crate) fn left(&self, rule: &budget::Rule, now: Instant) -> u64 {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).left(rule, now)
    }

    /// Leave for a hedge, which is an extra attempt too.
    pub(crate) fn take_hedge(&self, rule: Option<&budget::Rule>, now: Instant) -> bool {
        let mut hedges = self.hedges.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither is used up when the other one is.
        hedges.has_one() && self.take(rule, now) && hedges.take()
    }
}

// === impl BackendState ===

impl BackendState {
    pub(crate) fn enter(self: &Arc<Self>, now: Instant) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { state: Arc::clone(self), sent: Some(now) }
    }

    pub(crate) fn load(&self, now: Instant) -> Load {
        Load { in_flight: self.in_flight.load(Ordering::Relaxed), micros: self.latency().micros(now) }
    }

    /// What an answer has cost of late. None: there was none yet.
    pub(crate) fn usual_cost(&self) -> Option<NanoUsd> {
        self.usual.load(Ordering::Relaxed).checked_sub(1).map(NanoUsd)
    }

    /// Learns from what an answer has cost.
    pub(crate) fn has_cost(&self, NanoUsd(cost): NanoUsd) {
        let blend = |old: u64| match old.checked_sub(1) {
            None => cost.saturating_add(1),
            // Sixteen answers to forget most of what was before them.
            Some(old) => (old - old / 16).saturating_add(cost / 16).saturating_add(1),
        };
        _ = self.usual.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(blend(old)));
    }

    /// An answer came, and nobody knows what it cost.
    pub(crate) fn has_no_cost(&self) {
        self.unpriced.store(true, Ordering::Relaxed);
    }

    /// Whether answers come from here whose cost nobody knows, and none whose cost is known.
    pub(crate) fn is_unpriced(&self) -> bool {
        self.unpriced.load(Ordering::Relaxed) && self.usual_cost().is_none()
    }

    fn latency(&self) -> MutexGuard<'_, PeakEwma> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl InFlight {
    /// How long the attempt took: until a stream's first content, or until a whole answer was there. None: it says nothing
    /// of the backend's speed.
    pub(crate) fn took(&mut self, now: Instant, took: Option<Duration>) {
        self.sent = None;
        if let Some(took) = took {
            self.state.latency().observe(now, took);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        // Given up: another one was faster, or the application has gone. A backend that hangs would otherwise be forgotten
        // to be slow, and seem the faster the longer it hangs.
        if let Some(sent) = self.sent {
            let now = clock::now();
            self.state.latency().at_least(now, now.saturating_duration_since(sent));
        }
    }
}

// === impl ProviderState ===

impl ProviderState {
    pub(crate) fn model(&self, provider: &str, model: &str) -> ModelState {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || ModelState { gate: Gate::new(format!("model {model} of provider {provider}")), window: Arc::default() };
        if !models.contains_key(model) {
            // Those that no config in use asks for, and no request in flight, are forgotten; so are those of a config that
            // was refused.
            models.retain(|_, model| Arc::strong_count(&model.gate) > 1);
        }
        models.entry(model.to_owned()).or_insert_with(new).clone()
    }
}

/// The provider's state in the config before, if it is still at the same place, or a new one.
pub(super) fn provider(before: Option<&Generation>, name: &str, base_url: &str) -> Arc<ProviderState> {
    let old = before.filter(|old| old.snapshot.providers.get(name).is_some_and(|old| old.base_url == base_url));
    let new = || ProviderState { gate: Gate::new(format!("provider {name}")), ..ProviderState::default() };
    old.and_then(|old| old.providers.get(name)).map_or_else(|| Arc::new(new()), |old| Arc::clone(&old.state))
}

/// The route's state in the config before, or a new one.
pub(super) fn route(before: Option<&Generation>, name: &str) -> Arc<RouteState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|route| route.name == name));
    old.map_or_else(Arc::default, |route| Arc::clone(&route.state))
}

/// The backend's state in the config before, if it still asks the same model of the same provider at the same place, or a
/// new one.
pub(super) fn backend(
    before: Option<&Generation>,
    route: &str,
    name: &str,
    (provider, model): (&Arc<ProviderState>, &str),
) -> Arc<BackendState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|old| old.name == route));
    let old = old.and_then(|route| route.backends.iter().find(|backend| backend.name == name));
    let same = old.filter(|old| Arc::ptr_eq(&old.provider.state, provider) && old.model == model);
    let gate = || Gate::new(format!("backend {name} of route {route}"));
    let new = || BackendState { gate: gate(), ..BackendState::default() };
    same.map_or_else(|| Arc::new(new()), |backend| Arc::clone(&backend.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_hangs_until_nobody_waits_any_more_seems_no_faster_for_it() {
        let second = Duration::from_secs(1);
        let state = Arc::<BackendState>::default();
        state.enter(clock::now()).took(clock::now(), Some(4 * second));
        for _ in 0..5 {
            let hanging = state.enter(clock::now());
            tokio::time::advance(5 * second).await;
            drop(hanging);
            assert_eq!(state.load(clock::now()), Load { in_flight: 0, micros: Some(5_000_000) });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hedge_that_the_budget_refuses_is_still_there_for_the_next_request() {
        let (state, now) = (RouteState::default(), clock::now());
        assert!(!state.take_hedge(Some(&budget::Rule { ratio_ppm: 0, min_per_second: 0 }), now));
        let rule = budget::Rule { ratio_ppm: 0, min_per_second: 1 };
        assert!(state.take_hedge(Some(&rule), now));
        assert!(!state.take_hedge(Some(&rule), now), "the share");
        assert_eq!(state.left(&rule, now), 9);
    }

    #[test]
    fn a_provider_forgets_models_that_nobody_asks_for() {
        let provider = ProviderState::default();
        let kept = provider.model("openai", "kept");
        for model in 0..100 {
            drop(provider.model("openai", &model.to_string()));
        }
        assert!(Arc::ptr_eq(&kept.gate, &provider.model("openai", "kept").gate));
        assert!(provider.models.lock().unwrap().len() <= 2);
    }
}
