//! The gates on the way to a backend: its own, that of its model, of its key, of its provider.

use std::{sync::Arc, time::Instant};

use spillway_policy::breaker::{self, Refusal};

use super::{
    gate::{ACCESS, Admission, Gate, Rest, Who},
    generation::{Backend, Generation, Route},
};

// === impl Generation ===

impl Generation {
    /// Closes every gate on the way of a route whose `reset` is not what it was.
    pub(super) fn reset_breakers(&self, before: &Self, now: Instant) {
        let reset = |of: &Self, name: &str| of.snapshot.routes.get(name)?.breaker.as_ref()?.reset.clone();
        for route in &self.routes {
            let wanted = reset(self, &route.name);
            if wanted.is_none() || wanted == reset(before, &route.name) {
                continue;
            }
            for (_, gate) in route.backends.iter().flat_map(Backend::gates) {
                gate.close(breaker::Cause::Reset, now);
            }
        }
    }
}

// === impl Route ===

impl Route {
    /// Leave for one attempt at a backend; Err: who is left alone.
    pub(crate) fn admit(&self, index: usize, now: Instant) -> Result<Admission, Refusal> {
        self.backends[index].admit(self.breaker.as_ref(), now)
    }

    /// Who would refuse an attempt at a backend at this moment: of several, the one that does so for longest.
    pub(crate) fn rest(&self, index: usize, at: Instant) -> Option<Rest> {
        // A rule that was taken away leaves its gate as it was, and nobody asks it any more.
        let counts = |who| who != Who::Backend || self.breaker.is_some();
        let gates = self.backends[index].gates().filter(|(who, _)| counts(*who));
        let rests = gates.filter_map(|(who, gate)| gate.rest(who, at));
        rests.max_by_key(|rest| rest.refusal.until)
    }
}

// === impl Backend ===

impl Backend {
    /// Leave for one attempt, from every gate on the way; Err: the one that is closed.
    pub(crate) fn admit(&self, breaker: Option<&breaker::Rule>, now: Instant) -> Result<Admission, Refusal> {
        let mut admission = Admission::default();
        // What was let through is given back when a later gate refuses.
        let provider = &self.provider.state.gate;
        match &self.provider.health {
            Some(rule) if self.provider.passive => admission.provider = Some(provider.admit(rule, now)?),
            // Only a check opens and closes it; a request neither counts nor is a probe.
            Some(_) => provider.rest(Who::Provider, now).map_or(Ok(()), |rest| Err(rest.refusal))?,
            None => {}
        }
        if let Some(slot) = &self.provider.key {
            admission.key = Some(slot.gate().admit(&ACCESS, now)?);
        }
        admission.model = Some(self.model_gate.admit(&ACCESS, now)?);
        if let Some(rule) = breaker {
            admission.backend = Some(self.state.gate.admit(rule, now)?);
        }
        Ok(admission)
    }

    pub(crate) fn gates(&self) -> impl Iterator<Item = (Who, &Arc<Gate>)> {
        let provider = self.provider.health.is_some().then_some((Who::Provider, &self.provider.state.gate));
        let key = self.provider.key.as_ref().map(|slot| (Who::Key, slot.gate()));
        let own = [(Who::Model, &self.model_gate), (Who::Backend, &self.state.gate)];
        provider.into_iter().chain(key).chain(own)
    }
}
