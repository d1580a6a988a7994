//! What the charts put on a cluster.

use anyhow::Result;
use serde_json::json;
use spillway_e2e::{Space, claim, helm, kubectl, manifest};

const SYSTEM: &str = "spillway-system";

#[test]
fn two_operators_run_restricted_and_one_of_them_leads() -> Result<()> {
    claim("helm has it deployed");
    assert!(helm(&["status", "spillway", "-n", SYSTEM])?.contains("STATUS: deployed"));
    claim("two replicas are available in a namespace that enforces Pod Security restricted");
    kubectl(&["-n", SYSTEM, "wait", "--for=condition=Available", "--timeout=60s", "deployment/spillway"])?;
    let replicas =
        kubectl(&["-n", SYSTEM, "get", "deployment", "spillway", "-o", "jsonpath={.status.availableReplicas}"])?;
    assert_eq!(replicas, "2");
    let level = kubectl(&[
        "get",
        "namespace",
        SYSTEM,
        "-o",
        r"jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}",
    ])?;
    assert_eq!(level, "restricted");
    claim("one of the two pods holds the Lease");
    let holder = kubectl(&["-n", SYSTEM, "get", "lease", "spillway-leader", "-o", "jsonpath={.spec.holderIdentity}"])?;
    let pods = kubectl(&["-n", SYSTEM, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"])?;
    assert!(pods.split(' ').any(|pod| holder.starts_with(pod)), "the holder {holder:?} is none of {pods}");
    Ok(())
}

#[test]
fn an_upgrade_keeps_what_the_operator_wrote_into_the_webhooks() -> Result<()> {
    let bundle = || {
        kubectl(&[
            "get",
            "mutatingwebhookconfiguration",
            "spillway-inject",
            "-o",
            "jsonpath={.webhooks[*].clientConfig.caBundle}",
        ])
    };
    let before = bundle()?;
    assert_eq!(before.split(' ').count(), 2, "each of the two webhooks has a bundle");
    claim("helm upgrade leaves the certificate authority in place");
    helm(&[
        "upgrade",
        "spillway",
        "../charts/spillway",
        "-n",
        SYSTEM,
        "--reuse-values",
        "--wait",
        "--timeout",
        "120s",
    ])?;
    assert_eq!(bundle()?, before);
    Ok(())
}

#[test]
fn what_can_never_be_right_is_refused_by_schema_and_cel() -> Result<()> {
    let space = Space::new("schema")?;
    let with = |mut object: serde_json::Value, path: &str, value: serde_json::Value| {
        *object.pointer_mut(path).expect("the row names a field of the object") = value;
        object
    };
    let mut cascade = manifest::route("cascade");
    cascade["spec"]["strategy"] = json!("Cascade");
    let mut insecure = manifest::provider("insecure", "small", "llm-key");
    insecure["spec"]["allowInsecure"] = json!(false);
    let mut unknown = manifest::route("unknown");
    unknown["spec"]["bakends"] = json!([]);
    let budget = json!({"apiVersion": "spillway.dev/v1alpha1", "kind": "ModelBudget", "metadata": {"name": "none"},
        "spec": {"limit": "0.00", "period": "Day", "enforcement": "Warn"}});
    let rows = [
        (cascade, "strategy Cascade needs spec.cascade.escalateWhen"),
        (insecure, "sends keys and prompts in clear"),
        (with(manifest::route("none"), "/spec/backends", json!([])), "spec.backends"),
        (
            with(manifest::route("roles"), "/spec/backends/0/role", json!("Fallback")),
            "at least one backend the role Primary",
        ),
        (with(manifest::route("twins"), "/spec/backends/1/name", json!("small")), "Duplicate"),
        (
            with(manifest::policy("kind", "Reject"), "/spec/targetRefs/0/kind", json!("Service")),
            "applies to ModelRoutes",
        ),
        (unknown, "bakends"),
        (budget, "a budget is more than 0"),
    ];
    for (object, want) in rows {
        claim(&format!("refused: {want}"));
        let said = space.apply_fails(std::slice::from_ref(&object))?;
        assert!(said.contains(want), "wanted {want:?}, kubectl said {said:?} to {object}");
    }
    Ok(())
}

#[test]
fn what_can_never_work_is_refused_with_the_field_and_what_may_come_later_only_warns() -> Result<()> {
    let space = Space::new("admission")?;
    claim("a request rule that would overrule the route itself is refused by the webhook, with its path");
    let mut overruling = manifest::route("overruling");
    overruling["spec"]["request"] = json!({"set": {"model": "another"}});
    let said = space.apply_fails(&[overruling])?;
    assert!(said.contains("validate.spillway.dev") && said.contains("spec.request.set"), "{said}");
    claim("a field that this version does not enforce is a warning, and a condition: nothing is silently ignored");
    let mut cached = manifest::route("cached");
    cached["spec"]["cache"] = json!({"ttl": "10m"});
    let warned = space.apply_warns(&[cached])?;
    assert!(warned.contains("Warning") && warned.contains("spec.cache"), "{warned:?}");
    space.wait("modelroute/cached", "condition=Accepted=False", "10s")?;
    let condition = space.condition("modelroute/cached", "Accepted")?;
    assert!(condition.contains("UnsupportedValue") && condition.contains("spec.cache"), "{condition}");
    claim("a rule that falls back to a backend the route has not got is a warning that names it");
    space.apply(&[manifest::route("chat")])?;
    let mut policy = manifest::policy("chat", "LargerModel");
    policy["spec"]["fallbacks"][0]["to"] = json!(["larg"]);
    let warned = space.apply_warns(&[policy])?;
    assert!(
        warned.contains("Warning") && warned.contains("spec.fallbacks[0].to") && warned.contains("larg"),
        "{warned:?}"
    );
    claim("a provider that does not exist yet is a warning, because GitOps applies in any order");
    let route = manifest::route_by("early", &json!([manifest::backend("small", "not-there-yet", "Primary")]));
    let warned = space.apply_warns(&[route])?;
    assert!(warned.contains("Warning") && warned.contains("not-there-yet"), "{warned:?}");
    Ok(())
}
