//! The gates on the way to a backend: its own, that of its model, of its key, of its provider.

use std::{sync::Arc, time::Instant};

use spillway_policy::breaker::{self, Refusal};

use super::{
    gate::{ACCESS, Admission, Gate, ONE_OF_SEVERAL, Pass, Rest, Who},
    generation::{Backend, Generation, Route},
    keys::KeySlot,
};

// === impl Generation ===

impl Generation {
    /// Breakers that are open go by these rules too: whoever edits one does so for the trouble at hand.
    pub(super) fn revise_breakers(&self, now: Instant) {
        for (route, backend) in self.routes.iter().flat_map(|route| route.backends.iter().map(move |one| (route, one)))
        {
            let own = route.breaker.as_ref().map(|rule| (&backend.state.gate, rule));
            let provider = backend.provider.health.as_ref().map(|rule| (&backend.provider.state.gate, rule));
            own.into_iter().chain(provider).for_each(|(gate, rule)| gate.revise(rule, now));
        }
    }

    /// Closes every gate on the way of a route whose `reset` is not what it was.
    pub(super) fn reset_breakers(&self, before: &Self, now: Instant) {
        let reset = |of: &Self, name: &str| of.snapshot.routes.get(name)?.breaker.as_ref()?.reset.clone();
        for route in &self.routes {
            let wanted = reset(self, &route.name);
            if wanted.is_none() || wanted == reset(before, &route.name) {
                continue;
            }
            for (_, gate) in route.backends.iter().flat_map(Backend::every_gate) {
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
        let gates = self.backends[index].gates(at).filter(|(who, _)| counts(*who));
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
        if let Some((index, key, quota)) = self.admit_key(now)? {
            (admission.slot, admission.key, admission.quota) = (Some(index), Some(key), quota);
        }
        admission.model = Some(self.model_state.gate.admit(&ACCESS, now)?);
        if let Some(rule) = breaker {
            admission.backend = Some(self.state.gate.admit(rule, now)?);
        }
        Ok(admission)
    }

    /// The gates on the way at this moment: of several keys', the one that opens first.
    pub(crate) fn gates(&self, at: Instant) -> impl Iterator<Item = (Who, &Arc<Gate>)> {
        let key = self.first_key_gate(at).map(|gate| (Who::Key, gate));
        self.own_gates().chain(key)
    }

    /// All gates that may ever be on the way.
    pub(crate) fn every_gate(&self) -> impl Iterator<Item = (Who, &Arc<Gate>)> {
        let keys = self.provider.keys.iter().map(|slot| slot.gate());
        self.own_gates().chain(keys.chain(&self.quotas).map(|gate| (Who::Key, gate)))
    }

    fn own_gates(&self) -> impl Iterator<Item = (Who, &Arc<Gate>)> {
        let provider = self.provider.health.is_some().then_some((Who::Provider, &self.provider.state.gate));
        let own = [(Who::Model, &self.model_state.gate), (Who::Backend, &self.state.gate)];
        provider.into_iter().chain(own)
    }

    /// The first key that may be sent now, and leave to send it, and to send it for this model; Err: all of them rest.
    fn admit_key(&self, now: Instant) -> Result<Option<(usize, Pass, Option<Pass>)>, Refusal> {
        let keys = &self.provider.keys;
        let rule = if keys.len() > 1 { &ONE_OF_SEVERAL } else { &ACCESS };
        let mut soonest: Option<Refusal> = None;
        for (index, slot) in keys.iter().enumerate().filter(|(_, slot)| slot.is_set()) {
            let admitted = slot.gate().admit(rule, now).and_then(|key| {
                let quota = self.quotas.get(index).map(|quota| quota.admit(rule, now)).transpose()?;
                Ok((index, key, quota))
            });
            match admitted {
                Ok(admitted) => return Ok(Some(admitted)),
                Err(refusal) if soonest.is_none_or(|soonest| refusal.until < soonest.until) => soonest = Some(refusal),
                Err(_) => {}
            }
        }
        soonest.map_or(Ok(None), Err)
    }

    /// Of the keys that are there, the gate of one that may be sent, or else of the first that may be again. The only key
    /// has its gate even while it is not there.
    fn first_key_gate(&self, at: Instant) -> Option<&Arc<Gate>> {
        let keys = &self.provider.keys;
        let counts = |(_, slot): &(usize, &Arc<KeySlot>)| slot.is_set() || keys.len() == 1;
        let gates = keys.iter().enumerate().filter(counts).map(|(index, slot)| self.key_gate(index, slot, at));
        gates.min_by_key(|gate| gate.rest(Who::Key, at).map(|rest| rest.refusal.until))
    }

    /// The gate that keeps a key from being sent, if one does: of two, the one that opens last.
    fn key_gate<'a>(&'a self, index: usize, slot: &'a KeySlot, at: Instant) -> &'a Arc<Gate> {
        let until = |gate: &Gate| gate.rest(Who::Key, at).map(|rest| rest.refusal.until);
        let quota = self.quotas.get(index).filter(|quota| until(quota) > until(slot.gate()));
        quota.unwrap_or_else(|| slot.gate())
    }

    /// Which keys rest at this moment: a number from 1 on, until when and why.
    pub(crate) fn resting_keys(&self, at: Instant) -> impl Iterator<Item = (usize, Refusal)> {
        let rest = move |(index, slot): (usize, &Arc<KeySlot>)| {
            let rest = self.key_gate(index, slot, at).rest(Who::Key, at).filter(|_| slot.is_set())?;
            Some((index + 1, rest.refusal))
        };
        self.provider.keys.iter().enumerate().filter_map(rest)
    }
}
