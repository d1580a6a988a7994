//! The budgets of a config, and those of each route.

use std::sync::{Arc, Mutex};

use spillway_policy::NanoUsd;
use spillway_wire::{self as wire, BudgetPer, OnExhausted};

use super::Nack;
use crate::runtime::{
    budgets::{Budget, RouteBudget},
    rights::{Rights, unix},
};

pub(super) fn budgets(given: &wire::Map<wire::Budget>) -> Result<wire::Map<Arc<Budget>>, Nack> {
    let lowered = |(name, given): (&String, &wire::Budget)| {
        let budget = budget(name, given).map_err(|why| format!("budget {name}: {why}"))?;
        Ok((name.clone(), Arc::new(budget)))
    };
    given.iter().map(lowered).collect()
}

fn budget(name: &str, given: &wire::Budget) -> Result<Budget, Nack> {
    let wire::Budget { limit_nanos, per, period, reserve, on_exhausted: _ } = given;
    let (whose, header) = match per {
        BudgetPer::Namespace => ("", None),
        BudgetPer::Workload => (" for this workload", None),
        BudgetPer::JobRun => (" for this run", None),
        BudgetPer::Header(name) => {
            let header = name.parse().map_err(|error| format!("per header {name:?}: {error}"))?;
            (" for this value of its header", Some(header))
        }
    };
    let span = period.at(unix()).ok_or_else(|| {
        let zone = period.zone.as_deref().unwrap_or_default();
        format!("time zone {zone:?} is no rule in the notation of POSIX, such as CET-1CEST,M3.5.0,M10.5.0/3")
    })?;
    Ok(Budget {
        name: name.to_owned(),
        limit: NanoUsd(*limit_nanos),
        whose,
        header,
        period: period.clone(),
        reserve: *reserve,
        span: Mutex::new(span),
    })
}

/// Those of a route, with the backends that are asked when there is nothing left.
pub(super) fn of_route(
    route: &wire::Route,
    given: &wire::Map<wire::Budget>,
    lowered: &wire::Map<Arc<Budget>>,
    rights: &Rights,
) -> Result<Vec<RouteBudget>, Nack> {
    let of = |name: &String| {
        let (Some(given), Some(budget)) = (given.get(name), lowered.get(name)) else {
            return Err(format!("budget {name} is not in the snapshot"));
        };
        let spares = match &given.on_exhausted {
            OnExhausted::Block => None,
            // Of another route of the budget, some may be no backends here.
            OnExhausted::Downgrade(to) => {
                let place = |name: &String| route.backends.iter().position(|backend| backend.name == *name);
                Some(to.iter().filter_map(place).collect())
            }
        };
        let id = budget.header.is_none().then(|| rights.budget(name, None));
        Ok(RouteBudget { budget: Arc::clone(budget), id, spares })
    };
    // One that is named twice counts once.
    let once = |(index, name): &(usize, &String)| !route.budgets[..*index].contains(name);
    route.budgets.iter().enumerate().filter(once).map(|(_, name)| of(name)).collect()
}
