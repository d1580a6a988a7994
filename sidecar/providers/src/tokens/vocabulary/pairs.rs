//! Which two tokens make a third.

use super::{super::room, NONE};

/// Bits of a slot that hold the token; the others tell most wrong slots apart without a look at the token.
const TOKEN_BITS: u32 = 18;
const TOKEN: u32 = (1 << TOKEN_BITS) - 1;

/// An open hash table of tokens by their halves. The halves themselves are somebody else's: a slot is four bytes.
pub(super) struct Pairs {
    slots: Vec<u32>,
    /// How far a hash is shifted to be a slot's number.
    shift: u32,
}

// === impl Pairs ===

impl Pairs {
    /// Of the tokens from `bytes` on; those before are not made of two.
    pub(super) fn new(halves: &[[u32; 2]], bytes: usize) -> Self {
        // At most half of them are taken, and so every search ends.
        let slots = (halves.len() * 2).next_power_of_two();
        let mut pairs = Self { slots: room::list(), shift: 64 - slots.trailing_zeros() };
        pairs.slots.resize(slots, NONE);
        for (token, [left, right]) in halves.iter().enumerate().skip(bytes) {
            let (mut at, mark) = pairs.place(*left, *right);
            while pairs.slots[at] != NONE {
                at = (at + 1) % slots;
            }
            pairs.slots[at] = mark | (u32::try_from(token).unwrap_or(NONE) & TOKEN);
        }
        pairs
    }

    pub(super) fn get(&self, left: u32, right: u32, halves: &[[u32; 2]]) -> Option<u32> {
        let (mut at, mark) = self.place(left, right);
        loop {
            let slot = self.slots[at];
            if slot == NONE {
                return None;
            }
            if slot & !TOKEN == mark && halves[(slot & TOKEN) as usize] == [left, right] {
                return Some(slot & TOKEN);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The slot a pair is looked for from, and its mark.
    fn place(&self, left: u32, right: u32) -> (usize, u32) {
        // The bits of the golden ratio, as Knuth has it.
        let hash = (u64::from(left) << 32 | u64::from(right)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ hash >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> self.shift) as usize, (hash as u32) & !TOKEN)
    }
}
