//! Rights to spend, handed out by the operator and used up by sidecars: exact across the fleet, with nothing on the path
//! of a request.
//!
//! **Money is a stock.** Of each [`Account`] and sidecar there are totals that only grow: granted, returned, spent. A
//! sidecar admits a request if the worst it can cost fits into granted − returned − spent − open; the operator grants while
//! the sum of all rights stays within the limit. Nothing in that depends on clocks, on how many sidecars there are, on who
//! crashes or on what the network does, so the budget is passed by at most what bills exceed reservations.
//!
//! **A rate is a flow.** Each sidecar has a floor of its own and a leased surplus; their sum is what keeps every window
//! within the limit. A part that shrinks counts at its old size until its sidecar has said so or the lease is over, buckets
//! start empty, and a refund never brings back what the bucket would have spilt. What a share has no room for, and all of a
//! limit too small to be shared, takes single permits.
//!
//! Both ends are pure: [`Allocator`] in the operator, [`Holder`] in the sidecar. What their shells owe them:
//!
//! - **Operator, to lead**: read the stored ledger, [`Allocator::take_over`] under a name used once, set budgets and rates,
//!   [`Allocator::join`] every process that may still run (from a pod list that is complete), and store what
//!   [`Allocator::turn`] gives by compare-and-swap. On success [`Allocator::written`]; on a conflict or an unknown outcome
//!   read again and [`Allocator::reread`]. Deposed: start over. [`Allocator::lead`] with each renewal of the lease, as long
//!   as it was asked for before the lease was over.
//! - **Operator, always**: call `turn` a few times a second and after urgent reports, and send what it gives; none of it
//!   depends on a write that is not confirmed. [`Allocator::retire`] a source only when its process is over for certain;
//!   [`Allocator::forget`] it when no token of its pod can be valid any more. A budget is not dropped in its period.
//! - **Sidecar**: write what a call gives for the journal before doing what it allows: before the request goes upstream,
//!   before the next report. A write need not be synced: it has to survive the process, not the machine. Report every two
//!   seconds and when [`Holder::is_urgent`]. Start again with [`Holder::recover`], under the same source with a larger
//!   `life`; without an intact journal, as another source.
//! - **Both**: a source is one pod's uid and the number of its journal, an account one value of a budget's selector in one
//!   period. A rate whose window changes is another rate.

mod allocator;
mod holder;
mod message;
#[cfg(test)]
mod tests;

pub use allocator::{
    AccountLedger, Allocator, Ledger, Loss, Output, RateLedger, RateRule, RateStatement, Right, Statement, Token, Write,
};
pub use holder::{Ask, Balance, Entry, Hold, Holder, Outcome, Refusal, Spend, Take};
pub use message::{Flow, Grant, Permit, PermitAsk, Report, Rights, Share, Stamp, Usage};

/// Nanoseconds since any moment that stays the same for the life of a machine.
pub type Nanos = u64;

/// A budget, or the part of it that one namespace, workload, run or value has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetId(pub u64);

/// A stretch of time in which a budget counts: a later one has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub u64);

/// One budget in one period. A request belongs to the period in which it was admitted, whenever it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    pub budget: BudgetId,
    pub period: Period,
}

/// Numbers those who led, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A limit of requests or of tokens over a window, fleet-wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateId(pub u64);

/// A sidecar uses a permit within this time of asking for it, or not at all.
const PERMIT_LIFE: Nanos = 1_000_000_000;
