//! What a ModelProvider is told.

use spillway_crds::Reason::{HostNotAllowed, Invalid, UnsupportedValue};

use super::diagnostics::{Row, check};

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
    (
        "{type: OpenAI, credentials: {none: {}}, quota: {requestsPerMinute: 1, concurrency: 5}}",
        Invalid,
        "spec.quota.concurrency",
        "limit each pod's requests in flight",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, quota: {requestsPerMinute: 0}}",
        Invalid,
        "spec.quota.requestsPerMinute",
        "0 is outside of 1",
    ),
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

#[test]
fn a_provider_is_told_what_is_wrong_with_it() {
    check("ModelProvider", PROVIDER);
}
