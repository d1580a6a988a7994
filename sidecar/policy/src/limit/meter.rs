//! One count of one tenant: what its window holds, and how fast it may be used.

use super::{
    Level, Nanos, Rate,
    pace::Pace,
    window::{Place, Window},
};

#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    window: Window,
    pace: Pace,
}

// === impl Meter ===

impl Meter {
    /// All other methods expect this to have been called for their `now`.
    pub(super) fn advance(&mut self, now: Nanos, rate: &Rate) {
        self.window.advance(now, rate);
    }

    pub(super) fn room(&self, now: Nanos, rate: &Rate) -> u64 {
        self.window.room(rate).min(self.pace.room(now, rate))
    }

    pub(super) const fn used(&self) -> u64 {
        self.window.used()
    }

    pub(super) fn is_idle(&self, now: Nanos, rate: &Rate) -> bool {
        self.window.is_idle() && self.pace.full_at(now, rate) <= now
    }

    pub(super) fn take(&mut self, now: Nanos, rate: &Rate, amount: u64) -> Place {
        self.pace.take(now, rate, amount);
        self.window.take(now, rate, amount)
    }

    /// Gives back `amount` of what was `taken` at `since`; none: since when the rate was another.
    pub(super) fn give_back(
        &mut self,
        now: Nanos,
        rate: &Rate,
        since: Option<Nanos>,
        (place, taken): (Place, u64),
        amount: u64,
    ) {
        // How much of it has refilled is not known across a resize. What is missing then comes back with time.
        if let Some(since) = since {
            self.pace.give_back(now, rate, since, taken, amount);
        }
        self.window.give_back(now, rate, place, amount);
    }

    /// What was used beyond what was taken.
    pub(super) fn owe(&mut self, now: Nanos, rate: &Rate, amount: u64) {
        self.window.owe(now, rate, amount);
    }

    pub(super) fn ready_at(&self, now: Nanos, rate: &Rate, amount: u64) -> Nanos {
        self.window.ready_at(now, rate, amount).max(self.pace.ready_at(now, rate, amount))
    }

    pub(super) fn level(&self, now: Nanos, rate: &Rate) -> Level {
        let full = self.window.full_at(now, rate).max(self.pace.full_at(now, rate));
        Level { limit: rate.limit, remaining: self.room(now, rate), reset: full - now }
    }
}
