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

#[derive(Clone, Debug)]
pub(super) struct Pool<S> {
    rate: RateId,
    rule: RateRule,
    reserve: Reserve,
    members: BTreeMap<S, Member>,
    /// What sidecars may have that have not been heard by this leader.
    unknown: u64,
    /// When what they were leased is over. None: before this leader's first turn.
    learnt_at: Option<Nanos>,
    /// What is known to be stored.
    stored: RateLedger,
    permits: Permits<S>,
    /// How much permits may take at once.
    depth: u64,
}

// === impl Pool ===

impl<S: Ord + Clone> Pool<S> {
    /// `stored`: what an earlier leader has left. It may have handed out all there is, of a new one as well.
    pub(super) fn new(rate: RateId, rule: RateRule, stored: RateLedger) -> Self {
        Self {
            rate,
            rule,
            reserve: Reserve::default(),
            stored,
            members: BTreeMap::new(),
            unknown: rule.whole(0),
            learnt_at: None,
            permits: Permits::default(),
            depth: 0,
        }
    }

    /// Another limit, and another way to bear the loss of the operator. A rate of another window is another rate.
    pub(super) fn set(&mut self, rule: RateRule) {
        self.rule = RateRule { window: self.rule.window, ..rule };
    }

    /// What a successor has to know. What is used of it is stored already.
    pub(super) fn store(&self) -> RateLedger {
        RateLedger { aside: self.reserve.now(), lease: self.stored.lease.max(self.rule.lease()) }
    }

    pub(super) const fn written(&mut self, stored: RateLedger) {
        self.stored = stored;
    }

    /// Nobody gets more before this is stored.
    pub(super) fn wants_write(&self) -> bool {
        let RateLedger { aside, lease } = self.store();
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
    pub(super) fn report(&mut self, now: Nanos, source: &S, serial: u64, flow: Option<&Flow>, asks: &[PermitAsk]) {
        let Some(member) = self.members.get_mut(source) else { return };
        let first = !member.heard;
        member.report(now, serial, flow);
        if first {
            self.unknown = self.unknown.saturating_sub(member.charge(now));
        }
        // Half of the limit is the most that is ever saved up for one request.
        let most = self.rule.limit / 2;
        for ask in asks.iter().filter(|ask| ask.rate == self.rate && ask.amount <= most) {
            self.permits.ask(now, source, ask);
        }
    }

    /// Decides anew who may have what.
    pub(super) fn turn(&mut self, now: Nanos) {
        self.learn(now);
        let scarce = self.is_scarce();
        let cap = if scarce { 0 } else { capacity(self.members.len() as u64) };
        let (least, largest) = (self.least(), self.permits.largest(now).min(self.rule.limit / 2));
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

    fn learn(&mut self, now: Nanos) {
        let learnt_at = *self.learnt_at.get_or_insert_with(|| {
            // Up to here somebody else may have led.
            self.reserve = Reserve::take_over(now, self.stored.aside, self.rule.window);
            now.saturating_add(by_slower_clock(self.stored.lease.max(self.rule.lease())))
        });
        if self.members.values().all(|member| member.heard) {
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

    fn least(&self) -> u64 {
        self.rule.quantum.saturating_mul(LEAST_REQUESTS)
    }

    /// The sum of all floors.
    fn floors(&self) -> u64 {
        match self.rule.loss {
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
        let wants = self.permits.wants(now, self.rule.window);
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
        let heard = self.members.values_mut().filter(|member| member.heard && !scarce);
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
