//! The vendors' SDKs as they come, from inside an injected pod.

use anyhow::Result;
use serde_json::json;
use spillway_e2e::{Answer, Space, claim, manifest};

fn check(what: &str, stream: bool, answer: &Answer) {
    claim(&format!("{what}, {}", if stream { "streamed" } else { "plain" }));
    assert!(answer.ok(), "{answer:?}");
    assert!(!answer.text().is_empty(), "no text: {answer:?}");
    // The route's name, as the application asked for it, and not the provider's.
    assert_eq!(answer.get("model"), "chat", "{answer:?}");
    assert!(answer.get("finish").is_string(), "an answer says why it ends: {answer:?}");
    assert_eq!(answer.header("backend"), "small", "{answer:?}");
    if stream {
        assert!(answer.get("chunks").as_u64() > Some(3), "a stream comes in pieces: {answer:?}");
    } else {
        assert!(!answer.header("cost-usd").is_empty(), "{answer:?}");
    }
}

#[test]
fn openai_and_anthropic_sdks_are_answered_plain_and_streamed() -> Result<()> {
    let space = Space::new("sdk")?;
    space.apply(&[manifest::route("chat")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    for stream in [false, true] {
        let ask = |api: &str| json!({"api": api, "model": "chat", "prompt": "Where is my order?", "stream": stream});
        check("openai-python", stream, &space.python("app", &ask("openai"))?);
        check("openai-node", stream, &space.node("app", &ask("openai"))?);
        check("anthropic-python", stream, &space.python("app", &ask("anthropic"))?);
    }
    claim("client.models.list() shows the route");
    let models = space.python("app", &json!({"api": "openai", "kind": "models", "model": ""}))?;
    assert_eq!(models.get("models"), &json!(["chat"]), "{models:?}");
    claim("a model that no route serves is a NotFoundError that says which ones there are");
    let unknown = space.python("app", &json!({"api": "openai", "model": "gpt-9", "prompt": "hi"}))?;
    assert_eq!((unknown.status(), unknown.get("exception")), (404, &json!("NotFoundError")), "{unknown:?}");
    assert!(unknown.message().contains("gpt-9") && unknown.message().contains("chat"), "{unknown:?}");
    claim("the Anthropic SDK gets its own kind of error");
    let unknown = space.python("app", &json!({"api": "anthropic", "model": "claude-9", "prompt": "hi"}))?;
    assert_eq!((unknown.status(), unknown.get("exception")), (404, &json!("NotFoundError")), "{unknown:?}");
    assert_eq!(unknown.get("body")["type"], "error", "{unknown:?}");
    Ok(())
}
