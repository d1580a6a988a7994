//! Rights to spend, handed out by the operator and used up by sidecars: exact across the fleet, with nothing on the path
//! of a request.

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
