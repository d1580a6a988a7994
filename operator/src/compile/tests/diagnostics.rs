//! What is said about every kind of bad input: reason, field and words.

use spillway_crds::Reason::{self, HostNotAllowed, Invalid, ModelUnknown, UnsupportedValue};

use crate::compile::{Severity, compile};
use crate::resources::world::{SHOP, object, world};

/// A spec; reason, path and part of the message of the one thing that is to be said about it.
pub(super) type Row = (&'static str, Reason, &'static str, &'static str);

/// `@b` stands for a backend that works.
const ROUTE: &[Row] = &[
    ("{backends: [@b], validation: {level: Basic}}", UnsupportedValue, "spec.validation.level", "remove it"),
    (
        "{backends: [@b], validation: {rules: [{name: a, phase: Request, pattern: b, action: Block}]}}",
        UnsupportedValue,
        "spec.validation.rules",
        "remove it",
    ),
    ("{backends: [@b], cache: {ttl: 1m}}", UnsupportedValue, "spec.cache", "remove it"),
    ("{backends: [@b], deduplicate: {ttl: 1m}}", UnsupportedValue, "spec.deduplicate", "remove it"),
    ("{backends: [@b], batching: {}}", UnsupportedValue, "spec.batching", "remove it"),
    ("{backends: []}", Invalid, "spec.backends", "nobody to ask first"),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: gpt-4o, role: Fallback}]}",
        Invalid,
        "spec.backends",
        "nobody to ask first",
    ),
    ("{backends: [@b, @b]}", Invalid, "spec.backends[1].name", "the name of two backends"),
    (
        "{backends: [{name: 'B_1', providerRef: {name: openai}, model: gpt-4o}]}",
        Invalid,
        "spec.backends[0].name",
        "is no name",
    ),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: ''}]}",
        Invalid,
        "spec.backends[0].model",
        "printable ASCII",
    ),
    ("{models: ['gpt*4'], backends: [@b]}", Invalid, "spec.models[0]", "is no name of a model"),
    ("{models: [a, a], backends: [@b]}", Invalid, "spec.models[1]", "named twice"),
    ("{backends: [@b], request: {timeout: 2h}}", Invalid, "spec.request.timeout", "outside of 1ms to 1h"),
    ("{backends: [@b], request: {maxBodyBytes: 0}}", Invalid, "spec.request.maxBodyBytes", "0 is outside of 1"),
    ("{backends: [@b], request: {set: {model: x}}}", Invalid, "spec.request.set.model", "spec.backends[].model"),
    (
        "{backends: [@b], request: {defaults: {stream: true}}}",
        Invalid,
        "spec.request.defaults.stream",
        "the application's own",
    ),
    ("{backends: [@b], streaming: {idleTimeout: 0s}}", Invalid, "spec.streaming.idleTimeout", "outside of 1ms"),
    ("{backends: [@b], streaming: {hold: {bytes: 1048577}}}", Invalid, "spec.streaming.hold.bytes", "at most 1048576"),
    ("{backends: [@b], streaming: {hold: {}}}", Invalid, "spec.streaming.hold", "holds nothing"),
    ("{backends: [@b], streaming: {hold: {duration: 2h}}}", Invalid, "spec.streaming.hold.duration", "outside of 0s"),
    (
        "{backends: [{name: b, providerRef: {name: openai}, model: mystery}]}",
        ModelUnknown,
        "spec.backends[0].model",
        "nothing is known of \"mystery\" at OpenAI",
    ),
];

pub(super) fn check(kind: &str, rows: &[(&str, Reason, &str, &str)]) {
    for (spec, reason, path, part) in rows {
        let spec = spec
            .replace("@b", "{name: b, providerRef: {name: openai}, model: gpt-4o}")
            .replace("@t", "{group: spillway.dev, kind: ModelRoute, name: chat}");
        let compiled = compile(&world(&[SHOP, &object(kind, &spec)]));
        let of_x: Vec<_> = compiled.diagnostics.iter().filter(|one| one.object.name == "x").collect();
        // A second backend of an unknown model is not what a row is about.
        let of_x: Vec<_> =
            of_x.into_iter().filter(|one| *reason == ModelUnknown || one.reason != ModelUnknown).collect();
        let [one] = of_x[..] else { panic!("{kind} {spec}\n  said {of_x:#?}") };
        assert_eq!((one.reason, one.path.as_deref()), (*reason, Some(*path)), "{kind} {spec}: {one}");
        assert!(one.message.contains(part), "{kind} {spec}: {one}");
        let refused = matches!(reason, Invalid | UnsupportedValue | HostNotAllowed);
        assert_eq!(one.severity == Severity::Refuse, refused, "{kind} {spec}");
        let still_there = compiled.routes.contains_key("shop/x") || compiled.providers.contains_key("shop/x");
        if kind == "ModelRoute" || kind == "ModelProvider" {
            assert_eq!(still_there, !refused, "{kind} {spec}: what is refused is not sent");
        }
        assert!(compiled.routes.contains_key("shop/chat"), "{kind} {spec}: the neighbour ships");
    }
}

#[test]
fn a_route_is_told_what_is_wrong_with_it() {
    check("ModelRoute", ROUTE);
}

#[test]
fn what_is_fine_is_not_talked_about() {
    let rows = [
        ("ModelProvider", "{type: Groq, credentials: {none: {}}, timeouts: {total: 10s}}"),
        (
            "ModelProvider",
            "{type: Ollama, endpoint: 'http://o:11434/v1', allowInsecure: true, credentials: {none: {}}}",
        ),
        ("ModelRoute", "{models: ['gpt-4o*', '*'], backends: [{name: b, providerRef: {name: openai}, model: gpt-4o}]}"),
        (
            "FallbackPolicy",
            "{targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}], fallbacks: [{onErrors: [ContextWindowExceeded], to: [large]}], contextWindow: {onExceeded: LargerModel}}",
        ),
        (
            "ModelBudget",
            "{limit: '5', period: Month, enforcement: Warn, timeZone: UTC, onExhausted: {action: Warn}, selector: {routes: [chat], per: Namespace}}",
        ),
    ];
    for (kind, spec) in rows {
        assert_eq!(compile(&world(&[SHOP, &object(kind, spec)])).diagnostics, [], "{kind} {spec}");
    }
}
