//! One rate: who may use how much of it.
//!
//! The sum of all parts never exceeds what keeps every window within the limit. A part counts as the largest that its
//! sidecar may believe to have: a smaller one takes effect here when the sidecar has said so, or when the lease of the
//! larger one is over by its clock and by ours. What buckets may hold when a window begins is set aside from the limit.

mod member;
mod permits;
mod share;

use std::collections::BTreeMap;

pub use share::{Loss, RateRule};

use super::ledger::RateLedger;
use crate::quota::{Flow, Nanos, Permit, PermitAsk, RateId, Share};
use member::Member;
use permits::Permits;
use share::{Reserve, Want, by_slower_clock, divide};

/// Buckets hold three requests at least, or chance would waste what refills.
const LEAST_REQUESTS: u64 = 3;
/// Everybody's own, in thousandths of the whole.
const FLOOR_MILLI: u64 = 200;
/// Of a rate on demand, one part in so many is for those who have none yet.
const FIRST_PARTS: u64 = 8;

#[derive(Clone, Debug)]
pub(super) struct Pool<S> {
    rate: RateId,
    rule: RateRule,
    reserve: Reserve,
    members: BTreeMap<S, Member>,
    /// What sidecars may have that have not been heard by this leader.
    unknown: u64,
    /// The first turn of this leader, and when what they were leased is over. None: before that.
    learns: Option<(Nanos, Nanos)>,
    /// What is known to be stored.
    stored: RateLedger,
    permits: Permits<S>,
    /// How much permits may take at once.
    depth: u64,
    /// Since when nobody shares in it.
    idle: Option<Nanos>,
}

// === impl Pool ===

impl<S: Ord + Clone> Pool<S> {
    /// `stored`: what an earlier leader has left. It may have handed out all there is, of a new one as well; but of what is
    /// on demand nobody had anything before it was stored.
    pub(super) fn new(rate: RateId, rule: RateRule, stored: Option<RateLedger>) -> Self {
        let is_fresh = rule.on_demand && stored.is_none();
        Self {
            rate,
            rule,
            reserve: Reserve::default(),
            stored: stored.unwrap_or_default(),
            members: BTreeMap::new(),
            unknown: if is_fresh { 0 } else { rule.whole(0) },
            learns: None,
            permits: Permits::new(is_fresh),
            depth: 0,
            idle: None,
        }
    }

    pub(super) const fn is_on_demand(&self) -> bool {
        self.rule.on_demand
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Another limit, and another way to bear the loss of the operator. A rate of another window is another rate.
    pub(super) fn set(&mut self, rule: RateRule) {
        self.rule = RateRule { window: self.rule.window, on_demand: self.rule.on_demand, ..rule };
    }

    /// What a successor has to know. What is used of it is stored already.
    pub(super) fn store(&self) -> RateLedger {
        let lease = self.stored.lease.max(self.rule.lease());
        let over = by_slower_clock(lease).saturating_add(self.rule.permit_window());
        RateLedger { aside: self.reserve.now(), lease, lasts: over }
    }

    pub(super) const fn written(&mut self, stored: RateLedger) {
        self.stored = stored;
    }

    /// Nobody gets more before this is stored.
    pub(super) fn wants_write(&self) -> bool {
        let RateLedger { aside, lease, lasts: _ } = self.store();
        aside > self.stored.aside || lease > self.stored.lease
    }

    pub(super) fn join(&mut self, source: &S, weight: u32) {
        let member = self.members.entry(source.clone()).or_insert_with(|| Member::new(weight));
        member.weight = weight.max(1);
    }

    /// The process is over for certain.
    pub(super) fn gone(&mut self, source: &S) {
        self.members.remove(source);
        self.permits.gone(source);
    }

    /// Takes the newest report of a sidecar that obeys this leader.
    pub(super) fn report(&mut self, now: Nanos, source: &S, serial: u64, flow: Option<&Flow>, asks: &[&PermitAsk]) {
        let Some(member) = self.members.get_mut(source) else { return };
        let first = !member.heard;
        member.report(now, serial, flow);
        if first || !asks.is_empty() {
            member.wanted = now;
        }
        if first {
            self.unknown = self.unknown.saturating_sub(member.charge(now));
        }
        // Half of the limit is the most that is ever saved up for one request.
        let most = self.rule.limit / 2;
        for ask in asks.iter().filter(|ask| ask.amount <= most) {
            self.permits.ask(now, source, ask);
        }
    }

    /// Of one on demand, takes those out who have had no use for it for a while, and have nothing of it.
    pub(super) fn prune(&mut self, now: Nanos) -> Vec<S> {
        let on_demand = self.rule.on_demand;
        let over = |member: &Member| on_demand && member.is_idle(now) && member.charge(now) == 0;
        let over: Vec<S> = self.members.extract_if(.., |_, member| over(member)).map(|(source, _)| source).collect();
        over.iter().for_each(|source| self.permits.gone(source));
        if !self.members.is_empty() {
            self.idle = None;
        } else if self.idle.is_none() {
            self.idle = Some(now);
        }
        over
    }

    /// Nobody has used it for so long that no window sees anything of it.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        self.idle.is_some_and(|since| now >= since.saturating_add(self.store().lasts))
    }

    /// Decides anew who may have what. `heard`: all who may have anything of it have reported since then.
    pub(super) fn turn(&mut self, now: Nanos, heard: Nanos) {
        self.learn(now, heard);
        let scarce = self.is_scarce();
        let cap = if scarce { 0 } else { capacity(self.members.len() as u64) };
        let (least, largest) = (self.least(), self.largest(now));
        let aside = cap.saturating_mul(least).saturating_add(largest);
        let aside = self.reserve.at_least(now, aside, self.rule.window);
        let whole = self.rule.whole(aside);
        let taken = self.charged(now);
        let stored = !self.wants_write();
        let mut free = if stored { whole.saturating_sub(taken) } else { 0 };
        // Deeper only once what it takes away from the others is there.
        self.depth = if stored && taken <= whole { largest } else { self.depth.min(largest) };
        self.deal_permits(now, whole, &mut free);
        self.deal_floors(whole, cap, &mut free);
        self.deal_surplus(now, whole, scarce, &mut free);
    }

    fn learn(&mut self, now: Nanos, heard: Nanos) {
        let (begun, learnt_at) = *self.learns.get_or_insert_with(|| {
            // Up to here somebody else may have led.
            self.reserve = Reserve::take_over(now, self.stored.aside, self.rule.window);
            (now, now.saturating_add(by_slower_clock(self.stored.lease.max(self.rule.lease()))))
        });
        let is_learnt = match self.rule.on_demand {
            // Who shares in it is known when everybody had a chance to say so.
            true => heard > begun,
            false => self.members.values().all(|member| member.heard),
        };
        if is_learnt {
            self.unknown = 0;
        } else if now >= learnt_at {
            // Leases are over; floors are not.
            let floors: u64 = self.members.values().map(Member::floor_charge).sum();
            self.unknown = self.unknown.min(self.floors().saturating_sub(floors));
        }
    }

    /// So small a limit for so large a fleet that parts of it would be of no use to anybody.
    fn is_scarce(&self) -> bool {
        let quanta = (self.members.len() as u64).saturating_mul(self.rule.quantum).saturating_mul(4);
        quanta > self.rule.limit
    }

    /// The most that permits may take at once.
    fn largest(&mut self, now: Nanos) -> u64 {
        // Where nobody has a part before it asks, a few requests have to pass at once.
        let first = if self.rule.on_demand { self.least().max(self.rule.limit / FIRST_PARTS) } else { 0 };
        self.permits.largest(now).max(first).min(self.rule.limit / 2)
    }

    fn least(&self) -> u64 {
        self.rule.quantum.saturating_mul(LEAST_REQUESTS)
    }

    /// The sum of all floors.
    fn floors(&self) -> u64 {
        match self.rule.loss {
            _ if self.rule.on_demand => 0,
            Loss::Hold | Loss::Floor => share::milli(self.rule.whole(0), FLOOR_MILLI),
            Loss::Deny => 0,
        }
    }

    fn charged(&self, now: Nanos) -> u64 {
        let members: u64 = self.members.values().map(|member| member.charge(now)).sum();
        members.saturating_add(self.permits.charge()).saturating_add(self.unknown)
    }

    /// Single requests, from a bucket of this machine's own.
    fn deal_permits(&mut self, now: Nanos, whole: u64, free: &mut u64) {
        let mut wants = self.permits.wants(now, self.rule.window);
        if self.rule.on_demand {
            // Kept full for whoever asks first.
            wants = wants.max(if self.permits.is_full() { 1 } else { whole / FIRST_PARTS });
        }
        let charge = self.permits.charge();
        // No more than its turn of what there is, unless nobody else wants it.
        let askers = self.permits.askers().max(1);
        let others = self.members.values().filter(|member| member.wants > 0).count() as u64;
        let fair = if self.is_scarce() { whole } else { whole / (askers + others).max(1) * askers };
        let target = if self.unknown > 0 { 0 } else { wants.min(fair.max(charge.min(wants))).min(charge + *free) };
        self.permits.set(now, &self.rule, target, self.depth);
        *free = (charge + *free).saturating_sub(self.permits.charge());
    }

    fn deal_floors(&mut self, whole: u64, cap: u64, free: &mut u64) {
        let all = if cap == 0 { 0 } else { self.floors().min(whole) };
        let each = all.checked_div(cap).unwrap_or(0);
        let mut room = all.saturating_sub(self.members.values().map(Member::floor_charge).sum());
        for member in self.members.values_mut().filter(|member| member.heard) {
            let charged = member.floor_charge();
            let more = each.saturating_sub(charged).min(room).min(*free);
            member.floor = (charged + more).min(each);
            room -= more;
            *free -= more;
        }
    }

    fn deal_surplus(&mut self, now: Nanos, whole: u64, scarce: bool, free: &mut u64) {
        let for_members = whole.saturating_sub(self.permits.charge()).saturating_sub(self.unknown);
        let want = |member: &Member| Want {
            weight: member.weight,
            least: member.floor,
            most: per_window(member.wants, self.rule.window),
        };
        let on_demand = self.rule.on_demand;
        for member in self.members.values_mut().filter(|member| on_demand && member.is_idle(now)) {
            member.surplus = 0;
        }
        let awake = |member: &Member| member.heard && !scarce && !(on_demand && member.is_idle(now));
        let heard = self.members.values_mut().filter(|member| awake(member));
        let mut members: Vec<&mut Member> = heard.collect();
        let wants: Vec<Want> = members.iter().map(|member| want(member)).collect();
        let targets = divide(for_members, &wants);
        // Smaller parts first: what they free is not there yet, but nobody grows at the cost of what is.
        for (member, target) in members.iter_mut().zip(targets) {
            let charge = member.charge(now).max(member.floor);
            let more = target.saturating_sub(charge).min(*free);
            *free -= more;
            member.surplus = target.min(charge + more).saturating_sub(member.floor);
        }
        if scarce {
            self.members.values_mut().for_each(|member| member.surplus = 0);
        }
    }

    /// What to send to a sidecar now, as message `serial`.
    pub(super) fn send(&mut self, now: Nanos, source: &S, serial: u64) -> Option<Share> {
        let (least, lease) = (self.least(), self.rule.lease());
        let (rate, window) = (self.rate, self.rule.window);
        let member = self.members.get_mut(source).filter(|member| member.heard)?;
        let (floor, surplus) = member.send(now, serial, lease);
        Some(Share { rate, window, floor, surplus, least, lease })
    }

    /// It has something else now than it was sent.
    pub(super) fn changed(&self, source: &S) -> bool {
        self.members.get(source).is_some_and(|member| member.heard && member.changed()) || self.permits.answers(source)
    }

    pub(super) fn take_permits(&mut self, source: &S) -> Vec<Permit> {
        let answers = self.permits.take(source);
        answers.into_iter().map(|(id, amount)| Permit { rate: self.rate, id, amount }).collect()
    }

    pub(super) fn standing(&self, now: Nanos) -> RateStatement {
        RateStatement {
            whole: self.rule.whole(self.reserve.now()),
            charged: self.charged(now),
            unknown: self.unknown,
            scarce: self.is_scarce(),
        }
    }
}

/// How a rate stands, in thousandths a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStatement {
    /// What can be handed out.
    pub whole: u64,
    /// What is, or may be, in somebody's hands.
    pub charged: u64,
    /// Of it, what sidecars may have that have not been heard.
    pub unknown: u64,
    /// Single requests are granted instead of parts.
    pub scarce: bool,
}

/// Room for the fleet to grow without everybody's part changing with every pod.
const fn capacity(members: u64) -> u64 {
    let step = (members / 8).next_power_of_two();
    members.next_multiple_of(step)
}

fn per_window(milli_per_second: u64, window: Nanos) -> u64 {
    let parts = u128::from(milli_per_second) * u128::from(window) / 1_000_000_000;
    u64::try_from(parts).unwrap_or(u64::MAX)
}
