//! A sidecar's end of a breaker that the fleet shares: what it has seen, and what becomes of it when it is told something.
//! The other end is [`super::fleet`].

use std::time::Instant;

use super::{
    Breaker, Cause, LONGEST_PAUSE, Outcome, State,
    fleet::{Evidence, Say, Verdict},
};

/// What was seen since the process began, and what the fleet has said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    seen: Seen,
    verdict: Option<(u64, Say)>,
    /// What was seen before that verdict.
    before: Seen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    attempts: u64,
    failures: u64,
    row: u64,
}

// === impl Breaker ===

impl Breaker {
    /// What to tell the fleet. How often somebody wanted to ask is not known here.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let Told { seen: Seen { attempts, failures, row }, verdict, before } = self.told;
        let bad = failures - before.failures;
        let good = attempts - before.attempts - bad;
        Evidence { attempts, failures, row, asked: 0, turn: verdict.map_or(0, |(turn, _)| turn), good, bad }
    }

    /// Does what the fleet says. One that is older than what it said last says nothing.
    pub fn obey(&mut self, verdict: &Verdict, now: Instant) {
        let Verdict { turn, say, lease, failed, of } = *verdict;
        let before = self.told.verdict;
        if before.is_some_and(|(before, _)| turn < before) {
            return;
        }
        if before.is_none_or(|(before, _)| before < turn) {
            self.told.before = self.told.seen;
        }
        self.told.verdict = Some((turn, say));
        let is_repeated = before == Some((turn, say));
        let cause = Cause::Fleet { failed, of };
        match say {
            Say::StayOut => self.stay_out(now + lease.min(LONGEST_PAUSE), cause, now),
            Say::Probe if !is_repeated => self.may_probe(cause, now),
            Say::Closed if !is_repeated => _ = self.close(Cause::FleetProbed, now),
            Say::Probe | Say::Closed => {}
        }
    }

    /// Whoever has opened it himself for longer keeps to that.
    fn stay_out(&mut self, wanted: Instant, cause: Cause, now: Instant) {
        let is_fleets = matches!(self.cause(), Cause::Fleet { .. });
        match &mut self.state {
            State::Open { until, probe } if wanted <= *until => *probe = true,
            State::Open { until, probe } if is_fleets => (*until, *probe) = (wanted, true),
            State::Open { .. } | State::Closed | State::HalfOpen { .. } => {
                self.turn(State::Open { until: wanted, probe: true }, cause, now);
            }
        }
    }

    /// The fleet has waited for long enough: the next attempt is a probe.
    fn may_probe(&mut self, cause: Cause, now: Instant) {
        match &mut self.state {
            State::Open { until, probe } => {
                (*until, *probe) = (self.asked.filter(|asked| now < *asked).unwrap_or(now), true);
            }
            State::Closed => self.turn(State::Open { until: now, probe: true }, cause, now),
            State::HalfOpen { .. } => {}
        }
    }
}

// === impl Told ===

impl Told {
    pub(super) const fn see(&mut self, outcome: Outcome) {
        let Seen { attempts, failures, row } = &mut self.seen;
        match outcome {
            Outcome::Success => (*attempts, *row) = (*attempts + 1, 0),
            Outcome::Failure => (*attempts, *failures, *row) = (*attempts + 1, *failures + 1, *row + 1),
            Outcome::Neutral | Outcome::Pause(_) | Outcome::Crowded(_) => {}
        }
    }
}
