//! The limits of one route while it runs: the machine behind a lock, and who waits for it.
//!
//! One lock for all limits of a route, held for well below a microsecond: all are checked and then all are taken from, and
//! nobody comes in between. Answers to those who wait are sent after the lock is released.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderName;
use spillway_policy::{
    limit::{Ask, Event, Key, LimitReport, Limiter, Nanos, Pass, Refusal, Rule, Standing, Verdict},
    queue::Ticket,
};
use tokio::sync::{Notify, oneshot};

use crate::clock;

/// A limit as a config has it.
#[derive(Clone, Debug)]
pub(crate) struct LimitRule {
    pub(crate) rule: Rule,
    pub(crate) per: Per,
}

/// What has a count of its own. In one sidecar all but the last two are one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Per {
    Pod,
    Route,
    Namespace,
    Workload,
    Header(HeaderName),
    User,
}

/// The limits of a route.
#[derive(Debug)]
pub(crate) struct Limits {
    epoch: Instant,
    /// Nobody outside knows which names have the same hash.
    hasher: RandomState,
    inner: Mutex<Inner>,
    /// The next alarm has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    limiter: Limiter<Waker>,
    /// A task wakes those who wait.
    driven: bool,
}

type Waker = oneshot::Sender<Answer>;
type Answer = Result<Hold, Box<Refusal>>;

/// What a request has taken. Dropped, it is given back as if the request had not been.
#[derive(Debug)]
#[must_use = "dropping a hold gives everything back"]
pub(crate) struct Hold {
    limits: Arc<Limits>,
    /// None: settled.
    pass: Option<Pass>,
}

/// What a request takes of any limit of the route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Who takes turns in a queue.
    pub(crate) turn: u64,
    /// What is reserved, and what of it is certain.
    pub(crate) tokens: u64,
    pub(crate) at_least: u64,
    /// So many wait in this process that it may not. None: it may.
    pub(crate) crowd: Option<u64>,
}

/// What is said to a request.
#[derive(Debug)]
pub(crate) enum Asked {
    Pass(Hold),
    Wait(Waiting),
    Refuse(Box<Refusal>),
}

/// A place in a queue. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct Waiting {
    limits: Arc<Limits>,
    ticket: Ticket,
    answer: oneshot::Receiver<Answer>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { epoch: clock::now(), hasher: RandomState::new(), inner: Mutex::default(), changed: Notify::new() }
    }
}

impl Limits {
    /// Takes the rules of a new config. What was counted stays counted.
    pub(crate) fn resize(self: &Arc<Self>, rules: &[LimitRule]) {
        let rules: Vec<Rule> = rules.iter().map(|limit| limit.rule.clone()).collect();
        self.change(|limiter, now, events| limiter.resize(now, &rules, events));
    }

    /// Passes, waits or is refused. `deadline`: nobody is served after it.
    pub(crate) fn ask(self: &Arc<Self>, keys: &[Key<'_>], load: Load, deadline: Instant) -> Asked {
        let Load { turn, tokens, at_least, crowd } = load;
        let ask = Ask { keys, turn, tokens, at_least, deadline: self.at(deadline), crowd };
        let mut receiver = None;
        let (verdict, drive) = self.change_with(|inner, now, events| {
            let verdict = inner.limiter.ask(now, &ask, events, || {
                let (sender, answer) = oneshot::channel();
                receiver = Some(answer);
                sender
            });
            let waits = matches!(verdict, Verdict::Wait(_));
            let drive = waits && !inner.driven;
            inner.driven |= waits;
            (verdict, drive)
        });
        match (verdict, receiver) {
            (Verdict::Pass(pass), _) => Asked::Pass(self.hold(pass)),
            (Verdict::Refuse(refusal), _) => Asked::Refuse(refusal),
            (Verdict::Wait(ticket), receiver) => {
                if drive {
                    tokio::spawn(drive_queues(Arc::clone(self)));
                }
                let answer = receiver.unwrap_or_else(|| oneshot::channel().1);
                Asked::Wait(Waiting { limits: Arc::clone(self), ticket, answer })
            }
        }
    }

    /// How the limits stand, with up to `top` tenants of each.
    pub(crate) fn report(&self, top: usize) -> Vec<LimitReport> {
        let now = self.now();
        // A page that somebody looks at keeps requests waiting for one limit's tenants at a time.
        (0..).map_while(|index| self.lock().limiter.report(now, index, top)).collect()
    }

    /// What a name is known by.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    fn hold(self: &Arc<Self>, pass: Pass) -> Hold {
        Hold { limits: Arc::clone(self), pass: Some(pass) }
    }

    fn change(self: &Arc<Self>, act: impl FnOnce(&mut Limiter<Waker>, Nanos, &mut Vec<Event<Waker>>)) {
        self.change_with(|inner, now, events| act(&mut inner.limiter, now, events));
    }

    /// Acts under the lock, and answers those who waited for it after it. Whatever is done may bring the next alarm forward:
    /// an end that makes room does, as much as a newcomer.
    fn change_with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Inner, Nanos, &mut Vec<Event<Waker>>) -> T) -> T {
        let now = self.now();
        let mut events = Vec::new();
        let (done, sooner) = {
            let mut inner = self.lock();
            let before = inner.limiter.next();
            let done = act(&mut inner, now, &mut events);
            let sooner = inner.limiter.next().is_some_and(|next| before.is_none_or(|before| next < before));
            (done, sooner)
        };
        if sooner {
            self.changed.notify_one();
        }
        for (waker, answer) in events {
            // Whoever has gone meanwhile does not take it, and a hold that nobody takes gives everything back.
            drop(waker.send(answer.map(|pass| self.hold(pass))));
        }
        done
    }

    fn at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.epoch))
    }

    fn now(&self) -> Nanos {
        self.at(clock::now())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A hold is given back while a panic unwinds, too: a second one there would end the process.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes those whom time makes room for, or whose time is up, as long as somebody waits.
async fn drive_queues(limits: Arc<Limits>) {
    loop {
        let next = {
            let mut inner = limits.lock();
            let next = inner.limiter.next();
            inner.driven = next.is_some();
            next
        };
        let Some(next) = next else { return };
        let at = limits.epoch + Duration::from_nanos(next);
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = limits.changed.notified() => {}
        }
        limits.change(|limiter, now, events| limiter.turn(now, events));
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

// === impl Hold ===

impl Hold {
    /// What was left of the limits when this was taken.
    pub(crate) fn standing(&self) -> Standing {
        self.pass.as_ref().map(|pass| pass.standing).unwrap_or_default()
    }

    /// The limit in whose queue the request waited.
    pub(crate) fn waited_for(&self) -> Option<Arc<str>> {
        self.pass.as_ref()?.waited_for.clone()
    }

    /// The request is over and has used so many tokens.
    pub(crate) fn settle(mut self, tokens: u64) {
        if let Some(pass) = self.pass.take() {
            self.limits.change(|limiter, now, events| limiter.settle(now, pass, tokens, events));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.limits.change(|limiter, now, events| limiter.give_back(now, pass, events));
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// The answer. None: there will be none, because the process is going down.
    pub(crate) async fn answer(mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Of no effect where the answer is there already.
        self.limits.change(|limiter, now, events| limiter.leave(now, self.ticket, events));
    }
}

#[cfg(test)]
mod tests;
