//! Budgets: what is said about those that cannot be kept.

use spillway_crds::Reason::{Invalid, TargetNotFound, UnsupportedValue};

use super::diagnostics::{Row, check};

const BUDGET: &[Row] = &[
    ("{limit: '5', period: Day}", UnsupportedValue, "spec.enforcement", "use Warn"),
    ("{limit: '5', period: Day, enforcement: Strict}", UnsupportedValue, "spec.enforcement", "use Warn"),
    (
        "{limit: '5', period: Day, enforcement: Warn, onExhausted: {action: Block}}",
        UnsupportedValue,
        "spec.onExhausted.action",
        "use Warn",
    ),
    ("{limit: '5', period: Week, enforcement: Warn}", UnsupportedValue, "spec.period", "use Day or Month"),
    (
        "{limit: '5', period: Day, enforcement: Warn, timeZone: Europe/Berlin}",
        UnsupportedValue,
        "spec.timeZone",
        "use UTC",
    ),
    ("{limit: '5', period: Day, enforcement: Warn, alertAt: [50]}", UnsupportedValue, "spec.alertAt", "remove it"),
    (
        "{limit: '5', period: Day, enforcement: Warn, selector: {per: Workload}}",
        UnsupportedValue,
        "spec.selector.per",
        "use Namespace",
    ),
    (
        "{limit: '5', period: Day, enforcement: Warn, selector: {header: x-a}}",
        UnsupportedValue,
        "spec.selector.header",
        "remove it",
    ),
    (
        "{limit: '5', period: Day, enforcement: Warn, selector: {routes: [chat, nope]}}",
        TargetNotFound,
        "spec.selector.routes[1]",
        "shop/nope does not exist",
    ),
    ("{limit: '0', period: Day, enforcement: Warn}", Invalid, "spec.limit", "is 0"),
    ("{limit: lots, period: Day, enforcement: Warn}", Invalid, "spec.limit", "\"lots\" is not an amount"),
];

#[test]
fn a_budget_is_told_what_is_wrong_with_it() {
    check("ModelBudget", BUDGET);
}
