//! What a FallbackPolicy is told.

use spillway_crds::Reason::{
    BackendNotFound, FallbackNeverHelps, Invalid, ReserveTooLarge, SmallerWindow, TargetNotFound,
};

use super::diagnostics::{Row, check};

/// `@t` stands for a target that exists.
const POLICY: &[Row] = &[
    ("{targetRefs: [@t], hedge: {after: 0s}}", Invalid, "spec.hedge.after", "0s is outside of 1ms to 1h"),
    (
        "{targetRefs: [@t], hedge: {after: 1s, maxRatio: 1.5}}",
        Invalid,
        "spec.hedge.maxRatio",
        "1.5 is outside of 0 to 1",
    ),
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
        "{targetRefs: [@t], contextWindow: {onExceeded: Summarize, summarize: {backend: mini, maxSummaryTokens: 1000000}}}",
        FallbackNeverHelps,
        "spec.contextWindow.summarize.maxSummaryTokens",
        "a summary of 1000000 tokens takes up to 1250048, and the largest window",
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
        "{targetRefs: [@t], contextWindow: {reserveOutputTokens: 4097}}",
        ReserveTooLarge,
        "spec.contextWindow.reserveOutputTokens",
        "more than half of the window of backend \"small\" (8192 tokens), and no more than half, 4096, is kept",
    ),
    (
        "{targetRefs: [@t], fallbacks: [{onErrors: [Timeout], to: [large]}, {onErrors: [Timeout], to: [small]}]}",
        FallbackNeverHelps,
        "spec.fallbacks[1].onErrors",
        "spec.fallbacks[0] names Timeout already",
    ),
];

#[test]
fn a_policy_is_told_what_is_wrong_with_it() {
    check("FallbackPolicy", POLICY);
}
