//! How much money to hand out at a time: guided self-scheduling.
//!
//! Everybody gets what lasts for the same time, and that time shrinks with what is left: half of what nobody has used,
//! spread over what the fleet sets aside in a second. So a sidecar outlasts the change of leaders until little is left, an
//! outage of up to a minute while there is plenty, and little is stranded at the end. When somebody goes short while
//! others have more than they need, the others are asked to return it.

use super::book::{Book, Line};

/// Of what nobody has used, sidecars hold one part in so many. The rest is for those who come, and who want more.
const HELD_PARTS: u64 = 2;
/// What a grant lasts for: longer helps only against longer outages, shorter costs a message each time.
const LONGEST_MS: u64 = 30_000;
const SHORTEST_MS: u64 = 500;
/// Whoever holds less than lasts for this long is given more: a leader that dies has a successor by then, who has heard
/// everybody.
const OUTLASTS_MS: u64 = 15_000;

/// What nobody has used, wherever it is: all of it, and an equal part for everybody.
#[derive(Clone, Copy)]
struct Left {
    all: u64,
    each: u64,
}

// === impl Book ===

impl<S: Ord + Clone> Book<S> {
    /// Grants what is needed and free. `ready`: who may be granted anything.
    pub(super) fn deal(&mut self, ready: impl Fn(&S) -> bool) {
        let left = self.unused();
        let horizon = self.horizon(left);
        // Before it is used up, and not for every request.
        let least = OUTLASTS_MS.min(horizon / 4 * 3);
        let mut hungry: Vec<(u64, S)> = Vec::new();
        for (source, line) in &self.lines {
            if ready(source) && line.spare() < line.one(left).max(line.need(least, left)) {
                hungry.push((line.spare(), source.clone()));
            }
        }
        let short = self.serve(hungry, horizon, left);
        self.recall(short, horizon, left);
    }

    fn unused(&self) -> Left {
        let all = self.lines.values().map(Line::spare).fold(self.free(), u64::saturating_add);
        let lines = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        Left { all, each: all / lines.max(1) }
    }

    /// In milliseconds.
    fn horizon(&self, left: Left) -> u64 {
        let wanted: u128 = self.lines.values().map(|line| u128::from(line.wants)).sum();
        let shared = u128::from(left.all / HELD_PARTS) * 1_000;
        let lasts = shared.checked_div(wanted).map_or(u64::MAX, |lasts| u64::try_from(lasts).unwrap_or(u64::MAX));
        lasts.clamp(SHORTEST_MS, LONGEST_MS)
    }

    /// True: somebody did not get what it needs.
    fn serve(&mut self, mut hungry: Vec<(u64, S)>, horizon: u64, left: Left) -> bool {
        // Whoever has least comes first, and among equals each is first in turn.
        hungry.sort();
        let equal = hungry.iter().take_while(|(spare, _)| *spare == hungry[0].0).count();
        if equal > 1 {
            self.turn = (self.turn + 1) % equal;
            hungry[..equal].rotate_left(self.turn);
        }
        let mut free = self.free();
        let mut short = false;
        for (_, source) in hungry {
            let Some(line) = self.lines.get(&source) else { continue };
            // What is owed is charged already, so paying it takes nothing from anybody.
            let (missing, owed, least) = (line.missing(horizon, left), line.owed(), line.one(left));
            let given = missing.saturating_sub(owed).min(free);
            short |= owed + given < missing;
            // Less than one request is of no use, and nothing is no news.
            if owed + given > 0 && line.spare_with(owed + given) >= least {
                self.grant(&source, owed + given);
                free = self.free();
            }
        }
        short
    }

    /// Asks for what is not needed where it is, if it is needed elsewhere.
    fn recall(&mut self, short: bool, horizon: u64, left: Left) {
        let over = self.over();
        for line in self.lines.values_mut() {
            let (spare, need) = (line.spare(), line.need(horizon, left));
            let keep = match (over, short) {
                (true, _) => Some(0),
                // What is not enough for one request may be the rest of another's.
                (false, true) if spare < line.one(left) => Some(0),
                (false, true) if spare > need => Some(need),
                (false, _) => None,
            };
            if keep != line.keep && keep.is_some_and(|keep| spare > keep) {
                line.changed = true;
            }
            line.keep = keep;
        }
    }
}

// === impl Line ===

impl Line {
    /// What one request takes. One that is dearer than all that is left is not waited for, because those that are not would
    /// starve for it: how dear they are nobody knows yet.
    fn one(&self, left: Left) -> u64 {
        if self.largest > left.all { left.each } else { self.largest }
    }

    /// What lasts for the horizon, and one request at least.
    fn need(&self, horizon: u64, left: Left) -> u64 {
        let lasts = u128::from(self.wants) * u128::from(horizon) / 1_000;
        let lasts = u64::try_from(lasts).unwrap_or(u64::MAX);
        if self.wants == 0 { 0 } else { lasts.max(self.one(left)) }
    }

    /// What would have to be granted for the need to be there.
    fn missing(&self, horizon: u64, left: Left) -> u64 {
        self.used().saturating_add(self.need(horizon, left)).saturating_sub(self.right.held())
    }
}
