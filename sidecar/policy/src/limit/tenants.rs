//! The tenants of one limit, in bounded memory.
//!
//! A tenant with nothing counted is forgotten, the longest untouched first; nothing is lost by that. When there are
//! [`MAX_TENANTS`] that cannot be forgotten, all others share one more: a million made-up names get one limit together
//! instead of one each, and cost nothing. As long as that shared one has anything counted whoever has used it goes there
//! again, so that nobody gets a second limit by coming back a moment later; a newcomer that has not gets a count of its
//! own as soon as there is place. So does one that has, while nothing of the shared one is in flight: its own count begins
//! with all that the shared one holds, of which its own part is no more.

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

/// 128 KiB, and only where there have been too many tenants.
const SHARER_BITS: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Tenants {
    index: HashMap<u64, Slot, BuildHasherDefault<Already>>,
    /// The one that all beyond the bound share.
    shared: Option<Slot>,
    /// Who has taken of it, or waited there, since it is there, and perhaps a few others.
    sharers: Sharers,
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

/// A set that may take a key for one of its own that is not, and never the other way round: a Bloom filter. With 100,000
/// keys in it one of a hundred is mistaken.
#[derive(Debug, Default)]
struct Sharers {
    /// None while there is no shared one.
    words: Vec<u64>,
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
            sharers: Sharers::default(),
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
    pub(super) fn find(&mut self, key: u64, name: &str, now: Nanos, rates: &Rates) -> Option<Slot> {
        if let Some(slot) = self.index.get(&key) {
            return Some(*slot);
        }
        let shared = self.shared.filter(|shared| !self.forget(*shared, now, rates));
        let bound = shared.filter(|_| self.sharers.contains(key));
        let tenant = bound.map(|shared| self.get(shared));
        let busy = tenant.is_some_and(|tenant| tenant.in_flight > 0 || tenant.waiting.is_some());
        if busy || self.index.len() >= MAX_TENANTS && !self.forget_oldest(now, rates) {
            return shared.or_else(|| Some(self.insert(None, SHARED_NAME)));
        }
        // What is counted of it is among what the shared one holds, and there is place to count it apart.
        let (requests, tokens) = bound.map(|shared| self.get(shared).meters())?;
        let slot = self.insert(Some(key), name);
        let tenant = self.get_mut(slot);
        (tenant.requests, tenant.tokens) = (requests, tokens);
        Some(slot)
    }

    /// The same for one whose place was found a moment ago; none: where its counts are from now on.
    pub(super) fn keep(&mut self, found: Option<Slot>, key: u64, name: &str, now: Nanos, rates: &Rates) -> Slot {
        match found {
            Some(slot) => {
                self.used(slot, key);
                slot
            }
            None => self.find_or_insert(key, name, now, rates),
        }
    }

    /// Where the tenant's counts are, or are from now on.
    pub(super) fn find_or_insert(&mut self, key: u64, name: &str, now: Nanos, rates: &Rates) -> Slot {
        if let Some(slot) = self.find(key, name, now, rates) {
            self.used(slot, key);
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
            None => (self.shared, self.sharers) = (None, Sharers::default()),
        }
        // Its log and its name are freed now, not when the slot is used again.
        let tenant = self.get_mut(slot);
        (tenant.requests, tenant.tokens, tenant.name) = Default::default();
        self.free.push(slot);
        true
    }

    fn used(&mut self, slot: Slot, key: u64) {
        self.touch(slot);
        // Who was only refused there is not bound to it, so a flood of names does not fill this.
        if self.shared == Some(slot) {
            self.sharers.insert(key);
        }
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

// === impl Sharers ===

impl Sharers {
    /// The key is a hash already: any of its bits are as good as others.
    fn bits(key: u64) -> [usize; 4] {
        [0, 16, 32, 48].map(|shift| (key.rotate_right(shift) as usize) % SHARER_BITS)
    }

    fn contains(&self, key: u64) -> bool {
        !self.words.is_empty() && Self::bits(key).iter().all(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn insert(&mut self, key: u64) {
        if self.words.is_empty() {
            self.words = vec![0; SHARER_BITS / 64];
        }
        for bit in Self::bits(key) {
            self.words[bit / 64] |= 1 << (bit % 64);
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

    fn meters(&self) -> (Meter, Meter) {
        (self.requests.clone(), self.tokens.clone())
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
