//! What passes between the two machines. Every number is a total or a state, never a difference: a message may be lost,
//! repeated, or arrive after a later one.

use super::{Account, Epoch, Nanos, RateId};

/// Orders the reports of a sidecar, and lets it tell how old an answer is: `life` counts the starts of its process, `sent`
/// is that process's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    pub life: u32,
    pub sent: Nanos,
}

/// What a sidecar says: what it holds, what it has used, what it could use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub stamp: Stamp,
    /// The newest leader it has heard. It takes nothing from earlier ones any more.
    pub epoch: Epoch,
    /// The newest [`Rights`] of that leader it has taken.
    pub serial: u64,
    /// Every account it knows.
    pub accounts: Vec<Usage>,
    /// Every rate it knows.
    pub flows: Vec<Flow>,
    /// Permits it waits for.
    pub asks: Vec<PermitAsk>,
    /// It is over: nothing is in flight, and nothing will be admitted.
    pub last: bool,
}

/// Money of one account, in one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub account: Account,
    /// All it was ever granted.
    pub granted: u64,
    /// All it has ever given back.
    pub returned: u64,
    /// What its requests have cost.
    pub spent: u64,
    /// The worst case of those in flight.
    pub open: u64,
    /// What its requests would set aside in a second.
    pub wants: u64,
    /// The largest reservation of late.
    pub largest: u64,
}

/// What a sidecar may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub epoch: Epoch,
    /// Grows with each message of this leader to this sidecar.
    pub serial: u64,
    /// The newest report that this takes into account.
    pub answers: Stamp,
    pub grants: Vec<Grant>,
    pub shares: Vec<Share>,
    pub permits: Vec<Permit>,
}

/// Money of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub account: Account,
    /// All that was ever granted to this sidecar.
    pub total: u64,
    /// Of it, what it has given back and what it has spent, as far as is known: one that has forgotten the account takes up
    /// where it was.
    pub returned: u64,
    pub spent: u64,
    /// Of what it has no use for now it may keep this much; the rest is needed elsewhere.
    pub keep: Option<u64>,
    /// What nobody has spent yet, fleet-wide: a request that costs more will not be served in this period.
    pub left: u64,
}

/// A part of a rate, in one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub rate: RateId,
    /// What it has now, in thousandths a window.
    pub floor: u64,
    pub surplus: u64,
    /// For how long it has the surplus yet.
    pub lasts: Nanos,
    /// What its requests would take, in thousandths a second.
    pub wants: u64,
}

/// What a sidecar may use of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub rate: RateId,
    pub window: Nanos,
    /// Its own until it is told otherwise, in thousandths a window.
    pub floor: u64,
    /// Its own for as long as `lease`, counted from when it sent the report that this answers.
    pub surplus: u64,
    /// What may be used at once, at least.
    pub least: u64,
    pub lease: Nanos,
}

/// Asks for what a share has no room for: once, and soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitAsk {
    pub rate: RateId,
    /// Grows with each ask of a sidecar.
    pub id: u64,
    pub amount: u64,
    /// It is of no use after this.
    pub patience: Nanos,
}

/// Leave for one request. The sidecar asked for it, and uses it at once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    pub rate: RateId,
    pub id: u64,
    pub amount: u64,
}
