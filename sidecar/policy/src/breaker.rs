//! When something that fails is left alone, and when it is tried again: closed, open, half-open.
//!
//! Closed, everything passes and outcomes are counted. It opens on failures in a row or on their share in a window; then
//! nothing passes until its time is over. Half-open, one attempt at a time passes as a probe: enough good ones close it, a
//! bad one opens it again, for longer.
//!
//! A provider may also ask for a pause (`Retry-After`). That is no failure: it opens the breaker until the moment the
//! provider named, and closes it then without a probe, because nothing was ever in doubt. Where a breaker is open already,
//! the later of two moments counts, whoever named it. A provider that wants fewer requests again and again and never says
//! for how long is paused as well, a little at first and twice as long each time.
//!
//! An attempt carries a [`Ticket`]. What it reports after the breaker has changed its state is about another time and does
//! not count; only a pause does.

mod cause;
pub mod fleet;
mod told;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use cause::Cause;
use told::Told;

use crate::{
    retry,
    window::{Counts, Window},
};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// The share of failures in the window that opens it, in parts per million.
    pub failure_ratio_ppm: u32,
    /// Attempts in the window before the share counts.
    pub min_requests: u32,
    pub window: Duration,
    /// Good probes in a row that close it.
    pub success_threshold: u32,
    /// Until the first probe. Each probe that fails doubles it, up to [`LONGEST_GROWTH`] times its length; closing it
    /// makes it what it was.
    pub open_for: Duration,
}

/// How an attempt ended, as far as a breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    /// It says nothing about the other side: it was never sent, or whoever wanted the answer has gone.
    Neutral,
    /// The provider asked to be left alone for so long.
    Pause(Duration),
    /// It wants fewer requests and does not say for how long. With any random number, so that not everybody who was told
    /// so comes back at once.
    Crowded(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub at: Instant,
    pub to: Phase,
    pub cause: Cause,
}

/// Leave to attempt. It must come back with an outcome: a probe that does not would keep others out for ever.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    probe: bool,
}

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When asking again makes sense.
    pub until: Instant,
    pub cause: Cause,
}

/// A breaker that is not closed, as a person wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Open or half-open.
    pub phase: Phase,
    /// When it last opened, and why.
    pub since: Instant,
    pub cause: Cause,
    /// Until when nothing passes. None: the next attempt may be a probe.
    pub until: Option<Instant>,
}

/// A breaker's state. Its rule is an argument, so that a new one applies at once and keeps the state.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    /// Failures in a row while closed.
    failures: u32,
    /// [`Outcome::Crowded`] in a row, pauses between them included.
    crowded: u32,
    window: Window,
    /// Probes that failed since it was last closed.
    growth: u32,
    /// Until when the provider wants to be left alone, whatever a rule says.
    asked: Option<Instant>,
    epoch: u64,
    turns: [u64; 3],
    history: VecDeque<Transition>,
    told: Told,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        /// False for a pause: it closes by itself.
        probe: bool,
    },
    HalfOpen {
        good: u32,
        probing: bool,
    },
}

/// The longest a breaker is open without another failure, as a multiple of its rule's time. It is how late a recovery may be
/// noticed; a single request at such intervals is no load for anybody.
pub const LONGEST_GROWTH: u32 = 3;
/// No pause is longer, whatever a provider says.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// So often in a row may it be too much before a pause that nobody asked for: one is what a retry is there for.
const CROWDED: u32 = 3;
/// The first such pause. Each one that follows is twice as long, up to 32 times.
const CROWDED_PAUSE: Duration = Duration::from_secs(1);
/// Transitions that are remembered.
pub const HISTORY: usize = 16;
/// When to ask again while another attempt is the probe: nobody knows when that ends.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

// === impl Breaker ===

impl Breaker {
    /// May an attempt be made?
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Refusal> {
        match &mut self.state {
            State::Closed => {}
            State::Open { until, .. } if now < *until => return Err(Refusal { until: *until, cause: self.cause() }),
            State::Open { probe: false, .. } => self.turn(State::Closed, Cause::PauseOver, now),
            State::Open { probe: true, .. } => {
                self.turn(State::HalfOpen { good: 0, probing: true }, Cause::Due, now);
            }
            State::HalfOpen { probing: true, .. } => {
                return Err(Refusal { until: now + PROBE_PATIENCE, cause: Cause::Due });
            }
            State::HalfOpen { probing, .. } => *probing = true,
        }
        Ok(Ticket { epoch: self.epoch, probe: matches!(self.state, State::HalfOpen { .. }) })
    }

    /// Takes the outcome of an attempt.
    pub fn record(&mut self, rule: &Rule, ticket: Ticket, outcome: Outcome, now: Instant) {
        if ticket.epoch != self.epoch {
            if let Outcome::Pause(pause) = outcome {
                self.pause(pause, now);
            }
            return;
        }
        self.told.see(outcome);
        if ticket.probe {
            return self.probed(rule, outcome, now);
        }
        match outcome {
            Outcome::Success => {
                (self.failures, self.crowded) = (0, 0);
                self.window.add(rule.window, now, Counts { all: 1, some: 0 });
            }
            Outcome::Failure => self.failed(rule, now),
            Outcome::Neutral => {}
            Outcome::Pause(pause) => self.pause(pause, now),
            Outcome::Crowded(roll) => self.crowd(roll, now),
        }
    }

    /// Nothing passes for so long from now; a breaker that is open for longer stays so.
    pub fn pause(&mut self, pause: Duration, now: Instant) {
        self.pause_for(pause, Cause::Paused, now);
    }

    fn pause_for(&mut self, pause: Duration, cause: Cause, now: Instant) {
        let wanted = now + pause.min(LONGEST_PAUSE);
        self.asked = self.asked.max(Some(wanted));
        match &mut self.state {
            State::Open { until, .. } => *until = wanted.max(*until),
            State::Closed => self.turn(State::Open { until: wanted, probe: false }, cause, now),
            // It has not proved itself yet, and still has to.
            State::HalfOpen { .. } => self.turn(State::Open { until: wanted, probe: true }, cause, now),
        }
    }

    /// Closes it at once and forgets what it was opened for. True: it was not closed before.
    pub fn close(&mut self, cause: Cause, now: Instant) -> bool {
        (self.failures, self.crowded) = (0, 0);
        self.growth = 0;
        self.window.clear();
        let was_closed = matches!(self.state, State::Closed);
        if !was_closed {
            self.turn(State::Closed, cause, now);
        }
        !was_closed
    }

    /// Goes by a rule that may be another one. Where it is open for what the new rule would have borne, it closes; else it is
    /// open for as long as the new rule says, counted from when it opened. A pause that the provider asked for stays.
    pub fn revise(&mut self, rule: &Rule, now: Instant) {
        let State::Open { until, probe: true } = &mut self.state else { return };
        let opened = self.history.iter().rev().find(|transition| transition.to == Phase::Open);
        let Some(opened) = opened.filter(|opened| opened.cause.is_of_rule()) else { return };
        let asked = self.asked.filter(|asked| now < *asked);
        if opened.cause.opens(rule) {
            let by_rule = opened.at + length(rule, self.growth);
            *until = asked.map_or(by_rule, |asked| asked.max(by_rule));
        } else if let Some(asked) = asked {
            self.state = State::Open { until: asked, probe: false };
        } else {
            self.close(Cause::Revised, now);
        }
    }

    /// Would an attempt at this moment be refused, and until when?
    #[must_use]
    pub fn refusal(&self, at: Instant) -> Option<Refusal> {
        match self.state {
            State::Open { until, .. } if at < until => Some(Refusal { until, cause: self.cause() }),
            State::HalfOpen { probing: true, .. } => Some(Refusal { until: at + PROBE_PATIENCE, cause: Cause::Due }),
            State::Closed | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// What it is at this moment, although no attempt may have come yet to notice that its time is over. None: closed.
    #[must_use]
    pub fn trouble(&self, at: Instant) -> Option<Trouble> {
        let (phase, until) = match self.state {
            State::Closed => return None,
            State::Open { until, .. } if at < until => (Phase::Open, Some(until)),
            State::Open { probe: false, .. } => return None,
            State::Open { probe: true, .. } | State::HalfOpen { .. } => (Phase::HalfOpen, None),
        };
        let opened = self.history.iter().rev().find(|transition| transition.to == Phase::Open)?;
        Some(Trouble { phase, since: opened.at, cause: opened.cause, until })
    }

    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// Until when it lets nothing pass.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        if let State::Open { until, .. } = self.state { Some(until) } else { None }
    }

    /// Why it last opened. What it did since (half-open, closed) is no reason to be left alone.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let opened = self.history.iter().rev().find(|transition| transition.to == Phase::Open);
        opened.map_or(Cause::Reset, |transition| transition.cause)
    }

    /// The last transitions, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.history.iter()
    }

    /// Grows by one with every transition.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How often it has become each [`Phase`], in their order.
    #[must_use]
    pub const fn turns(&self) -> [u64; 3] {
        self.turns
    }

    fn crowd(&mut self, roll: u64, now: Instant) {
        self.crowded = self.crowded.saturating_add(1);
        if let Some(before) = self.crowded.checked_sub(CROWDED) {
            let pause = CROWDED_PAUSE * (1 << before.min(5));
            self.pause_for(retry::stagger(pause, roll), Cause::Crowded(self.crowded), now);
        }
    }

    fn failed(&mut self, rule: &Rule, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.window.add(rule.window, now, Counts { all: 1, some: 1 });
        let Counts { all, some } = self.window.sum(rule.window, now);
        let causes = [Cause::InARow(self.failures), Cause::Share { failed: some, of: all }];
        if let Some(cause) = causes.into_iter().find(|cause| cause.opens(rule)) {
            self.turn(State::Open { until: now + rule.open_for, probe: true }, cause, now);
        }
    }

    fn probed(&mut self, rule: &Rule, outcome: Outcome, now: Instant) {
        let State::HalfOpen { good, probing } = &mut self.state else { return };
        *probing = false;
        match outcome {
            Outcome::Success => {
                *good += 1;
                if *good >= rule.success_threshold {
                    self.close(Cause::Probed, now);
                }
            }
            Outcome::Failure => {
                self.growth = self.growth.saturating_add(1);
                let until = now + length(rule, self.growth);
                self.turn(State::Open { until, probe: true }, Cause::ProbeFailed, now);
            }
            Outcome::Neutral => {}
            Outcome::Pause(pause) => self.pause(pause, now),
            Outcome::Crowded(roll) => self.crowd(roll, now),
        }
    }

    fn turn(&mut self, to: State, cause: Cause, now: Instant) {
        self.state = to;
        self.epoch += 1;
        self.turns[self.phase() as usize] += 1;
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Transition { at: now, to: self.phase(), cause });
    }
}

/// How long it is open after so many probes in a row that failed.
fn length(rule: &Rule, growth: u32) -> Duration {
    rule.open_for * (1 << growth.min(10)).min(LONGEST_GROWTH)
}

// === impl Ticket ===

impl Ticket {
    #[must_use]
    pub const fn is_probe(self) -> bool {
        self.probe
    }
}

// === impl Phase ===

impl Phase {
    /// The word users read in a status, a metric and a log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "Closed",
            Self::Open => "Open",
            Self::HalfOpen => "HalfOpen",
        }
    }
}

#[cfg(test)]
mod tests;
