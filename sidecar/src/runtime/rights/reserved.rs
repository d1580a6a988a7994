//! What an attempt has set aside.

use std::sync::Arc;

use spillway_policy::quota::{Hold, Outcome};

use super::{Inner, Rights};

/// What was set aside for one attempt, or for a request as a whole. Dropped, it is given back if nobody was asked, and
/// counts as used up if somebody was.
#[derive(Debug)]
#[must_use = "dropping it gives it back"]
pub(crate) struct Reserved {
    rights: Arc<Rights>,
    /// None: settled.
    hold: Option<Hold>,
    /// What it can cost and use at most.
    most: (u64, u64),
    is_sent: bool,
}

// === impl Reserved ===

impl Reserved {
    pub(super) const fn new(rights: Arc<Rights>, hold: Hold, most: (u64, u64)) -> Self {
        Self { rights, hold: Some(hold), most, is_sent: false }
    }

    /// From now on a provider may bill.
    pub(crate) const fn sent(&mut self) {
        self.is_sent = true;
    }

    /// It is over, and has cost and used so much.
    pub(crate) fn settle(mut self, cost: u64, tokens: u64) {
        self.end(Outcome::Done { cost, tokens });
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(hold) = self.hold.take() else { return };
        let rights = &self.rights;
        let now = rights.now();
        let mut inner = rights.lock();
        let Inner { holder, names, store, .. } = &mut *inner;
        holder.settle(now, hold, outcome, store.entries());
        store.write(holder, names);
        drop(inner);
        // Somebody here may wait for what has come back.
        if rights.changed.receiver_count() > 0 {
            rights.changed.send_replace(());
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let (cost, tokens) = self.most;
        self.end(if self.is_sent { Outcome::Done { cost, tokens } } else { Outcome::Unsent });
    }
}
