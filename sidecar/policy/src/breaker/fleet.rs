//! A breaker that the whole fleet shares: every source says what it has seen, and all are told the same.
//!
//! It goes by the same [`Rule`] as a [`super::Breaker`], over the sums of all sources, and asks for no more than these have
//! to say: totals since their process began, so that what is lost, repeated or late is harmless. Open, everybody stays out.
//! When its time is over a few sources may probe, those that were asked for the backend last; enough good probes of all
//! of them together close it for everybody, and a bad one opens it again, for longer.
//!
//! Nothing here keeps a sidecar out for longer than a [`LEASE`]: whoever hears nothing any more goes on by itself, with a
//! probe. So all of this may be forgotten at any moment, and a successor begins anew.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Cause, Rule, length};
use crate::{
    quota::Stamp,
    window::{Counts, Window},
};

/// For so long a source stays out that hears nothing more. Three reports, each of which is answered.
pub const LEASE: Duration = Duration::from_secs(6);
/// Sources that probe at once.
pub const PROBERS: usize = 3;
/// A source that has proved nothing for so long after it was chosen gets company: it may be asked no more.
const SEAT: Duration = Duration::from_secs(10);
/// A source that has said nothing for so long is gone.
const FORGET: Duration = Duration::from_secs(10);

/// What a source has seen of a backend. All but `row` only grow while its process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Attempts that succeeded or failed.
    pub attempts: u64,
    pub failures: u64,
    /// Failures since the last success.
    pub row: u64,
    /// How often somebody wanted to ask the backend, kept out or not.
    pub asked: u64,
    /// The newest verdict it has taken. 0: none.
    pub turn: u64,
    /// Attempts since then that succeeded, and that failed.
    pub good: u64,
    pub bad: u64,
}

/// What a source is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Grows with each change of the fleet's mind.
    pub turn: u64,
    pub say: Say,
    /// How long it counts when nothing more is heard.
    pub lease: Duration,
    /// What it was opened for: so many failures of so many attempts.
    pub failed: u64,
    pub of: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    StayOut,
    /// One attempt at a time, to see whether it is well again.
    Probe,
    Closed,
}

/// The breaker of one backend. `S` names a source: a sidecar.
#[derive(Clone, Debug)]
pub struct Fleet<S> {
    state: State,
    turn: u64,
    /// It has said something.
    spoke: bool,
    /// Failures since anybody's last success, while closed.
    row: u64,
    window: Window,
    /// Probes that failed since it was last closed.
    growth: u32,
    why: Counts,
    members: BTreeMap<S, Member>,
    /// Who may probe, and since when.
    probers: BTreeMap<S, Instant>,
    /// Who is to be told.
    owed: BTreeSet<S>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        since: Instant,
    },
    Probing {
        /// When it was opened.
        since: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
struct Member {
    stamp: Stamp,
    seen: Evidence,
    heard: Instant,
    /// When it was last heard that somebody wanted to ask the backend there.
    wanted: Option<Instant>,
    /// Its probe failed, and it was not closed since.
    failed: bool,
}

// === impl Fleet ===

impl<S: Ord + Clone> Fleet<S> {
    /// Closed. `turn` is one that no verdict on this backend has had.
    #[must_use]
    pub fn new(turn: u64) -> Self {
        Self {
            state: State::Closed,
            turn,
            spoke: false,
            row: 0,
            window: Window::default(),
            growth: 0,
            why: Counts::default(),
            members: BTreeMap::new(),
            probers: BTreeMap::new(),
            owed: BTreeSet::new(),
        }
    }

    /// Takes what a source reports, however old. True: everybody is to be told something new.
    pub fn hear(&mut self, rule: &Rule, source: &S, (stamp, said): (Stamp, Evidence), now: Instant) -> bool {
        let Some(member) = self.members.get_mut(source) else {
            // What it has seen before is of no certain age.
            let member = Member { stamp, seen: said, heard: now, wanted: None, failed: false };
            self.members.insert(source.clone(), member);
            self.owe(source, said);
            return false;
        };
        if stamp <= member.stamp {
            return false;
        }
        let Evidence { attempts, failures, asked, .. } = member.seen;
        let is_same = member.stamp.life == stamp.life && attempts <= said.attempts && failures <= said.failures;
        let before = if is_same { Counts { all: attempts, some: failures } } else { Counts::default() };
        if asked != said.asked {
            member.wanted = Some(now);
        }
        (member.stamp, member.seen, member.heard) = (stamp, said, now);
        self.owe(source, said);
        match self.state {
            State::Closed => {
                let some = said.failures - before.some;
                let counts = Counts { all: (said.attempts - before.all).max(some), some };
                self.count(rule, counts, said.row, now)
            }
            State::Open { .. } => false,
            State::Probing { .. } => self.probed(rule, source, now),
        }
    }

    /// Whom to tell what now.
    pub fn turn(&mut self, rule: &Rule, now: Instant) -> Vec<(S, Verdict)> {
        if let State::Open { since } = self.state
            && since + length(rule, self.growth) <= now
        {
            self.change(State::Probing { since });
        }
        if let State::Probing { since } = self.state {
            self.choose(since, now);
        }
        let owed = std::mem::take(&mut self.owed);
        let told = |source| {
            let verdict = self.verdict(&source);
            (source, verdict)
        };
        owed.into_iter().map(told).collect()
    }

    /// Lets go of sources that are gone.
    pub fn forget(&mut self, now: Instant) {
        self.members.retain(|_, member| now.saturating_duration_since(member.heard) < FORGET);
        self.probers.retain(|source, _| self.members.contains_key(source));
        self.owed.retain(|source| self.members.contains_key(source));
    }

    /// Closes it, and forgets why it was not.
    pub fn close(&mut self) {
        self.growth = 0;
        self.members.values_mut().for_each(|member| member.failed = false);
        if self.state != State::Closed {
            self.change(State::Closed);
        }
        self.row = 0;
        self.window.clear();
    }

    /// One that comes after all it has said.
    #[must_use]
    pub const fn next_turn(&self) -> u64 {
        self.turn.saturating_add(1)
    }

    /// Counts what was seen while it was closed.
    fn count(&mut self, rule: &Rule, counts: Counts, row: u64, now: Instant) -> bool {
        let Counts { all, some } = counts;
        if all == 0 {
            return false;
        }
        // Nobody knows when others failed: before that success, as far as can be told.
        self.row = if all > some { row.min(some) } else { self.row.saturating_add(some) };
        self.window.add(rule.window, now, counts);
        let sum = self.window.sum(rule.window, now);
        let in_a_row = Cause::InARow(u32::try_from(self.row).unwrap_or(u32::MAX));
        let share = Cause::Share { failed: sum.some, of: sum.all };
        let opens = some > 0 && (in_a_row.opens(rule) || share.opens(rule));
        if opens {
            self.why = if in_a_row.opens(rule) { Counts { all: self.row, some: self.row } } else { sum };
            self.open(now);
        }
        opens
    }

    /// Looks at what the probes of a source have shown.
    fn probed(&mut self, rule: &Rule, source: &S, now: Instant) -> bool {
        let Some(member) = self.members.get_mut(source).filter(|member| member.seen.turn == self.turn) else {
            return false;
        };
        if !self.probers.contains_key(source) {
            return false;
        }
        if member.seen.bad > 0 {
            member.failed = true;
            self.growth = self.growth.saturating_add(1);
            self.open(now);
            return true;
        }
        let probers = self.probers.keys().filter_map(|source| self.members.get(source));
        let good = probers.filter(|member| member.seen.turn == self.turn).map(|member| member.seen.good);
        let is_well = good.fold(0, u64::saturating_add) >= u64::from(rule.success_threshold);
        if is_well {
            self.close();
        }
        is_well
    }

    fn open(&mut self, now: Instant) {
        self.change(State::Open { since: now });
        self.row = 0;
        self.window.clear();
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.turn = self.next_turn();
        self.spoke = true;
        self.probers.clear();
        self.owed.extend(self.members.keys().cloned());
    }

    /// Lets more sources probe, if those that may seem to have no use for it: first of all such as have been asked for the
    /// backend since it was opened, and whose own probe has not failed. Those are many together, or one that is cut off alone.
    fn choose(&mut self, since: Instant, now: Instant) {
        let seated = self.probers.values().filter(|chosen| now < **chosen + SEAT).count();
        let is_wanted = |member: &Member| member.wanted.is_some_and(|wanted| since <= wanted);
        let rank = |member: &Member| if is_wanted(member) { u8::from(member.failed) } else { 2 };
        let most = match seated {
            _ if self.probers.is_empty() => 2,
            0 => 1,
            _ => 0,
        };
        let others = self.members.iter().filter(|(source, _)| !self.probers.contains_key(source));
        let mut others: Vec<_> = others.filter(|(_, member)| rank(member) <= most).collect();
        let Some(best) = others.iter().map(|(_, member)| rank(member)).min() else { return };
        others.retain(|(_, member)| rank(member) == best);
        others.sort_by_key(|(_, member)| Reverse(member.wanted));
        let chosen: Vec<S> =
            others.into_iter().take(PROBERS.saturating_sub(seated)).map(|(source, _)| source.clone()).collect();
        for source in chosen {
            self.owed.insert(source.clone());
            self.probers.insert(source, now);
        }
    }

    /// A source that has spoken is answered, as long as there is anything to say.
    fn owe(&mut self, source: &S, said: Evidence) {
        if self.spoke && (self.state != State::Closed || said.turn < self.turn) {
            self.owed.insert(source.clone());
        }
    }

    fn verdict(&self, source: &S) -> Verdict {
        let say = match self.state {
            State::Closed => Say::Closed,
            State::Probing { .. } if self.probers.contains_key(source) => Say::Probe,
            State::Probing { .. } | State::Open { .. } => Say::StayOut,
        };
        let Counts { all, some } = self.why;
        Verdict { turn: self.turn, say, lease: LEASE, failed: some, of: all }
    }
}

#[cfg(test)]
mod tests;
