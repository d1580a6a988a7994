//! Budgets: what is sent, and what is said about those that cannot be kept.

use serde_json::json;
use spillway_crds::Reason::{BackendNotFound, Invalid, TargetNotFound};

use super::diagnostics::{Row, check};
use crate::compile::compile;
use crate::resources::world::{SHOP, object, world};

const BUDGET: &[Row] = &[
    (
        "{limit: '5', period: Day, enforcement: Warn, onExhausted: {action: Block}}",
        Invalid,
        "spec.onExhausted.action",
        "use enforcement: Strict",
    ),
    (
        "{limit: '5', period: Day, onExhausted: {action: Downgrade}}",
        Invalid,
        "spec.onExhausted.to",
        "goes on with the backends named here",
    ),
    (
        "{limit: '5', period: Day, onExhausted: {action: Block, to: [mini]}}",
        Invalid,
        "spec.onExhausted.to",
        "goes with action: Downgrade",
    ),
    (
        "{limit: '5', period: Day, onExhausted: {action: Downgrade, to: [mini, nope]}}",
        BackendNotFound,
        "spec.onExhausted.to[1]",
        "backend \"nope\" of ModelRoute shop/chat is not there",
    ),
    ("{limit: '5', period: Day, timeZone: Europe/Berln}", Invalid, "spec.timeZone", "did you mean Europe/Berlin"),
    ("{limit: '5', period: Day, alertAt: [50, 0]}", Invalid, "spec.alertAt[1]", "0 is outside of 1 to 1000"),
    ("{limit: '5', period: Day, selector: {per: Header}}", Invalid, "spec.selector.header", "is missing"),
    ("{limit: '5', period: Day, selector: {header: x-a}}", Invalid, "spec.selector.header", "goes with per: Header"),
    (
        "{limit: '5', period: Day, selector: {per: Header, header: Authorization}}",
        Invalid,
        "spec.selector.header",
        "carries credentials",
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

#[test]
fn a_budget_is_sent_as_it_is_kept() {
    let rows = [
        (
            "{limit: '5', period: Month}",
            json!({"limit_nanos": 5_000_000_000_u64, "per": "Namespace", "period": {"every": "Month"},
                "reserve": "WorstCase", "on_exhausted": "Block"}),
        ),
        (
            "{limit: '0.5', period: Day, timeZone: Europe/Berlin, enforcement: Expected,
              selector: {per: Header, header: X-Tenant}, onExhausted: {action: Downgrade, to: [mini]}}",
            json!({"limit_nanos": 500_000_000, "per": {"Header": "x-tenant"}, "reserve": "Usual",
                "period": {"every": "Day", "zone": "CET-1CEST,M3.5.0,M10.5.0/3"},
                "on_exhausted": {"Downgrade": ["mini"]}}),
        ),
        (
            "{limit: '1', period: Once, enforcement: Warn, selector: {per: JobRun}}",
            json!({"limit_nanos": 1_000_000_000, "per": "JobRun", "period": {"every": "Once"},
                "reserve": "Nothing", "on_exhausted": "Block"}),
        ),
        (
            "{limit: '1', period: Week, timeZone: UTC, selector: {per: Workload}, onExhausted: {action: Warn}}",
            json!({"limit_nanos": 1_000_000_000, "per": "Workload", "period": {"every": "Week"},
                "reserve": "Nothing", "on_exhausted": "Block"}),
        ),
    ];
    for (spec, want) in rows {
        let compiled = compile(&world(&[SHOP, &object("ModelBudget", spec)]));
        assert_eq!(compiled.diagnostics, [], "{spec}");
        let view = compiled.view("shop", &Default::default());
        assert_eq!(serde_json::to_value(&view.budgets["shop/x"]).unwrap(), want, "{spec}");
        assert_eq!(view.routes["shop/chat"].budgets, ["shop/x"], "{spec}");
    }
}

#[test]
fn a_budget_counts_the_routes_it_names_and_is_sent_to_nobody_else() {
    let mail = SHOP.split("\n---\n").nth(1).unwrap().replace("name: chat", "name: mail");
    let named = object("ModelBudget", "{limit: '5', period: Month, selector: {routes: [chat]}}");
    let all = named.replace("name: x", "name: all").replace("routes: [chat]", "per: Namespace");
    let elsewhere = all.replace("namespace: shop", "namespace: bank");
    let compiled = compile(&world(&[SHOP, &mail, &named, &all, &elsewhere]));
    let budgets = |route: &str| compiled.routes[route].route.budgets.clone();
    assert_eq!(budgets("shop/chat"), ["shop/all", "shop/x"]);
    assert_eq!(budgets("shop/mail"), ["shop/all"]);
    let view = compiled.view("shop", &Default::default());
    assert_eq!(view.budgets.keys().collect::<Vec<_>>(), ["shop/all", "shop/x"]);
}

#[test]
fn a_budget_that_is_refused_counts_nothing_and_its_routes_ship() {
    let compiled = compile(&world(&[SHOP, &object("ModelBudget", "{limit: '0', period: Month}")]));
    assert!(compiled.budgets.is_empty() && compiled.routes["shop/chat"].route.budgets.is_empty());
}
