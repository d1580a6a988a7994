use super::{
    analyze,
    finding::Severity::{self, Error, Info, Warning},
};
use crate::{compile::compile, resources::world::world};

const OPENAI: &str = "kind: ModelProvider\nmetadata: {name: p, namespace: shop}\nspec: {type: OpenAI, credentials: {none: {}}, \
                      models: [{name: s, contextWindow: 8192, tools: false}, {name: l, contextWindow: 128000}]}";
const OTHER: &str = "kind: ModelProvider\nmetadata: {name: q, namespace: shop}\nspec: {type: Groq, credentials: {none: {}}, \
                     models: [{name: g, contextWindow: 128000, pricing: {inputPerMillion: '1', outputPerMillion: '1'}}]}";
/// Somebody else answers when one of the two is down.
const POLICY: &str = "kind: FallbackPolicy\nmetadata: {name: fp, namespace: shop}\nspec: {targetRefs: [{group: spillway.dev, kind: \
                      ModelRoute, name: chat}], fallbacks: [{onErrors: [ServiceUnavailable, ConnectionError, Timeout], to: [g]}]}";

/// A route to `l` at one provider and `g` at the other.
fn route(more: &str) -> String {
    format!(
        "kind: ModelRoute\nmetadata: {{name: chat, namespace: shop}}\nspec: {{backends: [{{name: l, providerRef: {{name: p}}, model: \
         l}}, {{name: g, providerRef: {{name: q}}, model: g, role: Fallback}}]{more}}}"
    )
}

/// Reasons and fields of what is found, but for models nobody knows, which are no matter here.
fn found(documents: &[&str]) -> Vec<(Severity, &'static str, String, String)> {
    let resources = world(documents);
    let mut found = analyze(&resources, &compile(&resources));
    found.sort();
    found.iter().map(|one| (one.severity, one.reason, one.field.clone().unwrap_or_default(), one.to_string())).collect()
}

#[test]
fn a_sound_set_is_not_talked_about() {
    assert_eq!(found(&[OPENAI, OTHER, POLICY, &route("")]), []);
}

#[test]
fn who_writes_summaries_or_takes_over_from_a_budget_is_asked() {
    let writes = POLICY
        .replace("fallbacks:", "contextWindow: {onExceeded: Summarize, summarize: {backend: g}}, fallbacks:")
        .replace("to: [g]", "to: [l]");
    let budget = "kind: ModelBudget\nmetadata: {name: b, namespace: shop}\nspec: {selector: {routes: [chat]}, limit: '5', period: \
                  Day, onExhausted: {action: Downgrade, to: [g]}}";
    for documents in [vec![writes.as_str(), &route("")], vec![budget, &route("")]] {
        let found = found(&[&[OPENAI, OTHER], documents.as_slice()].concat());
        assert!(found.iter().all(|one| one.1 != "BackendUnreachable"), "{found:#?}");
    }
}

type Row<'a> = (&'a [&'a str], Severity, &'static str, &'a str, &'a str);

/// Each row: documents beside the two providers; what is found, of which field, and part of the line.
fn check(rows: &[Row]) {
    for (documents, severity, reason, field, part) in rows {
        let found = found(&[&[OPENAI, OTHER], *documents].concat());
        let hit = found
            .iter()
            .any(|one| (one.0, one.1, one.2.as_str()) == (*severity, *reason, *field) && one.3.contains(part));
        assert!(hit, "{reason} {field}: {found:#?}");
    }
}

#[test]
fn chains_and_backends_that_are_for_nothing_are_found() {
    let policy = |rules: &str| POLICY.replace("to: [g]}", &format!("to: [g]}}{rules}"));
    let back = policy(", {onErrors: [RateLimited], to: [l]}");
    let truncating = policy(", {onErrors: [ContextWindowExceeded], to: [mystery]}")
        .replace("fallbacks:", "contextWindow: {onExceeded: Truncate}, fallbacks:");
    let less = POLICY.replace("to: [g]", "to: [g, s]");
    let route = route("");
    let with_small =
        route.replace("backends: [", "backends: [{name: s, providerRef: {name: p}, model: s, role: Fallback}, ");
    check(&[
        (&[&back, &route], Warning, "FallbackNeverHelps", "spec.fallbacks[1].to", "leads to \"l\" alone"),
        (&[&truncating, &route], Warning, "FallbackNeverHelps", "spec.fallbacks[1].onErrors", "use Hybrid"),
        (&[&route], Warning, "BackendUnreachable", "spec.backends[1]", "the route has no FallbackPolicy"),
        (
            &[POLICY, &with_small],
            Warning,
            "BackendUnreachable",
            "spec.backends[0]",
            "no rule of FallbackPolicy shop/fp names",
        ),
        (
            &[&less, &with_small],
            Info,
            "FallbackDoesLess",
            "spec.fallbacks[0].to",
            "\"s\" takes no tools, which \"l\" does",
        ),
    ]);
}

#[test]
fn providers_budgets_and_outages_are_looked_at_together() {
    let budget =
        "kind: ModelBudget\nmetadata: {name: b, namespace: shop}\nspec: {limit: '5', period: Month, enforcement: Warn}";
    let unused =
        "kind: ModelProvider\nmetadata: {name: c, namespace: shop}\nspec: {type: Groq, credentials: {none: {}}}";
    let clear = "kind: ModelProvider\nmetadata: {name: c, namespace: shop}\nspec: {type: VLLM, endpoint: 'http://v/v1', \
                 allowInsecure: true, credentials: {secretRef: {name: k}}}";
    let route = route("");
    let one = route.replace("{name: q}", "{name: p}");
    let nowhere = route.replace("{name: p}", "{name: gone}");
    let lonely = format!("{route}\nstatus: {{sidecars: {{ready: 0, programmed: 0, rejected: 0}}}}");
    check(&[
        (&[POLICY, &route, unused], Info, "ProviderUnused", "metadata.name", "ModelProvider shop/c"),
        (&[POLICY, &route, clear], Info, "KeysInClear", "spec.endpoint", "travel in clear"),
        (
            &[POLICY, &route, budget],
            Warning,
            "PriceUnknown",
            "spec.backends[0].model",
            "ModelBudget shop/b does not count",
        ),
        (&[POLICY, &one], Info, "SinglePointOfFailure", "spec.backends", "ModelProvider shop/p is down"),
        (&[&route], Info, "SinglePointOfFailure", "spec.backends", "in a rule of its FallbackPolicy"),
        (&[POLICY, &nowhere], Error, "NoUsableBackend", "spec.backends", "every request is refused"),
        (&[POLICY, &lonely], Info, "NoSidecars", "metadata.namespace", "nobody can call it"),
    ]);
}

#[test]
fn limits_that_are_never_reached_or_let_nothing_through_are_found() {
    let limits = |limits: &str| route(&format!(", limits: [{limits}]"));
    let all = limits("{name: a, per: Route, requests: 10, window: 1m}, {name: b, per: Pod, requests: 20, window: 1m}");
    let tenants = limits(
        "{name: a, per: Header, header: x, requests: 60, window: 1m}, {name: b, per: Route, requests: 1, window: 1s}",
    );
    let tokens = limits("{name: a, per: Route, tokens: 1000, window: 1m}");
    check(&[
        (&[POLICY, &all], Warning, "LimitNeverReached", "spec.limits[1]", "\"a\" is always used up before it"),
        (&[POLICY, &tenants], Warning, "LimitNeverReached", "spec.limits[0]", "\"b\" is always used up before it"),
        (&[POLICY, &tokens], Warning, "LimitTooSmall", "spec.limits[0].tokens", "keeps 1024 tokens"),
    ]);
}

#[test]
fn limits_that_hold_beside_each_other_are_left_alone() {
    let rows = [
        "{name: a, per: Route, requests: 10, window: 1s}, {name: b, per: Route, requests: 100, window: 1m}",
        "{name: a, per: Route, requests: 100, window: 1m}, {name: b, per: Header, header: x, requests: 60, window: 1m}",
        "{name: a, per: Route, requests: 100, window: 1m}, {name: b, per: Route, tokens: 50000, window: 1m}",
        "{name: a, per: Header, header: x, requests: 10, window: 1m}, {name: b, per: Header, header: y, requests: 20, window: 1m}",
        "{name: a, per: Header, header: x, requests: 10, window: 1m}, {name: b, per: Route, requests: 20, window: 1m}",
        "{name: a, per: Pod, concurrency: 5}, {name: b, per: Pod, requests: 20, window: 1m}",
    ];
    for limits in rows {
        let found = found(&[OPENAI, OTHER, POLICY, &route(&format!(", limits: [{limits}]"))]);
        assert_eq!(found, [], "{limits}");
    }
}

#[test]
fn a_finding_says_why_and_what_to_do_apart() {
    let resources = world(&[OPENAI, &route("")]);
    let found = analyze(&resources, &compile(&resources));
    let missing = found.iter().find(|one| one.reason == "ProviderNotFound").unwrap();
    assert_eq!(missing.why, "ModelProvider shop/q does not exist");
    assert_eq!(missing.fix.as_deref(), Some("create it, or correct the name"));
    let json = serde_json::to_value(missing).unwrap();
    assert_eq!((&json["severity"], &json["field"]), (&"warning".into(), &"spec.backends[1].providerRef".into()));
}
