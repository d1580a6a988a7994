//! Limits on requests, tokens and requests in flight: one machine for all limits of a route.
//!
//! All are checked, then all are taken from: a request that the third one refuses has not paid the first two. What was
//! taken comes back as a [`Pass`], and the pass is handed in again: given back where no provider saw the request, settled
//! by what the provider billed where one did.
//!
//! Where a limit has a queue, who is over it waits: tenants take turns, nobody overtakes within one, and nobody waits who
//! cannot be served in time. The machine owns no timer: [`Limiter::next`] says when to call [`Limiter::turn`].
//!
//! The promise, under any order of takes, returns, corrections and resizes: what counts in a window of a limit never
//! exceeds the largest value the limit had in it. What a provider bills beyond the estimate counts as soon as there is
//! room, before anybody else gets some. A window that is made longer knows nothing of what had left the shorter one.

mod admit;
mod meter;
mod pace;
mod report;
mod settle;
mod tenants;
#[cfg(test)]
mod tests;
mod wait;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub use report::{LimitReport, TenantReport};
pub use tenants::MAX_TENANTS;

use crate::queue::{Tenant as Turn, Ticket};
use tenants::{Slot, Tenants};

/// Nanoseconds since any moment that stays the same for the life of a [`Limiter`].
pub type Nanos = u64;

/// The most limits of one route.
pub const MAX_LIMITS: usize = 16;

/// What a limit is known by when it is resized: its name and what it is per. A new one starts with nothing used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitId(pub u64);

/// A limit. Those of requests, tokens and concurrency that are given hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: LimitId,
    /// For people.
    pub name: Arc<str>,
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
    /// What requests and tokens are counted over.
    pub window: Nanos,
    /// How much of them may be used at once. None: all.
    pub burst: Option<u64>,
    pub concurrency: Option<u32>,
    pub queue: Option<QueueRule>,
}

/// Where requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRule {
    pub depth: u32,
    pub timeout: Nanos,
}

/// The part of a rule that counts over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    limit: u64,
    window: Nanos,
    burst: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rates {
    requests: Option<Rate>,
    tokens: Option<Rate>,
}

/// Whose count of a limit a request belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub limit: LimitId,
    /// A hash with a secret seed, or 0 where a limit has one count. Names may be long and made up; this is neither.
    pub tenant: u64,
    /// For people. Only its beginning is kept.
    pub name: &'a str,
}

/// A request that wants to pass.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// One for each limit. A limit that is gone is passed over, one that is new does not apply.
    pub keys: &'a [Key<'a>],
    /// Who takes turns in a queue.
    pub turn: Turn,
    /// What to reserve.
    pub tokens: u64,
    /// What the request takes for certain. Where [`Self::tokens`] is more than a limit can ever give and this is not, the
    /// estimate is the reason, and all of the limit is reserved instead.
    pub at_least: u64,
    /// Nobody is served after this.
    pub deadline: Nanos,
    /// So many requests wait already, here and elsewhere, that this one may not. None: it may.
    pub crowd: Option<u64>,
}

/// What is said to a request.
#[derive(Debug)]
pub enum Verdict {
    Pass(Pass),
    /// It is in a queue; the answer comes from a later call as an [`Event`].
    Wait(Ticket),
    Refuse(Box<Refusal>),
}

/// The answer to one that waited, with what it left to be found by.
pub type Event<W> = (W, Result<Pass, Box<Refusal>>);

/// What a request has taken. Handed back exactly once.
#[derive(Debug)]
#[must_use = "what was taken has to be handed back"]
pub struct Pass {
    taken: Vec<Taken>,
    since: Nanos,
    pub standing: Standing,
    /// The limit in whose queue it waited, last if it was several.
    pub waited_for: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    limit: Serial,
    slot: Slot,
    requests: Option<window::Place>,
    tokens: Option<(window::Place, u64)>,
}

/// What is left of the tightest limit of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Level>,
    pub tokens: Option<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub limit: u64,
    pub remaining: u64,
    /// How long until all of it is there again.
    pub reset: Nanos,
}

/// A limit, from when it is there to when it is gone: one that comes back under its old id is another.
type Serial = u64;

/// Why a request did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit's name.
    pub limit: Arc<str>,
    pub what: What,
    pub why: Why,
    /// What the request would take of it.
    pub asked: u64,
    pub bound: u64,
    /// 0 for concurrency.
    pub window: Nanos,
    /// How long until enough is there, if nobody else takes it; for concurrency, going by how long requests take here.
    pub ready_in: Nanos,
    pub standing: Standing,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Requests,
    Tokens,
    Concurrency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Used up, and there is no queue.
    Over,
    /// More than the limit can ever give at once.
    Never,
    QueueFull {
        depth: u32,
    },
    /// There is place in the queue, but as many wait as may altogether.
    Crowded {
        waiting: u64,
    },
    /// It would not be served before its deadline or the queue's timeout.
    TooLate {
        patience: Nanos,
    },
    /// Its time in the queue is up.
    Waited {
        waited: Nanos,
    },
}

/// All limits of one route. `W` is what a waiting request leaves to be found by.
#[derive(Debug)]
pub struct Limiter<W> {
    limits: Vec<Limit>,
    waiters: BTreeMap<Ticket, wait::Waiter<W>>,
    alarms: BTreeSet<(Nanos, Alarm)>,
    tickets: Ticket,
    serials: Serial,
    /// Time never goes back, whatever callers say who read their clocks before they had the lock.
    now: Nanos,
}

#[derive(Debug)]
struct Limit {
    serial: Serial,
    rule: Rule,
    rates: Rates,
    /// When the rates changed last.
    changed: Option<Nanos>,
    tenants: Tenants,
    waiting: u32,
    /// Who has how many in the queue.
    crowd: HashMap<Turn, u32>,
    /// How long a request holds its place, on average.
    typical: Nanos,
    counts: Counts,
}

/// What a limit did since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub admitted: u64,
    pub refused: u64,
    /// Of either, those that waited here first.
    pub queued: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// Something may be free for the first one in this queue.
    Queue(Serial, Slot),
    /// This one's time in the queue is up.
    Waiter(Ticket),
}

// === impl Limiter ===

impl<W> Default for Limiter<W> {
    fn default() -> Self {
        Self { limits: Vec::new(), waiters: BTreeMap::new(), alarms: BTreeSet::new(), tickets: 0, serials: 0, now: 0 }
    }
}

impl<W> Limiter<W> {
    /// Takes new rules. What is known by its id keeps what it has counted.
    pub fn resize(&mut self, now: Nanos, rules: &[Rule], events: &mut Vec<Event<W>>) {
        let now = self.tick(now);
        let mut old: Vec<Option<Limit>> = std::mem::take(&mut self.limits).into_iter().map(Some).collect();
        for rule in rules {
            let found = old.iter_mut().find(|limit| limit.as_ref().is_some_and(|limit| limit.rule.id == rule.id));
            match found.and_then(Option::take) {
                Some(mut limit) => {
                    limit.set(now, rule);
                    self.limits.push(limit);
                }
                None => {
                    self.serials += 1;
                    self.limits.push(Limit::new(self.serials, rule));
                }
            }
        }
        self.replace_waiters(now, events);
    }

    fn tick(&mut self, now: Nanos) -> Nanos {
        self.now = self.now.max(now);
        self.now
    }

    /// Where a limit is. `hint`: where it is unless the config has changed.
    fn named(&self, id: LimitId, hint: usize) -> Option<usize> {
        let here = |limit: &Limit| limit.rule.id == id;
        self.limits.get(hint).filter(|limit| here(limit)).map(|_| hint).or_else(|| self.limits.iter().position(here))
    }

    fn index(&self, serial: Serial) -> Option<usize> {
        self.limits.iter().position(|limit| limit.serial == serial)
    }
}

// === impl Limit ===

impl Limit {
    fn new(serial: Serial, rule: &Rule) -> Self {
        let mut limit = Self {
            serial,
            rule: rule.clone(),
            rates: Rates::default(),
            changed: None,
            tenants: Tenants::default(),
            waiting: 0,
            crowd: HashMap::new(),
            typical: 0,
            counts: Counts::default(),
        };
        limit.set(0, rule);
        limit.changed = None;
        limit
    }

    fn set(&mut self, now: Nanos, rule: &Rule) {
        let rate = |limit: Option<u64>| {
            let Rule { window, burst, .. } = *rule;
            // A burst of all of it is none: then the window alone decides.
            limit.map(|limit| Rate { limit, window, burst: burst.filter(|burst| *burst < limit) })
        };
        let rates = Rates { requests: rate(rule.requests), tokens: rate(rule.tokens) };
        if rates != std::mem::replace(&mut self.rates, rates) {
            self.changed = Some(now);
        }
        self.rule = rule.clone();
    }
}

// === impl Rate ===

impl Rate {
    /// The most that can be taken at once.
    fn most(&self) -> u64 {
        self.burst.map_or(self.limit, |burst| burst.min(self.limit))
    }
}
