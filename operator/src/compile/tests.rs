mod budgets;
mod diagnostics;
mod limits;
mod policies;
mod properties;
mod providers;
mod references;
mod strategies;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::resources::world::{SHOP, object, world};

pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn defaults_are_all_written_out() {
    let compiled = compile(&world(&[SHOP]));
    assert_eq!(compiled.diagnostics, [], "nothing to say");
    let route = serde_json::to_value(&compiled.routes["shop/chat"].route).unwrap();
    let mini = &route["backends"][0];
    assert_eq!(mini["model"]["context_window_tokens"], 128_000);
    assert_eq!(mini["model"]["tokenizer"], "O200kBase");
    assert_eq!(mini["model"]["price"]["cache_read_nanos"], 75_000_000);
    assert_eq!((&mini["role"], &mini["provider"]), (&json!("Primary"), &json!("shop/openai")));
    assert_eq!(route["models"], json!(["chat"]));
    assert_eq!(
        route["retries"],
        json!({"attempts": 1, "on": ["ConnectionError"], "backoff_base_ms": 250, "backoff_max_ms": 8000,
            "honour_retry_after_ms": 30_000, "budget": {"ratio_ppm": 200_000, "min_per_second": 10}})
    );
    assert_eq!((&route["breaker"]["open_for_ms"], &route["hedge"]), (&json!(10_000), &json!(null)));
    assert_eq!(
        route["context_window"],
        json!({"on_exceeded": "Reject", "reserve_output_tokens": 1024, "truncate": {"keep_system": true, "keep_last": 4}})
    );
    assert_eq!(route["request"], json!({"unsupported": "Drop", "max_body_bytes": 33_554_432, "timeout_ms": 120_000}));
    assert_eq!(
        route["streaming"],
        json!({"first_token_timeout_ms": 60_000, "idle_timeout_ms": 60_000, "hold_bytes": 0, "hold_ms": 0, "max_repeats": 100})
    );
    assert_eq!(
        serde_json::to_value(&compiled.providers["shop/openai"]).unwrap(),
        json!({
            "kind": "OpenAI", "dialect": "OpenAi", "base_url": "https://api.openai.com/v1", "auth": "None", "headers": {},
            "timeouts": {"connect_ms": 5000, "first_byte_ms": 60_000, "idle_ms": 60_000, "total_ms": 600_000},
        })
    );
}

#[test]
fn how_a_prompt_is_made_to_fit_is_sent_with_every_default_written_out() {
    let rows = [
        (
            "{onExceeded: Summarize, summarize: {backend: small}}",
            json!({"on_exceeded": "Summarize", "reserve_output_tokens": 1024,
                "truncate": {"keep_system": true, "keep_last": 4},
                "summarize": {"backend": "small", "keep_last": 6, "max_tokens": 800}}),
        ),
        (
            "{onExceeded: Truncate, truncate: {drop: MiddleOut, keepLast: 1}}",
            json!({"on_exceeded": "Truncate", "reserve_output_tokens": 1024,
                "truncate": {"keep_system": true, "keep_last": 1, "order": "MiddleOut"}}),
        ),
    ];
    for (written, want) in rows {
        let policy = format!(
            "
kind: FallbackPolicy
metadata: {{name: chat, namespace: shop}}
spec:
  targetRefs: [{{group: spillway.dev, kind: ModelRoute, name: chat}}]
  contextWindow: {written}
"
        );
        let compiled = compile(&world(&[SHOP, &policy]));
        assert_eq!(compiled.diagnostics, [], "{written}");
        let route = serde_json::to_value(&compiled.routes["shop/chat"].route).unwrap();
        assert_eq!(route["context_window"], want, "{written}");
    }
}

#[test]
fn what_is_written_is_what_is_sent() {
    let policy = "
kind: FallbackPolicy
metadata: {name: chat, namespace: shop}
spec:
  targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}]
  contextWindow: {onExceeded: Hybrid, reserveOutputTokens: 64, truncate: {keepSystem: false, keepLast: 2}}
  fallbacks:
  - {onErrors: [ContextWindowExceeded], to: [large]}
  - {onErrors: [RateLimited, ConnectionError], to: [small, large]}
  - {onErrors: [ContentPolicyViolation], to: []}
  retries: {attempts: 3, onErrors: [Timeout], backoff: {base: 1s, max: 4s}, honourRetryAfter: 1m, budget: {ratio: 0.05}}
  hedge: {after: 3s}
  circuitBreaker: {failureThreshold: 7, openFor: 10s, scope: Fleet}
";
    let compiled = compile(&world(&[SHOP, policy]));
    assert_eq!(compiled.diagnostics, []);
    let route = serde_json::to_value(&compiled.routes["shop/chat"].route).unwrap();
    assert_eq!(
        route["context_window"],
        json!({"on_exceeded": "Hybrid", "reserve_output_tokens": 64, "truncate": {"keep_system": false, "keep_last": 2}})
    );
    assert_eq!(
        route["fallbacks"],
        json!([
            {"on": ["ContextWindowExceeded"], "to": ["large"]},
            {"on": ["RateLimited", "ConnectionError"], "to": ["small", "large"]},
            {"on": ["ContentPolicyViolation"], "to": []},
        ])
    );
    assert_eq!(
        route["retries"],
        json!({"attempts": 3, "on": ["Timeout"], "backoff_base_ms": 1000, "backoff_max_ms": 4000,
            "honour_retry_after_ms": 60_000, "budget": {"ratio_ppm": 50_000, "min_per_second": 10}})
    );
    assert_eq!(route["hedge"], json!({"after_ms": 3_000, "max_ratio_ppm": 50_000}));
    let breaker = &route["breaker"];
    assert_eq!((&breaker["failure_threshold"], &breaker["open_for_ms"]), (&json!(7), &json!(10_000)));
    assert_eq!(breaker["scope"], "Fleet");
    assert_eq!(compiled.facts["shop/chat"].policy.as_deref(), Some("chat"));
    assert_eq!(compiled.routes["shop/chat"].route.policy.as_deref(), Some("shop/chat"), "errors name it");
}

#[test]
fn what_a_provider_keeps_is_reached_only_where_the_route_says_so() {
    let rows = [
        ("", json!(null)),
        ("request: {passThrough: [Batches, Files]}, ", json!(["Files", "Batches"])),
        ("request: {passThrough: [Files]}, ", json!(["Files"])),
        (
            "request: {passThrough: [Models, ChatCompletions, Responses]}, ",
            json!(["Responses", "ChatCompletions", "Models"]),
        ),
    ];
    for (request, want) in rows {
        let spec = format!("{{{request}backends: [{{name: a, providerRef: {{name: openai}}, model: gpt-4o}}]}}");
        let compiled = compile(&world(&[SHOP, &object("ModelRoute", &spec)]));
        assert_eq!(compiled.diagnostics, []);
        let route = serde_json::to_value(&compiled.routes["shop/x"].route).unwrap();
        assert_eq!(route["request"]["pass_through"], want, "{request}");
    }
}

#[test]
fn a_stream_is_waited_for_as_long_as_it_is_the_only_hope() {
    let streaming = |route: &str, to: &str| {
        let route = SHOP.replace("spec:\n  backends:", &format!("spec:\n  {route}\n  backends:"));
        let policy = format!(
            "
kind: FallbackPolicy
metadata: {{name: chat, namespace: shop}}
spec:
  targetRefs: [{{group: spillway.dev, kind: ModelRoute, name: chat}}]
  fallbacks: [{{onErrors: [Timeout], to: [{to}]}}]
"
        );
        compile(&world(&[&route, &policy])).routes["shop/chat"].route.streaming
    };
    assert_eq!(streaming("", "").first_token_timeout_ms, 60_000);
    assert_eq!(streaming("", "large").first_token_timeout_ms, 10_000);
    let given = streaming("streaming: {firstTokenTimeout: 90s, hold: {bytes: 4096, duration: 2s}, maxRepeats: 0}", "");
    assert_eq!(
        serde_json::to_value(given).unwrap(),
        json!({"first_token_timeout_ms": 90_000, "idle_timeout_ms": 60_000, "hold_bytes": 4096, "hold_ms": 2000})
    );
}

#[test]
fn a_small_window_keeps_room_for_the_prompt() {
    let tiny = SHOP.replace("contextWindow: 8192", "contextWindow: 512");
    let route = &compile(&world(&[&tiny])).routes["shop/chat"].route;
    assert_eq!(route.context_window.reserve_output_tokens, 128, "a quarter of the smallest window");
}

#[test]
fn a_pod_sees_its_own_routes_and_their_providers_only() {
    let more = "
kind: ModelProvider
metadata: {name: anthropic, namespace: shop}
spec: {type: Anthropic, credentials: {none: {}}}
---
kind: ModelRoute
metadata: {name: write, namespace: shop}
spec:
  workloadSelector: {matchLabels: {app: checkout}}
  backends: [{name: a, providerRef: {name: anthropic}, model: claude-haiku-4-5}]
---
kind: ModelRoute
metadata: {name: chat, namespace: shop-2}
spec: {backends: [{name: a, providerRef: {name: openai, namespace: shop}, model: gpt-4o}]}
";
    let mut resources = world(&[SHOP, more]);
    resources.settings.allowed_private_ranges = vec!["10.0.0.0/8".into()];
    let compiled = compile(&resources);
    let rows = [
        ("shop", "checkout", "shop/chat shop/write", "shop/anthropic shop/openai"),
        ("shop", "web", "shop/chat", "shop/openai"),
        ("shop-2", "checkout", "shop-2/chat", ""),
        ("elsewhere", "checkout", "", ""),
    ];
    for (namespace, app, routes, providers) in rows {
        let view = compiled.view(namespace, &labels(&[("app", app)]));
        let joined = |keys: Vec<&String>| keys.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!(joined(view.routes.keys().collect()), routes, "{namespace} {app}");
        assert_eq!(joined(view.providers.keys().collect()), providers, "{namespace} {app}");
        assert_eq!(view.egress.allowed_private_ranges, ["10.0.0.0/8"]);
        assert_eq!(view.revision.len(), 16);
    }
}

#[test]
fn an_endpoint_from_the_command_line_is_trusted() {
    let documents = "
kind: ModelProvider
metadata: {name: openai, namespace: shop}
spec: {type: OpenAI, credentials: {secretRef: {name: k}}}
---
kind: Secret
metadata: {name: k, namespace: shop, labels: {spillway.dev/provider-key: 'true'}}
data: {apiKey: c2VjcmV0}
";
    let mut resources = world(&[documents]);
    resources.settings.endpoint_overrides.insert("shop/openai".into(), "http://127.0.0.1:9000/v1".into());
    let compiled = compile(&resources);
    assert_eq!(compiled.diagnostics, []);
    assert_eq!(compiled.providers["shop/openai"].base_url, "http://127.0.0.1:9000/v1");
    assert!(compiled.credentials.contains_key("shop/openai"));
    assert!(!format!("{compiled:?}").contains("secret\""), "keys do not print");
}
