use std::path::Path;

use serde_json::json;
use spillway_crds::ModelRoute;

use super::*;
use crate::source::{Directory, Endpoint, Fill};

const FILE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {ai: 'yes'}}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {name: small, namespace: ai}
spec:
  type: OpenAICompatible
  endpoint: https://llm.corp.example:8443/v1
  credentials: {secretRef: {name: llm-key}}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat, namespace: shop}
spec:
  backends: [{name: a, providerRef: {name: small, namespace: ai}, model: m}]
";

fn files(folder: &Path, fills: Vec<Fill>, endpoints: Vec<Endpoint>) -> Gathered {
    std::fs::write(folder.join("all.yaml"), FILE).unwrap();
    let directory = Directory::new(vec![folder.to_owned()], "default");
    gather(&Source::Directory(Files::new(directory, fills, endpoints).into()), &CompileSettings::default(), None)
}

#[test]
fn namespaces_exist_by_being_named_and_carry_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let resources = files(folder.path(), Vec::new(), Vec::new()).resources;
    assert_eq!(resources.namespaces["ai"][NAME_LABEL], "ai");
    assert_eq!(resources.namespaces["shop"]["ai"], "yes");
    assert_eq!((resources.providers.len(), resources.routes.len()), (1, 1));
}

#[test]
fn a_key_of_the_command_line_may_go_to_its_providers_host() {
    let folder = tempfile::tempdir().unwrap();
    let fill = Fill::parse("ai/llm-key/apiKey=KEY", "default").unwrap().read(|_| Some("sk-1".into())).unwrap();
    let resources = files(folder.path(), vec![fill], Vec::new()).resources;
    let annotations = resources.secrets[0].metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[crate::compile::HOSTS_ANNOTATION], "llm.corp.example:8443");
    let diagnostics = crate::compile::compile(&resources).diagnostics;
    assert!(diagnostics.iter().all(|one| one.object.kind != Kind::ModelProvider), "{diagnostics:?}");
}

#[test]
fn an_endpoint_of_the_command_line_replaces_the_resources_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = "http://127.0.0.1:8080/v1".to_owned();
    for (namespace, hit) in [(None, true), (Some("ai".to_owned()), true), (Some("shop".to_owned()), false)] {
        let endpoint = Endpoint { namespace, name: "small".into(), url: url.clone() };
        let overrides = files(folder.path(), Vec::new(), vec![endpoint]).resources.settings.endpoint_overrides;
        assert_eq!(overrides.get("ai/small"), hit.then_some(&url));
    }
}

#[test]
fn an_object_that_does_not_deserialise_is_told_and_its_neighbours_are_kept() {
    let mut writer = reflector::store::Writer::<Tolerant<ModelRoute>>::default();
    let object = |name: &str, spec: serde_json::Value| -> Tolerant<ModelRoute> {
        let metadata = json!({"name": name, "namespace": "shop", "generation": 3});
        let route =
            json!({"apiVersion": "spillway.dev/v1alpha1", "kind": "ModelRoute", "metadata": metadata, "spec": spec});
        serde_json::from_value(route).unwrap()
    };
    let good = json!({"backends": [{"name": "a", "providerRef": {"name": "p"}, "model": "m"}]});
    for route in [object("good", good), object("bad", json!({"backends": 7}))] {
        writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(route));
    }
    let mut unreadable = Vec::new();
    let routes = readable(Kind::ModelRoute, &writer.as_reader(), &mut unreadable);
    assert_eq!(routes.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["good"]);
    assert_eq!(unreadable[0].diagnostic.object.key(), "shop/bad");
    assert_eq!(unreadable[0].metadata.generation, Some(3));
}
