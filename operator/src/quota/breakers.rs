//! Breakers that the fleet shares: what sidecars have seen of each backend, and what they are told. Nothing of it is stored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spillway_policy::breaker::Rule;
use spillway_policy::breaker::fleet::{Evidence, Fleet, Say, Verdict};
use spillway_policy::quota::{Epoch, Nanos};
use spillway_wire::{self as wire, BackendName, BreakerEvidence, BreakerSay, BreakerVerdict, QuotaReport};

use super::names::Source;
use super::plan::Plan;
use super::translate;
use crate::clock::Clock;

/// Verdicts on one backend that a leader may come to. A successor's come after all of them.
const TURNS_BITS: u32 = 32;

/// Every breaker that somebody has spoken of.
pub(super) struct Breakers {
    /// Some moment, and what the desk calls it.
    start: (Instant, Nanos),
    /// No verdict has had this number.
    next: u64,
    known: BTreeMap<BackendName, Known>,
}

struct Known {
    fleet: Fleet<Source>,
    rule: Rule,
    mark: Mark,
}

/// Where this changes, what was seen is of no interest any more.
#[derive(PartialEq, Eq)]
struct Mark {
    provider: String,
    model: String,
    reset: Option<String>,
}

// === impl Breakers ===

impl Breakers {
    /// `before`: the leader before this one.
    pub(super) fn new(before: Epoch, now: Nanos) -> Self {
        let next = before.0.saturating_add(1) << TURNS_BITS;
        Self { start: (Clock::system().monotonic(), now), next, known: BTreeMap::new() }
    }

    /// Goes by another config.
    pub(super) fn follow(&mut self, plan: &Plan) {
        let Self { start: _, next, known } = self;
        known.retain(|of, known| {
            let Some((breaker, backend)) = plan.breaker(of) else {
                // Should it come back, what is said then counts.
                *next = known.fleet.next_turn().max(*next);
                return false;
            };
            known.rule = spillway_lower::breaker(breaker);
            let mark = mark(breaker, backend);
            if known.mark != mark {
                known.fleet.close();
                known.mark = mark;
            }
            true
        });
    }

    /// Takes what a report says. True: somebody is to be told something new.
    pub(super) fn hear(&mut self, plan: &Plan, now: Nanos, source: Source, report: &QuotaReport) -> bool {
        let (now, stamp) = (self.instant(now), translate::stamp(report.stamp));
        let mut urgent = false;
        for line in &report.breakers {
            if !self.known.contains_key(&line.of) {
                let Some((breaker, backend)) = plan.breaker(&line.of) else { continue };
                let known = Known {
                    fleet: Fleet::new(self.next),
                    rule: spillway_lower::breaker(breaker),
                    mark: mark(breaker, backend),
                };
                self.known.insert(line.of.clone(), known);
            }
            if let Some(Known { fleet, rule, .. }) = self.known.get_mut(&line.of) {
                urgent |= fleet.hear(rule, &source, (stamp, evidence(line)), now);
            }
        }
        urgent
    }

    /// What to say, and to whom.
    pub(super) fn turn(&mut self, now: Nanos) -> BTreeMap<Source, Vec<BreakerVerdict>> {
        let now = self.instant(now);
        let mut told: BTreeMap<Source, Vec<BreakerVerdict>> = BTreeMap::new();
        for (of, Known { fleet, rule, .. }) in &mut self.known {
            for (source, said) in fleet.turn(rule, now) {
                told.entry(source).or_default().push(verdict(of, said));
            }
        }
        told
    }

    /// Lets go of sources that say nothing any more.
    pub(super) fn forget(&mut self, now: Nanos) {
        let now = self.instant(now);
        self.known.values_mut().for_each(|known| known.fleet.forget(now));
    }

    fn instant(&self, now: Nanos) -> Instant {
        let (start, named) = self.start;
        start + Duration::from_nanos(now.saturating_sub(named))
    }
}

fn mark(breaker: &wire::Breaker, backend: &wire::Backend) -> Mark {
    let (provider, model) = (backend.provider.clone(), backend.model.name.clone());
    Mark { provider, model, reset: breaker.reset.clone() }
}

const fn evidence(given: &BreakerEvidence) -> Evidence {
    let BreakerEvidence { of: _, attempts, failures, row, asked, turn, good, bad } = *given;
    Evidence { attempts, failures, row, asked, turn, good, bad }
}

fn verdict(of: &BackendName, said: Verdict) -> BreakerVerdict {
    let Verdict { turn, say, lease, failed, of: attempts } = said;
    let say = match say {
        Say::StayOut => BreakerSay::StayOut,
        Say::Probe => BreakerSay::Probe,
        Say::Closed => BreakerSay::Closed,
    };
    let lease = Nanos::try_from(lease.as_nanos()).unwrap_or(Nanos::MAX);
    BreakerVerdict { of: of.clone(), turn, say, lease, failed, attempts }
}
