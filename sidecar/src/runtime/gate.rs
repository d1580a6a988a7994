//! Breakers as requests share them, and what a request holds of them while it is under way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use spillway_policy::{
    Class,
    breaker::{
        Breaker, Cause, Outcome, Phase, Refusal, Rule, Ticket, Transition, Trouble,
        fleet::{Evidence, Verdict},
    },
    retry,
};
use tokio::sync::Notify;

use super::rights::Reserved;
use crate::clock;

/// One breaker, with a name for the log.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    name: String,
    breaker: Mutex<Breaker>,
    /// The last failure that counted. Where the gate is open, it is what whoever is kept out would have been told.
    failed: Mutex<Option<Class>>,
    /// How often somebody wanted to pass.
    asked: AtomicU64,
    /// Who wants to know of every change of state.
    watcher: OnceLock<Arc<Notify>>,
}

/// One attempt that a gate let through. Dropped without a word, it proved nothing, and a probe's place is free again.
#[must_use = "dropping it says that the attempt proved nothing"]
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    rule: Rule,
    ticket: Ticket,
    outcome: Outcome,
}

/// What every gate on the way to a backend has let through: the backend's own, its model's, its key's, its key's for its model,
/// its provider's.
#[must_use = "dropping it says that the attempt proved nothing"]
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(super) backend: Option<Pass>,
    pub(super) model: Option<Pass>,
    pub(super) key: Option<Pass>,
    /// Where there are several keys: what one has left of a model, another may have more of.
    pub(super) quota: Option<Pass>,
    pub(super) provider: Option<Pass>,
    /// Which of the provider's keys it is.
    pub(crate) slot: Option<usize>,
    /// What was set aside for it.
    pub(crate) reserved: Option<Reserved>,
}

/// A backend is left alone for now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) who: Who,
    pub(crate) refusal: Refusal,
    /// The failure that the gate was closed to requests for, or the last one.
    pub(crate) failed: Option<Class>,
}

/// Whose gate is closed to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Backend,
    /// The model at the provider, for every route that uses it.
    Model,
    Key,
    Provider,
}

/// How an attempt failed, as far as gates need to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) class: Class,
    pub(crate) retry_after: Option<Duration>,
    /// The application's own deadline came first: that says nothing about the provider.
    pub(crate) hurried: bool,
    /// A newer key has come since the request was sent: that the old one was refused says nothing any more.
    pub(crate) rekeyed: bool,
    /// What is wrong is the key, and the provider has others.
    pub(crate) of_key: Option<OfKey>,
    /// There was nothing to say who we are with: the provider was never asked.
    pub(crate) unproved: bool,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfKey {
    /// It is refused, or not paid for.
    Whole,
    /// It has been used too much for the model that was asked.
    WithModel,
}

/// What is shown of a gate.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    pub(crate) until: Option<Instant>,
    pub(crate) history: Vec<Transition>,
    /// Transitions since the start of the process, by [`Phase`].
    pub(crate) turns: [u64; 3],
}

/// Keys and models trip after so many refusals in a row, in whatever route. A share of refusals says nothing: who gets
/// one good answer has a good key.
pub(super) const ACCESS: Rule = Rule {
    failure_threshold: 3,
    failure_ratio_ppm: 1_000_000,
    min_requests: u32::MAX,
    window: Duration::from_secs(10),
    success_threshold: 1,
    open_for: Duration::from_secs(60),
};

/// Nobody waits for a second refusal where another key can be sent.
pub(super) const ONE_OF_SEVERAL: Rule = Rule { failure_threshold: 1, ..ACCESS };

/// How long a key rests whose provider does not say when it may be sent again.
const KEY_PAUSE: Duration = Duration::from_secs(20);

/// Gates by model.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<BTreeMap<String, Arc<Gate>>>);

// === impl Gates ===

impl Gates {
    pub(super) fn of(&self, model: &str, name: impl FnOnce() -> String) -> Arc<Gate> {
        let mut gates = self.lock();
        if !gates.contains_key(model) {
            // Those that no config in use asks for, and no request in flight, are forgotten; so are those of a config that
            // was refused.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(gates.entry(model.to_owned()).or_insert_with(|| Gate::new(name())))
    }

    pub(super) fn each(&self, what: impl Fn(&Gate)) {
        self.lock().values().for_each(|gate| what(gate));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Gate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new(name: String) -> Arc<Self> {
        Arc::new(Self { name, ..Self::default() })
    }

    /// What it leads to: `backend mini of route shop/chat`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn admit(self: &Arc<Self>, rule: &Rule, now: Instant) -> Result<Pass, Refusal> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let ticket = self.change(|breaker| breaker.admit(now))?;
        Ok(Pass { gate: Arc::clone(self), rule: *rule, ticket, outcome: Outcome::Neutral })
    }

    pub(crate) fn close(&self, cause: Cause, now: Instant) {
        self.change(|breaker| breaker.close(cause, now));
    }

    /// Goes by this rule from now on, if it is open too.
    pub(crate) fn revise(&self, rule: &Rule, now: Instant) {
        self.change(|breaker| breaker.revise(rule, now));
    }

    /// Closes it if it is not. One that is keeps what it has counted.
    pub(crate) fn close_if_open(&self, cause: Cause, now: Instant) {
        self.change(|breaker| {
            if breaker.phase() != Phase::Closed {
                breaker.close(cause, now);
            }
        });
    }

    /// Leaves it open, if it is, for so long from now at least.
    pub(crate) fn keep_open(&self, pause: Duration, now: Instant) {
        self.change(|breaker| {
            if breaker.phase() != Phase::Closed {
                breaker.pause(pause, now);
            }
        });
    }

    /// What the fleet may want to know of it.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence { asked: self.asked.load(Ordering::Relaxed), ..self.lock().evidence() }
    }

    /// Does what the fleet says.
    pub(crate) fn obey(&self, verdict: &Verdict, now: Instant) {
        self.change(|breaker| breaker.obey(verdict, now));
    }

    /// Changes of state are told from now on.
    pub(crate) fn watch(&self, watcher: &Arc<Notify>) {
        self.watcher.get_or_init(|| Arc::clone(watcher));
    }

    /// Would an attempt at this moment be refused?
    pub(super) fn rest(&self, who: Who, at: Instant) -> Option<Rest> {
        let refusal = self.lock().refusal(at)?;
        Some(Rest { who, refusal, failed: self.failed() })
    }

    /// What is wrong with it at this moment. None: it lets everything pass.
    pub(crate) fn trouble(&self, at: Instant) -> Option<Trouble> {
        self.lock().trouble(at)
    }

    pub(crate) fn view(&self) -> View {
        let breaker = self.lock();
        View {
            phase: breaker.phase(),
            until: breaker.until(),
            history: breaker.history().copied().collect(),
            turns: breaker.turns(),
        }
    }

    /// What the last failure that counted was.
    fn failed(&self) -> Option<Class> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blame(&self, class: Class) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(class);
    }

    /// Every change of state is a line in the log, written when nobody waits for the gate any more.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.lock();
        let before = breaker.epoch();
        let made = change(&mut breaker);
        let changed = breaker.epoch() != before;
        let turned = breaker.history().next_back().copied().filter(|_| changed);
        let until = breaker.until();
        drop(breaker);
        if let Some(Transition { at, to, cause }) = turned {
            let seconds = until.map(|until| until.saturating_duration_since(at).as_secs());
            tracing::warn!(breaker = self.name, state = to.as_str(), cause = %cause, for_seconds = seconds, "breaker");
            if let Some(watcher) = self.watcher.get() {
                watcher.notify_one();
            }
        }
        made
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Who ===

impl Who {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Model => "model",
            Self::Key => "key",
            Self::Provider => "provider",
        }
    }
}

// === impl Pass ===

impl Pass {
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Self { gate, rule, ticket, outcome } = self;
        gate.change(|breaker| breaker.record(rule, *ticket, *outcome, clock::now()));
    }
}

// === impl Admission ===

impl Admission {
    /// For what is asked whatever gates say, and says nothing to them.
    pub(crate) fn without_gates(reserved: Option<Reserved>) -> Self {
        Self { reserved, ..Self::default() }
    }

    /// An answer, or the beginning of one, has come. What it proves is proved, except that it may still break off: the
    /// backend's own gate waits for the end, unless it waits for a probe.
    pub(crate) fn answered(&mut self) {
        let ends = [self.model.take(), self.key.take(), self.quota.take(), self.provider.take()];
        let probe = self.backend.take_if(|pass| pass.ticket.is_probe());
        for pass in ends.into_iter().chain([probe]).flatten() {
            pass.end(Outcome::Success);
        }
    }

    /// The answer has come to its end.
    pub(crate) fn completed(mut self) {
        self.answered();
        if let Some(pass) = self.backend.take() {
            pass.end(Outcome::Success);
        }
    }

    /// The attempt failed, or its answer broke off. `roll` is any random number.
    pub(crate) fn failed(self, failed: &Failed, roll: u64) {
        let Self { backend, model, key, quota, provider, slot: _, reserved: _ } = self;
        for (pass, outcome) in [backend, model, key, quota, provider].into_iter().zip(failed.outcomes(roll)) {
            if let Some(pass) = pass {
                if outcome == Outcome::Failure {
                    pass.gate.blame(failed.class);
                }
                pass.end(outcome);
            }
        }
    }
}

// === impl Failed ===

impl Failed {
    /// With nothing else to be said of it.
    pub(crate) const fn with(class: Class) -> Self {
        Self { class, retry_after: None, hurried: false, rekeyed: false, of_key: None, unproved: false }
    }

    /// For the gates of the backend, its model, its key, its key for its model, its provider. Whoever says that the request
    /// is wrong is alive and well; whoever says that there are too many of them is alive and wants to be left alone.
    fn outcomes(&self, roll: u64) -> [Outcome; 5] {
        use Outcome::{Crowded, Failure, Neutral, Pause, Success};
        let pause = |wait: Duration| Pause(retry::stagger(wait, roll));
        let asked = self.retry_after.filter(|wait| !wait.is_zero());
        match self.class {
            _ if self.hurried => [Neutral; 5],
            Class::Authentication if self.rekeyed => [Neutral; 5],
            Class::Authentication if self.unproved => [Neutral, Neutral, Failure, Neutral, Neutral],
            // The way to it leads past whoever gives out tokens.
            _ if self.unproved => [Failure, Neutral, Neutral, Neutral, Neutral],
            // Too much has been asked with it, or nobody pays for it: that may be otherwise for the other keys.
            class if self.of_key.is_some() && class != Class::Authentication => {
                let rest = pause(asked.unwrap_or(KEY_PAUSE));
                let by_model = self.of_key == Some(OfKey::WithModel);
                let (key, quota) = if by_model { (Success, rest) } else { (rest, Neutral) };
                [Neutral, Neutral, key, quota, Success]
            }
            Class::Connection | Class::Timeout | Class::InternalServerError | Class::ServiceUnavailable => {
                [Failure, Neutral, Neutral, Neutral, Failure]
            }
            Class::RateLimited => [Neutral, asked.map_or(Crowded(roll), pause), Success, Neutral, Success],
            Class::Authentication => [Neutral, Neutral, Failure, Neutral, Success],
            // It is known who asks, and the answer is no: to this model, as far as anybody can tell.
            Class::PermissionDenied if self.rekeyed => [Neutral; 5],
            Class::PermissionDenied => [Neutral, Failure, Neutral, Neutral, Success],
            // There is no such model, or not for this key. One good answer from it proves the contrary.
            Class::NotFound => [Neutral, Failure, Success, Neutral, Success],
            Class::ContextWindowExceeded
            | Class::BadRequest
            | Class::ContentPolicyViolation
            | Class::UnprocessableEntity => [Success; 5],
        }
    }
}

#[cfg(test)]
mod tests;
