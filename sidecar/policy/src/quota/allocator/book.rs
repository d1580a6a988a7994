//! One account as its leader sees it: who holds which right, and what is free.
//!
//! The sum of all rights, of what was forfeited and of what an earlier leader may have granted never exceeds the limit.
//! A grant becomes sendable once it is durable: with the next write, or at once where the open block has room for it. While
//! a write is under way both the old block and the new one have to have room, because either may turn out to be the one
//! that a successor finds.

use std::collections::BTreeMap;

use super::ledger::{AccountLedger, Right};
use crate::quota::{Stamp, Usage};

/// The open block: a hundredth of the limit. What an operator's crash can strand at most.
const BLOCK_PARTS: u64 = 100;

#[derive(Clone, Debug)]
pub(super) struct Book<S> {
    pub(super) limit: u64,
    pub(super) lines: BTreeMap<S, Line>,
    closed: u64,
    forfeited: u64,
    held: u64,
    /// Somebody who may have been granted some of it will never be heard.
    lost: bool,
    /// What is left of the block of the last write that is known to have succeeded.
    block: u64,
    /// What is left of the block of the write under way.
    next_block: Option<u64>,
    /// There are grants that only a write makes durable.
    pub(super) staged: bool,
    /// Where the round starts when there is not enough for all.
    pub(super) turn: usize,
}

/// One sidecar's right.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// With what is not durable yet.
    pub(super) right: Right,
    /// Of [`Right::granted`], what may be sent.
    pub(super) sendable: u64,
    pub(super) stamp: Stamp,
    /// From the newest report.
    pub(super) open: u64,
    pub(super) wants: u64,
    pub(super) largest: u64,
    pub(super) keep: Option<u64>,
    /// It is in the stored ledger: who leads next knows of it.
    stored: bool,
    /// It was sent something else than it has now.
    pub(super) changed: bool,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    pub limit: u64,
    /// Settled, of all sidecars there ever were.
    pub spent: u64,
    /// The worst case of requests in flight, as far as reported.
    pub open: u64,
    /// Rights that sidecars hold and have not used.
    pub granted: u64,
    /// Rights of sidecars that are gone and did not say what they used of them.
    pub forfeited: u64,
    /// What an earlier leader may have granted: until every sidecar was heard.
    pub held: u64,
    pub free: u64,
}

// === impl Book ===

impl<S: Ord + Clone> Book<S> {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            limit,
            lines: BTreeMap::new(),
            closed: 0,
            forfeited: 0,
            held: 0,
            lost: false,
            block: 0,
            next_block: None,
            staged: false,
            turn: 0,
        }
    }

    /// What an earlier leader left. Its block may have been granted, to anybody who has a line there.
    pub(super) fn take_over(stored: &AccountLedger<S>) -> Self {
        let is_stored = |right: Right| right != Right::default();
        let line = |right: Right| Line { right, sendable: right.granted, stored: is_stored(right), ..Line::default() };
        Self {
            lines: stored.rights.iter().map(|(source, right)| (source.clone(), line(*right))).collect(),
            closed: stored.closed,
            forfeited: stored.forfeited,
            held: stored.held.saturating_add(stored.block),
            ..Self::new(stored.limit)
        }
    }

    /// What to store. From here until [`Self::written`] both blocks bind.
    pub(super) fn store(&mut self) -> AccountLedger<S> {
        let block = (self.limit / BLOCK_PARTS).min(self.free());
        self.next_block = Some(block);
        self.staged = false;
        AccountLedger {
            limit: self.limit,
            rights: self.lines.iter().map(|(source, line)| (source.clone(), line.right)).collect(),
            closed: self.closed,
            forfeited: self.forfeited,
            held: self.held,
            block,
        }
    }

    /// What was stored is durable: its grants may be sent.
    pub(super) fn written(&mut self, stored: &AccountLedger<S>) {
        self.block = self.next_block.take().unwrap_or(0);
        for (source, right) in &stored.rights {
            let Some(line) = self.lines.get_mut(source) else { continue };
            // A right to nothing needs no line.
            line.stored |= *right != Right::default();
            if right.granted > line.sendable {
                line.sendable = right.granted;
                line.changed = true;
            }
        }
    }

    /// What was to be stored never will be.
    pub(super) const fn abandon(&mut self) {
        self.next_block = None;
    }

    /// Nothing was asked of it yet; what was asked of `like` is expected.
    pub(super) fn expect(&mut self, like: &Self) {
        let expected =
            |line: &Line| Line { wants: line.wants, largest: line.largest, changed: true, ..Line::default() };
        self.lines = like.lines.iter().map(|(source, line)| (source.clone(), expected(line))).collect();
    }

    /// Takes what a sidecar says. True: it brought something new.
    pub(super) fn report(&mut self, source: &S, stamp: Stamp, usage: &Usage) -> bool {
        let new = !self.lines.contains_key(source);
        let line = self.lines.entry(source.clone()).or_default();
        let mut changed = new | line.right.raise(usage.returned, usage.spent);
        if usage.granted > line.right.granted {
            // An earlier leader's block went here. Counted once, and as no more than it can have cost.
            let before = line.right.charge();
            line.right.granted = usage.granted;
            self.held = self.held.saturating_sub(line.right.charge() - before);
            changed = true;
        }
        line.sendable = line.sendable.max(usage.granted);
        if stamp > line.stamp || new {
            (line.stamp, line.open) = (stamp, usage.open);
            (line.wants, line.largest) = (usage.wants, usage.largest);
        }
        changed
    }

    /// The sidecar is over and has reported for the last time: what it has not spent is free.
    pub(super) fn finish(&mut self, source: &S) {
        if let Some(line) = self.lines.get_mut(source) {
            line.right.returned = line.right.returned.max(line.right.granted.saturating_sub(line.right.spent));
            (line.open, line.wants, line.largest) = (0, 0, 0);
        }
    }

    /// The sidecar will never be heard again. What it did not account for counts as spent. `unheard`: nor was it since an
    /// earlier leader.
    pub(super) fn retire(&mut self, source: &S, unheard: bool) {
        let Some(line) = self.lines.remove(source) else { return };
        self.lost |= unheard && line.stored;
        self.closed = self.closed.saturating_add(line.right.spent);
        self.forfeited = self.forfeited.saturating_add(line.right.charge() - line.right.spent);
    }

    /// Everybody who may have been granted something by an earlier leader was heard, or never will be.
    pub(super) fn learned(&mut self) {
        let held = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.lost) {
            self.forfeited = self.forfeited.saturating_add(held);
        }
    }

    fn charged(&self) -> u64 {
        let rights = self.lines.values().fold(0_u64, |sum, line| sum.saturating_add(line.right.charge()));
        [self.closed, self.forfeited, self.held].into_iter().fold(rights, u64::saturating_add)
    }

    pub(super) fn free(&self) -> u64 {
        self.limit.saturating_sub(self.charged())
    }

    pub(super) fn over(&self) -> bool {
        self.charged() > self.limit
    }

    /// Grants `amount` more. The caller has made sure that so much is free.
    pub(super) fn grant(&mut self, source: &S, amount: u64) {
        let Some(line) = self.lines.get_mut(source) else { return };
        let before = line.right.charge();
        // What is granted from the block is granted to those of whom a successor knows that they may have some of it.
        let durable = line.stored && line.right.granted == line.sendable;
        line.right.granted = line.right.granted.saturating_add(amount);
        let cost = line.right.charge() - before;
        if durable && cost <= self.block.min(self.next_block.unwrap_or(u64::MAX)) {
            line.sendable = line.right.granted;
            line.changed = true;
            self.block -= cost;
            self.next_block = self.next_block.map(|block| block - cost);
        } else {
            self.staged = true;
        }
    }

    /// The block is nearly used up, and there is more to open.
    pub(super) fn wants_block(&self) -> bool {
        self.next_block.is_none() && self.block < (self.limit / BLOCK_PARTS).min(self.free()) / 2
    }

    /// What no sidecar has spent, nor can have.
    pub(super) fn left(&self) -> u64 {
        let spent = self.lines.values().fold(self.closed, |sum, line| sum.saturating_add(line.right.spent));
        self.limit.saturating_sub(spent).saturating_sub(self.forfeited)
    }

    pub(super) fn spenders(&self) -> impl Iterator<Item = (&S, u64)> {
        self.lines.iter().map(|(source, line)| (source, line.right.spent))
    }

    pub(super) fn spent_by(&self, source: &S) -> Option<u64> {
        self.lines.get(source).map(|line| line.right.spent)
    }

    pub(super) fn statement(&self) -> Statement {
        let sum = |of: fn(&Line) -> u64| self.lines.values().map(of).fold(0, u64::saturating_add);
        Statement {
            limit: self.limit,
            spent: self.closed.saturating_add(sum(|line| line.right.spent)),
            open: sum(|line| line.open),
            granted: sum(|line| line.right.charge() - line.right.spent),
            forfeited: self.forfeited,
            held: self.held,
            free: self.free(),
        }
    }
}

// === impl Line ===

impl Line {
    /// Spent, or set aside, as far as is known here.
    pub(super) const fn used(&self) -> u64 {
        self.right.spent.saturating_add(self.open)
    }

    /// What it can still set aside.
    pub(super) const fn spare(&self) -> u64 {
        self.spare_with(0)
    }

    pub(super) const fn spare_with(&self, more: u64) -> u64 {
        self.right.held().saturating_add(more).saturating_sub(self.used())
    }

    /// What it has spent beyond its right.
    pub(super) const fn owed(&self) -> u64 {
        self.right.spent.saturating_sub(self.right.held())
    }
}
