//! Prompts that do not fit, and servers that are not there.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use spillway_e2e::{Answer, Space, claim, kubectl, manifest, wait};

/// How long an edit of a policy may take to show in an answer: a second by design, and a call from a pod takes one itself.
const PROMPTLY: Duration = Duration::from_secs(5);
/// The longest that a backend which failed is left alone, and a call from a pod.
const PROBED: Duration = Duration::from_secs(40);

/// About 1,500 tokens for the servers' tokenizer: too many for 512, few enough for 8,192.
fn long_prompt() -> String {
    "the customer wrote again about the parcel ".repeat(80)
}

fn ask(space: &Space, prompt: &str) -> Result<Answer> {
    space.python("app", &json!({"api": "openai", "model": "chat", "prompt": prompt}))
}

#[test]
fn a_prompt_that_is_too_long_goes_where_it_fits_or_is_cut_or_refused_as_the_policy_says() -> Result<()> {
    let space = Space::new("window")?;
    space.apply(&[manifest::route("chat")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;

    claim("without a policy: 400 context_length_exceeded, and the message names the numbers and the fix");
    let refused = ask(&space, &long_prompt())?;
    assert_eq!(
        (refused.status(), &refused.get("body")["code"]),
        (400, &json!("context_length_exceeded")),
        "{refused:?}"
    );
    assert!(refused.message().contains("512") && refused.message().contains("FallbackPolicy"), "{refused:?}");

    claim("LargerModel: the large model answers, and the headers say why");
    space.apply(&[manifest::policy("chat", "LargerModel")])?;
    let answered = wait::until("an answer", PROMPTLY, || ask(&space, &long_prompt()), Answer::ok)?;
    assert_eq!(answered.header("backend"), "large", "{answered:?}");
    assert!(answered.header("fallback-reason").contains("ContextWindowExceeded"), "{answered:?}");
    claim("LargerModel, streamed as well");
    let streamed =
        space.python("app", &json!({"api": "openai", "model": "chat", "prompt": long_prompt(), "stream": true}))?;
    assert!(streamed.ok() && streamed.header("backend") == "large", "{streamed:?}");
    claim("a prompt that fits still goes to the small model");
    assert_eq!(ask(&space, "hello")?.header("backend"), "small");

    claim("Truncate: the small model answers after the oldest messages are dropped");
    space.apply(&[manifest::policy("chat", "Truncate")])?;
    let mut messages = vec![json!({"role": "system", "content": "be brief"})];
    messages.extend((0..40).map(|_| json!({"role": "user", "content": "the customer wrote again about the parcel"})));
    let many = || space.python("app", &json!({"api": "openai", "model": "chat", "messages": messages}));
    let cut = wait::until("the small model", PROMPTLY, many, |cut| cut.header("backend") == "small")?;
    assert!(cut.ok(), "{cut:?}");
    assert!(cut.header("truncated-messages").parse::<u32>().is_ok_and(|dropped| dropped > 0), "{cut:?}");
    Ok(())
}

/// The small model's server is away while this lives.
struct Outage;

impl Outage {
    fn begin() -> Result<Self> {
        let outage = Self;
        kubectl(&["-n", "llm", "scale", "deployment/small", "--replicas=0"])?;
        kubectl(&["-n", "llm", "wait", "--for=delete", "--timeout=60s", "pod", "-l", "app=small"])?;
        Ok(outage)
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let _ = kubectl(&["-n", "llm", "scale", "deployment/small", "--replicas=1"]);
        let _ = kubectl(&["-n", "llm", "rollout", "status", "deployment/small", "--timeout=90s"]);
    }
}

#[test]
fn a_server_that_is_gone_is_replaced_where_a_policy_says_so_and_a_clear_error_where_none_does() -> Result<()> {
    let space = Space::new("down")?;
    space.apply(&[manifest::route("chat"), manifest::policy("chat", "Reject")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    assert_eq!(ask(&space, "hello")?.header("backend"), "small");

    let outage = Outage::begin()?;
    claim("with a policy the answer comes from the other server, plain");
    let answered = ask(&space, "hello")?;
    assert!(answered.ok() && answered.header("backend") == "large", "{answered:?}");
    assert!(answered.header("fallback-reason").contains("ConnectionError"), "{answered:?}");
    claim("and streamed");
    let streamed =
        space.python("app", &json!({"api": "openai", "model": "chat", "prompt": "hello", "stream": true}))?;
    assert!(streamed.ok() && streamed.header("backend") == "large", "{streamed:?}");

    claim("without a policy the error names the backend, and what would help");
    space.kubectl(&["delete", "fallbackpolicy", "chat"])?;
    let refused = wait::until("a refusal", PROMPTLY, || ask(&space, "hello"), |refused| !refused.ok())?;
    assert!(refused.status() >= 500, "{refused:?}");
    assert!(refused.message().contains("small") && refused.message().contains("FallbackPolicy"), "{refused:?}");

    drop(outage);
    claim("when the server is back, so is its answer");
    // A backend that failed so often is probed after ten seconds, and after thirty at the latest.
    let back = wait::until("the answer", PROBED, || ask(&space, "hello"), |back| back.ok())?;
    assert_eq!(back.header("backend"), "small", "{back:?}");
    Ok(())
}
