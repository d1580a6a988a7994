//! What a sidecar shows of its rights.

use super::{Account, Holder};
use crate::quota::{Epoch, Flow, Nanos, RateId};

// === impl Holder ===

impl Holder {
    /// What can still be set aside of an account here, and what nobody has spent of it fleet-wide, if that was heard.
    #[must_use]
    pub fn money(&self, account: Account) -> (u64, Option<u64>) {
        self.purses.get(&account).map_or((0, None), |purse| (purse.spare(), purse.left))
    }

    /// How much of a rate there is here at this moment, and how long until there can be no more.
    pub fn room(&mut self, now: Nanos, rate: RateId) -> (u64, Nanos) {
        let Some(bucket) = self.buckets.get_mut(&rate) else { return (0, 0) };
        bucket.advance(now);
        bucket.standing(now)
    }

    /// The parts of rates it has.
    pub fn flows(&self, now: Nanos) -> impl Iterator<Item = Flow> {
        self.buckets.values().map(move |bucket| bucket.flow(now))
    }

    /// The newest leader that was heard.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}
