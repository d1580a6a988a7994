//! The tenants of one limit, in bounded memory.
//!
//! A tenant with nothing counted is forgotten, the longest untouched first; nothing is lost by that. When there are
//! [`MAX_TENANTS`] that cannot be forgotten, all others share one more: a million made-up names get one limit together
//! instead of one each, and cost nothing. As long as that shared one has anything counted every newcomer goes there, so
//! that nobody gets a second limit by coming back a moment later.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::{Nanos, Rates, meter::Meter};
use crate::queue::{FairQueue, Ticket};

/// More tenants than this in one window of one sidecar are not told apart.
pub const MAX_TENANTS: usize = 10_000;

/// The most of a name that is kept, for people to read.
pub(super) const NAME_CHARS: usize = 64;

const SHARED_NAME: &str = "(all others)";

/// How many of the longest untouched are looked at to forget one.
const FORGET_TRIES: usize = 4;

/// Where a tenant is kept. Valid while it has anything counted, in flight or waiting.
pub(super) type Slot = u32;

const NONE: Slot = Slot::MAX;

#[derive(Debug)]
pub(super) struct Tenants {
    index: HashMap<u64, Slot, BuildHasherDefault<Already>>,
    /// The one that all beyond the bound share.
    shared: Option<Slot>,
    slots: Vec<Tenant>,
    /// By slot. Apart from the tenants, so that putting one first touches no other.
    links: Vec<Link>,
    free: Vec<Slot>,
    /// Touched last, and longest ago.
    newest: Slot,
    oldest: Slot,
}

#[derive(Debug)]
pub(super) struct Tenant {
    /// None: the shared one.
    key: Option<u64>,
    pub(super) name: Box<str>,
    pub(super) requests: Meter,
    pub(super) tokens: Meter,
    /// Requests that hold something of it.
    pub(super) in_flight: u32,
    pub(super) waiting: Option<Box<FairQueue>>,
    /// When its queue is looked at next.
    pub(super) alarm: Option<Nanos>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: Slot,
    older: Slot,
}

/// A tenant's key is a hash already.
#[derive(Default)]
struct Already(u64);

// === impl Tenants ===

impl Default for Tenants {
    fn default() -> Self {
        Self {
            index: HashMap::default(),
            shared: None,
            slots: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }
}

impl Tenants {
    pub(super) fn len(&self) -> usize {
        self.index.len() + usize::from(self.shared.is_some())
    }

    pub(super) fn get(&self, slot: Slot) -> &Tenant {
        &self.slots[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Tenant {
        &mut self.slots[slot as usize]
    }

    /// Calls for those that are kept, in no order.
    pub(super) fn each(&mut self, mut call: impl FnMut(Slot, &mut Tenant)) {
        for slot in self.index.values().chain(&self.shared) {
            call(*slot, &mut self.slots[*slot as usize]);
        }
    }

    /// Where the tenant's counts are. None: nothing of it is counted, and there is place for it.
    pub(super) fn find(&mut self, key: u64, now: Nanos, rates: &Rates) -> Option<Slot> {
        if let Some(slot) = self.index.get(&key) {
            return Some(*slot);
        }
        if let Some(shared) = self.shared
            && !self.forget(shared, now, rates)
        {
            return Some(shared);
        }
        if self.index.len() >= MAX_TENANTS && !self.forget_oldest(now, rates) {
            return Some(self.insert(None, SHARED_NAME));
        }
        None
    }

    /// The same for one whose place was found a moment ago; none: where its counts are from now on.
    pub(super) fn keep(&mut self, found: Option<Slot>, key: u64, name: &str, now: Nanos, rates: &Rates) -> Slot {
        match found {
            Some(slot) => {
                self.touch(slot);
                slot
            }
            None => self.find_or_insert(key, name, now, rates),
        }
    }

    /// Where the tenant's counts are, or are from now on.
    pub(super) fn find_or_insert(&mut self, key: u64, name: &str, now: Nanos, rates: &Rates) -> Slot {
        if let Some(slot) = self.find(key, now, rates) {
            self.touch(slot);
            return slot;
        }
        self.forget_oldest(now, rates);
        self.insert(Some(key), name)
    }

    fn insert(&mut self, key: Option<u64>, name: &str) -> Slot {
        let tenant = Tenant {
            key,
            name: name.chars().take(NAME_CHARS).collect(),
            requests: Meter::default(),
            tokens: Meter::default(),
            in_flight: 0,
            waiting: None,
            alarm: None,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = tenant;
                slot
            }
            None => {
                self.slots.push(tenant);
                self.links.push(Link { newer: NONE, older: NONE });
                // There are never more than MAX_TENANTS and one.
                Slot::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        match key {
            Some(key) => _ = self.index.insert(key, slot),
            None => self.shared = Some(slot),
        }
        self.link(slot);
        slot
    }

    /// Forgets all that can be.
    pub(super) fn forget_idle(&mut self, now: Nanos, rates: &Rates) {
        while self.forget_oldest(now, rates) {}
    }

    fn forget_oldest(&mut self, now: Nanos, rates: &Rates) -> bool {
        for _ in 0..FORGET_TRIES {
            let oldest = self.oldest;
            if oldest == NONE {
                return false;
            }
            if self.forget(oldest, now, rates) {
                return true;
            }
            // One with a long request in flight is not to stand in the way of those behind it.
            let tenant = self.get(oldest);
            if tenant.in_flight == 0 && tenant.waiting.is_none() {
                return false;
            }
            self.touch(oldest);
        }
        false
    }

    fn forget(&mut self, slot: Slot, now: Nanos, rates: &Rates) -> bool {
        let tenant = self.get_mut(slot);
        if !tenant.is_idle(now, rates) {
            return false;
        }
        let key = tenant.key;
        self.unlink(slot);
        match key {
            Some(key) => _ = self.index.remove(&key),
            None => self.shared = None,
        }
        // Its log and its name are freed now, not when the slot is used again.
        let tenant = self.get_mut(slot);
        (tenant.requests, tenant.tokens, tenant.name) = Default::default();
        self.free.push(slot);
        true
    }

    fn touch(&mut self, slot: Slot) {
        if self.newest != slot {
            self.unlink(slot);
            self.link(slot);
        }
    }

    fn link(&mut self, slot: Slot) {
        let newest = std::mem::replace(&mut self.newest, slot);
        self.links[slot as usize] = Link { newer: NONE, older: newest };
        match newest {
            NONE => self.oldest = slot,
            newest => self.links[newest as usize].newer = slot,
        }
    }

    fn unlink(&mut self, slot: Slot) {
        let Link { newer, older } = self.links[slot as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }
}

// === impl Tenant ===

impl Tenant {
    /// Of requests or of tokens.
    pub(super) const fn meter(&self, kind: usize) -> &Meter {
        if kind == 0 { &self.requests } else { &self.tokens }
    }

    /// Whose turn it is in its queue.
    pub(super) fn first(&self) -> Option<Ticket> {
        self.waiting.as_ref()?.first()
    }

    pub(super) fn advance(&mut self, now: Nanos, rates: &Rates) {
        if let Some(rate) = &rates.requests {
            self.requests.advance(now, rate);
        }
        if let Some(rate) = &rates.tokens {
            self.tokens.advance(now, rate);
        }
    }

    fn is_idle(&mut self, now: Nanos, rates: &Rates) -> bool {
        self.advance(now, rates);
        self.in_flight == 0
            && self.waiting.is_none()
            && rates.requests.as_ref().is_none_or(|rate| self.requests.is_idle(now, rate))
            && rates.tokens.as_ref().is_none_or(|rate| self.tokens.is_idle(now, rate))
    }
}

// === impl Already ===

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
