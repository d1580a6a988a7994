//! From `kubectl apply` to the sidecars and back into status, for good resources and bad ones.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use spillway_e2e::{Space, claim, manifest, wait};

#[test]
fn a_route_is_programmed_within_two_seconds_of_its_apply_and_edits_follow() -> Result<()> {
    let space = Space::new("route")?;
    space.apply(&[manifest::route("first")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/first", "condition=Programmed", "10s")?;
    claim("apply, then wait for Programmed: at most 2 s");
    space.apply(&[manifest::route("chat")])?;
    space.wait("modelroute/chat", "condition=Programmed", "2s")?;
    let ask = |model: &str| space.python("app", &json!({"api": "openai", "model": model, "prompt": "hello"}));
    assert!(ask("chat")?.ok());
    claim("an edit that renames what it serves takes effect");
    let mut renamed = manifest::route("chat");
    renamed["spec"]["models"] = json!(["assistant", "gpt-4o*"]);
    space.apply(&[renamed])?;
    let generation = space.field("modelroute/chat", "{.metadata.generation}")?;
    let observed =
        format!("jsonpath={{.status.conditions[?(@.type==\"Programmed\")].observedGeneration}}={generation}");
    space.wait("modelroute/chat", &observed, "5s")?;
    space.wait("modelroute/chat", "condition=Programmed", "2s")?;
    for (model, status) in [("assistant", 200), ("gpt-4o-mini", 200), ("chat", 404)] {
        assert_eq!(ask(model)?.status(), status, "model {model}");
    }
    claim("a deleted route is gone from the sidecar");
    space.kubectl(&["delete", "modelroute", "chat"])?;
    let gone = wait::until("404", Duration::from_secs(5), || ask("assistant"), |answer| answer.status() == 404)?;
    assert!(gone.message().contains("assistant"), "{gone:?}");
    Ok(())
}

#[test]
fn a_route_reaches_only_the_pods_its_selector_names() -> Result<()> {
    let space = Space::new("selector")?;
    let mut route = manifest::route("chat");
    route["spec"]["workloadSelector"] = json!({"matchLabels": {"app": "chosen"}});
    space.apply(&[route, manifest::deployment("chosen", 1), manifest::deployment("other", 1)])?;
    for app in ["chosen", "other"] {
        space.kubectl(&["rollout", "status", &format!("deployment/{app}"), "--timeout=90s"])?;
    }
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    let ask = |app: &str| space.python(app, &json!({"api": "openai", "model": "chat", "prompt": "hello"}));
    claim("the chosen application is answered, the other one is not");
    assert_eq!((ask("chosen")?.status(), ask("other")?.status()), (200, 404));
    claim("the status counts the chosen application's sidecar alone");
    assert_eq!(space.field("modelroute/chat", "{.status.sidecars.programmed}")?, "1");
    Ok(())
}

#[test]
fn a_bad_resource_says_why_and_does_not_stop_its_neighbour() -> Result<()> {
    let space = Space::new("bad")?;
    space.start_app("app", 1)?;
    let dangling = manifest::route_by("dangling", &json!([manifest::backend("small", "nobody", "Primary")]));
    let mut younger = manifest::route("younger");
    younger["spec"]["models"] = json!(["chat"]);
    space.apply(&[manifest::route("chat")])?;
    space.wait("modelroute/chat", "condition=Accepted", "10s")?;
    space.apply(&[dangling, younger])?;
    let rows = [("dangling", "ResolvedRefs", "nobody"), ("younger", "Accepted", "chat")];
    for (route, condition, want) in rows {
        let object = format!("modelroute/{route}");
        space.wait(&object, &format!("condition={condition}=False"), "10s")?;
        let said = space.condition(&object, condition)?;
        claim(&format!("{route}: {said}"));
        assert!(said.contains(want), "wanted {want:?} in {said:?}");
    }
    assert!(space.condition("modelroute/younger", "Accepted")?.contains("Conflicted"));
    claim("the neighbour is programmed and serves");
    space.wait("modelroute/chat", "condition=Programmed", "5s")?;
    assert!(space.python("app", &json!({"api": "openai", "model": "chat", "prompt": "hello"}))?.ok());
    Ok(())
}

#[test]
fn status_follows_a_scale_up_and_counts_what_was_spent() -> Result<()> {
    let space = Space::new("status")?;
    let budget = json!({
        "apiVersion": "spillway.dev/v1alpha1", "kind": "ModelBudget", "metadata": {"name": "month"},
        "spec": {"limit": "5.00", "period": "Month", "enforcement": "Warn", "onExhausted": {"action": "Warn"}},
    });
    space.apply(&[manifest::route("chat"), budget])?;
    space.start_app("app", 1)?;
    for replicas in ["1", "3", "2"] {
        space.kubectl(&["scale", "deployment/app", "--replicas", replicas])?;
        claim(&format!("{replicas} sidecars programmed"));
        space.wait("modelroute/chat", &format!("jsonpath={{.status.sidecars.programmed}}={replicas}"), "60s")?;
        space.wait("modelroute/chat", "condition=Programmed", "30s")?;
    }
    assert_eq!(space.kubectl(&["get", "modelroute", "chat", "--no-headers"])?.split_whitespace().nth(3), Some("2/2"));
    claim("the cost of an answer reaches the route's status, the budget's, and the workload's line");
    let answer = space.python("app", &json!({"api": "openai", "model": "chat", "prompt": "hello"}))?;
    let cost: f64 = answer.header("cost-usd").parse()?;
    assert!(cost > 0.0, "{answer:?}");
    let spent = |object: &str, path: &str| {
        let what = format!("{path} of {object}");
        let look = || space.field(object, path);
        wait::until(&what, Duration::from_secs(20), look, |spent| spent.parse::<f64>().is_ok_and(|spent| spent > 0.0))
    };
    spent("modelroute/chat", "{.status.spend.day}")?;
    spent("modelbudget/month", "{.status.spent}")?;
    assert_eq!(space.field("modelbudget/month", "{.status.topWorkloads[0].workload}")?, "Deployment/app");
    Ok(())
}
