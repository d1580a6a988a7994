use serde_json::{Value, from_value, json};

use super::*;
use crate::resources::Resources;

fn condition(name: &str, status: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": "Because", "message": message, "observedGeneration": 2,
           "lastTransitionTime": "2026-11-21T00:00:00Z"})
}

fn metadata(name: &str, namespace: &str) -> Value {
    json!({"name": name, "namespace": namespace, "generation": 2})
}

fn route(namespace: &str, status: &Value) -> spillway_crds::ModelRoute {
    let spec = json!({"backends": [{"name": "a", "providerRef": {"name": "p"}, "model": "m"}]});
    from_value(json!({"metadata": metadata("chat", namespace), "spec": spec, "status": status})).unwrap()
}

fn healthy() -> Value {
    json!({
        "conditions": [condition("Accepted", "True", ""), condition("Programmed", "True", "")],
        "sidecars": {"ready": 3, "programmed": 3, "rejected": 0},
        "backends": [{"name": "a", "provider": "ai/p", "model": "m", "role": "Primary", "state": "Closed"}],
        "spend": {"day": "1.23", "month": "30.10"},
        "summary": {"models": "chat", "backends": "1/1", "sidecars": "3/3"},
    })
}

fn view(routes: Vec<spillway_crds::ModelRoute>) -> View {
    View::of(&Resources { routes, ..Resources::default() }, None)
}

#[test]
fn what_is_well_is_one_line() {
    let want = "\
ROUTE      SIDECARS  BACKENDS  SPENT TODAY
shop/chat       3/3       1/1        $1.23

1 route: 3 of 3 sidecars in sync, counted by route; spillway-0 leads; 0 problems
";
    assert_eq!(text(&view(vec![route("shop", &healthy())]), Some("spillway-0")), want);
}

#[test]
fn everything_that_is_not_well_is_named() {
    let mut behind = healthy();
    behind["conditions"][1] = condition("Programmed", "False", "2 of 3 sidecars run this revision");
    behind["sidecars"]["programmed"] = json!(2);
    let mut open = healthy();
    open["backends"][0]["state"] = json!("Open");
    open["backends"][0]["message"] = json!("5 failures in a row");
    let mut old = healthy();
    old["conditions"][0]["observedGeneration"] = json!(1);
    let rows = [
        (behind, "ModelRoute shop/chat: Programmed is False (Because): 2 of 3 sidecars run this revision"),
        (open, "ModelRoute shop/chat: backend a is Open: 5 failures in a row"),
        (old, "ModelRoute shop/chat: the operator has not seen its newest edition yet"),
        (json!({}), "ModelRoute shop/chat: no operator has seen it yet"),
    ];
    for (status, want) in rows {
        assert_eq!(view(vec![route("shop", &status)]).problems, [want]);
    }
}

#[test]
fn policies_are_judged_by_route_and_budgets_by_what_is_left() {
    let policy = json!({
        "metadata": metadata("careful", "shop"),
        "spec": {"targetRefs": [{"group": "spillway.dev", "kind": "ModelRoute", "name": "chat"}]},
        "status": {"ancestors": [{
            "ancestorRef": {"group": "spillway.dev", "kind": "ModelRoute", "namespace": "shop", "name": "chat"},
            "controllerName": "spillway.dev/operator",
            "conditions": [condition("Accepted", "False", "no such route")],
        }]},
    });
    let budget = json!({
        "metadata": metadata("month", "shop"),
        "spec": {"limit": "5.00", "period": "Month"},
        "status": {"conditions": [condition("Accepted", "True", "")], "exhausted": true, "resetsAt": "2026-12-01T00:00:00Z"},
    });
    let resources = Resources {
        policies: vec![from_value(policy).unwrap()],
        budgets: vec![from_value(budget).unwrap()],
        ..Resources::default()
    };
    let want = [
        "FallbackPolicy shop/careful for ModelRoute shop/chat: Accepted is False (Because): no such route",
        "ModelBudget shop/month: all of $5.00 is used up, starts again at 2026-12-01T00:00:00Z",
    ];
    assert_eq!(View::of(&resources, Some("shop")).problems, want);
    assert!(View::of(&resources, Some("mail")).problems.is_empty());
}

#[test]
fn a_leader_that_is_gone_is_a_problem() {
    let lease = |spec: Value| from_value::<Lease>(json!({"metadata": {}, "spec": spec})).unwrap();
    let now = "2026-11-21T00:01:00Z".parse().unwrap();
    let held = |renewed: &str| {
        lease(json!({"holderIdentity": "spillway-0/10.0.0.1", "renewTime": renewed, "leaseDurationSeconds": 15}))
    };
    assert_eq!(leading(Some(&held("2026-11-21T00:00:50.000000Z")), now).as_deref(), Ok("spillway-0"));
    let rows = [
        (None, "no operator has run there"),
        (Some(lease(json!({"holderIdentity": ""}))), "nobody leads"),
        (Some(held("2026-11-21T00:00:00.000000Z")), "was not heard of for 60 s"),
    ];
    for (lease, want) in rows {
        let problem = leading(lease.as_ref(), now).unwrap_err();
        assert!(problem.contains(want), "{problem}");
    }
}
