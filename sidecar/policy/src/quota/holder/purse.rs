//! Money of one account in one sidecar.

use super::meter::Meter;
use crate::quota::{Account, Grant, Nanos, Usage};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purse {
    pub(super) granted: u64,
    pub(super) returned: u64,
    pub(super) spent: u64,
    pub(super) open: u64,
    /// What nobody has spent, fleet-wide. None: not heard yet.
    pub(super) left: Option<u64>,
    pub(super) meter: Meter,
}

/// What has to survive the process: the newest of an account counts, and those before it are of no interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub account: Account,
    pub granted: u64,
    pub returned: u64,
    pub spent: u64,
    /// The worst case of what is in flight: spent, if the process dies before it can say more.
    pub open: u64,
}

// === impl Purse ===

impl Purse {
    pub(super) fn new(now: Nanos) -> Self {
        Self { meter: Meter::new(now), ..Self::default() }
    }

    pub(super) fn recover(now: Nanos, balance: &Balance) -> Self {
        let Balance { account: _, granted, returned, spent, open } = *balance;
        Self { granted, returned, spent: spent.saturating_add(open), ..Self::new(now) }
    }

    /// What can still be set aside.
    pub(super) const fn spare(&self) -> u64 {
        self.granted.saturating_sub(self.returned).saturating_sub(self.spent).saturating_sub(self.open)
    }

    pub(super) const fn reserve(&mut self, amount: u64) {
        self.open = self.open.saturating_add(amount);
    }

    pub(super) const fn settle(&mut self, reserved: u64, cost: u64) {
        self.open = self.open.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(cost);
    }

    /// Takes what it is granted. True: it has to survive the process.
    pub(super) fn grant(&mut self, grant: &Grant, newest: bool) -> bool {
        let before = (self.granted, self.returned, self.spent);
        self.granted = self.granted.max(grant.total);
        // Both are known here, unless the account was forgotten, or an earlier process has left. What was taken back may not
        // have arrived yet.
        self.returned = self.returned.max(grant.returned.min(grant.total));
        self.spent = self.spent.max(grant.spent);
        if newest {
            self.left = Some(grant.left);
            let back = grant.keep.map_or(0, |keep| self.spare().saturating_sub(keep));
            self.returned = self.returned.saturating_add(back);
        }
        before != (self.granted, self.returned, self.spent)
    }

    pub(super) const fn is_unused(&self) -> bool {
        self.granted == 0 && self.spent == 0 && self.open == 0
    }

    /// Gives back what can still be set aside.
    pub(super) const fn empty(&mut self) {
        self.returned = self.returned.saturating_add(self.spare());
    }

    pub(super) const fn balance(&self, account: Account) -> Balance {
        let Self { granted, returned, spent, open, .. } = *self;
        Balance { account, granted, returned, spent, open }
    }

    pub(super) fn usage(&self, account: Account) -> Usage {
        let Self { granted, returned, spent, open, left: _, meter } = self;
        let (wants, largest) = (meter.wants(), meter.largest());
        Usage { account, granted: *granted, returned: *returned, spent: *spent, open: *open, wants, largest }
    }
}
