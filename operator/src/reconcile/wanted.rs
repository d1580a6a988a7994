//! The status every object should have now.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};
use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};
use spillway_crds::{ConditionStatus, ModelBudget, ModelBudgetStatus, Period, condition};

use crate::{
    compile::{Compiled, Kind, ObjectRef},
    conditions::{BudgetFigures, SpendFigures, budget_status, policy_status, provider_status, route_status},
    context::Context,
    gather::{Gathered, Unreadable},
    quota::Standing,
    status::{Key, Wanted},
    usage::ledger::{Ledger, Spend},
};

/// Spend by route (`namespace/name`) and workload.
type Bill = BTreeMap<(String, String), Spend>;

/// Statuses of all four kinds, and of what could not be read. While this replica is still `hearing` from the fleet, routes
/// whose sidecars have not all spoken are left as they are.
pub(super) fn all(context: &Context, gathered: &Gathered, compiled: &Compiled, hearing: bool) -> Vec<Wanted> {
    let resources = &gathered.resources;
    let now = context.clock.wall();
    let bill = context.usage.read(bill);
    // A replica that has just taken over may not have read the stored ledger: what was shown before is nearer the truth.
    let complete = context.usage.is_complete();
    let fleets = context.publisher.fleets(&context.pods.read());
    let mut all = Vec::new();
    for route in &resources.routes {
        let key = ObjectRef::of(Kind::ModelRoute, route).key();
        let fleet = fleets.get(&key).cloned().unwrap_or_default();
        if hearing && !fleet.waiting.is_empty() {
            continue;
        }
        let mut status = route_status(route, compiled, &fleet, spend_of(&bill, &key), now);
        if let Some(shown) = route.status.as_ref().filter(|_| !complete) {
            status.spend.clone_from(&shown.spend);
        }
        all.extend(wanted(Kind::ModelRoute, route, &status, &route.status));
    }
    for provider in &resources.providers {
        let status = provider_status(provider, compiled, now);
        all.extend(wanted(Kind::ModelProvider, provider, &status, &provider.status));
    }
    for policy in &resources.policies {
        let status = policy_status(policy, compiled, now);
        all.extend(wanted(Kind::FallbackPolicy, policy, &status, &policy.status));
    }
    context.metrics.budgets.reset();
    for budget in &resources.budgets {
        let standing = context.bank.standing(&ObjectRef::of(Kind::ModelBudget, budget).key());
        measure(context, budget, standing.as_ref());
        let mut status = budget_status(budget, compiled, &figures(budget, &bill, standing), now);
        if let Some(shown) = budget.status.as_ref().filter(|_| !complete) {
            status = ModelBudgetStatus { conditions: status.conditions, ..shown.clone() };
        }
        all.extend(wanted(Kind::ModelBudget, budget, &status, &budget.status));
    }
    all.extend(gathered.unreadable.iter().filter_map(|unreadable| refused(unreadable, now)));
    all
}

fn measure(context: &Context, budget: &ModelBudget, standing: Option<&Standing>) {
    let ObjectRef { kind: _, namespace, name } = ObjectRef::of(Kind::ModelBudget, budget);
    let none = Standing::default();
    let Standing { spent, reserved, outstanding, stranded, .. } = standing.unwrap_or(&none);
    let limit = budget.spec.limit.nanos().unwrap_or_default();
    let figures = [
        ("limit", &limit),
        ("spent", spent),
        ("reserved", reserved),
        ("outstanding", outstanding),
        ("stranded", stranded),
    ];
    for (of, nanos) in figures {
        #[expect(clippy::cast_precision_loss, reason = "a metric needs no more than 53 bits")]
        let dollars = *nanos as f64 / 1e9;
        context.metrics.budgets.with_label_values(&[namespace.as_str(), name.as_str(), of]).set(dollars);
    }
}

fn wanted<K, S>(kind: Kind, object: &K, status: &S, current: &Option<S>) -> Option<Wanted>
where
    K: Resource,
    S: Serialize,
{
    let status = serde_json::to_value(status).ok()?;
    // An object without a status is known to have none, which is not the same as unknown.
    let current = serde_json::to_value(current).ok().filter(|current| !current.is_null()).unwrap_or_else(|| json!({}));
    Some(entry(ObjectRef::of(kind, object), object.meta(), status, current))
}

/// What little can be said of an object that could not be read. A policy's status is about its targets, which are not
/// known; its author finds the reason in the log.
fn refused(unreadable: &Unreadable, now: Timestamp) -> Option<Wanted> {
    let Unreadable { metadata, diagnostic } = unreadable;
    if diagnostic.object.kind == Kind::FallbackPolicy {
        return None;
    }
    let (verdict, text) = ((ConditionStatus::False, diagnostic.reason), diagnostic.text());
    let condition = condition(diagnostic.condition, verdict, &text, metadata.generation, &[], now);
    Some(entry(diagnostic.object.clone(), metadata, json!({"conditions": [condition]}), Value::Null))
}

fn entry(object: ObjectRef, metadata: &ObjectMeta, status: Value, current: Value) -> Wanted {
    let key = Key { kind: object.kind.as_str().to_owned(), namespace: object.namespace, name: object.name };
    Wanted { key, uid: metadata.uid.clone(), generation: metadata.generation, status, current }
}

fn bill(ledger: &Ledger, today: jiff::civil::Date) -> Bill {
    ledger.sum(today, |owner, key| Some((key.route.clone(), owner.workload.clone())))
}

fn spend_of(bill: &Bill, route: &str) -> SpendFigures {
    let mut figures = SpendFigures::default();
    let first = (route.to_owned(), String::new());
    for (_, spend) in bill.range(first..).take_while(|((name, _), _)| name == route) {
        figures.day_nanos = figures.day_nanos.saturating_add(spend.day.cost_nanos);
        figures.month_nanos = figures.month_nanos.saturating_add(spend.month.cost_nanos);
        figures.unpriced_requests = figures.unpriced_requests.saturating_add(spend.month.unpriced);
    }
    figures
}

fn figures(budget: &ModelBudget, bill: &Bill, standing: Option<Standing>) -> BudgetFigures {
    let namespace = ObjectRef::of(Kind::ModelBudget, budget).namespace;
    let routes = budget.spec.selector.as_ref().map_or(&[][..], |selector| &selector.routes);
    let counts = |route: &str| {
        let name = route.strip_prefix(&namespace).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| routes.is_empty() || routes.iter().any(|chosen| chosen == name))
    };
    let in_period = |spend: &Spend| match budget.spec.period {
        Period::Day => spend.day.cost_nanos,
        Period::Month => spend.month.cost_nanos,
        // The bill is by days and months; rights know the others.
        Period::Hour | Period::Week | Period::Once => 0,
    };
    let mut by_workload = BTreeMap::<&str, u64>::new();
    for ((_, workload), spend) in bill.iter().filter(|((route, _), _)| counts(route)) {
        let sum = by_workload.entry(workload).or_default();
        *sum = sum.saturating_add(in_period(spend));
    }
    let by_workload = by_workload.into_iter().map(|(name, nanos)| (name.to_owned(), nanos)).collect();
    BudgetFigures { by_workload, standing }
}

#[cfg(test)]
mod tests {
    use spillway_wire::{UsageKey, UsageTotals};

    use super::*;

    fn a_bill(rows: &[(&str, &str, u64)]) -> Bill {
        let spend = |nanos| {
            let totals = UsageTotals { cost_nanos: nanos, ..UsageTotals::default() };
            Spend { day: totals, month: UsageTotals { cost_nanos: nanos * 10, ..totals } }
        };
        rows.iter()
            .map(|(route, workload, nanos)| (((*route).to_owned(), (*workload).to_owned()), spend(*nanos)))
            .collect()
    }

    fn a_budget(routes: &[&str], period: &str) -> ModelBudget {
        serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "shop"},
            "spec": {"limit": "1.00", "period": period, "selector": {"routes": routes}},
        }))
        .unwrap()
    }

    #[test]
    fn a_budget_counts_its_routes_its_namespace_and_its_period() {
        let bill = a_bill(&[
            ("shop/chat", "Deployment/a", 1),
            ("shop/chat", "Deployment/b", 2),
            ("shop/embed", "Deployment/a", 4),
            ("shopping/chat", "Deployment/a", 8),
        ]);
        let rows = [
            (vec![], "Day", vec![("Deployment/a", 5), ("Deployment/b", 2)]),
            (vec!["chat"], "Day", vec![("Deployment/a", 1), ("Deployment/b", 2)]),
            (vec!["embed"], "Month", vec![("Deployment/a", 40)]),
        ];
        for (routes, period, want) in rows {
            let got = figures(&a_budget(&routes, period), &bill, None).by_workload;
            let want: Vec<(String, u64)> = want.into_iter().map(|(name, nanos)| (name.to_owned(), nanos)).collect();
            assert_eq!(got, want, "{routes:?} {period}");
        }
    }

    #[test]
    fn a_routes_spend_is_its_own_over_all_workloads() {
        let bill = a_bill(&[("shop/chat", "a", 1), ("shop/chat", "b", 2), ("shop/chat2", "a", 100)]);
        assert_eq!(spend_of(&bill, "shop/chat").day_nanos, 3);
        assert_eq!(spend_of(&bill, "shop/chat").month_nanos, 30);
        assert_eq!(spend_of(&bill, "shop/none"), SpendFigures::default());
    }

    #[test]
    fn the_bill_is_by_route_and_workload() {
        let key = UsageKey {
            day: "2026-11-21".into(),
            route: "shop/chat".into(),
            backend: "a".into(),
            provider: "ai/p".into(),
            model: "m".into(),
        };
        let delivery = serde_json::from_value(json!({
            "from": {"namespace": "shop", "pod": "p", "uid": "u", "workload": "Deployment/a"},
            "report": {"boot": "1", "sequence": 1, "ack": {}, "usage": [
                {"day": key.day, "route": key.route, "backend": "a", "provider": "ai/p", "model": "m", "requests": 1,
                 "errors": 0, "input_tokens": 1, "output_tokens": 1, "cost_nanos": 7},
            ]},
        }));
        let mut ledger = Ledger::default();
        ledger.merge(&delivery.unwrap());
        let bill = bill(&ledger, "2026-11-21".parse().unwrap());
        assert_eq!(bill[&("shop/chat".to_owned(), "Deployment/a".to_owned())].day.cost_nanos, 7);
    }
}
