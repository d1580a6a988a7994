//! A request reaches the backend its route names, as the provider wants it, and nothing else of the application's does.

use spillway_tests::client::{CHAT, MESSAGES, chat, message, post, request, send, streamed};
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::Dialect;

/// `chat` at an OpenAI provider, `claude` at an Anthropic one, the same server behind both.
async fn both_dialects() -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let snapshot = a_snapshot(
        vec![
            a_route("chat", vec![a_backend("openai", "ok")]),
            a_route("claude", vec![a_backend("anthropic", "ok")]),
            a_route("crumbs", vec![a_backend("openai", "crumbs")]),
            a_route("claude-crumbs", vec![a_backend("anthropic", "crumbs")]),
            a_route("tools", vec![a_backend("openai", "tools")]),
            a_route("claude-tools", vec![a_backend("anthropic", "tools")]),
        ],
        vec![
            ("openai", a_provider("openai", Dialect::OpenAi, &provider.base_url())),
            ("anthropic", a_provider("anthropic", Dialect::Anthropic, &provider.base_url())),
        ],
    );
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

#[tokio::test]
async fn the_provider_gets_our_key_its_own_model_name_and_every_field() -> anyhow::Result<()> {
    let (provider, sidecar) = both_dialects().await?;
    let mut body = chat("chat");
    body["brand_new_field"] = serde_json::json!({"kept": [1, 2.50, "as it came"]});
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer the-apps-own"),
        ("cookie", "session=secret"),
        ("x-forwarded-for", "10.1.2.3"),
    ];
    let reply = send(sidecar.data, &request("POST", CHAT, &headers, body.to_string().as_bytes())).await?;
    assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
    assert_eq!(reply.json()["model"], "chat", "the app sees the name it asked for");

    let seen = &provider.seen()[0];
    assert_eq!((seen.path.as_str(), seen.model().as_str()), (CHAT, "ok"));
    assert_eq!(seen.header("authorization"), Some("Bearer key-of-shop/openai"));
    assert_eq!(seen.body["brand_new_field"], body["brand_new_field"]);
    assert_eq!(seen.body["messages"], body["messages"]);
    for stripped in ["cookie", "x-forwarded-for"] {
        assert_eq!(seen.header(stripped), None, "{stripped} went to the provider");
    }
    Ok(())
}

#[tokio::test]
async fn the_answers_headers_say_what_happened() -> anyhow::Result<()> {
    let (_provider, sidecar) = both_dialects().await?;
    let reply = post(sidecar.data, CHAT, &chat("chat")).await?;
    let rows = [
        ("x-spillway-route", "shop/chat"),
        ("x-spillway-backend", "ok"),
        ("x-spillway-provider", "shop/openai"),
        ("x-spillway-model", "ok"),
        ("x-spillway-attempts", "1"),
        // 100 tokens at $1 and 20 at $10 per million.
        ("x-spillway-cost-usd", "0.0003"),
    ];
    for (name, want) in rows {
        assert_eq!(reply.header(name), want, "{name} of {:?}", reply.headers);
    }
    assert!(!reply.header("x-spillway-request-id").is_empty());
    assert!(reply.header("x-spillway-overhead-us").parse::<u64>().is_ok());
    Ok(())
}

#[tokio::test]
async fn either_dialect_is_served_by_either_provider_plain_and_streamed() -> anyhow::Result<()> {
    let (provider, sidecar) = both_dialects().await?;
    let rows = [
        // what the app calls, what it sends, where it must arrive
        (CHAT, chat("chat"), CHAT),
        (CHAT, streamed("chat"), CHAT),
        (CHAT, chat("claude"), MESSAGES),
        (CHAT, streamed("claude"), MESSAGES),
        (MESSAGES, message("chat", false), CHAT),
        (MESSAGES, message("chat", true), CHAT),
        (MESSAGES, message("claude", false), MESSAGES),
        (MESSAGES, message("claude", true), MESSAGES),
    ];
    for (row, (path, body, arrives)) in rows.into_iter().enumerate() {
        let reply = post(sidecar.data, path, &body).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "row {row}: {body} gave {reply:?}");
        assert_eq!(provider.seen()[row].path, arrives, "row {row}: {body}");
        if body["stream"] == true {
            assert!(reply.is_complete(), "row {row}: {body} gave {reply:?}");
        } else {
            let usage = &reply.json()["usage"];
            let (input, output) = if path == CHAT {
                (&usage["prompt_tokens"], &usage["completion_tokens"])
            } else {
                (&usage["input_tokens"], &usage["output_tokens"])
            };
            assert_eq!(
                (input.as_u64(), output.as_u64()),
                (Some(INPUT_TOKENS), Some(OUTPUT_TOKENS)),
                "row {row}: {usage}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_still_that_answer() -> anyhow::Result<()> {
    let (_provider, sidecar) = both_dialects().await?;
    for model in ["crumbs", "claude-crumbs"] {
        for body in [chat(model), streamed(model)] {
            let reply = post(sidecar.data, CHAT, &body).await?;
            assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{body} gave {reply:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_call_survives_the_translation() -> anyhow::Result<()> {
    let (_provider, sidecar) = both_dialects().await?;
    for model in ["tools", "claude-tools"] {
        let mut body = chat(model);
        let schema = serde_json::json!({"type": "object", "properties": {"city": {"type": "string"}}});
        body["tools"] =
            serde_json::json!([{"type": "function", "function": {"name": "look_up", "parameters": schema}}]);
        let reply = post(sidecar.data, CHAT, &body).await?;
        let choice = reply.json()["choices"][0].clone();
        assert_eq!(choice["finish_reason"], "tool_calls", "{model}: {reply:?}");
        let call = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(call["name"], "look_up", "{model}");
        let arguments: serde_json::Value = serde_json::from_str(call["arguments"].as_str().unwrap_or_default())?;
        assert_eq!(arguments["city"], "Zürich", "{model}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_tells_usage_only_to_those_who_asked() -> anyhow::Result<()> {
    let (provider, sidecar) = both_dialects().await?;
    for (index, asked) in [false, true].into_iter().enumerate() {
        let mut body = streamed("chat");
        if asked {
            body["stream_options"] = serde_json::json!({"include_usage": true});
        }
        let reply = post(sidecar.data, CHAT, &body).await?;
        let told = reply.events().iter().any(|event| event.contains("\"prompt_tokens\""));
        assert_eq!(told, asked, "{:?}", reply.events());
        assert_eq!(
            provider.seen()[index].body["stream_options"]["include_usage"],
            true,
            "we always ask, to know the cost"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_exact_name_wins_over_a_glob_and_the_longer_glob_over_the_shorter() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let named = |name: &str, models: &[&str]| {
        let mut route = a_route(name, vec![a_backend("openai", name)]);
        route.models = models.iter().map(ToString::to_string).collect();
        route
    };
    let snapshot = a_snapshot(
        vec![named("any", &["gpt-*"]), named("four", &["gpt-4o*"]), named("mini", &["gpt-4o-mini"])],
        vec![("openai", a_provider("openai", Dialect::OpenAi, &provider.base_url()))],
    );
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    let rows = [("gpt-4o-mini", "mini"), ("gpt-4o-2024", "four"), ("gpt-4o", "four"), ("gpt-5", "any")];
    for (asked, served) in rows {
        let reply = post(sidecar.data, CHAT, &chat(asked)).await?;
        assert_eq!(reply.header("x-spillway-backend"), served, "{asked}");
        assert_eq!(reply.json()["model"], asked, "a name under a glob is shown as it was asked for");
    }
    Ok(())
}
