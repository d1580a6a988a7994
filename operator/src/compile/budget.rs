//! ModelBudgets: this version reports what is spent against them and enforces nothing, so there is nothing to send.

use std::collections::BTreeSet;

use spillway_crds::{BudgetSelector, ConditionType, ModelBudget, ModelBudgetSpec, Reason};

use super::diagnostic::{Diagnostic, Kind, ObjectRef};
use super::unsupported;

/// Says what is wrong with a budget.
pub(crate) fn check(budget: &ModelBudget, routes: &BTreeSet<String>, diagnostics: &mut Vec<Diagnostic>) {
    let object = ObjectRef::of(Kind::ModelBudget, budget);
    let ModelBudgetSpec {
        selector,
        limit,
        // Refused by `unsupported`, where they are not reported on.
        period: _,
        time_zone: _,
        enforcement: _,
        on_exhausted: _,
        alert_at: _,
    } = &budget.spec;
    diagnostics.extend(unsupported::budget(&object, &budget.spec));
    let problem = match limit.nanos() {
        Ok(0) => Some("is 0: a budget is more than that; to stop all use, delete the route".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    diagnostics.extend(problem.map(|message| Diagnostic::refuse(&object, Reason::Invalid, "spec.limit", message)));
    let Some(BudgetSelector { routes: wanted, per: _, header: _ }) = selector else { return };
    for (index, name) in wanted.iter().enumerate() {
        let key = format!("{}/{name}", object.namespace);
        if !routes.contains(&key) {
            let message = format!("ModelRoute {key} does not exist: create it, or correct the name");
            let about = (ConditionType::ResolvedRefs, Reason::TargetNotFound);
            diagnostics.push(Diagnostic::warn(&object, about, format!("spec.selector.routes[{index}]"), message));
        }
    }
}
