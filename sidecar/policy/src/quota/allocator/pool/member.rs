//! One sidecar's part of a rate, as its leader sees it.

use std::collections::VecDeque;

use super::share::by_slower_clock;
use crate::quota::{Flow, Nanos};

/// A part that has changed by less than an eighth is sent with the answer to the next report.
const NEGLIGIBLE_PARTS: u64 = 8;
/// Older messages are merged, as the largest of them.
const MOST_UNDER_WAY: usize = 8;
/// Whoever has wanted nothing of a rate on demand for so long has no part of it any more.
const IDLE: Nanos = 120_000_000_000;

#[derive(Clone, Debug)]
pub(in crate::quota::allocator) struct Member {
    pub(super) weight: u32,
    /// It obeys this leader and has said what it has.
    pub(super) heard: bool,
    /// In thousandths a second.
    pub(super) wants: u64,
    /// When it wanted any of it last.
    pub(super) wanted: Nanos,
    /// What it should have, in thousandths a window.
    pub(super) floor: u64,
    pub(super) surplus: u64,
    /// What it said it has.
    has: Sent,
    /// What it was sent since, as far as it has not said that it knows.
    under_way: VecDeque<Sent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    serial: u64,
    floor: u64,
    surplus: u64,
    /// When the surplus is over by anybody's clock.
    until: Nanos,
}

// === impl Member ===

impl Member {
    pub(super) fn new(weight: u32) -> Self {
        Self {
            weight: weight.max(1),
            heard: false,
            wants: 0,
            wanted: 0,
            floor: 0,
            surplus: 0,
            has: Sent::default(),
            under_way: VecDeque::new(),
        }
    }

    pub(super) fn report(&mut self, now: Nanos, serial: u64, flow: Option<&Flow>) {
        let has = flow.map_or(Sent { serial, ..Sent::default() }, |flow| Sent {
            serial,
            floor: flow.floor,
            surplus: flow.surplus,
            until: now.saturating_add(by_slower_clock(flow.lasts)),
        });
        if !self.heard {
            (self.floor, self.surplus) = (has.floor, has.surplus);
        }
        (self.heard, self.wants, self.has) = (true, flow.map_or(0, |flow| flow.wants), has);
        if self.wants > 0 {
            self.wanted = now;
        }
        self.under_way.retain(|sent| sent.serial > serial);
    }

    /// It was heard, and has wanted nothing for a while.
    pub(super) const fn is_idle(&self, now: Nanos) -> bool {
        self.heard && now >= self.wanted.saturating_add(IDLE)
    }

    /// The most it may have.
    pub(super) fn charge(&self, now: Nanos) -> u64 {
        self.under_way.iter().map(|sent| sent.at(now)).fold(self.has.at(now), u64::max)
    }

    pub(super) fn floor_charge(&self) -> u64 {
        self.under_way.iter().map(|sent| sent.floor).fold(self.has.floor, u64::max)
    }

    /// It should have something so different from what it was sent last that it should not wait for its next report.
    pub(super) fn changed(&self) -> bool {
        let last = self.under_way.back().unwrap_or(&self.has);
        let (was, is) = (last.floor.saturating_add(last.surplus), self.floor.saturating_add(self.surplus));
        was.abs_diff(is) > was / NEGLIGIBLE_PARTS || last.floor > self.floor
    }

    pub(super) fn send(&mut self, now: Nanos, serial: u64, lease: Nanos) -> (u64, u64) {
        let (floor, surplus) = (self.floor, self.surplus);
        self.under_way.push_back(Sent { serial, floor, surplus, until: now.saturating_add(by_slower_clock(lease)) });
        if self.under_way.len() > MOST_UNDER_WAY
            && let (Some(oldest), Some(next)) = (self.under_way.pop_front(), self.under_way.front_mut())
        {
            next.floor = next.floor.max(oldest.floor);
            next.surplus = next.surplus.max(oldest.surplus);
            next.until = next.until.max(oldest.until);
        }
        (floor, surplus)
    }
}

// === impl Sent ===

impl Sent {
    fn at(&self, now: Nanos) -> u64 {
        let surplus = if now < self.until { self.surplus } else { 0 };
        self.floor.saturating_add(surplus)
    }
}
