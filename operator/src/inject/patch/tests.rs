use proptest::prelude::*;

use super::*;
use crate::inject::manifest;

fn injection() -> Injection {
    Injection {
        image: "localhost/spillway-sidecar:test".into(),
        pull_policy: "IfNotPresent".into(),
        operator_url: "https://spillway.spillway-system.svc:8443".into(),
        ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
    }
}

fn pod(yaml: &str) -> Pod {
    serde_yaml_ng::from_str(yaml).expect("test pods are valid")
}

fn apply(pod: &Pod, patch: &Patch) -> Pod {
    let mut value = serde_json::to_value(pod).unwrap();
    json_patch::patch(&mut value, patch).expect("the patch fits the pod it was made for");
    serde_json::from_value(value).unwrap()
}

/// `<case>.yaml` in, `<case>.injected.yaml` out; `UPDATE=1` rewrites the second.
#[test]
fn manifests_are_injected_as_the_golden_files_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inject");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(case) = name.strip_suffix(".yaml").filter(|case| !case.ends_with(".injected")) else { continue };
        let mut document: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let warnings = manifest::inject(&mut document, "shop", &injection()).unwrap();
        let comments: String = warnings.iter().map(|warning| format!("# warning: {warning}\n")).collect();
        let got = comments + &serde_yaml_ng::to_string(&document).unwrap();
        let golden = folder.join(format!("{case}.injected.yaml"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &got).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(got, want, "{case}: if the difference is intended, run again with UPDATE=1");
        cases += 1;
    }
    assert!(cases >= 5, "only {cases} golden cases found");
}

#[test]
fn a_pod_that_cannot_be_injected_is_refused_with_reason_and_fix() {
    let rows = [
        ("{spec: {hostNetwork: true, containers: [{name: app}]}}", vec!["hostNetwork", "loopback", "fix:"]),
        ("{spec: {shareProcessNamespace: true, containers: [{name: app}]}}", vec!["shareProcessNamespace", "memory"]),
        ("{spec: {hostPID: true, containers: [{name: app}]}}", vec!["hostPID", "memory"]),
        ("{spec: {os: {name: windows}, containers: [{name: app}]}}", vec!["Windows"]),
        (
            "{metadata: {name: web}, spec: {containers: [{name: app, ports: [{containerPort: 4040}]}]}}",
            vec!["shop/web", "\"app\"", "4040", "config.spillway.dev/data-port"],
        ),
        (
            "{spec: {initContainers: [{name: db, restartPolicy: Always, ports: [{containerPort: 4041}]}], containers: [{name: app}]}}",
            vec!["\"db\"", "4041", "config.spillway.dev/admin-port"],
        ),
        ("{spec: {containers: [{name: spillway-sidecar}]}}", vec!["container", "spillway-sidecar", "rename"]),
        (
            "{spec: {initContainers: [{name: spillway-sidecar}], containers: [{name: app}]}}",
            vec!["container", "spillway-sidecar", "rename"],
        ),
        (
            "{spec: {volumes: [{name: spillway-token, emptyDir: {}}], containers: [{name: app}]}}",
            vec!["volume", "spillway-token", "rename"],
        ),
        (
            "{metadata: {annotations: {config.spillway.dev/data-port: http}}, spec: {containers: [{name: app}]}}",
            vec!["config.spillway.dev/data-port", "\"http\"", "1024"],
        ),
    ];
    for (yaml, hints) in rows {
        let message = patch(&pod(yaml), "shop", &injection()).expect_err(yaml).to_string();
        for hint in hints {
            assert!(message.contains(hint), "{yaml}\n  says: {message}\n  without: {hint}");
        }
    }
}

#[test]
fn a_proxy_that_would_catch_our_calls_is_warned_of() {
    let rows = [
        ("[{name: HTTP_PROXY, value: 'http://proxy:3128'}]", 1),
        ("[{name: all_proxy, value: 'http://proxy:3128'}, {name: NO_PROXY, value: .svc}]", 1),
        ("[{name: http_proxy, value: 'http://proxy:3128'}, {name: no_proxy, value: 'localhost,127.0.0.1'}]", 0),
        ("[{name: HTTPS_PROXY, value: 'http://proxy:3128'}]", 0), // our calls are plain HTTP
    ];
    for (env, want) in rows {
        let pod = pod(&format!("{{spec: {{containers: [{{name: app, env: {env}}}]}}}}"));
        let warnings = patch(&pod, "shop", &injection()).unwrap().warnings;
        assert_eq!(warnings.len(), want, "{env}: {warnings:?}");
    }
}

#[test]
fn another_port_frees_the_default_one_for_the_application() {
    let pod = pod(
        "{metadata: {annotations: {config.spillway.dev/data-port: '5050'}}, spec: {containers: [{name: app, ports: [{containerPort: 4040}]}]}}",
    );
    let patched = apply(&pod, &patch(&pod, "shop", &injection()).unwrap().patch);
    let env = patched.spec.unwrap().containers[0].env.clone().unwrap();
    assert!(env.iter().any(|variable| variable.value.as_deref() == Some("http://127.0.0.1:5050/v1")), "{env:?}");
}

#[test]
fn a_container_added_by_a_later_webhook_gets_its_env_and_nothing_else_changes() {
    let first = pod("{metadata: {name: web}, spec: {containers: [{name: app}]}}");
    let mut patched = apply(&first, &patch(&first, "shop", &injection()).unwrap().patch);
    let late = Container { name: "late".into(), ..Container::default() };
    patched.spec.as_mut().unwrap().containers.push(late);
    let again = patch(&patched, "shop", &injection()).unwrap().patch;
    let paths: Vec<String> = again.0.iter().map(|operation| operation.path().to_string()).collect();
    assert_eq!(paths, ["/spec/containers/1/env"]);
}

prop_compose! {
    fn a_container(name: String)(
        env in proptest::option::of(proptest::collection::vec(
            proptest::sample::select(vec!["OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HOME"]), 0..4)),
        restart in proptest::option::of(Just("Always".to_owned())),
        port in proptest::option::of(1..9000_i32),
    ) -> Value {
        let env: Option<Vec<Value>> = env.map(|env| env.iter().map(|name| json!({"name": name, "value": "own"})).collect());
        let ports = port.map(|port| json!([{"containerPort": port}]));
        json!({"name": name, "env": env, "restartPolicy": restart, "ports": ports})
    }
}

fn containers(prefix: &'static str, at_least: usize) -> impl Strategy<Value = Vec<Value>> {
    (at_least..4)
        .prop_flat_map(move |count| (0..count).map(|i| a_container(format!("{prefix}{i}"))).collect::<Vec<_>>())
}

prop_compose! {
    fn a_pod()(
        app in containers("app", 1),
        init in proptest::option::of(containers("init", 0)),
        volumes in proptest::option::of(0..3_usize),
        annotations in proptest::option::of(Just(json!({"team": "shop"}))),
        labels in proptest::option::of(Just(json!({"app": "checkout"}))),
        data_port in proptest::option::of(1024..9000_u16),
    ) -> Pod {
        let volumes = volumes.map(|n| (0..n).map(|i| json!({"name": format!("v{i}"), "emptyDir": {}})).collect::<Vec<_>>());
        let mut pod = json!({
            "metadata": {"name": "p", "annotations": annotations, "labels": labels},
            "spec": {"containers": app, "initContainers": init, "volumes": volumes},
        });
        if let (Some(port), true) = (data_port, pod["metadata"]["annotations"].is_object()) {
            pod["metadata"]["annotations"]["config.spillway.dev/data-port"] = json!(port.to_string());
        }
        serde_json::from_value(pod).expect("the strategy makes valid pods")
    }
}

/// Everything in `before` is still in `after`, lists in the same order (the fixpoint's other half: nothing is lost).
fn contains(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => {
            before.iter().all(|(key, value)| after.get(key).is_some_and(|now| contains(now, value)))
        }
        (Value::Array(after), Value::Array(before)) => {
            let mut rest = after.iter();
            before.iter().all(|value| rest.any(|now| contains(now, value)))
        }
        (after, before) => after == before,
    }
}

proptest! {
    #[test]
    fn a_patched_pod_needs_no_patch_and_lost_nothing(pod in a_pod()) {
        if let Ok(injected) = patch(&pod, "shop", &injection()) {
            let patched = apply(&pod, &injected.patch);
            let again = patch(&patched, "shop", &injection()).expect("what was injected can be injected");
            prop_assert!(again.patch.0.is_empty(), "{:?}", again.patch);
            prop_assert!(contains(&serde_json::to_value(&patched).unwrap(), &serde_json::to_value(&pod).unwrap()));
            let first = &patched.spec.unwrap().init_containers.unwrap()[0];
            prop_assert_eq!(&first.name, SIDECAR);
        }
    }
}
