//! How much room a bucket had at least since some take: what of it may come back.

use std::collections::VecDeque;

/// Older ones are merged, as the smaller of two.
const MOST: usize = 48;

#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// Room just before each take, but for those that a later and smaller one makes redundant.
    lows: VecDeque<(u64, i128)>,
    serial: u64,
}

// === impl Room ===

impl Room {
    /// There is so much room now. Gives the place of what is taken next.
    pub(super) fn note(&mut self, room: i128) -> u64 {
        while self.lows.back().is_some_and(|(_, low)| *low >= room) {
            self.lows.pop_back();
        }
        self.serial += 1;
        self.lows.push_back((self.serial, room));
        if self.lows.len() > MOST
            && let (Some((_, low)), Some(next)) = (self.lows.pop_front(), self.lows.front_mut())
        {
            next.1 = next.1.min(low);
        }
        self.serial
    }

    /// The least room after the take at `place`.
    pub(super) fn since(&self, place: u64) -> i128 {
        let after = self.lows.iter().filter(|(serial, _)| *serial > place);
        after.map(|(_, low)| *low).min().unwrap_or(i128::MAX)
    }

    /// As if so much less had been taken at `place`.
    pub(super) fn fill(&mut self, place: u64, amount: i128) {
        for (_, low) in self.lows.iter_mut().filter(|(serial, _)| *serial > place) {
            *low -= amount;
        }
    }
}
