use serde_json::json;

use super::*;
use crate::resources::world::{SHOP, world};

/// A review of `spec` for object `x`, with what it was before.
fn request(kind: &str, operation: &str, spec: Value, old: Option<Value>) -> AdmissionRequest<DynamicObject> {
    let object = |spec: &Value| json!({"apiVersion": "spillway.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec});
    let kind = json!({"group": "spillway.dev", "version": "v1alpha1", "kind": kind});
    let resource = json!({"group": "spillway.dev", "version": "v1alpha1", "resource": "any"});
    serde_json::from_value(json!({
        "uid": "1", "kind": kind, "resource": resource, "name": "x", "namespace": "shop", "operation": operation,
        "userInfo": {}, "dryRun": false,
        "object": (operation != "DELETE").then(|| object(&spec)),
        "oldObject": old.as_ref().map(object),
    }))
    .unwrap()
}

fn review_of(kind: &str, spec: Value) -> (bool, String, Vec<String>) {
    answer(&request(kind, "CREATE", spec, None))
}

fn answer(request: &AdmissionRequest<DynamicObject>) -> (bool, String, Vec<String>) {
    let response = review(request, || world(&[SHOP]));
    (response.allowed, response.result.message, response.warnings.unwrap_or_default())
}

fn a_route(backend: Value) -> Value {
    json!({"models": ["x"], "backends": [backend]})
}

#[test]
fn a_sound_object_passes_without_a_word() {
    let spec = a_route(json!({"name": "mini", "providerRef": {"name": "openai"}, "model": "gpt-4o-mini"}));
    assert_eq!(review_of("ModelRoute", spec), (true, String::new(), vec![]));
}

#[test]
fn what_can_never_work_is_refused_with_its_field() {
    let backend = json!({"name": "mini", "providerRef": {"name": "openai"}, "model": "gpt-4o-mini"});
    let twice = json!({"models": ["x"], "backends": [backend, backend]});
    let (allowed, message, _) = review_of("ModelRoute", twice);
    assert!(!allowed && message.contains("spec.backends[1].name"), "{message}");
}

#[test]
fn what_this_version_does_not_enforce_yet_is_stored_with_a_warning() {
    let mut cached = a_route(json!({"name": "mini", "providerRef": {"name": "openai"}, "model": "gpt-4o-mini"}));
    cached["cache"] = json!({"ttl": "10m"});
    let (allowed, message, warnings) = review_of("ModelRoute", cached);
    assert!(allowed, "{message}");
    assert!(warnings.iter().any(|warning| warning.contains("spec.cache")), "{warnings:?}");
}

#[test]
fn a_model_that_is_switched_off_soon_only_warns() {
    let spec = a_route(json!({"name": "old", "providerRef": {"name": "openai"}, "model": "o3-mini"}));
    let mut resources = world(&[SHOP]);
    resources.settings.today = Some("2026-09-01".parse().unwrap());
    let response = review(&request("ModelRoute", "CREATE", spec, None), || resources);
    let warnings = response.warnings.unwrap_or_default();
    assert!(response.allowed && warnings.len() == 1, "{warnings:?}");
    assert!(warnings[0].contains("OpenAI switches \"o3-mini\" off on 2026-10-23"), "{warnings:?}");
}

#[test]
fn a_missing_reference_only_warns() {
    let spec = a_route(json!({"name": "mini", "providerRef": {"name": "later"}, "model": "gpt-4o-mini"}));
    let (allowed, message, warnings) = review_of("ModelRoute", spec);
    assert!(allowed, "{message}");
    assert!(
        warnings.iter().any(|warning| warning.contains("later") && warning.contains("providerRef")),
        "{warnings:?}"
    );
}

#[test]
fn an_object_that_does_not_read_is_refused_and_not_a_panic() {
    let (allowed, message, _) = review_of("ModelRoute", json!({"backends": "none"}));
    assert!(!allowed && message.contains("ModelRoute shop/x"), "{message}");
}

#[test]
fn deletions_and_untouched_specs_always_pass() {
    let broken = json!({"backends": [], "cache": {"ttl": "10m"}});
    let never = || -> Resources { unreachable!("nothing has to be compiled") };
    for (operation, old) in [("DELETE", Some(broken.clone())), ("UPDATE", Some(broken.clone()))] {
        let request = request("ModelRoute", operation, broken.clone(), old);
        assert!(review(&request, never).allowed, "{operation}");
    }
    let mut deleting = request("ModelRoute", "UPDATE", broken, Some(json!({})));
    let object = deleting.object.as_mut().unwrap();
    object.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-21T00:00:00Z")).unwrap();
    assert!(review(&deleting, never).allowed, "a finalizer must be removable");
}

#[test]
fn an_update_takes_the_place_of_the_object_it_changes() {
    let name = ObjectRef { kind: Kind::ModelRoute, namespace: "shop".into(), name: "chat".into() };
    let mut resources = world(&[SHOP]);
    let object = json!({"apiVersion": "spillway.dev/v1alpha1", "kind": "ModelRoute", "metadata": {"name": "chat"},
        "spec": a_route(json!({"name": "other", "providerRef": {"name": "openai"}, "model": "gpt-4o"}))});
    substitute(&mut resources, &name, object).unwrap();
    let backends: Vec<&str> = resources.routes.iter().map(|route| route.spec.backends[0].name.as_str()).collect();
    assert_eq!(backends, ["other"]);
}

#[test]
fn a_chain_that_can_never_help_is_refused_and_a_route_that_makes_one_is_warned() {
    let policy = |to: &str| {
        json!({"targetRefs": [{"group": "spillway.dev", "kind": "ModelRoute", "name": "chat"}],
            "contextWindow": {"onExceeded": "LargerModel"},
            "fallbacks": [{"onErrors": ["ContextWindowExceeded"], "to": [to]}]})
    };
    let (allowed, message, _) = review_of("FallbackPolicy", policy("small"));
    assert!(!allowed && message.contains("\"mini\" (128000 tokens)"), "{message}");
    assert!(message.contains("\"small\" (8192 tokens)"), "{message}");
    assert!(review_of("FallbackPolicy", policy("large")).0);
    let yaml = "kind: FallbackPolicy\nmetadata: {name: p, namespace: shop}\nspec: {targetRefs: [{group: spillway.dev, kind: \
                ModelRoute, name: x}], fallbacks: [{onErrors: [ContextWindowExceeded], to: [small]}]}";
    let backends = json!([{"name": "mini", "providerRef": {"name": "openai"}, "model": "gpt-4o-mini"},
        {"name": "small", "providerRef": {"name": "openai"}, "model": "small", "role": "Fallback"}]);
    let route = request("ModelRoute", "CREATE", json!({"models": ["x"], "backends": backends}), None);
    let response = review(&route, || world(&[SHOP, yaml]));
    let warnings = response.warnings.unwrap_or_default();
    assert!(response.allowed && warnings.len() == 1, "{warnings:?}");
    assert!(warnings[0].starts_with("spillway: FallbackPolicy shop/p: spec.fallbacks[0].to: "), "{warnings:?}");
}
