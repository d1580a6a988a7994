//! How much was used in the last window, exactly or a little too much, never too little.
//!
//! A bucket that starts full and refills lets twice its depth pass in one window. This is a log of what was taken
//! instead: takes that are close together (a sixtieth of the window) share an entry and count until the last of them
//! slides out. So usage is at most the limit in *every* window, wherever it starts, and a limit that is used up all the
//! time still gives 60/61 of itself.
//!
//! What a provider bills beyond an estimate was used already and cannot be refused any more. It is owed: it counts as
//! soon as there is room for it, before anybody else gets some.

use std::collections::VecDeque;

use super::{Nanos, Rate};

/// Entries in a window of even use.
const CELLS: u64 = 60;
/// After resizes there may be more entries than cells. Beyond this the oldest two become one, which counts too long.
const MAX_ENTRIES: usize = 2 * CELLS as usize + 2;
/// A provider that bills without measure is not allowed to close a limit for ever.
const MAX_DEBT_WINDOWS: u64 = 10;

/// The usage of one window. What every request needs is in here; the log behind it is touched once a cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The sum of the log and of `last`.
    used: u64,
    /// Not zero only while there is no room.
    debt: u64,
    /// When the oldest entry leaves, at the earliest.
    leaves: Nanos,
    /// What is taken before this goes to `last`.
    cell_ends: Nanos,
    /// The newest entry.
    last: Option<Entry>,
    /// The others, oldest first.
    log: VecDeque<Entry>,
    /// How many entries have gone: the number of the oldest one.
    gone: u64,
    /// When it was advanced last. Nothing is dated before it, even when a resize makes entries leave in the past.
    seen: Nanos,
    /// The length by which `leaves` was computed.
    length: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The last take in it: all of it counts until that one has left the window.
    latest: Nanos,
    amount: u64,
}

/// Which entry a take is in, for giving it back.
pub(super) type Place = u64;

// === impl Window ===

impl Window {
    /// Lets go of what has left the window. All other methods expect this to have been called for their `now`.
    pub(super) fn advance(&mut self, now: Nanos, rate: &Rate) {
        if self.leaves > now && self.debt == 0 && self.length == rate.window {
            return;
        }
        while let Some(oldest) = self.oldest() {
            let leaves = oldest.latest.saturating_add(rate.window);
            if leaves > now {
                break;
            }
            self.used -= oldest.amount;
            self.drop_oldest();
            // What is owed takes the room at the moment it appears, not when somebody happens to look.
            self.pay(leaves.max(self.seen), rate);
        }
        self.seen = now;
        self.length = rate.window;
        // There is room for it without anything leaving when the limit has grown.
        self.pay(now, rate);
        self.leaves = self.oldest().map_or(Nanos::MAX, |oldest| oldest.latest.saturating_add(rate.window));
    }

    fn oldest(&self) -> Option<Entry> {
        self.log.front().copied().or(self.last)
    }

    fn drop_oldest(&mut self) {
        self.gone += 1;
        if self.log.pop_front().is_none() {
            self.last = None;
        }
    }

    pub(super) const fn used(&self) -> u64 {
        self.used.saturating_add(self.debt)
    }

    pub(super) const fn room(&self, rate: &Rate) -> u64 {
        rate.limit.saturating_sub(self.used())
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.last.is_none()
    }

    /// Counts `amount` from now on.
    pub(super) fn take(&mut self, now: Nanos, rate: &Rate, amount: u64) -> Place {
        self.used = self.used.saturating_add(amount);
        match &mut self.last {
            Some(last) if now < self.cell_ends => {
                last.latest = now.max(last.latest);
                last.amount = last.amount.saturating_add(amount);
            }
            last => {
                let before = last.replace(Entry { latest: now, amount });
                self.log.extend(before);
                self.cell_ends = now.saturating_add((rate.window / CELLS).max(1));
                self.leaves = self.leaves.min(now.saturating_add(rate.window));
            }
        }
        if self.log.len() >= MAX_ENTRIES
            && let Some(oldest) = self.log.pop_front()
        {
            self.gone += 1;
            if let Some(next) = self.log.front_mut() {
                next.amount = next.amount.saturating_add(oldest.amount);
            }
        }
        self.gone + self.log.len() as u64
    }

    /// Uncounts what was taken at `place`. What has slid out by now is free already.
    pub(super) fn give_back(&mut self, now: Nanos, rate: &Rate, place: Place, amount: u64) {
        let Some(index) = place.checked_sub(self.gone).and_then(|index| usize::try_from(index).ok()) else { return };
        let entry = if index == self.log.len() { self.last.as_mut() } else { self.log.get_mut(index) };
        if let Some(entry) = entry {
            let given = amount.min(entry.amount);
            entry.amount -= given;
            self.used -= given;
            self.pay(now, rate);
        }
    }

    /// Counts what was used without having been taken.
    pub(super) fn owe(&mut self, now: Nanos, rate: &Rate, amount: u64) {
        self.debt = self.debt.saturating_add(amount);
        // Not paid by room that a shorter window turns out to have had before this was used.
        self.seen = now;
        self.pay(now, rate);
    }

    fn pay(&mut self, now: Nanos, rate: &Rate) {
        if self.debt == 0 {
            return;
        }
        self.debt = self.debt.min(rate.limit.saturating_mul(MAX_DEBT_WINDOWS));
        let paid = self.debt.min(rate.limit.saturating_sub(self.used));
        if paid > 0 {
            self.debt -= paid;
            self.take(now, rate, paid);
        }
    }

    /// When there will be room for `amount`, if nobody else takes it. May be more than the limit: then it is the time
    /// when that much will have become free, one window after the other.
    pub(super) fn ready_at(&self, now: Nanos, rate: &Rate, amount: u64) -> Nanos {
        let missing = self.used().saturating_add(amount).saturating_sub(rate.limit);
        if missing == 0 {
            return now;
        }
        // An empty log gives nothing back; what is asked beyond the limit takes its turns of a whole window.
        if self.used == 0 {
            return now.saturating_add(rate.window.saturating_mul(missing.div_ceil(rate.limit.max(1))));
        }
        // Whoever takes what becomes free holds it for a window, so the log repeats itself.
        let rounds = (missing - 1) / self.used;
        let mut rest = missing - rounds * self.used;
        let mut at = now;
        for entry in self.log.iter().chain(&self.last) {
            at = entry.latest;
            rest = rest.saturating_sub(entry.amount);
            if rest == 0 {
                break;
            }
        }
        at.saturating_add(rate.window.saturating_mul(rounds + 1)).max(now)
    }

    /// When all of the limit will be there again, if nobody takes more.
    pub(super) fn full_at(&self, now: Nanos, rate: &Rate) -> Nanos {
        let Some(last) = self.last else { return now };
        let windows = self.debt.div_ceil(rate.limit.max(1)).saturating_add(1);
        last.latest.saturating_add(rate.window.saturating_mul(windows)).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const RATE: Rate = Rate { limit: 10, window: 60 * SECOND, burst: None };

    fn at(window: &mut Window, seconds: u64) -> Nanos {
        window.advance(seconds * SECOND, &RATE);
        seconds * SECOND
    }

    #[test]
    fn what_was_taken_counts_for_a_whole_window() {
        let mut window = Window::default();
        window.take(0, &RATE, 4);
        let now = at(&mut window, 30);
        window.take(now, &RATE, 6);
        assert_eq!((window.room(&RATE), window.ready_at(now, &RATE, 4)), (0, 60 * SECOND));
        assert_eq!(window.ready_at(now, &RATE, 5), 90 * SECOND, "the second take has to leave as well");
        assert_eq!(window.ready_at(now, &RATE, 14), 120 * SECOND, "and then the first one's successor");
        let now = at(&mut window, 60);
        assert_eq!((window.room(&RATE), window.full_at(now, &RATE)), (4, 90 * SECOND));
        at(&mut window, 90);
        assert!(window.is_idle());
    }

    #[test]
    fn what_is_given_back_is_free_at_once_and_only_once() {
        let mut window = Window::default();
        let first = window.take(0, &RATE, 10);
        let now = at(&mut window, 1);
        window.give_back(now, &RATE, first, 3);
        assert_eq!(window.room(&RATE), 3);
        let now = at(&mut window, 61);
        window.take(now, &RATE, 5);
        window.give_back(now, &RATE, first, 7);
        assert_eq!(window.room(&RATE), 5, "its entry is gone, and nobody else's is touched");
    }

    #[test]
    fn what_is_owed_is_paid_before_anybody_gets_more() {
        let mut window = Window::default();
        let now = at(&mut window, 0);
        window.take(now, &RATE, 8);
        let now = at(&mut window, 30);
        window.owe(now, &RATE, 7);
        assert_eq!((window.used, window.debt, window.room(&RATE)), (10, 5, 0), "two fitted");
        assert_eq!(window.ready_at(now, &RATE, 1), 60 * SECOND);
        at(&mut window, 60);
        assert_eq!((window.used, window.debt, window.room(&RATE)), (7, 0, 3), "eight left, five were owed");
        at(&mut window, 1_000);
        assert!(window.is_idle());
    }

    #[test]
    fn what_is_owed_counts_from_when_it_was_used_even_if_a_shorter_window_had_room_before() {
        let mut window = Window::default();
        window.advance(0, &RATE);
        window.take(0, &RATE, 10);
        let now = at(&mut window, 50);
        window.owe(now, &RATE, 10);
        let shorter = Rate { window: 10 * SECOND, ..RATE };
        window.advance(now, &shorter);
        assert_eq!((window.used, window.debt, window.room(&shorter)), (10, 0, 0));
        window.advance(60 * SECOND, &shorter);
        assert!(window.is_idle());
    }

    #[test]
    fn an_absurd_debt_does_not_close_a_limit_for_ever() {
        let mut window = Window::default();
        window.owe(0, &RATE, u64::MAX);
        assert!(window.full_at(0, &RATE) <= 11 * RATE.window);
        window.advance(11 * RATE.window, &RATE);
        assert!(window.is_idle());
    }

    #[test]
    fn a_window_that_grows_and_shrinks_stays_small() {
        let mut window = Window::default();
        for step in 0..10_000 {
            let rate = Rate { window: if step % 200 < 100 { SECOND } else { 100_000 * SECOND }, ..RATE };
            let now = step * SECOND / 30;
            window.advance(now, &rate);
            window.take(now, &rate, 1);
            assert!(window.log.len() <= MAX_ENTRIES, "step {step}");
            assert_eq!(window.used, window.log.iter().chain(&window.last).map(|entry| entry.amount).sum::<u64>());
        }
    }
}
