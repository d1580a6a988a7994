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
