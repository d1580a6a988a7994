//! What is said about every kind of bad input: reason, field and words.

use spillway_crds::Reason::{
    self, BackendNotFound, FallbackNeverHelps, HostNotAllowed, Invalid, ModelUnknown, ReserveTooLarge, SmallerWindow,
    TargetNotFound, UnsupportedValue,
};

use crate::compile::{Severity, compile};
use crate::resources::world::{SHOP, object, world};

/// A spec; reason, path and part of the message of the one thing that is to be said about it.
pub(super) type Row = (&'static str, Reason, &'static str, &'static str);

const PROVIDER: &[Row] = &[
    (
        "{type: VertexAI, endpoint: 'https://v/v1', region: 'a/b', credentials: {none: {}}}",
        Invalid,
        "spec.region",
        "is not a region",
    ),
    ("{type: Bedrock, credentials: {none: {}}}", Invalid, "spec.region", "signed for a region"),
    (
        "{type: OpenAI, credentials: {workloadIdentity: {}}}",
        UnsupportedValue,
        "spec.credentials.workloadIdentity",
        "use secretRef",
    ),
    (
        "{type: VertexAI, endpoint: 'https://evil.example', credentials: {workloadIdentity: {}}}",
        HostNotAllowed,
        "spec.endpoint",
        "may not be sent to evil.example",
    ),
    ("{type: OpenAI, credentials: {none: {}}, proxy: {url: 'http://p/x'}}", Invalid, "spec.proxy.url", "has no path"),
    ("{type: OpenAI, credentials: {none: {}}, proxy: {url: 'socks5://p'}}", Invalid, "spec.proxy.url", "http://"),
    (
        "{type: OpenAI, credentials: {none: {}}, proxy: {url: 'http://u:p@h'}}",
        Invalid,
        "spec.proxy.url",
        "contains '@'",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, proxy: {url: 'http://169.254.169.254'}}",
        Invalid,
        "spec.proxy.url",
        "link-local",
    ),
    ("{type: OpenAI, credentials: {none: {}}, quota: {concurrency: 5}}", UnsupportedValue, "spec.quota", "remove it"),
    (
        "{type: OpenAI, credentials: {none: {}}, health: {passive: {failures: 0}}}",
        Invalid,
        "spec.health.passive.failures",
        "0 is less than 1",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, health: {active: {path: models}}}",
        Invalid,
        "spec.health.active.path",
        "write it like /models",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, health: {active: {path: /models, interval: 1s}}}",
        Invalid,
        "spec.health.active.interval",
        "1s is outside of 5s to 1h",
    ),
    ("{type: OpenAI, credentials: {}}", Invalid, "spec.credentials", "exactly one"),
    ("{type: OpenAI, credentials: {none: {}, secretRef: {name: a}}}", Invalid, "spec.credentials", "exactly one"),
    ("{type: VLLM, credentials: {none: {}}}", Invalid, "spec.endpoint", "VLLM has no public endpoint"),
    (
        "{type: OpenAI, endpoint: 'http://a/v1', credentials: {none: {}}}",
        Invalid,
        "spec.endpoint",
        "allowInsecure: true",
    ),
    (
        "{type: OpenAI, endpoint: 'https://u:p@a', credentials: {none: {}}}",
        Invalid,
        "spec.endpoint",
        "belong into a Secret",
    ),
    ("{type: OpenAI, endpoint: 'https://a/v1?k=1', credentials: {none: {}}}", Invalid, "spec.endpoint", "a query"),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {Authorization: x}}}",
        Invalid,
        "spec.headers.set.Authorization",
        "put it into a Secret",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {Host: x}}}",
        Invalid,
        "spec.headers.set.Host",
        "the sidecar itself",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {'a b': x}}}",
        Invalid,
        "spec.headers.set.a b",
        "not the name of a header",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {a: \"x\\ny\"}}}",
        Invalid,
        "spec.headers.set.a",
        "printable ASCII",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {a: x, A: y}}}",
        Invalid,
        "spec.headers.set.a",
        "set twice",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, headers: {set: {a: x}, remove: [A]}}",
        Invalid,
        "spec.headers.remove[0]",
        "also set",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, timeouts: {connect: 0s}}",
        Invalid,
        "spec.timeouts.connect",
        "outside of 1ms to 1h",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, timeouts: {idle: soon}}",
        Invalid,
        "spec.timeouts.idle",
        "not a duration",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, timeouts: {firstByte: 2m, total: 1m}}",
        Invalid,
        "spec.timeouts.firstByte",
        "longer than timeouts.total",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: a}, {name: a}]}",
        Invalid,
        "spec.models[1].name",
        "described twice",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: a, contextWindow: 5, maxOutputTokens: 6}]}",
        Invalid,
        "spec.models[0].maxOutputTokens",
        "6 is more than",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: a, pricing: {inputPerMillion: free, outputPerMillion: '1'}}]}",
        Invalid,
        "spec.models[0].pricing.inputPerMillion",
        "\"free\" is not an amount",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, allowedNamespaces: {from: Selector}}",
        Invalid,
        "spec.allowedNamespaces.selector",
        "goes with",
    ),
];

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

/// `@t` stands for a target that exists.
const POLICY: &[Row] = &[
    ("{targetRefs: [@t], hedge: {after: 0s}}", Invalid, "spec.hedge.after", "0s is outside of 1ms to 1h"),
    (
        "{targetRefs: [@t], hedge: {after: 1s, maxRatio: 1.5}}",
        Invalid,
        "spec.hedge.maxRatio",
        "1.5 is outside of 0 to 1",
    ),
    ("{targetRefs: [@t], circuitBreaker: {scope: Fleet}}", UnsupportedValue, "spec.circuitBreaker.scope", "use Pod"),
    (
        "{targetRefs: [@t], circuitBreaker: {failureThreshold: 0}}",
        Invalid,
        "spec.circuitBreaker.failureThreshold",
        "0 is less than 1",
    ),
    (
        "{targetRefs: [@t], circuitBreaker: {failureRatio: -0.5}}",
        Invalid,
        "spec.circuitBreaker.failureRatio",
        "-0.5 is outside of 0 to 1",
    ),
    (
        "{targetRefs: [@t], circuitBreaker: {openFor: 2h}}",
        Invalid,
        "spec.circuitBreaker.openFor",
        "2h is outside of 10ms to 1h",
    ),
    (
        "{targetRefs: [@t], circuitBreaker: {window: 1ms}}",
        Invalid,
        "spec.circuitBreaker.window",
        "1ms is outside of 1s to 1h",
    ),
    (
        "{targetRefs: [@t], retries: {budget: {ratio: 2.0}}}",
        Invalid,
        "spec.retries.budget.ratio",
        "2 is outside of 0 to 1",
    ),
    (
        "{targetRefs: [@t], contextWindow: {onExceeded: Summarize}}",
        Invalid,
        "spec.contextWindow.summarize",
        "which backend writes the summary",
    ),
    (
        "{targetRefs: [@t], contextWindow: {summarize: {backend: mini}}}",
        FallbackNeverHelps,
        "spec.contextWindow.summarize",
        "set onExceeded to Summarize",
    ),
    (
        "{targetRefs: [@t], contextWindow: {onExceeded: Summarize, summarize: {backend: nope}}}",
        BackendNotFound,
        "spec.contextWindow.summarize.backend",
        "has no backend \"nope\", and old messages are left out instead of summarized",
    ),
    (
        "{targetRefs: [{group: spillway.dev, kind: ModelRoute, name: nope}]}",
        TargetNotFound,
        "spec.targetRefs[0]",
        "ModelRoute shop/nope does not exist",
    ),
    ("{targetRefs: []}", Invalid, "spec.targetRefs", "names no ModelRoute"),
    (
        "{targetRefs: [{group: apps, kind: Deployment, name: chat}]}",
        Invalid,
        "spec.targetRefs[0]",
        "applies to kind ModelRoute",
    ),
    ("{targetRefs: [@t, @t]}", Invalid, "spec.targetRefs[1].name", "named twice"),
    (
        "{targetRefs: [@t], fallbacks: [{onErrors: [], to: []}]}",
        Invalid,
        "spec.fallbacks[0].onErrors",
        "names no failure",
    ),
    ("{targetRefs: [@t], retries: {attempts: 11}}", Invalid, "spec.retries.attempts", "11 is more than 10"),
    (
        "{targetRefs: [@t], retries: {honourRetryAfter: 2h}}",
        Invalid,
        "spec.retries.honourRetryAfter",
        "outside of 0s to 1h",
    ),
    (
        "{targetRefs: [@t], retries: {backoff: {base: 9s, max: 1s}}}",
        Invalid,
        "spec.retries.backoff.base",
        "longer than backoff.max",
    ),
    (
        "{targetRefs: [@t], fallbacks: [{onErrors: [Timeout], to: [large, nope]}]}",
        BackendNotFound,
        "spec.fallbacks[0].to[1]",
        "has no backend \"nope\": add it, or use one of mini, small, large",
    ),
    (
        "{targetRefs: [@t], fallbacks: [{onErrors: [ContextWindowExceeded], to: [small, large]}]}",
        SmallerWindow,
        "spec.fallbacks[0].to",
        "overflows \"mini\" (128000 tokens) does not fit \"small\" (8192 tokens)",
    ),
    (
        "{targetRefs: [@t], contextWindow: {onExceeded: LargerModel}, fallbacks: [{onErrors: [Timeout], to: [large]}]}",
        FallbackNeverHelps,
        "spec.contextWindow.onExceeded",
        "more than the 128000 tokens of \"mini\"",
    ),
    (
        "{targetRefs: [@t], contextWindow: {onExceeded: Hybrid}}",
        FallbackNeverHelps,
        "spec.contextWindow.onExceeded",
        "add one to spec.fallbacks",
    ),
    (
        "{targetRefs: [@t], contextWindow: {reserveOutputTokens: 8192}}",
        ReserveTooLarge,
        "spec.contextWindow.reserveOutputTokens",
        "no room for a prompt in backend \"small\" (8192 tokens)",
    ),
    (
        "{targetRefs: [@t], fallbacks: [{onErrors: [Timeout], to: [large]}, {onErrors: [Timeout], to: [small]}]}",
        FallbackNeverHelps,
        "spec.fallbacks[1].onErrors",
        "spec.fallbacks[0] names Timeout already",
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
fn a_provider_is_told_what_is_wrong_with_it() {
    check("ModelProvider", PROVIDER);
}

#[test]
fn a_route_is_told_what_is_wrong_with_it() {
    check("ModelRoute", ROUTE);
}

#[test]
fn a_policy_is_told_what_is_wrong_with_it() {
    check("FallbackPolicy", POLICY);
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
