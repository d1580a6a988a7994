//! What happens when the objects that a route needs are missing, refused, not for it, or claimed by another.

use spillway_crds::{BackendState, ConditionType, Reason};

use super::labels;
use crate::compile::{Compiled, Severity, compile};
use crate::resources::world::{SHOP, world};

fn reasons(compiled: &Compiled, name: &str) -> Vec<(Reason, String)> {
    let of = compiled.diagnostics.iter().filter(|one| one.object.name == name);
    of.map(|one| (one.reason, one.message.clone())).collect()
}

/// A route of `namespace` whose first backend asks `provider` and whose second one works.
fn a_route(namespace: &str, provider: &str) -> String {
    format!(
        "kind: ModelRoute\nmetadata: {{name: x, namespace: {namespace}}}\nspec:\n  backends:\n  \
         - {{name: broken, providerRef: {provider}, model: gpt-4o}}\n  \
         - {{name: good, providerRef: {{name: own}}, model: gpt-4o}}\n---\n\
         kind: ModelProvider\nmetadata: {{name: own, namespace: {namespace}}}\n\
         spec: {{type: OpenAI, credentials: {{none: {{}}}}}}"
    )
}

#[test]
fn a_broken_backend_is_left_out_and_its_neighbour_serves() {
    let refused = "kind: ModelProvider\nmetadata: {name: refused, namespace: shop}\nspec: {type: Bedrock, credentials: {none: {}}}";
    let rows = [
        ("shop", "{name: nope}", Reason::ProviderNotFound, "ModelProvider shop/nope does not exist"),
        ("shop", "{name: refused}", Reason::ProviderNotReady, "ModelProvider shop/refused is not accepted"),
        ("other", "{name: openai, namespace: shop}", Reason::RefNotPermitted, "allowedNamespaces has to let it in"),
        ("other", "{name: refused, namespace: shop}", Reason::RefNotPermitted, "allowedNamespaces has to let it in"),
        (
            "other",
            "{name: nope, namespace: shop}",
            Reason::RefNotPermitted,
            "does not exist or is not for namespace other",
        ),
    ];
    for (namespace, provider, reason, part) in rows {
        let compiled = compile(&world(&[SHOP, refused, &a_route(namespace, provider)]));
        let said = reasons(&compiled, "x");
        assert!(
            matches!(&said[..], [(found, message)] if *found == reason && message.contains(part)),
            "{provider}: {said:?}"
        );
        let key = format!("{namespace}/x");
        let left: Vec<_> = compiled.routes[&key].route.backends.iter().map(|backend| backend.name.as_str()).collect();
        assert_eq!(left, ["good"], "{provider}");
        let states: Vec<_> = compiled.facts[&key].backends.iter().map(|backend| backend.state).collect();
        assert_eq!(states, [BackendState::Unresolved, BackendState::Closed], "{provider}");
        let only = compiled.diagnostics.iter().find(|one| one.object.name == "x").unwrap();
        assert_eq!((only.condition, only.severity), (ConditionType::ResolvedRefs, Severity::Warn), "{provider}");
        assert_eq!(only.path.as_deref(), Some("spec.backends[0].providerRef"));
    }
}

#[test]
fn a_route_without_a_usable_primary_is_sent_so_that_its_model_is_known() {
    let route = "kind: ModelRoute\nmetadata: {name: x, namespace: shop}\nspec:\n  backends:\n  \
        - {name: a, providerRef: {name: nope}, model: m}\n  - {name: b, providerRef: {name: openai}, model: large, role: Fallback}";
    let compiled = compile(&world(&[SHOP, route]));
    let backends: Vec<_> = compiled.routes["shop/x"].route.backends.iter().map(|backend| &backend.name[..]).collect();
    assert_eq!(backends, ["b"]);
}

#[test]
fn a_provider_lets_in_the_namespaces_it_says() {
    let namespaces = "kind: Namespace\nmetadata: {name: other, labels: {ai: 'yes'}}";
    let rows = [
        ("", false),
        (", allowedNamespaces: {from: Same}", false),
        (", allowedNamespaces: {from: All}", true),
        (", allowedNamespaces: {from: Selector, selector: {matchLabels: {ai: 'yes'}}}", true),
        (", allowedNamespaces: {from: Selector, selector: {matchLabels: {ai: 'no'}}}", false),
    ];
    for (allowed, want) in rows {
        let provider = format!(
            "kind: ModelProvider\nmetadata: {{name: shared, namespace: ai}}\nspec: {{type: OpenAI, credentials: {{none: {{}}}}{allowed}}}"
        );
        let compiled = compile(&world(&[namespaces, &provider, &a_route("other", "{name: shared, namespace: ai}")]));
        assert_eq!(compiled.routes["other/x"].route.backends.len() == 2, want, "{allowed}");
    }
}

#[test]
fn a_backend_without_its_key_is_sent_without_it_and_said_so() {
    let keyed = "kind: ModelProvider\nmetadata: {name: keyed, namespace: shop}\nspec: {type: OpenAI, credentials: {secretRef: {name: k}}}";
    let secret = |labels: &str, hosts: &str| {
        format!(
            "kind: Secret\nmetadata: {{name: k, namespace: shop, labels: {{{labels}}}{hosts}}}\ndata: {{apiKey: c2stMTIz}}"
        )
    };
    let label = "spillway.dev/provider-key: 'true'";
    let elsewhere = ", annotations: {spillway.dev/allowed-hosts: a.example}";
    let rows = [
        (None, Some(Reason::SecretNotFound)),
        (Some(secret("", "")), Some(Reason::SecretNotFound)),
        (Some(secret(label, elsewhere)), Some(Reason::HostNotAllowed)),
        (Some(secret(label, "")), None),
    ];
    for (secret, reason) in rows {
        let route = a_route("shop", "{name: keyed}");
        let documents: Vec<&str> = [keyed, &route].into_iter().chain(secret.as_deref()).collect();
        let compiled = compile(&world(&documents));
        assert_eq!(reasons(&compiled, "keyed").first().map(|(reason, _)| *reason), reason, "{secret:?}");
        assert_eq!(compiled.credentials.contains_key("shop/keyed"), reason.is_none(), "{secret:?}");
        let about_route = reasons(&compiled, "x").first().map(|(reason, _)| *reason);
        assert_eq!(about_route, reason.map(|_| Reason::ProviderNotReady), "{secret:?}");
        // The sidecar passes over it until the key comes, and then needs no new snapshot.
        let view = compiled.view("shop", &labels(&[]));
        assert_eq!(view.routes["shop/x"].backends.len(), 2, "{secret:?}");
        assert_eq!(view.providers["shop/keyed"].credential.as_deref(), Some("shop/keyed"));
        let text = format!("{}{:?}", serde_json::to_string(&view).unwrap(), compiled.diagnostics);
        assert!(!text.contains("sk-123") && !text.contains("c2stMTIz"), "no key in what may be logged");
    }
}

#[test]
fn of_two_routes_with_one_name_the_older_one_serves_it() {
    let route = |name: &str, created: &str, rest: &str| {
        format!(
            "kind: ModelRoute\nmetadata: {{name: {name}, namespace: shop{created}}}\n\
             spec: {{backends: [{{name: b, providerRef: {{name: openai}}, model: gpt-4o}}], {rest}}}"
        )
    };
    let (old, new) = (", creationTimestamp: '2026-11-01T00:00:00Z'", ", creationTimestamp: '2026-11-02T00:00:00Z'");
    let app = |app: &str| format!("models: [gpt-4], workloadSelector: {{matchLabels: {{app: {app}}}}}");
    let expression = |text: &str| format!("models: [gpt-4], workloadSelector: {{matchExpressions: [{text}]}}");
    let all = "models: [gpt-4]".to_owned();
    let rows = [
        // the older (b), the younger (a), may both serve
        (old, all.clone(), new, all.clone(), false),
        (old, all.clone(), new, app("web"), false),
        (old, app("web"), new, app("shop"), true),
        (old, app("web"), new, app("web"), false),
        (old, app("web"), new, expression("{key: app, operator: NotIn, values: [web]}"), true),
        (old, app("web"), new, expression("{key: app, operator: DoesNotExist}"), true),
        (old, app("web"), new, expression("{key: app, operator: Exists}"), false),
        (old, app("web"), new, expression("{key: tier, operator: In, values: [web]}"), false),
        (old, all.clone(), new, "models: ['gpt-4*']".to_owned(), true),
        (old, all.clone(), new, "models: [other, gpt-4]".to_owned(), false),
        // One that is being created has no time yet and is the youngest.
        (old, all.clone(), "", all.clone(), false),
    ];
    for (older_at, older, younger_at, younger, both) in rows {
        let documents = [SHOP, &route("b", older_at, &older), &route("a", younger_at, &younger)];
        let compiled = compile(&world(&documents));
        assert!(compiled.routes.contains_key("shop/b"), "{older} | {younger}");
        assert_eq!(compiled.routes.contains_key("shop/a"), both, "{older} | {younger}");
        let said = reasons(&compiled, "a");
        let conflicted =
            matches!(&said[..], [(Reason::Conflicted, message)] if message.contains("ModelRoute shop/b is older"));
        assert_eq!(conflicted, !both, "{older} | {younger}: {said:?}");
    }
    let broken = route("b", old, &all).replace("name: openai", "name: nope");
    let compiled = compile(&world(&[SHOP, &broken, &route("a", new, &all)]));
    assert!(compiled.routes["shop/b"].route.backends.is_empty());
    assert!(!compiled.routes.contains_key("shop/a"), "one that cannot serve just now keeps its names");

    let tie = [SHOP, &route("b", old, &all), &route("a", old, &all)];
    assert!(compile(&world(&tie)).routes.contains_key("shop/a"), "equally old: by name");
}

#[test]
fn of_two_policies_on_one_route_the_older_one_applies() {
    let policy = |name: &str, created: &str, attempts: u32| {
        format!(
            "kind: FallbackPolicy\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: '{created}'}}\nspec: \
             {{targetRefs: [{{group: spillway.dev, kind: ModelRoute, name: chat}}], retries: {{attempts: {attempts}}}}}"
        )
    };
    let (older, younger) = (policy("z", "2026-11-01T00:00:00Z", 5), policy("a", "2026-11-02T00:00:00Z", 6));
    let compiled = compile(&world(&[SHOP, &younger, &older]));
    assert_eq!(compiled.routes["shop/chat"].route.retries.attempts, 5);
    let said = reasons(&compiled, "a");
    assert!(
        matches!(&said[..], [(Reason::Conflicted, message)] if message.contains("FallbackPolicy shop/z is older")),
        "{said:?}"
    );

    let refused = older.replace("attempts: 5", "attempts: 99");
    let compiled = compile(&world(&[SHOP, &younger, &refused]));
    assert_eq!(compiled.routes["shop/chat"].route.retries.attempts, 6, "one that is refused does not stand in the way");
}

#[test]
fn a_rule_names_only_backends_that_are_sent() {
    let documents = "
kind: ModelRoute
metadata: {name: x, namespace: shop}
spec:
  backends:
  - {name: a, providerRef: {name: openai}, model: gpt-4o}
  - {name: gone, providerRef: {name: nope}, model: gpt-4o, role: Fallback}
---
kind: FallbackPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRefs: [{group: spillway.dev, kind: ModelRoute, name: x}]
  fallbacks: [{onErrors: [Timeout], to: [gone, never]}]
";
    let compiled = compile(&world(&[SHOP, documents]));
    assert_eq!(compiled.routes["shop/x"].route.fallbacks[0].to, Vec::<String>::new());
    assert_eq!(
        reasons(&compiled, "p").iter().map(|(reason, _)| *reason).collect::<Vec<_>>(),
        [Reason::BackendNotFound]
    );
}
