//! Budgets as a route's requests meet them: which accounts a request counts towards, and what it sets aside there.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use spillway_policy::{
    NanoUsd,
    quota::{Account, BudgetId},
};
use spillway_wire::{Every, Period, Reserve, Span};

use super::{
    generation::Route,
    rights::{period_of, value_of},
};

/// A ModelBudget.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `namespace/name`.
    pub(crate) name: String,
    pub(crate) limit: NanoUsd,
    /// What it is shared by, in words that follow a sum: ` for this workload`.
    pub(crate) whose: &'static str,
    pub(super) header: Option<HeaderName>,
    pub(crate) period: Period,
    pub(crate) reserve: Reserve,
    /// The period it was when somebody last looked: working it out takes longer than all the rest.
    pub(super) span: Mutex<Span>,
}

/// A budget that the requests of a route count towards.
#[derive(Debug)]
pub(crate) struct RouteBudget {
    pub(crate) budget: Arc<Budget>,
    /// None: each value of its header has a number of its own.
    pub(super) id: Option<BudgetId>,
    /// Whom requests go to that it has no room for. None: to nobody.
    pub(crate) spares: Option<Vec<usize>>,
}

/// What one request counts towards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// In [`Route::budgets`].
    pub(crate) budget: usize,
    pub(crate) account: Account,
    pub(crate) reserve: Reserve,
}

// === impl Budget ===

impl Budget {
    /// The period that a moment belongs to.
    pub(crate) fn span(&self, unix: i64) -> Span {
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        if unix < span.start || span.end.is_some_and(|end| unix >= end) {
            // Its rule was read when the config was, so there is one.
            *span = self.period.at(unix).unwrap_or(*span);
        }
        *span
    }

    /// `$500 a month`.
    pub(crate) fn in_words(&self) -> String {
        let each = match self.period.every {
            Every::Hour => " an hour",
            Every::Day => " a day",
            Every::Week => " a week",
            Every::Month => " a month",
            Every::Once => "",
        };
        format!("${}{each}", self.limit)
    }
}

// === impl Route ===

impl Route {
    /// What of it is refused where nobody hands out rights.
    pub(super) fn needs_operator(&self) -> Option<String> {
        let strict = self.budgets.iter().find(|of| of.budget.reserve != Reserve::Nothing);
        let budget = strict.map(|of| format!("budget {}", of.budget.name));
        let limit = || self.fleet.first().map(|limit| format!("limit {} (scope Fleet)", limit.name));
        Some(format!("{} needs an operator, and config comes from a file", budget.or_else(limit)?))
    }

    /// The accounts that a request counts towards which begins at `unix`.
    pub(crate) fn dues(&self, headers: &HeaderMap, unix: i64) -> Vec<Due> {
        let due = |(index, of): (usize, &RouteBudget)| {
            let RouteBudget { budget, id, spares: _ } = of;
            let id = id.unwrap_or_else(|| {
                // Who names nobody is somebody, too: a budget that could be avoided by leaving out a header would be none.
                let value = budget.header.as_ref().and_then(|header| headers.get(header));
                let value = value_of(value.map(HeaderValue::as_bytes).unwrap_or_default());
                self.rights.budget(&budget.name, Some(value))
            });
            let account = Account { budget: id, period: period_of(budget.span(unix).start) };
            Due { budget: index, account, reserve: budget.reserve }
        };
        self.budgets.iter().enumerate().map(due).collect()
    }
}
