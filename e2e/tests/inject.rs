//! Which pods get a sidecar, and what that does to them.

use anyhow::Result;
use serde_json::{Value, json};
use spillway_e2e::{Space, claim, kubectl, manifest};

fn pod(name: &str, annotations: Value, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations}, "spec": spec})
}

/// A field of the one pod of the Deployment `app`.
fn of_pod(space: &Space, path: &str) -> Result<String> {
    space.kubectl(&["get", "pods", "-l", "app=app", "-o", &format!("jsonpath={{.items[0]{path}}}")])
}

#[test]
fn a_deployment_that_asks_starts_with_the_sidecar_first_and_the_sdks_variables_set() -> Result<()> {
    let space = Space::new("inject")?;
    let mut deployment = manifest::deployment("app", 1);
    let own = json!([{"name": "ANTHROPIC_API_KEY", "value": "my own"}]);
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = own;
    space.apply(&[deployment])?;
    space.kubectl(&["rollout", "status", "deployment/app", "--timeout=90s"])?;
    claim("the sidecar is a native one, first of the init containers");
    assert_eq!(of_pod(&space, ".spec.initContainers[0]['name','restartPolicy']")?, "spillway-sidecar Always");
    claim("the application finds the sidecar in its environment, and keeps what it had set itself");
    let print = "import os; print(dict(os.environ))";
    let env = space.kubectl(&["exec", "deployment/app", "-c", "app", "--", "python3", "-c", print])?;
    for want in [
        "'OPENAI_BASE_URL': 'http://127.0.0.1:4040/v1'",
        "'OPENAI_API_KEY': 'spillway'",
        "'ANTHROPIC_BASE_URL': 'http://127.0.0.1:4040'",
        "'ANTHROPIC_API_KEY': 'my own'",
    ] {
        assert!(env.contains(want), "no {want} in {env}");
    }
    claim("the application cannot read the sidecar's token or journal");
    let mounts = of_pod(&space, ".spec.containers[0].volumeMounts[*].mountPath")?;
    assert!(!mounts.contains("/var/run/spillway"), "{mounts}");
    claim("the pod says what was done to it");
    let status = of_pod(&space, r".metadata.annotations.spillway\.dev/status")?;
    assert!(serde_json::from_str::<Value>(&status).is_ok_and(|status| status.is_object()), "{status:?}");
    Ok(())
}

#[test]
fn a_job_completes_although_its_sidecar_would_run_for_ever() -> Result<()> {
    let space = Space::new("job")?;
    space.apply(&[manifest::route("chat")])?;
    let ask = r#"{"api": "openai", "model": "chat", "prompt": "hello"}"#;
    let mut spec = manifest::pod_spec(&["python3", "probe.py", ask]);
    spec["restartPolicy"] = json!("Never");
    space.apply(&[json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly"},
        "spec": {
            "backoffLimit": 0,
            "template": {"metadata": {"annotations": {"spillway.dev/inject": "true"}}, "spec": spec},
        },
    })])?;
    claim("the Job completes");
    space.wait("job/nightly", "condition=Complete", "90s")?;
    claim("its very first request was answered: the application starts when the sidecar has its config");
    let log = space.kubectl(&["logs", "job/nightly", "-c", "app"])?;
    assert!(log.contains(r#""ok": true"#), "{log}");
    Ok(())
}

#[test]
fn a_pod_that_asks_but_cannot_have_it_is_refused_with_the_reason() -> Result<()> {
    let space = Space::new("refused")?;
    // Where the cluster itself allows such pods, so that the refusal is ours.
    kubectl(&["label", "--overwrite", "namespace", space.name(), "pod-security.kubernetes.io/enforce=privileged"])?;
    let asks = || json!({"spillway.dev/inject": "true"});
    let mut host_network = manifest::pod_spec(&["python3", "app.py", "wait"]);
    host_network["hostNetwork"] = json!(true);
    let mut port_taken = manifest::pod_spec(&["python3", "app.py", "wait"]);
    port_taken["containers"][0]["ports"] = json!([{"containerPort": 4040}]);
    let plain = manifest::pod_spec(&["python3", "app.py", "wait"]);
    let rows = [
        (pod("host-network", asks(), host_network.clone()), "hostNetwork"),
        (pod("port-taken", asks(), port_taken), "4040"),
        (pod("word", json!({"spillway.dev/inject": "yes please"}), plain), "yes please"),
    ];
    for (object, want) in rows {
        claim(&format!("refused: {want}"));
        let said = space.apply_fails(std::slice::from_ref(&object))?;
        assert!(said.contains("spillway") && said.contains(want), "{said}");
    }
    claim("the same pod without the annotation is none of our business");
    space.apply(&[pod("untouched", json!({}), host_network)])?;
    assert_eq!(space.kubectl(&["get", "pod", "untouched", "-o", "jsonpath={.spec.initContainers}"])?, "");
    Ok(())
}

#[test]
fn a_namespace_may_ask_for_all_its_pods_and_a_pod_may_decline() -> Result<()> {
    let space = Space::new("label")?;
    kubectl(&["label", "namespace", space.name(), "spillway.dev/inject=enabled"])?;
    let spec = || manifest::pod_spec(&["python3", "app.py", "wait"]);
    space
        .apply(&[pod("silent", json!({}), spec()), pod("declines", json!({"spillway.dev/inject": "false"}), spec())])?;
    let containers = |name: &str| space.kubectl(&["get", "pod", name, "-o", "jsonpath={.spec.initContainers[*].name}"]);
    claim("a pod that says nothing gets the sidecar");
    assert_eq!(containers("silent")?, "spillway-sidecar");
    claim("a pod that declines does not");
    assert_eq!(containers("declines")?, "");
    Ok(())
}
