//! `/debug/rights`: what this pod may spend, what it has spent, and its parts of fleet-wide limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spillway_wire::{Counts, Flow, RateOf};

use crate::{
    runtime::{AccountView, Away, Runtime},
    telemetry::BudgetFigures,
};

pub(super) fn page(runtime: &Runtime) -> String {
    let view = runtime.rights.view();
    let away = view.away.map(|away| match away {
        Away::Never => "there is none".to_owned(),
        Away::Silent(silent) => format!("not heard for {} s", silent.as_secs()),
    });
    let account = |of: &AccountView| {
        json!({
            "budget": of.account.budget, "value": of.account.value, "period": of.account.period,
            "granted_nanos": of.balance.granted, "returned_nanos": of.balance.returned,
            "spent_nanos": of.balance.spent, "open_nanos": of.balance.open,
            "spare_nanos": of.spare, "left_nanos": of.left,
        })
    };
    let page = json!({
        "journal": view.journal,
        "life": view.life,
        "epoch": view.epoch,
        "operator": away,
        "accounts": view.accounts.iter().map(account).collect::<Vec<Value>>(),
        "flows": view.flows,
    });
    format!("{page:#}\n")
}

/// Copies what there is to the metrics.
pub(super) fn measure(runtime: &Runtime) {
    let view = runtime.rights.view();
    let mut budgets: BTreeMap<&str, (i64, BudgetFigures, bool)> = BTreeMap::new();
    for AccountView { account, balance, spare, left } in &view.accounts {
        let (period, figures, by_value) = budgets.entry(&account.budget).or_default();
        if *period < account.period {
            (*period, *figures) = (account.period, BudgetFigures::default());
        }
        if *period == account.period {
            *by_value |= account.value.is_some();
            figures.spent = figures.spent.saturating_add(balance.spent);
            figures.reserved = figures.reserved.saturating_add(balance.open);
            figures.spare = figures.spare.saturating_add(*spare);
            figures.left = left.filter(|_| !*by_value);
        }
    }
    let mut shares: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    for Flow { rate, floor, surplus, .. } in &view.flows {
        let of = match &rate.of {
            RateOf::Limit { route, limit } => format!("limit {limit} of route {route}"),
            RateOf::Provider(provider) => format!("provider {provider}"),
        };
        let counts = match rate.counts {
            Counts::Requests => "requests",
            Counts::Tokens => "tokens",
        };
        *shares.entry((of, counts)).or_default() += floor.saturating_add(*surplus);
    }
    let figures = budgets.into_iter().map(|(name, (_, figures, _))| (name, figures));
    let shares = shares.into_iter().map(|((of, counts), milli)| (of, counts, milli));
    let silent = runtime.rights.silent().map_or(0, |silent| silent.as_secs());
    runtime.telemetry.metrics.rights(figures, shares, silent);
}
