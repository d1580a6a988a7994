//! Single requests on demand: for those too large for their sidecar's part, and for fleets too large for the limit.
//!
//! A bucket like a sidecar's, but here, so whoever asks waits for an answer. Sidecars take turns.

use std::collections::BTreeMap;

use crate::{
    queue::FairQueue,
    quota::{
        Nanos, PermitAsk, RateId, Share,
        holder::{Bucket, Meter},
    },
};

use super::share::RateRule;

/// How long the largest request is remembered.
const MEMORY: Nanos = 120_000_000_000;
/// Nobody keeps more waiting than this.
const MOST_WAITING: usize = 10_000;

#[derive(Clone, Debug)]
pub(super) struct Permits<S> {
    bucket: Option<Bucket>,
    meter: Meter,
    /// The share of the bucket, in thousandths of a window.
    share: u64,
    queue: FairQueue,
    waiting: BTreeMap<u64, Waiting<S>>,
    tickets: u64,
    askers: BTreeMap<S, Asker>,
    largest: (u64, Nanos),
    /// What the bucket holds.
    most: u64,
    /// Nobody has used any of the rate yet, so the bucket begins full.
    begins_full: bool,
}

#[derive(Clone, Debug)]
struct Waiting<S> {
    source: S,
    id: u64,
    amount: u64,
    until: Nanos,
}

#[derive(Clone, Debug)]
struct Asker {
    turn: u64,
    /// The newest ask that was seen.
    seen: u64,
    answers: Vec<(u64, u64)>,
}

// === impl Permits ===

impl<S: Ord + Clone> Permits<S> {
    pub(super) fn new(begins_full: bool) -> Self {
        Self {
            bucket: None,
            meter: Meter::new(0),
            share: 0,
            queue: FairQueue::default(),
            waiting: BTreeMap::new(),
            tickets: 0,
            askers: BTreeMap::new(),
            largest: (0, 0),
            most: 0,
            begins_full,
        }
    }

    pub(super) fn ask(&mut self, now: Nanos, source: &S, ask: &PermitAsk) {
        let turn = self.askers.len() as u64;
        let asker = self.askers.entry(source.clone()).or_insert(Asker { turn, seen: 0, answers: Vec::new() });
        if ask.id <= asker.seen || self.waiting.len() >= MOST_WAITING {
            return;
        }
        asker.seen = ask.id;
        self.meter.count(ask.amount);
        if ask.amount >= self.largest.0 {
            self.largest = (ask.amount, now);
        }
        self.tickets += 1;
        self.queue.push(asker.turn, self.tickets, ask.amount);
        let until = now.saturating_add(ask.patience);
        let waiting = Waiting { source: source.clone(), id: ask.id, amount: ask.amount, until };
        self.waiting.insert(self.tickets, waiting);
    }

    pub(super) fn gone(&mut self, source: &S) {
        // Its asks are passed over when their turn comes.
        self.askers.remove(source);
    }

    /// What has to fit into the bucket.
    pub(super) fn largest(&mut self, now: Nanos) -> u64 {
        if now.saturating_sub(self.largest.1) > MEMORY {
            self.largest = (0, now);
        }
        self.largest.0.saturating_mul(2)
    }

    pub(super) fn askers(&self) -> u64 {
        self.askers.len() as u64
    }

    /// In thousandths of a window, with what is waiting.
    pub(super) fn wants(&mut self, now: Nanos, window: Nanos) -> u64 {
        self.meter.look(now);
        let wants = self.meter.milli().saturating_add(self.meter.milli() / 4);
        let waiting: u64 = self.waiting.values().map(|waiting| waiting.amount).fold(0, u64::saturating_add);
        super::per_window(wants, window).max(waiting.saturating_mul(1_000))
    }

    /// The bucket can hold no more.
    pub(super) fn is_full(&self) -> bool {
        self.bucket.as_ref().is_some_and(|bucket| bucket.has(self.most))
    }

    /// What of the rate is used here.
    pub(super) const fn charge(&self) -> u64 {
        self.share
    }

    /// Changes the share, and gives what can be given.
    pub(super) fn set(&mut self, now: Nanos, rule: &RateRule, share: u64, most: u64) {
        self.share = share;
        let bucket = self.bucket.get_or_insert_with(|| Bucket::new(now, RateId(0)));
        bucket.advance(now);
        let window = rule.permit_window();
        bucket.set(Share { rate: RateId(0), window, floor: share, surplus: 0, least: most, lease: 0 }, now);
        self.most = most;
        if self.begins_full && share > 0 && most > 0 {
            bucket.fill();
            self.begins_full = false;
        }
        while let Some(ticket) = self.queue.first() {
            let Some(waiting) = self.waiting.get(&ticket) else {
                self.queue.pop();
                continue;
            };
            let asker = self.askers.get_mut(&waiting.source).filter(|_| waiting.until > now);
            if asker.is_some() && !bucket.has(waiting.amount) {
                break;
            }
            self.queue.pop();
            if let (Some(asker), Some(waiting)) = (asker, self.waiting.remove(&ticket)) {
                bucket.take(waiting.amount);
                asker.answers.push((waiting.id, waiting.amount));
            }
            self.waiting.remove(&ticket);
        }
    }

    pub(super) fn answers(&self, source: &S) -> bool {
        self.askers.get(source).is_some_and(|asker| !asker.answers.is_empty())
    }

    pub(super) fn take(&mut self, source: &S) -> Vec<(u64, u64)> {
        self.askers.get_mut(source).map(|asker| std::mem::take(&mut asker.answers)).unwrap_or_default()
    }
}
