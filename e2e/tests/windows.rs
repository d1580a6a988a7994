//! Every way to make a prompt fit, at two real servers (windows of 512 and 8,192 tokens), by the vendors' SDKs.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use spillway_e2e::{Answer, Space, claim, manifest, wait};

/// How long an edit of a policy may take to show in an answer: a second by design, and a call from a pod takes one itself.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Some 700 tokens for the servers' tokenizer in 25 turns: too many for 512, few enough for 8,192.
fn conversation() -> Vec<Value> {
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("{number}: the customer wrote again about the parcel")})
    };
    (0..25).map(turn).collect()
}

/// The same as each SDK takes it.
fn ask(api: &str, messages: &[Value], stream: bool) -> Value {
    let mut ask = json!({"api": api, "model": "chat", "max_tokens": 16, "stream": stream, "timeout": 30});
    if api == "anthropic" {
        ask["system"] = json!("be brief");
        ask["messages"] = json!(messages);
    } else {
        let system = json!({"role": "system", "content": "be brief"});
        ask["messages"] = std::iter::once(&system).chain(messages).cloned().collect();
    }
    ask
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).parse().unwrap_or(0)
}

/// What the server counted in the prompt it got. Anthropic's words count apart what was read from a cache.
fn prompt_tokens(answer: &Answer) -> u64 {
    let usage = answer.get("usage");
    let parts = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    usage["prompt_tokens"].as_u64().unwrap_or_else(|| parts.iter().filter_map(|part| usage[part].as_u64()).sum())
}

/// A strategy, the policy's words for it, who answers, and whether messages are left out and summarized.
fn ways() -> [(&'static str, Value, &'static str, bool, bool); 4] {
    let window = |more: Value| {
        let mut window = json!({"reserveOutputTokens": 64, "truncate": {"keepLast": 2}});
        window.as_object_mut().expect("it is one").extend(more.as_object().expect("so is this").clone());
        window
    };
    let summarize = json!({"backend": "large", "keepLast": 3, "maxSummaryTokens": 48});
    [
        ("LargerModel", window(json!({"onExceeded": "LargerModel"})), "large", false, false),
        ("Hybrid", window(json!({"onExceeded": "Hybrid"})), "large", false, false),
        ("Truncate", window(json!({"onExceeded": "Truncate"})), "small", true, false),
        ("Summarize", window(json!({"onExceeded": "Summarize", "summarize": summarize})), "small", true, true),
    ]
}

#[test]
fn every_way_to_make_a_prompt_fit_works_at_real_servers_by_both_sdks_plain_and_streamed() -> Result<()> {
    let space = Space::new("ways")?;
    space.apply(&[manifest::route("chat")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    let messages = conversation();
    let counted = space.python(
        "app",
        &json!({"api": "anthropic", "kind": "count", "model": "chat",
        "system": "be brief", "messages": messages}),
    )?;
    let predicted = counted.get("tokens").as_u64().unwrap_or(0);
    for (name, window, backend, shortened, summarized) in ways() {
        claim(name);
        space.apply(&[manifest::window_policy("chat", &window)])?;
        let first = || space.python("app", &ask("openai", &messages, false));
        wait::until(name, PROMPTLY, first, |answer| {
            answer.ok() && answer.header("backend") == backend && (number(answer, "summary-tokens") > 0) == summarized
        })?;
        for api in ["openai", "anthropic"] {
            for stream in [false, true] {
                let answer = space.python("app", &ask(api, &messages, stream))?;
                assert!(answer.ok() && answer.header("backend") == backend, "{name} {api}: {answer:?}");
                assert!(!answer.text().is_empty() && answer.get("finish").is_string(), "{name} {api}: {answer:?}");
                let [gone, summary] = ["truncated-messages", "summary-tokens"].map(|header| number(&answer, header));
                assert_eq!((gone > 0, summary > 0), (shortened, summarized), "{name} {api}: {answer:?}");
                let served = prompt_tokens(&answer);
                assert!(backend == "large" || served + 16 <= 512, "{name} {api}: {answer:?}");
                assert!(served > 100, "{name} {api}: most of the window is used: {answer:?}");
                claim(&format!(
                    "  {api}-python, {}: {predicted} tokens predicted, {served} counted by {backend} of what it got, \
                     {gone} messages left out",
                    if stream { "streamed" } else { "plain" }
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn an_answer_gets_what_is_left_of_the_window_where_more_was_asked_for() -> Result<()> {
    let space = Space::new("room")?;
    space.apply(&[manifest::route("chat"), manifest::policy("chat", "Truncate")])?;
    space.start_app("app", 1)?;
    space.wait("modelroute/chat", "condition=Programmed", "10s")?;
    for api in ["openai", "anthropic"] {
        let prompt = "the customer wrote again about the parcel ".repeat(4);
        let ask = json!({"api": api, "model": "chat", "prompt": prompt, "max_tokens": 2_000});
        let answer = space.python("app", &ask)?;
        assert!(answer.ok() && answer.header("backend") == "small", "{answer:?}");
        let limit = number(&answer, "max-output-tokens");
        assert!((64..512).contains(&limit) && answer.header("truncated-messages").is_empty(), "{answer:?}");
        claim(&format!(
            "{api}-python: 2000 tokens asked for, at most {limit} given, the prompt had {}",
            prompt_tokens(&answer)
        ));
    }
    Ok(())
}
