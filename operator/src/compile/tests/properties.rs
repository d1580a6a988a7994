//! For all inputs: the order does not matter, and nothing panics.

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::labels;
use crate::compile::{Compiled, ObjectRef, compile};
use crate::conditions::{self, BudgetFigures, RouteFleet, SpendFigures};
use crate::resources::Resources;

/// Strings that have broken programs before, and names that other objects have.
const ODD: [&str; 24] = [
    "",
    "a",
    "b",
    "shop",
    "shop/a",
    "*",
    "gpt-4o*",
    "gpt-4o",
    "ft:x:",
    "é",
    "\u{0}",
    "a\nb",
    "https://",
    "https://a/v1",
    "http://[::1]:99999/",
    "https://u@h",
    "1h",
    "99999h",
    "0s",
    "1.5",
    "999999999.999999999999",
    "-1",
    "18446744073709551616",
    "../x",
];

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![8 => select(&ODD[..]).prop_map(Value::from), 1 => any::<String>().prop_map(Value::from)]
}

fn number() -> impl Strategy<Value = Value> {
    select(vec![0_u32, 1, 2, 5, 11, 512, 8192, u32::MAX]).prop_map(Value::from)
}

fn class() -> impl Strategy<Value = Value> {
    select(vec!["Timeout", "ContextWindowExceeded", "RateLimited", "BadRequest"]).prop_map(Value::from)
}

fn object(kind: &'static str, spec: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let created = select(vec![None, Some("2026-11-01T00:00:00Z"), Some("2026-11-02T00:00:00Z")]);
    (select(vec!["a", "b", "c", "gpt-4o"]), select(vec!["shop", "ai"]), created, spec).prop_map(
        move |(name, namespace, created, spec)| {
            json!({"apiVersion": "spillway.dev/v1alpha1", "kind": kind, "spec": spec,
                "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created}})
        },
    )
}

fn provider() -> impl Strategy<Value = Value> {
    let kind = select(vec!["OpenAI", "Anthropic", "OpenAICompatible", "Gemini", "Ollama"]);
    let credentials = prop_oneof![
        Just(json!({"none": {}})),
        Just(json!({})),
        (word(), word()).prop_map(|(name, key)| json!({"secretRef": {"name": name, "key": key}})),
    ];
    let from = select(vec!["Same", "All", "Selector"]);
    let model = (word(), number(), number(), word()).prop_map(|(name, window, output, price)| {
        json!({"name": name, "contextWindow": window, "maxOutputTokens": output,
            "pricing": {"inputPerMillion": price, "outputPerMillion": price}})
    });
    let spec = (kind, credentials, from, model, word(), word(), prop::option::of(word())).prop_map(
        |(kind, credentials, from, model, text, time, endpoint)| {
            let header = text.as_str().unwrap_or_default().to_owned();
            json!({"type": kind, "credentials": credentials, "endpoint": endpoint, "allowInsecure": true, "models": [model],
                "allowedNamespaces": {"from": from}, "timeouts": {"connect": time, "total": time},
                "headers": {"set": {header: text}, "remove": [time]}})
        },
    );
    object("ModelProvider", spec)
}

fn route() -> impl Strategy<Value = Value> {
    let role = select(vec!["Primary", "Fallback", "Shadow"]);
    let backend = (word(), word(), prop::option::of(word()), word(), role).prop_map(|(name, provider, namespace, model, role)| {
        json!({"name": name, "providerRef": {"name": provider, "namespace": namespace}, "model": model, "role": role})
    });
    let selector = (word(), word(), select(vec!["In", "NotIn", "Exists", "DoesNotExist"])).prop_map(
        |(key, value, operator)| json!({"matchExpressions": [{"key": key, "operator": operator, "values": [value]}]}),
    );
    let spec = (
        prop::collection::vec(word(), 0..3),
        prop::collection::vec(backend, 0..4),
        prop::option::of(selector),
        word(),
        number(),
    )
        .prop_map(|(models, backends, selector, time, bytes)| {
            json!({"models": models, "backends": backends, "workloadSelector": selector,
                "request": {"timeout": time, "maxBodyBytes": bytes}, "streaming": {"idleTimeout": time}})
        });
    object("ModelRoute", spec)
}

fn policy() -> impl Strategy<Value = Value> {
    let target = word().prop_map(|name| json!({"group": "spillway.dev", "kind": "ModelRoute", "name": name}));
    let rule = (prop::collection::vec(class(), 0..3), prop::collection::vec(word(), 0..3))
        .prop_map(|(on, to)| json!({"onErrors": on, "to": to}));
    let exceeded = select(vec!["Reject", "LargerModel", "Truncate", "Summarize", "Hybrid"]);
    let spec =
        (prop::collection::vec(target, 0..3), prop::collection::vec(rule, 0..3), exceeded, number(), word(), word())
            .prop_map(|(targets, rules, exceeded, tokens, base, max)| {
                json!({"targetRefs": targets, "fallbacks": rules,
                "contextWindow": {"onExceeded": exceeded, "reserveOutputTokens": tokens},
                "retries": {"attempts": tokens, "backoff": {"base": base, "max": max}, "honourRetryAfter": max}})
            });
    object("FallbackPolicy", spec)
}

fn budget() -> impl Strategy<Value = Value> {
    let period = select(vec!["Hour", "Day", "Week", "Month", "Once"]);
    let spec = (word(), period, prop::collection::vec(word(), 0..3))
        .prop_map(|(limit, period, routes)| json!({"limit": limit, "period": period, "enforcement": "Warn", "selector": {"routes": routes}}));
    object("ModelBudget", spec)
}

fn secret() -> impl Strategy<Value = Value> {
    (select(vec!["a", "b"]), word(), word(), word()).prop_map(|(name, hosts, key, value)| {
        let key = key.as_str().unwrap_or_default().to_owned();
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": {key: value}, "metadata": {"name": name, "namespace": "shop",
            "labels": {"spillway.dev/provider-key": "true"}, "annotations": {"spillway.dev/allowed-hosts": hosts}}})
    })
}

fn read<T: serde::de::DeserializeOwned>(values: Vec<Value>) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    let unique = values.into_iter().filter(|value| {
        seen.insert(value["metadata"]["namespace"].to_string() + &value["metadata"]["name"].to_string())
    });
    unique
        .map(|value| serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}")))
        .collect()
}

fn resources() -> impl Strategy<Value = Resources> {
    let some = |each: BoxedStrategy<Value>| prop::collection::vec(each, 0..5);
    (
        some(provider().boxed()),
        some(route().boxed()),
        some(policy().boxed()),
        some(budget().boxed()),
        some(secret().boxed()),
    )
        .prop_map(|(providers, routes, policies, budgets, secrets)| Resources {
            providers: read(providers),
            routes: read(routes),
            policies: read(policies),
            budgets: read(budgets),
            secrets: read(secrets),
            ..Resources::default()
        })
}

/// Everything that leaves compile, as text.
fn everything(resources: &Resources, compiled: &Compiled) -> String {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let mut text = format!("{:?}{:?}{:?}", compiled.diagnostics, compiled.facts, compiled.providers);
    for namespace in ["shop", "ai"] {
        text += &serde_json::to_string(&compiled.view(namespace, &labels(&[("a", "b")]))).unwrap();
    }
    let mut statuses = Vec::new();
    for route in &resources.routes {
        let status = conditions::route_status(route, compiled, &RouteFleet::default(), SpendFigures::default(), now);
        statuses.push(format!(
            "{}{}",
            route.metadata.name.as_deref().unwrap(),
            serde_json::to_string(&status).unwrap()
        ));
    }
    for policy in &resources.policies {
        statuses.push(serde_json::to_string(&conditions::policy_status(policy, compiled, now)).unwrap());
    }
    for budget in &resources.budgets {
        let by_workload = vec![("Deployment/a".into(), u64::MAX), ("Job/b".into(), 1)];
        let figures = BudgetFigures { by_workload, standing: None };
        statuses.push(serde_json::to_string(&conditions::budget_status(budget, compiled, &figures, now)).unwrap());
    }
    for provider in &resources.providers {
        statuses.push(serde_json::to_string(&conditions::provider_status(provider, compiled, now)).unwrap());
    }
    statuses.sort();
    text + &statuses.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_resources_does_not_matter(resources in resources(), turn in 0_usize..5) {
        let mut turned = resources.clone();
        turned.secrets.reverse();
        turned.routes.reverse();
        turned.policies.rotate_left(turn.min(resources.policies.len()));
        turned.providers.rotate_left(turn.min(resources.providers.len()));
        turned.budgets.reverse();
        let (one, other) = (compile(&resources), compile(&turned));
        prop_assert_eq!(everything(&resources, &one), everything(&turned, &other));
    }

    #[test]
    fn whatever_comes_in_a_snapshot_comes_out_that_a_sidecar_can_read(resources in resources()) {
        let compiled = compile(&resources);
        for namespace in ["shop", "ai"] {
            let view = compiled.view(namespace, &labels(&[]));
            for (key, route) in &view.routes {
                let names: Vec<&String> = route.backends.iter().map(|backend| &backend.name).collect();
                prop_assert!(route.backends.iter().all(|backend| view.providers.contains_key(&backend.provider)), "{}", key);
                prop_assert!(route.fallbacks.iter().flat_map(|rule| &rule.to).all(|name| names.contains(&name)), "{}", key);
                prop_assert!(!route.models.is_empty(), "{}", key);
            }
        }
        for one in &compiled.diagnostics {
            let found = compiled.diagnostics_of(&ObjectRef { ..one.object.clone() }).any(|other| other == one);
            prop_assert!(found, "{} is found by its object", one);
        }
    }
}
