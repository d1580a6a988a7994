//! Waiting instead of being refused.
//!
//! A request waits in one queue: that of the first limit in its way. When that has room, all limits are checked again; it
//! passes, or goes on to the queue of the one that is in its way now, keeping its age. Each queue's depth and timeout hold
//! for those who come from another one, too: nobody is in a queue that it has waited longer for than the queue allows, all
//! its waits together.

use super::{
    Alarm, Ask, Event, Key, LimitId, Limiter, Nanos, Pass, QueueRule, Serial, Verdict, What, Why,
    admit::{Block, Load, Queue, Slots},
    tenants::{NAME_CHARS, Slot},
};
use crate::queue::{Ahead, Tenant as Turn, Ticket};

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiter<W> {
    keys: Vec<OwnKey>,
    load: Load,
    since: Nanos,
    /// When its time is up.
    until: Nanos,
    deadline: Nanos,
    at: Queue,
    waker: W,
}

#[derive(Debug)]
struct OwnKey {
    limit: LimitId,
    tenant: u64,
    name: Box<str>,
}

// === impl Limiter ===

impl<W> Limiter<W> {
    /// When to call [`Self::turn`] next. None: nobody waits.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Serves whom time has made room for, and turns away whose time is up.
    pub fn turn(&mut self, now: Nanos, events: &mut Vec<Event<W>>) {
        let now = self.tick(now);
        while let Some((at, alarm)) = self.alarms.first().copied() {
            if at > now {
                break;
            }
            self.alarms.pop_first();
            match alarm {
                Alarm::Queue(serial, slot) => {
                    if let Some(index) = self.index(serial) {
                        self.limits[index].tenants.get_mut(slot).alarm = None;
                        self.serve(now, serial, slot, events);
                    }
                }
                Alarm::Waiter(ticket) => {
                    let why = |waiter: &Waiter<W>| {
                        let waited = now.saturating_sub(waiter.since);
                        if now >= waiter.deadline { Why::TooLate { patience: waited } } else { Why::Waited { waited } }
                    };
                    self.turn_away(now, ticket, why, events);
                }
            }
        }
    }

    /// The one who waits has gone. Whoever is behind it may be served instead.
    pub fn leave(&mut self, now: Nanos, ticket: Ticket, events: &mut Vec<Event<W>>) {
        let now = self.tick(now);
        if let Some(Waiter { at: (serial, slot), .. }) = self.detach(ticket, false) {
            self.serve(now, serial, slot, events);
        }
    }

    /// A newcomer goes to the end of its turn's line, unless that would be pointless.
    pub(super) fn join(
        &mut self,
        now: Nanos,
        ask: &Ask<'_>,
        block: Block,
        events: &mut Vec<Event<W>>,
        waker: impl FnOnce() -> W,
    ) -> Verdict {
        let load = Load::new(ask, ask.tokens);
        let limit = &self.limits[block.index];
        let Some(rule) = limit.rule.queue else {
            return Verdict::Refuse(self.refuse(now, ask.keys, load, block, Why::Over));
        };
        let until = rule.until(now, ask.deadline);
        if block.ready >= until {
            let patience = until.saturating_sub(now);
            return Verdict::Refuse(self.refuse(now, ask.keys, load, block, Why::TooLate { patience }));
        }
        if let Some(waiting) = ask.crowd {
            return Verdict::Refuse(self.refuse(now, ask.keys, load, block, Why::Crowded { waiting }));
        }
        if limit.waiting >= rule.depth && !self.displace(now, block.index, ask.turn, events) {
            return Verdict::Refuse(self.refuse(now, ask.keys, load, block, Why::QueueFull { depth: rule.depth }));
        }
        let own = |key: &Key<'_>| {
            let name = key.name.chars().take(NAME_CHARS).collect();
            OwnKey { limit: key.limit, tenant: key.tenant, name }
        };
        let keys = ask.keys.iter().map(own).collect();
        let at = (self.limits[block.index].serial, 0);
        self.tickets += 1;
        let load = Load { ticket: self.tickets, ..load };
        self.limits[block.index].counts.queued += 1;
        let waiter = Waiter { keys, load, since: now, until, deadline: ask.deadline, at, waker: waker() };
        self.enter(now, self.tickets, waiter, block.index);
        Verdict::Wait(self.tickets)
    }

    /// Puts a waiter into the queue of a limit, at the place of its age.
    fn enter(&mut self, now: Nanos, ticket: Ticket, mut waiter: Waiter<W>, index: usize) {
        let limit = &mut self.limits[index];
        let key = waiter.keys.iter().find(|key| key.limit == limit.rule.id);
        let (tenant, name) = key.map_or((0, ""), |key| (key.tenant, &*key.name));
        let slot = limit.tenants.find_or_insert(tenant, name, now, &limit.rates);
        let turn = waiter.load.turn;
        let tokens = limit.rates.tokens.map_or(0, |rate| waiter.load.of(&rate));
        limit.tenants.get_mut(slot).waiting.get_or_insert_default().push(turn, ticket, tokens);
        limit.waiting += 1;
        *limit.crowd.entry(turn).or_insert(0) += 1;
        waiter.at = (limit.serial, slot);
        self.alarms.insert((waiter.until, Alarm::Waiter(ticket)));
        self.waiters.insert(ticket, waiter);
        // It is not this call that serves those ahead, so an alarm may be due already.
        self.watch(now, index, slot, true);
    }

    /// Takes a waiter out of its queue; `served`: because it is its turn.
    fn detach(&mut self, ticket: Ticket, served: bool) -> Option<Waiter<W>> {
        let waiter = self.waiters.remove(&ticket)?;
        self.alarms.remove(&(waiter.until, Alarm::Waiter(ticket)));
        let (serial, slot) = waiter.at;
        let Some(index) = self.index(serial) else { return Some(waiter) };
        let limit = &mut self.limits[index];
        let tenant = limit.tenants.get_mut(slot);
        if let Some(queue) = &mut tenant.waiting {
            if served {
                queue.pop();
            } else {
                queue.remove(waiter.load.turn, ticket);
            }
            if queue.is_empty() {
                tenant.waiting = None;
                if let Some(at) = tenant.alarm.take() {
                    self.alarms.remove(&(at, Alarm::Queue(serial, slot)));
                }
            }
        }
        limit.waiting -= 1;
        if let Some(count) = limit.crowd.get_mut(&waiter.load.turn) {
            *count -= 1;
            if *count == 0 {
                limit.crowd.remove(&waiter.load.turn);
            }
        }
        Some(waiter)
    }

    /// Serves a queue as far as there is room.
    pub(super) fn serve(&mut self, now: Nanos, serial: Serial, slot: Slot, events: &mut Vec<Event<W>>) {
        let Some(index) = self.index(serial) else { return };
        while let Some(ticket) = self.limits[index].tenants.get(slot).first() {
            let Some(load) = self.waiters.get(&ticket).map(|waiter| waiter.load) else { break };
            if self.limits[index].blocked(index, now, slot, load, true).is_some() {
                break;
            }
            if let Some(waiter) = self.detach(ticket, true) {
                self.place(now, ticket, waiter, Some((serial, slot)), events);
            }
        }
        self.watch(now, index, slot, false);
    }

    /// Decides anew about a waiter that is in no queue. `own` is the one it was the first of.
    fn place(&mut self, now: Nanos, ticket: Ticket, waiter: Waiter<W>, own: Option<Queue>, events: &mut Vec<Event<W>>) {
        let load = waiter.load;
        let keys: Vec<Key<'_>> = waiter.keys.iter().map(OwnKey::borrowed).collect();
        let mut slots = Slots::default();
        match self.blocked(now, &keys, load, own, &mut slots) {
            Some(block) => {
                drop(keys);
                match self.may_enter(now, &waiter, block, events) {
                    Ok(until) => self.enter(now, ticket, Waiter { until, ..waiter }, block.index),
                    Err(why) => {
                        let keys: Vec<Key<'_>> = waiter.keys.iter().map(OwnKey::borrowed).collect();
                        let refusal = self.refuse(now, &keys, load, block, why);
                        events.push((waiter.waker, Err(refusal)));
                    }
                }
            }
            None => {
                let name = self.index(waiter.at.0).map(|index| self.limits[index].rule.name.clone());
                let pass = Pass { waited_for: name, ..self.take(now, &keys, load, &slots) };
                drop(keys);
                events.push((waiter.waker, Ok(pass)));
            }
        }
    }

    /// Whether one that has waited elsewhere may wait here as well, and until when.
    fn may_enter(
        &mut self,
        now: Nanos,
        waiter: &Waiter<W>,
        block: Block,
        events: &mut Vec<Event<W>>,
    ) -> Result<Nanos, Why> {
        let limit = &self.limits[block.index];
        let rule = limit.rule.queue.ok_or(Why::Over)?;
        let until = rule.until(waiter.since, waiter.deadline);
        if until <= now {
            return Err(Why::Waited { waited: now.saturating_sub(waiter.since) });
        }
        if limit.waiting >= rule.depth && !self.displace(now, block.index, waiter.load.turn, events) {
            return Err(Why::QueueFull { depth: rule.depth });
        }
        Ok(until)
    }

    /// Refuses one that waits, and serves those behind it.
    fn turn_away(
        &mut self,
        now: Nanos,
        ticket: Ticket,
        why: impl FnOnce(&Waiter<W>) -> Why,
        events: &mut Vec<Event<W>>,
    ) {
        if let Some((index, slot)) = self.send_away(now, ticket, why, events) {
            self.serve(now, self.limits[index].serial, slot, events);
        }
    }

    /// Refuses one that waits; its queue is to be looked at.
    fn send_away(
        &mut self,
        now: Nanos,
        ticket: Ticket,
        why: impl FnOnce(&Waiter<W>) -> Why,
        events: &mut Vec<Event<W>>,
    ) -> Option<(usize, Slot)> {
        let waiter = self.detach(ticket, false)?;
        let (serial, slot) = waiter.at;
        let index = self.index(serial)?;
        let (load, why) = (waiter.load, why(&waiter));
        let keys: Vec<Key<'_>> = waiter.keys.iter().map(OwnKey::borrowed).collect();
        let gone = Block { index, what: What::Concurrency, ready: now, likely: now, queue: true };
        let block = self.limits[index].blocked(index, now, slot, load, false).unwrap_or(gone);
        let refusal = self.refuse(now, &keys, load, block, why);
        drop(keys);
        events.push((waiter.waker, Err(refusal)));
        Some((index, slot))
    }

    /// Sets the alarm of a queue to when its first one will have room. Room that comes from others who end needs none.
    /// `due`: it may have room already.
    fn watch(&mut self, now: Nanos, index: usize, slot: Slot, due: bool) {
        let limit = &mut self.limits[index];
        let serial = limit.serial;
        let first = limit.tenants.get(slot).first();
        let load = first.and_then(|ticket| self.waiters.get(&ticket)).map(|waiter| waiter.load);
        let ready = load.map(|load| limit.ready(now, limit.tenants.get(slot), load, Ahead::default()));
        let full = limit.is_full(slot);
        let next = ready.filter(|at| *at > now || due && !full);
        let before = std::mem::replace(&mut limit.tenants.get_mut(slot).alarm, next);
        if before != next {
            before.map(|at| self.alarms.remove(&(at, Alarm::Queue(serial, slot))));
            next.map(|at| self.alarms.insert((at, Alarm::Queue(serial, slot))));
        }
    }

    /// After a resize all who wait are decided about anew, the oldest first: limits may be gone, or their queues be shorter,
    /// and there may be room where there was none.
    pub(super) fn replace_waiters(&mut self, now: Nanos, events: &mut Vec<Event<W>>) {
        let tickets: Vec<Ticket> = self.waiters.keys().copied().collect();
        let waiting: Vec<(Ticket, Waiter<W>)> =
            tickets.into_iter().filter_map(|ticket| Some((ticket, self.detach(ticket, false)?))).collect();
        for (ticket, waiter) in waiting {
            self.place(now, ticket, waiter, None, events);
        }
    }

    /// Makes place in a full queue: whoever has most in it loses the newest one, if the newcomer has fewer even so. One
    /// tenant that floods does not keep the others out.
    fn displace(&mut self, now: Nanos, index: usize, newcomer: Turn, events: &mut Vec<Event<W>>) -> bool {
        let limit = &self.limits[index];
        let own = limit.crowd.get(&newcomer).copied().unwrap_or(0);
        let heaviest = limit.crowd.iter().max_by_key(|(turn, count)| (**count, **turn));
        let Some((turn, _)) = heaviest.filter(|(_, count)| **count > own + 1) else { return false };
        let newest = |(_, waiter): &(&Ticket, &Waiter<W>)| waiter.at.0 == limit.serial && waiter.load.turn == *turn;
        let Some(ticket) = self.waiters.iter().rev().find(newest).map(|(ticket, _)| *ticket) else { return false };
        let depth = limit.rule.queue.map_or(0, |queue| queue.depth);
        // It may come in the middle of serving: those behind are left to the next turn, which is due at once.
        if let Some((index, slot)) = self.send_away(now, ticket, |_| Why::QueueFull { depth }, events) {
            self.watch(now, index, slot, true);
        }
        true
    }
}

// === impl QueueRule ===

impl QueueRule {
    /// When the time is up of one that waits since then.
    fn until(self, since: Nanos, deadline: Nanos) -> Nanos {
        since.saturating_add(self.timeout).min(deadline)
    }
}

// === impl OwnKey ===

impl OwnKey {
    fn borrowed(&self) -> Key<'_> {
        Key { limit: self.limit, tenant: self.tenant, name: &self.name }
    }
}
