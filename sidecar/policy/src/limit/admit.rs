//! Check all, then take all.

use super::{
    Ask, Event, Key, Limit, Limiter, MAX_LIMITS, Nanos, Pass, Rate, Refusal, Serial, Standing, Taken, Verdict, What,
    Why,
    tenants::{Slot, Tenant},
};
use crate::queue::{Ahead, Tenant as Turn, Ticket};

/// How long a request is taken to last where none has ended yet.
const TYPICAL: Nanos = 1_000_000_000;

/// What stands in a request's way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Which limit.
    pub(super) index: usize,
    pub(super) what: What,
    /// When it will be out of the way, as far as windows say.
    pub(super) ready: Nanos,
    /// The same with a guess at how long requests in flight will take.
    pub(super) likely: Nanos,
    pub(super) queue: bool,
}

/// The queue of one tenant of one limit.
pub(super) type Queue = (Serial, Slot);

/// Where the counts of a request are, limit by limit in the order of its keys. None: nothing is counted yet.
pub(super) type Slots = [Option<Slot>; MAX_LIMITS];

/// The limits with least left, of requests and of tokens: how much, which, whose.
type Tightest = [Option<(u64, usize, Option<Slot>)>; 2];

/// What a request takes of any limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) tokens: u64,
    pub(super) turn: Turn,
    /// Its age among those that wait. A newcomer's is the largest there is.
    pub(super) ticket: Ticket,
}

// === impl Limiter ===

impl<W> Limiter<W> {
    /// Lets the request pass, queues it or refuses it. `waker` is called only for one that has to wait; that may cost
    /// somebody else its place, which is an event.
    pub fn ask(&mut self, now: Nanos, ask: &Ask<'_>, events: &mut Vec<Event<W>>, waker: impl FnOnce() -> W) -> Verdict {
        let now = self.tick(now);
        if let Some(refusal) = self.never(now, ask) {
            return Verdict::Refuse(refusal);
        }
        let load = Load::new(ask, ask.tokens);
        let mut slots = Slots::default();
        match self.blocked(now, ask.keys, load, None, &mut slots) {
            None => Verdict::Pass(self.take(now, ask.keys, load, &slots)),
            Some(block) if block.queue => self.join(now, ask, block, events, waker),
            Some(block) => Verdict::Refuse(self.refuse(now, ask.keys, load, block, Why::Over)),
        }
    }

    /// A limit that is too small for the request, however long it waits.
    fn never(&mut self, now: Nanos, ask: &Ask<'_>) -> Option<Box<Refusal>> {
        let too_small = |limit: &Limit| limit.rates.tokens.is_some_and(|rate| rate.most() < ask.at_least);
        let of_ask = |limit: &Limit| ask.keys.iter().any(|key| key.limit == limit.rule.id);
        let index = self.limits.iter().position(|limit| too_small(limit) && of_ask(limit))?;
        let block = Block { index, what: What::Tokens, ready: now, likely: now, queue: false };
        let load = Load::new(ask, ask.at_least);
        let mut refusal = self.refuse(now, ask.keys, load, block, Why::Never);
        refusal.bound = self.limits[index].rates.tokens.map_or(0, |rate| rate.most());
        Some(refusal)
    }

    /// What stands in the way: a limit without a queue before one with. `own` is the queue whose first the request is.
    /// Notes in `slots` where the counts were found.
    pub(super) fn blocked(
        &mut self,
        now: Nanos,
        keys: &[Key<'_>],
        load: Load,
        own: Option<Queue>,
        slots: &mut Slots,
    ) -> Option<Block> {
        let mut found: Option<Block> = None;
        for ((hint, key), noted) in keys.iter().enumerate().zip(slots) {
            let Some(index) = self.named(key.limit, hint) else { continue };
            let limit = &mut self.limits[index];
            let slot = match limit.tenants.find(key.tenant, key.name, now, &limit.rates) {
                Some(slot) => slot,
                None if limit.is_shut() => limit.tenants.find_or_insert(key.tenant, key.name, now, &limit.rates),
                // Nothing is counted of it: there is room for one request that is not too large for the limit.
                None => continue,
            };
            *noted = Some(slot);
            let first = own == Some((limit.serial, slot));
            let Some(block) = limit.blocked(index, now, slot, load, first) else { continue };
            found = Some(match found {
                None => block,
                Some(other) => {
                    let kept = if other.queue && !block.queue { block } else { other };
                    Block { ready: other.ready.max(block.ready), likely: other.likely.max(block.likely), ..kept }
                }
            });
        }
        found
    }

    /// Takes from all limits. `slots` are as [`Self::blocked`] has noted them at the same `now`.
    pub(super) fn take(&mut self, now: Nanos, keys: &[Key<'_>], load: Load, slots: &Slots) -> Pass {
        let mut taken = Vec::with_capacity(keys.len().min(MAX_LIMITS));
        let mut tightest = Tightest::default();
        for ((hint, key), found) in keys.iter().enumerate().zip(slots) {
            let Some(index) = self.named(key.limit, hint) else { continue };
            let limit = &mut self.limits[index];
            let slot = limit.tenants.keep(*found, key.tenant, key.name, now, &limit.rates);
            let tenant = limit.tenants.get_mut(slot);
            let requests = limit.rates.requests.map(|rate| tenant.requests.take(now, &rate, 1));
            let tokens = limit.rates.tokens.map(|rate| {
                let amount = load.of(&rate);
                (tenant.tokens.take(now, &rate, amount), amount)
            });
            tenant.in_flight += 1;
            limit.counts.admitted += 1;
            limit.compare(&mut tightest, index, Some(slot), now);
            taken.push(Taken { limit: limit.serial, slot, requests, tokens });
        }
        Pass { taken, since: now, standing: self.levels(tightest, now), waited_for: None }
    }

    /// What is left of the tightest limits of a request.
    fn standing(&mut self, now: Nanos, keys: &[Key<'_>]) -> Standing {
        let mut tightest = Tightest::default();
        for (hint, key) in keys.iter().enumerate() {
            let Some(index) = self.named(key.limit, hint) else { continue };
            let limit = &mut self.limits[index];
            let slot = limit.tenants.find(key.tenant, key.name, now, &limit.rates);
            if let Some(slot) = slot {
                limit.tenants.get_mut(slot).advance(now, &limit.rates);
            }
            limit.compare(&mut tightest, index, slot, now);
        }
        self.levels(tightest, now)
    }

    fn levels(&self, [requests, tokens]: Tightest, now: Nanos) -> Standing {
        let level = |kind: usize, found: Option<(u64, usize, Option<Slot>)>| {
            found.and_then(|(_, index, slot)| self.limits[index].level(kind, slot, now))
        };
        Standing { requests: level(0, requests), tokens: level(1, tokens) }
    }

    pub(super) fn refuse(&mut self, now: Nanos, keys: &[Key<'_>], load: Load, block: Block, why: Why) -> Box<Refusal> {
        let standing = self.standing(now, keys);
        let limit = &mut self.limits[block.index];
        limit.counts.refused += 1;
        let (asked, bound) = match block.what {
            What::Requests => (1, limit.rule.requests.unwrap_or(0)),
            What::Tokens => (load.tokens, limit.rule.tokens.unwrap_or(0)),
            What::Concurrency => (1, u64::from(limit.rule.concurrency.unwrap_or(0))),
        };
        Box::new(Refusal {
            limit: limit.rule.name.clone(),
            what: block.what,
            why,
            asked,
            bound,
            window: if block.what == What::Concurrency { 0 } else { limit.rule.window },
            ready_in: block.likely.saturating_sub(now),
            standing,
        })
    }
}

// === impl Limit ===

impl Limit {
    /// What of this limit stands in the way. `first`: whoever waits here waits behind the request.
    pub(super) fn blocked(&mut self, index: usize, now: Nanos, slot: Slot, load: Load, first: bool) -> Option<Block> {
        let (rates, concurrency, kind) = (self.rates, self.rule.concurrency, self.kind());
        let tenant = self.tenants.get_mut(slot);
        tenant.advance(now, &rates);
        // Whoever comes from another queue goes only behind those that are older, so no two wait for each other.
        let queue = tenant.waiting.as_deref().filter(|queue| !first && queue.is_before(load.turn, load.ticket));
        let over = |rate: &Rate, room: u64, amount: u64| room < amount.min(rate.most()).max(1);
        let what = if rates.requests.is_some_and(|rate| over(&rate, tenant.requests.room(now, &rate), 1)) {
            What::Requests
        } else if rates.tokens.is_some_and(|rate| over(&rate, tenant.tokens.room(now, &rate), load.tokens)) {
            What::Tokens
        } else if concurrency.is_some_and(|bound| tenant.in_flight >= bound) {
            What::Concurrency
        } else if queue.is_some() {
            // There may be room for this one, but others wait for more.
            kind
        } else {
            return None;
        };
        let ahead = queue.map_or_else(Ahead::default, |queue| queue.ahead(load.turn));
        let tenant = self.tenants.get(slot);
        let ready = self.ready(now, tenant, load, ahead);
        let likely = ready.max(now.saturating_add(self.guess(tenant, ahead)));
        Some(Block { index, what, ready, likely, queue: self.rule.queue.is_some() })
    }

    /// A share of nothing.
    fn is_shut(&self) -> bool {
        let shut = |rate: Option<Rate>| rate.is_some_and(|rate| rate.limit == 0);
        shut(self.rates.requests) || shut(self.rates.tokens) || self.rule.concurrency == Some(0)
    }

    const fn kind(&self) -> What {
        match self.rates {
            super::Rates { requests: Some(_), .. } => What::Requests,
            super::Rates { tokens: Some(_), .. } => What::Tokens,
            super::Rates { requests: None, tokens: None } => What::Concurrency,
        }
    }

    /// When the windows will have room for the request, after those ahead of it.
    pub(super) fn ready(&self, now: Nanos, tenant: &Tenant, load: Load, ahead: Ahead) -> Nanos {
        let requests = self.rates.requests.map(|rate| tenant.requests.ready_at(now, &rate, ahead.requests + 1));
        let tokens = self.rates.tokens.map(|rate| {
            let amount = ahead.amount.saturating_add(load.of(&rate).max(1));
            tenant.tokens.ready_at(now, &rate, amount)
        });
        requests.unwrap_or(now).max(tokens.unwrap_or(now))
    }

    /// As many are in flight as may be.
    pub(super) fn is_full(&self, slot: Slot) -> bool {
        self.rule.concurrency.is_some_and(|bound| self.tenants.get(slot).in_flight >= bound)
    }

    /// How long until there is a place, going by how long requests take.
    fn guess(&self, tenant: &Tenant, ahead: Ahead) -> Nanos {
        let Some(bound) = self.rule.concurrency.filter(|bound| tenant.in_flight >= *bound) else { return 0 };
        let typical = if self.typical == 0 { TYPICAL } else { self.typical };
        typical.saturating_mul(ahead.requests + 1) / u64::from(bound.max(1))
    }

    /// Is there less left of this limit?
    fn compare(&self, tightest: &mut Tightest, index: usize, slot: Option<Slot>, now: Nanos) {
        for (kind, best) in tightest.iter_mut().enumerate() {
            let Some(rate) = self.rate(kind) else { continue };
            let room = slot.map_or(rate.most(), |slot| self.tenants.get(slot).meter(kind).room(now, &rate));
            if best.is_none_or(|(least, ..)| room < least) {
                *best = Some((room, index, slot));
            }
        }
    }

    fn level(&self, kind: usize, slot: Option<Slot>, now: Nanos) -> Option<super::Level> {
        let rate = self.rate(kind)?;
        let Some(slot) = slot else {
            return Some(super::Level { limit: rate.limit, remaining: rate.most(), reset: 0 });
        };
        Some(self.tenants.get(slot).meter(kind).level(now, &rate))
    }

    const fn rate(&self, kind: usize) -> Option<Rate> {
        if kind == 0 { self.rates.requests } else { self.rates.tokens }
    }
}

// === impl Load ===

impl Load {
    pub(super) const fn new(ask: &Ask<'_>, tokens: u64) -> Self {
        Self { tokens, turn: ask.turn, ticket: Ticket::MAX }
    }

    /// An estimate beyond what a limit can give at once takes all of it.
    pub(super) fn of(self, rate: &Rate) -> u64 {
        self.tokens.min(rate.most())
    }
}
