use serde_json::json;

use super::*;
use crate::compile::compile;
use crate::resources::Resources;
use crate::resources::world::{SHOP, object, world};

const POLICY: &str = "
kind: FallbackPolicy
metadata: {name: p, namespace: shop, generation: 4}
spec:
  targetRefs:
  - {group: spillway.dev, kind: ModelRoute, name: chat}
  - {group: spillway.dev, kind: ModelRoute, name: nope}
  fallbacks: [{onErrors: [Timeout], to: [large, gone]}]
";

fn now() -> Timestamp {
    "2026-11-21T13:00:00Z".parse().unwrap()
}

fn fleet() -> RouteFleet {
    RouteFleet { expected: 3, programmed: 2, waiting: vec!["web-1".into()], ..RouteFleet::default() }
}

fn route_of(resources: &Resources, name: &str) -> ModelRouteStatus {
    let route = resources.routes.iter().find(|route| route.metadata.name.as_deref() == Some(name)).unwrap();
    let spend = SpendFigures { day_nanos: 1_230_000_000, month_nanos: 30_100_000_000, unpriced_requests: 0 };
    route_status(route, &compile(resources), &fleet(), spend, now())
}

/// `Accepted=True/Accepted: message`, a line for each condition.
fn lines(conditions: &[Condition]) -> Vec<String> {
    let line = |one: &Condition| format!("{}={}/{}: {}", one.type_, one.status, one.reason, one.message);
    conditions.iter().map(line).collect()
}

#[test]
fn a_good_route_says_what_it_serves_and_where() {
    let status = route_of(&world(&[SHOP]), "chat");
    assert_eq!(
        lines(&status.conditions),
        [
            "Accepted=True/Accepted: serves chat",
            "ResolvedRefs=True/ResolvedRefs: every provider exists and may be used",
            "Programmed=False/Pending: 2 of 3 sidecars run this revision; waiting for pod web-1",
        ]
    );
    let summary = status.summary.unwrap();
    assert_eq!((&*summary.models, &*summary.backends, &*summary.sidecars), ("chat", "3/3", "2/3"));
    let spend = status.spend.unwrap();
    assert_eq!((&*spend.day.0, &*spend.month.0, spend.unpriced_requests), ("1.23", "30.10", None));
    assert_eq!(status.backends[1].context_window, Some(8192));
}

#[test]
fn a_refused_route_says_every_reason() {
    let spec = "{backends: [{name: b, providerRef: {name: nope}, model: m}], cache: {ttl: 1m}, deduplicate: {ttl: 1m}}";
    let status = route_of(&world(&[SHOP, &object("ModelRoute", spec)]), "x");
    let [accepted, resolved, programmed] = &lines(&status.conditions)[..] else { panic!("{status:?}") };
    assert!(accepted.starts_with("Accepted=False/UnsupportedValue: spec.cache: "), "{accepted}");
    assert!(accepted.contains("; spec.deduplicate: "), "{accepted}");
    assert!(resolved.starts_with("ResolvedRefs=False/ProviderNotFound: spec.backends[0].providerRef: "), "{resolved}");
    assert!(programmed.starts_with("Programmed=False/NotAccepted: "), "{programmed}");
    assert_eq!(status.summary.unwrap().backends, "0/1");
    assert!(status.conditions.iter().all(|one| one.observed_generation == Some(7)));
}

#[test]
fn advice_leaves_a_condition_true() {
    let spec = "{backends: [{name: b, providerRef: {name: openai}, model: mystery}]}";
    let status = route_of(&world(&[SHOP, &object("ModelRoute", spec)]), "x");
    let accepted = &lines(&status.conditions)[0];
    assert!(
        accepted.starts_with("Accepted=True/Accepted: serves x; note: spec.backends[0].model: nothing is known"),
        "{accepted}"
    );
}

#[test]
fn a_status_that_says_the_same_keeps_its_times() {
    let mut resources = world(&[SHOP]);
    let first = route_of(&resources, "chat");
    resources.routes[0].status = Some(first.clone());
    let later = now() + jiff::SignedDuration::from_hours(1);
    let compiled = compile(&resources);
    let spend = SpendFigures { day_nanos: 1_230_000_000, month_nanos: 30_100_000_000, unpriced_requests: 0 };
    assert_eq!(route_status(&resources.routes[0], &compiled, &fleet(), spend, later), first);

    let all = RouteFleet { expected: 3, programmed: 3, ..RouteFleet::default() };
    let done = route_status(&resources.routes[0], &compiled, &all, spend, later);
    let times: Vec<_> = done.conditions.iter().map(|one| one.last_transition_time.0).collect();
    assert_eq!(times, [now(), now(), later], "only Programmed has turned");
}

#[test]
fn a_policy_stands_with_each_route_apart() {
    let resources = world(&[SHOP, POLICY]);
    let status = policy_status(&resources.policies[0], &compile(&resources), now());
    assert_eq!(status.targets.as_deref(), Some("chat,nope"));
    let [chat, nope] = &status.ancestors[..] else { panic!("{status:?}") };
    assert_eq!((&*chat.ancestor_ref.name, &*chat.controller_name), ("chat", CONTROLLER_NAME));
    let [accepted, resolved] = &lines(&chat.conditions)[..] else { panic!("{chat:?}") };
    assert_eq!(accepted, "Accepted=True/Accepted: applies to ModelRoute chat");
    assert!(resolved.starts_with("ResolvedRefs=False/BackendNotFound: spec.fallbacks[0].to[1]: "), "{resolved}");
    for (line, kind) in lines(&nope.conditions).iter().zip(["Accepted", "ResolvedRefs"]) {
        let want = format!("{kind}=False/TargetNotFound: spec.targetRefs[1]: ModelRoute shop/nope");
        assert!(line.starts_with(&want), "{line}");
    }
    assert!(lines(&route_of(&resources, "chat").conditions)[0].ends_with("serves chat with FallbackPolicy p"));
}

#[test]
fn a_provider_says_where_its_key_goes() {
    let resources = world(&[SHOP, &object("ModelProvider", "{type: Anthropic, credentials: {secretRef: {name: k}}}")]);
    let compiled = compile(&resources);
    let status = provider_status(&resources.providers[0], &compiled, now());
    assert_eq!(
        lines(&status.conditions),
        [
            "Accepted=True/Accepted: OpenAI at https://api.openai.com/v1",
            "ResolvedRefs=True/ResolvedRefs: https://api.openai.com/v1 takes no key",
        ]
    );
    assert_eq!((status.routes, status.endpoint.as_deref()), (Some(1), Some("https://api.openai.com/v1")));
    let keyed = provider_status(&resources.providers[1], &compiled, now());
    let resolved = &lines(&keyed.conditions)[1];
    assert!(
        resolved.starts_with("ResolvedRefs=False/SecretNotFound: spec.credentials.secretRef: no Secret shop/k"),
        "{resolved}"
    );
}

#[test]
fn a_budget_that_warns_counts_and_blocks_nothing() {
    let resources = world(&[SHOP, &object("ModelBudget", "{limit: '5', period: Month, enforcement: Warn}")]);
    let compiled = compile(&resources);
    let rows = [
        // spent, remaining, exhausted
        (0, "5.00", false),
        (1_500_000_000, "3.50", false),
        (5_000_000_000, "0.00", true),
        (7_000_000_000, "0.00", true),
    ];
    for (spent, remaining, exhausted) in rows {
        let figures = BudgetFigures {
            by_workload: vec![("Job/a".into(), spent / 3), ("Job/b".into(), spent - spent / 3)],
            standing: None,
        };
        let status = budget_status(&resources.budgets[0], &compiled, &figures, now());
        assert_eq!(status.spent, Some(Money::from_nanos(spent)));
        assert_eq!((status.remaining, status.exhausted), (Some(Money::from(remaining)), Some(exhausted)), "{spent}");
        let top: Vec<_> = status.top_workloads.iter().map(|spend| spend.workload.as_str()).collect();
        assert_eq!(top, if spent == 0 { vec![] } else { vec!["Job/b", "Job/a"] });
        assert_eq!(status.resets_at.map(|at| at.0.to_string()).as_deref(), Some("2026-12-01T00:00:00Z"));
    }
}

#[test]
fn a_refused_budget_reports_nothing() {
    let resources = world(&[SHOP, &object("ModelBudget", "{limit: '5', period: Month, alertAt: [0]}")]);
    let status = budget_status(&resources.budgets[0], &compile(&resources), &BudgetFigures::default(), now());
    assert!(lines(&status.conditions)[0].starts_with("Accepted=False/Invalid: spec.alertAt[0]: "));
    assert_eq!((status.spent, status.exhausted), (None, None));
}

#[test]
fn a_backend_that_is_left_alone_is_not_counted_as_usable() {
    let resources = world(&[SHOP]);
    let name = &resources.routes[0].spec.backends[0].name;
    let mut fleet = RouteFleet { expected: 1, programmed: 1, ..RouteFleet::default() };
    let line =
        json!({"route": "shop/chat", "backend": name, "state": "Open", "reason": "5 failures in a row", "since": 0});
    let line = serde_json::from_value(line).unwrap();
    fleet.breakers.count(Some(std::iter::once(&line)));
    let status = route_status(&resources.routes[0], &compile(&resources), &fleet, SpendFigures::default(), now());
    assert_eq!(status.backends[0].state, BackendState::Open);
    let message = "open in 1 of 1 sidecars: 5 failures in a row at 1970-01-01T00:00:00Z";
    assert_eq!(status.backends[0].message.as_deref(), Some(message));
    assert_eq!(status.summary.unwrap().backends, "2/3");
    assert_eq!(status.conditions[2].status, "True", "the route is programmed all the same");
}

#[test]
fn a_model_that_is_switched_off_soon_is_a_warning_and_the_route_stays_accepted() {
    let route = "{backends: [{name: old, providerRef: {name: openai}, model: o3-mini}]}";
    let mut resources = world(&[SHOP, &object("ModelRoute", route)]);
    let warning = |resources: &Resources| {
        let status = route_of(resources, "x");
        assert!(lines(&status.conditions)[0].starts_with("Accepted=True/Accepted: "), "{:?}", status.conditions);
        lines(&status.conditions).into_iter().nth(3)
    };
    let off = "o3-mini\" off on 2026-10-23: move to a newer model";
    let rows = [
        (None, None),
        (Some("2026-08-23"), None),
        (Some("2026-08-24"), Some(format!("OpenAI switches \"{off} before that"))),
        (Some("2026-10-22"), Some(format!("OpenAI switches \"{off} before that"))),
        (Some("2026-10-23"), Some(format!("OpenAI switched \"{off}"))),
        (Some("2027-10-23"), Some(format!("OpenAI switched \"{off}"))),
    ];
    for (today, want) in rows {
        resources.settings.today = today.map(|day| day.parse().unwrap());
        let want =
            want.map(|text| format!("Warning=True/ModelsDeprecated: spec.backends[0].model: backend old: {text}"));
        assert_eq!(warning(&resources), want, "{today:?}");
    }
}
