//! A part of a rate in one sidecar: a bucket that starts empty and refills at the share's pace, the leased part of it only
//! while the lease lasts.

mod room;

use crate::quota::{Flow, Nanos, RateId, Share};

use super::meter::Meter;
use room::Room;

/// A bucket holds what refills in this time, if that is more than [`Share::least`].
pub(in crate::quota) const DEPTH: Nanos = 500_000_000;
const MILLI: i128 = 1_000;
/// A bucket that nobody has asked for so long is forgotten, if it has no right to anything.
const IDLE: Nanos = 60_000_000_000;

/// In parts: so fine that a refill of one thousandth a window for a nanosecond is one.
type Parts = i128;

#[derive(Clone, Debug)]
pub(in crate::quota) struct Bucket {
    share: Share,
    /// When the surplus ends.
    leased_until: Nanos,
    level: Parts,
    at: Nanos,
    room: Room,
    /// Takes that are not settled yet.
    open: u32,
    /// When anybody asked for any of it last, or was done with it.
    used: Nanos,
    pub(in crate::quota) meter: Meter,
}

/// Where a take was.
pub(in crate::quota) type Place = u64;

// === impl Bucket ===

impl Bucket {
    pub(in crate::quota) fn new(now: Nanos, rate: RateId) -> Self {
        Self {
            share: Share { rate, window: 0, floor: 0, surplus: 0, least: 0, lease: 0 },
            leased_until: 0,
            level: 0,
            at: now,
            room: Room::default(),
            open: 0,
            used: now,
            meter: Meter::new(now),
        }
    }

    /// After a restart: what was permanent still is.
    pub(in crate::quota) fn recover(now: Nanos, share: Share) -> Self {
        Self { share: Share { surplus: 0, ..share }, ..Self::new(now, share.rate) }
    }

    /// Lets time pass. Everything else expects this to have been called for its `now`.
    pub(in crate::quota) fn advance(&mut self, now: Nanos) {
        if now <= self.at {
            return;
        }
        let leased = self.leased_until.clamp(self.at, now);
        if leased > self.at {
            self.refill(leased - self.at, self.share.floor.saturating_add(self.share.surplus));
        }
        if leased < now {
            // From here on it is the floor's bucket, and no deeper than that.
            self.refill(now - leased, self.share.floor);
        }
        self.at = now;
    }

    fn refill(&mut self, elapsed: Nanos, milli: u64) {
        let more = i128::from(milli) * i128::from(elapsed);
        self.level = self.level.saturating_add(more).min(self.depth(milli));
    }

    fn depth(&self, milli: u64) -> Parts {
        if milli == 0 {
            return 0;
        }
        self.parts(self.share.least).max(i128::from(milli) * i128::from(DEPTH))
    }

    fn parts(&self, amount: u64) -> Parts {
        i128::from(amount) * MILLI * i128::from(self.share.window)
    }

    fn milli(&self, now: Nanos) -> u64 {
        let surplus = if now < self.leased_until { self.share.surplus } else { 0 };
        self.share.floor.saturating_add(surplus)
    }

    /// The most that can ever be taken at once.
    pub(in crate::quota) fn most(&self, now: Nanos) -> u64 {
        let unit = (MILLI * i128::from(self.share.window)).max(1);
        u64::try_from(self.depth(self.milli(now)) / unit).unwrap_or(0)
    }

    /// What is there, and how long until it is full.
    pub(in crate::quota) fn standing(&self, now: Nanos) -> (u64, Nanos) {
        let unit = (MILLI * i128::from(self.share.window)).max(1);
        let there = u64::try_from(self.level.max(0) / unit).unwrap_or(0);
        (there, self.ready_in(now, self.most(now)).unwrap_or(0))
    }

    pub(in crate::quota) fn has(&self, amount: u64) -> bool {
        self.share.window > 0 && self.level >= self.parts(amount)
    }

    /// How long until so much is there, if nobody else takes it. None: never.
    pub(in crate::quota) fn ready_in(&self, now: Nanos, amount: u64) -> Option<Nanos> {
        let milli = self.milli(now);
        if milli == 0 || amount > self.most(now) {
            return None;
        }
        let missing = (self.parts(amount) - self.level).max(0);
        let step = i128::from(milli);
        Nanos::try_from((missing + step - 1) / step).ok()
    }

    /// Somebody asks for so much.
    pub(in crate::quota) fn wish(&mut self, now: Nanos, counts: bool, amount: u64) {
        self.used = now;
        if counts {
            self.meter.count(amount);
        }
    }

    /// It holds all it can.
    pub(in crate::quota) fn fill(&mut self) {
        self.level = self.depth(self.milli(self.at));
    }

    /// There is nothing here that would be missed.
    pub(super) fn is_idle(&self, now: Nanos) -> bool {
        let has_right = self.share.floor > 0 || now < self.leased_until;
        let rests = now.saturating_sub(self.used);
        // What is owed counts for a window.
        let is_even = self.level >= 0 || rests >= self.share.window;
        !has_right && self.open == 0 && rests >= IDLE && is_even
    }

    /// A take is over that took `amount`, of which so much was used.
    pub(super) fn settle(&mut self, now: Nanos, place: Place, amount: u64, used: u64) {
        self.advance(now);
        (self.open, self.used) = (self.open.saturating_sub(1), now);
        self.give_back(place, amount.saturating_sub(used));
        self.owe(used.saturating_sub(amount));
    }

    pub(in crate::quota) fn take(&mut self, amount: u64) -> Place {
        self.open = self.open.saturating_add(1);
        let place = self.room.note(self.depth(self.milli(self.at)) - self.level);
        self.level -= self.parts(amount);
        place
    }

    /// Less was used than was taken. It comes back as far as the bucket would be fuller now if only that had been taken:
    /// what would have run over is lost, or a window could see it twice.
    fn give_back(&mut self, place: Place, amount: u64) {
        let now = self.depth(self.milli(self.at)) - self.level;
        let back = self.parts(amount).min(self.room.since(place).min(now)).max(0);
        self.level += back;
        self.room.fill(place, back);
    }

    /// More was used than was taken: the bucket may be below empty.
    fn owe(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(self.parts(amount));
    }

    /// Takes a new share, whose lease counts from when its renewal was asked for. True: the permanent part has changed.
    pub(in crate::quota) fn set(&mut self, share: Share, asked: Nanos) -> bool {
        if share.window != self.share.window {
            // Parts mean something else now.
            (self.level, self.room) = (0, Room::default());
        }
        let floor = self.share.floor;
        self.leased_until = asked.saturating_add(share.lease);
        self.share = share;
        let depth = self.depth(self.milli(self.at));
        self.level = self.level.min(depth);
        self.room.note(depth - self.level);
        floor != share.floor
    }

    /// Is this less than it has now?
    pub(in crate::quota) fn shrinks(&self, now: Nanos, share: &Share) -> bool {
        share.floor.saturating_add(share.surplus) < self.milli(now)
    }

    /// The part that outlives the process.
    pub(in crate::quota) const fn permanent(&self) -> Share {
        Share { surplus: 0, lease: 0, ..self.share }
    }

    pub(in crate::quota) fn flow(&self, now: Nanos) -> Flow {
        let Share { rate, floor, .. } = self.share;
        let (surplus, lasts) = (self.milli(now) - floor, self.leased_until.saturating_sub(now));
        Flow { rate, floor, surplus, lasts, wants: self.meter.milli() }
    }
}
