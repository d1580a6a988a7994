//! What requests may cost in a period.

mod period;

use serde::{Deserialize, Serialize};

pub use period::{Every, Period, Span};

/// One ModelBudget. A route names those that count its requests: [`crate::Route::budgets`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// For messages: what may be spent comes with [`crate::Rights`].
    pub limit_nanos: u64,
    pub per: BudgetPer,
    pub period: Period,
    pub reserve: Reserve,
    pub on_exhausted: OnExhausted,
}

/// What has a budget of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BudgetPer {
    Namespace,
    Workload,
    /// The Job a pod belongs to; pods of anything else are counted by workload.
    JobRun,
    /// Each value of this request header; its name is in lower case.
    Header(String),
}

/// What a request sets aside before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reserve {
    /// The most it can cost: the budget is never passed.
    WorstCase,
    /// What requests to that backend cost of late.
    Usual,
    /// Nothing: what it costs is counted, and nothing is refused.
    Nothing,
}

/// What becomes of a request that the budget has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExhausted {
    Block,
    /// It goes to these backends only. What they cost is counted and not limited.
    Downgrade(Vec<String>),
}
