//! A provider's key: missing, created, rotated, taken away; and one that has not agreed to be used.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use spillway_e2e::{Space, claim, kubectl, manifest, wait};

/// How long a change of a Secret may take to show in an answer. The promise is 2 s; a call from a pod takes one itself.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Objects in the shared namespace, which outlives the test's own.
struct Shared(Vec<String>);

impl Drop for Shared {
    fn drop(&mut self) {
        for object in &self.0 {
            let _ = kubectl(&["-n", manifest::KEYS, "delete", "--ignore-not-found", object]);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the life of one key, in the order it happens")]
fn a_key_that_is_missing_created_rotated_and_deleted_takes_effect_without_a_restart() -> Result<()> {
    let space = Space::new("secret")?;
    let name = format!("secret-{}", std::process::id());
    let _shared = Shared(vec![format!("modelprovider/{name}"), format!("secret/{name}")]);
    let provider = format!("modelprovider/{name}");
    let key = |value: &str| manifest::provider_key(&name, "small.llm.svc", value);
    let status_of = |what: &str| {
        kubectl(&["-n", manifest::KEYS, "wait", &format!("--for=condition={what}"), "--timeout=10s", &provider])
    };

    space.apply(&[
        manifest::provider(&name, "small", &name),
        manifest::route_by("chat", &json!([manifest::backend("small", &name, "Primary")])),
        manifest::route("neighbour"),
    ])?;
    space.start_app("app", 1)?;
    let ask = |model: &str| space.python("app", &json!({"api": "openai", "model": model, "prompt": "hello"}));

    claim("missing: the provider's condition names the Secret, requests get 503, the neighbour serves");
    status_of("ResolvedRefs=False")?;
    let said = kubectl(&[
        "-n",
        manifest::KEYS,
        "get",
        &provider,
        "-o",
        "jsonpath={.status.conditions[?(@.type==\"ResolvedRefs\")].message}",
    ])?;
    assert!(said.contains(&name), "{said}");
    let refused = ask("chat")?;
    assert_eq!(
        (refused.status(), &refused.get("body")["code"]),
        (503, &json!("credentials_unavailable")),
        "{refused:?}"
    );
    assert!(ask("neighbour")?.ok());

    claim("created: serves");
    space.apply(&[key(manifest::LLM_KEY)])?;
    status_of("ResolvedRefs=True")?;
    wait::until("an answer", PROMPTLY, || ask("chat"), |answer| answer.ok())?;

    claim("rotated to a key the provider refuses: 401 of the provider, so the new key is in use");
    space.apply(&[key("a-wrong-key")])?;
    let wrong = wait::until("401", PROMPTLY, || ask("chat"), |answer| answer.status() == 401)?;
    assert!(!format!("{wrong:?}").contains("a-wrong-key"), "a key in an answer: {wrong:?}");
    claim("rotated back: serves");
    space.apply(&[key(manifest::LLM_KEY)])?;
    wait::until("an answer", PROMPTLY, || ask("chat"), |answer| answer.ok())?;

    claim("deleted: withdrawn from the sidecar");
    kubectl(&["-n", manifest::KEYS, "delete", "secret", &name])?;
    wait::until("503", PROMPTLY, || ask("chat"), |answer| answer.status() == 503)?;
    claim("none of it restarted the pod");
    let restarts = space.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=app",
        "-o",
        "jsonpath={.items[0].status.initContainerStatuses[0].restartCount}",
    ])?;
    assert_eq!(restarts, "0");
    Ok(())
}

#[test]
fn a_secret_that_has_not_opted_in_for_the_host_is_not_sent_there() -> Result<()> {
    let space = Space::new("optin")?;
    let name = format!("optin-{}", std::process::id());
    let _shared = Shared(vec![format!("modelprovider/{name}"), format!("secret/{name}")]);
    let provider = format!("modelprovider/{name}");
    let mut unlabelled = manifest::provider_key(&name, "small.llm.svc", manifest::LLM_KEY);
    unlabelled["metadata"]["labels"] = json!({});
    let elsewhere = manifest::provider_key(&name, "api.example.com", manifest::LLM_KEY);
    let agreed = manifest::provider_key(&name, "small.llm.svc", manifest::LLM_KEY);
    space.apply(&[manifest::provider(&name, "small", &name)])?;
    let rows = [
        ("without the label", unlabelled, "False", "spillway.dev/provider-key"),
        ("for another host", elsewhere, "False", "spillway.dev/allowed-hosts"),
        ("for this host", agreed, "True", ""),
    ];
    for (what, secret, status, want) in rows {
        claim(&format!("a Secret {what}: ResolvedRefs={status}"));
        space.apply(&[secret])?;
        let look = || {
            kubectl(&[
                "-n",
                manifest::KEYS,
                "get",
                &provider,
                "-o",
                "jsonpath={range .status.conditions[?(@.type==\"ResolvedRefs\")]}{.status} {.message}{end}",
            ])
        };
        wait::until(what, Duration::from_secs(10), look, |said| said.starts_with(status) && said.contains(want))?;
    }
    Ok(())
}
