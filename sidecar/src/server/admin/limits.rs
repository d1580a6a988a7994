//! `/debug/limits`: each limit, what is used of it, and by whom.

use serde_json::{Value, json};
use spillway_policy::limit::{LimitReport, TenantReport};

use crate::runtime::{Per, Runtime};

/// Those who use most of a limit.
const TOP: usize = 20;

pub(super) fn page(runtime: &Runtime) -> String {
    let mut routes = serde_json::Map::new();
    if let Some(generation) = runtime.generation() {
        for route in generation.routes.iter().filter(|route| !route.limits.is_empty()) {
            let reports = route.state.limits.report(TOP);
            let pers = |report: &LimitReport| route.limits.iter().find(|limit| limit.rule.id == report.rule.id);
            let limits = reports.iter().map(|report| limit(report, pers(report).map(|limit| &limit.per)));
            routes.insert(route.name.clone(), limits.collect());
        }
    }
    format!("{:#}\n", json!({ "routes": routes }))
}

fn limit(report: &LimitReport, per: Option<&Per>) -> Value {
    let LimitReport { rule, counts, tenants, waiting, top } = report;
    let millis = |nanos: u64| nanos / 1_000_000;
    let queue =
        rule.queue.map(|queue| json!({"depth": queue.depth, "timeout_ms": millis(queue.timeout), "length": waiting}));
    let tenant = |tenant: &TenantReport| {
        let TenantReport { name, requests, tokens, in_flight, waiting } = tenant;
        let left = |bound: Option<u64>, used: u64| bound.map(|bound| bound.saturating_sub(used));
        json!({
            "name": name,
            "in_flight": in_flight,
            "waiting": waiting,
            "used": {"requests": rule.requests.map(|_| requests), "tokens": rule.tokens.map(|_| tokens)},
            "remaining": {"requests": left(rule.requests, *requests), "tokens": left(rule.tokens, *tokens)},
        })
    };
    json!({
        "name": &*rule.name,
        "per": per.map(self::per),
        "requests": rule.requests,
        "tokens": rule.tokens,
        "window_ms": millis(rule.window),
        "burst": rule.burst,
        "concurrency": rule.concurrency,
        "queue": queue,
        "admitted": counts.admitted,
        "refused": counts.refused,
        "queued": counts.queued,
        "tenants": tenants,
        "top": top.iter().map(tenant).collect::<Vec<_>>(),
    })
}

fn per(per: &Per) -> String {
    match per {
        Per::Pod => "Pod".into(),
        Per::Route => "Route".into(),
        Per::Namespace => "Namespace".into(),
        Per::Workload => "Workload".into(),
        Per::Header(name) => format!("Header {name}"),
        Per::User => "User".into(),
    }
}
