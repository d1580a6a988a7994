//! What is said about a route's way to choose among its backends.

use serde_json::json;
use spillway_crds::Reason::{Invalid, NoEffect, NotAlways, PriceUnknown};

use super::diagnostics::{Row, check};
use crate::compile::compile;
use crate::resources::world::{SHOP, object, world};

/// `@b` stands for a backend that works.
const ROUTE: &[Row] = &[
    ("{backends: [@b], strategy: Weighted}", Invalid, "spec.backends[0].weight", "needs one on every Primary"),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: gpt-4o, weight: 1000001}], strategy: Weighted}",
        Invalid,
        "spec.backends[0].weight",
        "more than 1000000",
    ),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: gpt-4o, weight: 0}], strategy: Weighted}",
        NoEffect,
        "spec.backends",
        "no Primary backend has a weight above 0",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o, weight: 1}]}",
        NoEffect,
        "spec.backends[1].weight",
        "only strategy Weighted",
    ),
    (
        "{strategy: Weighted, backends: [{name: b, providerRef: {name: openai}, model: gpt-4o, weight: 1}, \
         {name: c, providerRef: {name: openai}, model: gpt-4o, role: Fallback, weight: 1}]}",
        NoEffect,
        "spec.backends[1].weight",
        "only Primary backends",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o, when: 'request.token > 1'}]}",
        Invalid,
        "spec.backends[1].when",
        "\"request.token > 1\": request.token does not exist: there are tokens",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o, when: 'request.tokens'}]}",
        Invalid,
        "spec.backends[1].when",
        "not true or false",
    ),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: gpt-4o, when: 'request.stream'}]}",
        NotAlways,
        "spec.backends",
        "leave one without",
    ),
    ("{backends: [@b], cascade: {escalateWhen: 'true'}}", NoEffect, "spec.cascade", "only strategy Cascade"),
    (
        "{backends: [@b], strategy: Cascade, cascade: {escalateWhen: 'response.refusal'}}",
        NoEffect,
        "spec.cascade",
        "nobody to escalate to",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o}], strategy: Cascade}",
        Invalid,
        "spec.cascade.escalateWhen",
        "is missing",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o}], strategy: Cascade, \
         cascade: {escalateWhen: 'request.stream'}}",
        Invalid,
        "spec.cascade.escalateWhen",
        "there is no \"request\": fields are written as response.name",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o, shadowPercent: 5}]}",
        NoEffect,
        "spec.backends[1].shadowPercent",
        "only a Shadow",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: gpt-4o, role: Shadow, shadowPercent: 101}]}",
        Invalid,
        "spec.backends[1].shadowPercent",
        "outside of 1 to 100",
    ),
    ("{backends: [@b], maxCostPerRequest: '0.00'}", Invalid, "spec.maxCostPerRequest", "lets nothing through"),
    ("{backends: [@b], maxCostPerRequest: '-1'}", Invalid, "spec.maxCostPerRequest", "is not an amount"),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: mystery}], maxCostPerRequest: '1'}",
        PriceUnknown,
        "spec.backends[1].model",
        "passes it over for every request",
    ),
    (
        "{backends: [@b, {name: c, providerRef: {name: openai}, model: mystery}], strategy: LeastCost}",
        PriceUnknown,
        "spec.backends[1].model",
        "asks it last",
    ),
    ("{backends: [@b], affinity: {header: 'x session'}}", Invalid, "spec.affinity.header", "no name of a header"),
    ("{backends: [@b], affinity: {header: Cookie}}", Invalid, "spec.affinity.header", "carries credentials"),
    ("{backends: [@b], affinity: {header: x-session-id}}", NoEffect, "spec.affinity", "one Primary backend only"),
];

#[test]
fn a_strategy_that_cannot_work_is_refused_and_one_without_effect_is_warned_of() {
    check("ModelRoute", ROUTE);
}

#[test]
fn a_strategy_is_sent_as_it_is_written() {
    let spec = "{strategy: Weighted, maxCostPerRequest: '0.05', affinity: {header: X-Session-Id}, backends: [\
                {name: a, providerRef: {name: openai}, model: gpt-4o, weight: 90}, \
                {name: b, providerRef: {name: openai}, model: gpt-4o-mini, weight: 10}]}";
    let compiled = compile(&world(&[SHOP, &object("ModelRoute", spec)]));
    assert_eq!(compiled.diagnostics, []);
    let route = serde_json::to_value(&compiled.routes["shop/x"].route).unwrap();
    assert_eq!((&route["strategy"], &route["max_cost_nanos"]), (&json!("Weighted"), &json!(50_000_000)));
    assert_eq!(route["affinity_header"], "x-session-id");
    assert_eq!((&route["backends"][0]["weight"], &route["backends"][1]["weight"]), (&json!(90), &json!(10)));
    for strategy in ["Priority", "LeastCost", "LeastLatency", "LeastBusy"] {
        let spec =
            format!("{{strategy: {strategy}, backends: [{{name: a, providerRef: {{name: openai}}, model: gpt-4o}}]}}");
        let compiled = compile(&world(&[SHOP, &object("ModelRoute", &spec)]));
        let route = serde_json::to_value(&compiled.routes["shop/x"].route).unwrap();
        assert_eq!((route["strategy"].as_str(), compiled.diagnostics.len()), (Some(strategy), 0));
    }
}

#[test]
fn a_cascade_and_a_shadow_are_sent_and_no_rule_leads_to_a_shadow() {
    let spec = "{strategy: Cascade, cascade: {escalateWhen: response.refusal}, backends: [\
                {name: a, providerRef: {name: openai}, model: gpt-4o-mini, when: 'request.tokens < 100'}, \
                {name: b, providerRef: {name: openai}, model: gpt-4o}, \
                {name: c, providerRef: {name: openai}, model: gpt-4o, role: Shadow, shadowPercent: 5}]}";
    let policy = "
kind: FallbackPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRefs: [{group: spillway.dev, kind: ModelRoute, name: x}]
  fallbacks: [{onErrors: [Timeout], to: [c, b]}]
";
    let compiled = compile(&world(&[SHOP, &object("ModelRoute", spec), policy]));
    let route = serde_json::to_value(&compiled.routes["shop/x"].route).unwrap();
    assert_eq!(route["strategy"], json!({"Cascade": {"escalate_when": "response.refusal"}}));
    assert_eq!(route["backends"][0]["when"], "request.tokens < 100");
    assert_eq!(
        (&route["backends"][2]["role"], &route["backends"][2]["shadow_ppm"]),
        (&json!("Shadow"), &json!(50_000))
    );
    assert_eq!(route["fallbacks"][0]["to"], json!(["b"]));
    let said: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    assert!(matches!(&said[..], [one] if one.contains("\"c\" is a Shadow, whose answers nobody gets")), "{said:#?}");
}
