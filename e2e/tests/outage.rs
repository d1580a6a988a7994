//! The operator is gone: what goes on, what waits, and what comes back.

use anyhow::Result;
use serde_json::json;
use spillway_e2e::outage::{Outage, end_sidecar};
use spillway_e2e::{Answer, Space, claim, manifest};

fn ask(space: &Space) -> Result<Answer> {
    space.python("app", &json!({"api": "openai", "model": "chat", "prompt": "hello"}))
}

#[test]
fn without_an_operator_traffic_goes_on_and_a_restarted_sidecar_serves_from_its_journal() -> Result<()> {
    let space = Space::new("outage")?;
    space.apply(&[manifest::route("chat")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    assert!(ask(&space)?.ok());

    let outage = Outage::begin()?;
    claim("with the operator scaled to 0, requests are answered");
    assert!(ask(&space)?.ok());
    claim("a sidecar that ends comes back and serves what it had, key included");
    end_sidecar(&space)?;
    let answer = ask(&space)?;
    assert!(answer.ok(), "{answer:?}");
    claim("a pod that asks for a sidecar is refused rather than started without one");
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late", "annotations": {"spillway.dev/inject": "true"}}});
    pod["spec"] = manifest::pod_spec(&["python3", "app.py", "wait"]);
    let said = space.apply_fails(&[pod])?;
    assert!(said.contains("inject.spillway.dev"), "{said}");

    drop(outage);
    claim("with the operator back, a new route is programmed in the same sidecar, which asks at least every 30 s");
    space.apply(&[manifest::route("later")])?;
    space.wait("modelroute/later", "condition=Programmed", "60s")?;
    assert!(space.python("app", &json!({"api": "openai", "model": "later", "prompt": "hello"}))?.ok());
    Ok(())
}
