//! Whom else to ask without waiting: another key of the same backend, or a second backend beside a silent one.

use spillway_policy::{
    Class,
    fallback::{Choice, Set, targets},
};

use super::{Plan, Taken};
use crate::{clock, pipeline::resolve::Call};

impl Plan {
    /// To another key of the same backend: that is no retry, and takes nothing from the budget of extra attempts.
    pub(super) async fn turn_key(&mut self, call: &mut Call) -> bool {
        self.turned += 1;
        if self.turned < call.route.backends[self.backend].provider.keys.len() {
            self.admission = call.admit(self.backend).await.ok();
        }
        self.admission.is_some()
    }

    /// Whom to ask beside the backend that is silent: the next first choice, or where the rules send a Timeout to. A prompt is
    /// not counted for it: a hedge that takes time comes too late.
    pub(in crate::pipeline) fn second(&self, call: &Call) -> Option<Taken> {
        if call.hints.no_fallback {
            return None;
        }
        let route = &call.route;
        let mut out = self.tried.union(route.without_key());
        out.insert(self.backend);
        let order = || route.primaries.iter().chain(targets(&route.rules, Class::Timeout)).copied();
        loop {
            match call.question(out, Set::default(), 0).first_of(order(), |_, _| ()) {
                // Nobody waits for rights, either.
                Choice::Take(index) => match call.admit_at_once(index) {
                    Ok(Ok((admission, _))) => {
                        let may = route.state.take_hedge(route.budget.as_ref(), clock::now());
                        return may.then_some((index, admission));
                    }
                    Ok(Err(_)) | Err(_) => out.insert(index),
                },
                Choice::Count(index) => out.insert(index),
                Choice::Nobody => return None,
            }
        }
    }

    /// One of two that were asked at once has failed, and had its chance.
    pub(in crate::pipeline) const fn failed_beside(&mut self, backend: usize) {
        self.tried.insert(backend);
    }
}
