//! Builds resources for tests from the YAML a user would write.

use serde::Deserialize;
use serde_yaml_ng::Value;

use super::Resources;

/// A provider without a key, a route to it, and models of three sizes.
pub(crate) const SHOP: &str = "
kind: ModelProvider
metadata: {name: openai, namespace: shop}
spec:
  type: OpenAI
  credentials: {none: {}}
  models: [{name: small, contextWindow: 8192}, {name: large, contextWindow: 1000000}]
---
kind: ModelRoute
metadata: {name: chat, namespace: shop, creationTimestamp: '2026-11-01T00:00:00Z'}
spec:
  backends:
  - {name: mini, providerRef: {name: openai}, model: gpt-4o-mini}
  - {name: small, providerRef: {name: openai}, model: small, role: Fallback}
  - {name: large, providerRef: {name: openai}, model: large, role: Fallback}
";

/// The resources in these documents, separated by `---`.
pub(crate) fn world(documents: &[&str]) -> Resources {
    let mut resources = Resources::default();
    for document in documents.iter().flat_map(|text| text.split("\n---\n")) {
        let mut value: Value = serde_yaml_ng::from_str(document).unwrap();
        let kind = value["kind"].as_str().unwrap().to_owned();
        if let Some(object) = value.as_mapping_mut().filter(|_| kind.starts_with("Model") || kind == "FallbackPolicy") {
            object.insert("apiVersion".into(), "spillway.dev/v1alpha1".into());
        }
        match kind.as_str() {
            "ModelProvider" => resources.providers.push(read(value)),
            "ModelRoute" => resources.routes.push(read(value)),
            "FallbackPolicy" => resources.policies.push(read(value)),
            "ModelBudget" => resources.budgets.push(read(value)),
            "Secret" => resources.secrets.push(read(value)),
            "Namespace" => {
                let labels = value["metadata"]["labels"].clone();
                let name = value["metadata"]["name"].as_str().unwrap().to_owned();
                resources.namespaces.insert(name, serde_yaml_ng::from_value(labels).unwrap());
            }
            other => panic!("no kind for tests: {other}"),
        }
    }
    resources
}

/// One object of this kind, named `x`, in namespace `shop`.
pub(crate) fn object(kind: &str, spec: &str) -> String {
    format!("kind: {kind}\nmetadata: {{name: x, namespace: shop, generation: 7}}\nspec: {spec}\n")
}

fn read<K: for<'de> Deserialize<'de>>(value: Value) -> K {
    serde_yaml_ng::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value:?}"))
}
