//! Limits: what is sent, and what is said.

use serde_json::json;
use spillway_crds::Reason::{Invalid, NoEffect};

use super::diagnostics::{Row, check};
use crate::compile::compile;
use crate::resources::world::{SHOP, object, world};

/// Below `limits`.
const ROWS: &[Row] = &[
    ("{name: a, concurrency: 5, scope: Fleet}", Invalid, "spec.limits[0].concurrency", "in a limit of scope: Pod"),
    ("{name: a, requests: 5, window: 1m, scope: Fleet, per: Pod}", Invalid, "spec.limits[0].per", "leave one of them"),
    (
        "{name: a, requests: 5, window: 1m, scope: Fleet, per: User, onControlPlaneLoss: Floor}",
        Invalid,
        "spec.limits[0].onControlPlaneLoss",
        "use Hold or Deny",
    ),
    ("{name: a, requests: 5, window: 1m, scope: Fleet, burst: 2}", Invalid, "spec.limits[0].burst", "each pod's part"),
    (
        "{name: a, concurrency: 5, onControlPlaneLoss: Deny}",
        Invalid,
        "spec.limits[0].onControlPlaneLoss",
        "goes with scope: Fleet",
    ),
    ("{name: A, concurrency: 5}", Invalid, "spec.limits[0].name", "\"A\" is no name"),
    ("{name: a, concurrency: 5}, {name: a, requests: 1, window: 1m}", Invalid, "spec.limits[1].name", "of two limits"),
    ("{name: a}", Invalid, "spec.limits[0]", "limits nothing"),
    ("{name: a, concurrency: 0}", Invalid, "spec.limits[0].concurrency", "0 is outside of 1 to 1000000"),
    ("{name: a, requests: 5}", Invalid, "spec.limits[0].window", "is missing"),
    ("{name: a, concurrency: 5, window: 1m}", Invalid, "spec.limits[0].window", "counts nothing"),
    ("{name: a, requests: 5, window: 99ms}", Invalid, "spec.limits[0].window", "99ms is outside of 100ms to 744h"),
    ("{name: a, requests: 5, window: 745h}", Invalid, "spec.limits[0].window", "745h is outside of 100ms to 744h"),
    (
        "{name: a, requests: 5, window: 1m, burst: 6}",
        Invalid,
        "spec.limits[0].burst",
        "6 is outside of 1 to the 5 requests",
    ),
    (
        "{name: a, tokens: 5, window: 1m, burst: 0}",
        Invalid,
        "spec.limits[0].burst",
        "0 is outside of 1 to the 5 tokens",
    ),
    ("{name: a, concurrency: 5, burst: 2}", Invalid, "spec.limits[0].burst", "goes with requests or tokens"),
    (
        "{name: a, requests: 5, tokens: 500, window: 1m, burst: 2}",
        Invalid,
        "spec.limits[0].burst",
        "Give each a limit of its own",
    ),
    ("{name: a, concurrency: 5, per: Header}", Invalid, "spec.limits[0].header", "is missing"),
    ("{name: a, concurrency: 5, per: User, header: x-a}", Invalid, "spec.limits[0].header", "goes with per: Header"),
    (
        "{name: a, concurrency: 5, per: Header, header: Authorization}",
        Invalid,
        "spec.limits[0].header",
        "carries credentials, which no policy looks at: name the tenant in another header",
    ),
    (
        "{name: a, concurrency: 5, per: Header, header: 'x a'}",
        Invalid,
        "spec.limits[0].header",
        "\"x a\" is no name of a header",
    ),
    ("{name: a, concurrency: 5, queue: {depth: 0}}", Invalid, "spec.limits[0].queue.depth", "0 is outside of 1"),
    (
        "{name: a, concurrency: 5, queue: {timeout: 2h}}",
        Invalid,
        "spec.limits[0].queue.timeout",
        "2h is outside of 1ms to 1h",
    ),
    ("{name: a, concurrency: 5, per: Workload}", NoEffect, "spec.limits[0].per", "in each pod apart"),
];

#[test]
fn a_limit_that_would_not_hold_is_refused() {
    let specs: Vec<String> = ROWS.iter().map(|row| format!("{{backends: [@b], limits: [{}]}}", row.0)).collect();
    for (spec, (_, reason, path, part)) in specs.iter().zip(ROWS) {
        check("ModelRoute", &[(spec.as_str(), *reason, path, part)]);
    }
}

#[test]
fn limits_are_sent_as_they_are_written_with_their_defaults() {
    let spec = "{backends: [{name: b, providerRef: {name: openai}, model: gpt-4o}], limits: [\
        {name: tenant-rpm, per: Header, header: X-Tenant, requests: 60, window: 1m, burst: 10, queue: {}}, \
        {name: user-tpm, per: User, tokens: 200000, window: 744h, queue: {depth: 9, timeout: 5s}}, \
        {name: team-tpm, scope: Fleet, tokens: 200000, window: 1m, onControlPlaneLoss: Deny}, \
        {name: tenant-day, scope: Fleet, per: Header, header: X-Tenant, requests: 9, window: 24h}, \
        {name: inflight, concurrency: 32, scope: Pod}]}";
    let compiled = compile(&world(&[SHOP, &object("ModelRoute", spec)]));
    assert_eq!(compiled.diagnostics, []);
    assert_eq!(
        serde_json::to_value(&compiled.routes["shop/x"].route.limits).unwrap(),
        json!([
            {"name": "tenant-rpm", "per": {"Header": "x-tenant"}, "requests": 60, "window_ms": 60_000, "burst": 10,
                "queue": {"depth": 100, "timeout_ms": 30_000}},
            {"name": "user-tpm", "per": "User", "tokens": 200_000, "window_ms": 2_678_400_000_u64,
                "queue": {"depth": 9, "timeout_ms": 5_000}},
            {"name": "team-tpm", "per": "Route", "scope": "Fleet", "tokens": 200_000, "window_ms": 60_000},
            {"name": "tenant-day", "per": {"Header": "x-tenant"}, "scope": "Fleet", "requests": 9,
                "window_ms": 86_400_000},
            {"name": "inflight", "per": "Route", "window_ms": 0, "concurrency": 32},
        ])
    );
}
