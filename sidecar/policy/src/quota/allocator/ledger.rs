//! What has to survive the operator: the rights of each sidecar, and the block that may be granted without writing it down.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::quota::{Account, Epoch, Nanos, RateId};

/// The version of the stored ledger that a write replaces. Opaque: `resourceVersion` is.
pub type Token = Arc<str>;

/// The durable part of an [`Allocator`](super::Allocator). Whoever writes it by compare-and-swap leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger<S> {
    /// The machine that has written it.
    pub leader: Arc<str>,
    pub epoch: Epoch,
    /// Who may hold rights. Nobody is granted anything before being written down here.
    pub sources: BTreeSet<S>,
    /// Who never will again. Their late reports are not counted a second time.
    pub retired: BTreeSet<S>,
    pub accounts: BTreeMap<Account, AccountLedger<S>>,
    pub rates: BTreeMap<RateId, RateLedger>,
}

/// One budget in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLedger<S> {
    pub limit: u64,
    pub rights: BTreeMap<S, Right>,
    /// What retired sidecars have spent.
    pub closed: u64,
    /// Rights of retired sidecars that never said what they did with them: counted as spent.
    pub forfeited: u64,
    /// What earlier leaders may have granted without writing it down.
    pub held: u64,
    /// What this leader may.
    pub block: u64,
}

/// What a successor has to expect of a rate. Raised before it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLedger {
    /// What buckets may hold.
    pub aside: u64,
    /// The longest that anybody was ever leased a part for.
    pub lease: Nanos,
    /// How long after its last use it is of no interest any more. 0: that is not known.
    pub lasts: Nanos,
}

/// What one sidecar was granted, has returned and has spent: totals that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Right {
    pub granted: u64,
    pub returned: u64,
    pub spent: u64,
}

/// A ledger that has to be stored if what is stored is still of version `expects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<S> {
    pub expects: Token,
    pub ledger: Arc<Ledger<S>>,
}

// === impl Ledger ===

impl<S> Default for Ledger<S> {
    fn default() -> Self {
        Self {
            leader: "".into(),
            epoch: Epoch(0),
            sources: BTreeSet::new(),
            retired: BTreeSet::new(),
            accounts: BTreeMap::new(),
            rates: BTreeMap::new(),
        }
    }
}

// === impl AccountLedger ===

impl<S> AccountLedger<S> {
    /// What can no longer be granted to anybody else.
    #[must_use]
    pub fn charged(&self) -> u64 {
        let rights = self.rights.values().fold(0_u64, |sum, right| sum.saturating_add(right.charge()));
        [self.closed, self.forfeited, self.held, self.block].into_iter().fold(rights, u64::saturating_add)
    }
}

// === impl Right ===

impl Right {
    /// What it may still spend together with what it has spent. More was spent than allowed where a reservation was too
    /// small; that is owed, and the next grants pay it.
    #[must_use]
    pub fn charge(&self) -> u64 {
        self.held().max(self.spent)
    }

    pub(crate) const fn held(&self) -> u64 {
        self.granted.saturating_sub(self.returned)
    }

    /// Takes what a report says, whatever its age. True: it brought something new.
    pub(crate) fn raise(&mut self, returned: u64, spent: u64) -> bool {
        let before = *self;
        self.returned = self.returned.max(returned);
        self.spent = self.spent.max(spent);
        before != *self
    }
}
