//! OpenAI's Responses API in front of backends that have it and of those that have not.

use serde_json::{Value, json};
use spillway_tests::client::{CHAT, MESSAGES, RESPONSES, Reply, post, response};
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Dialect, ErrorClass, Provider as Account, Route};

/// The same server as an account at OpenAI, which has the API, at somebody who copies its chats, and at Anthropic.
const ACCOUNTS: [&str; 3] = ["openai", "copy", "anthropic"];

async fn a_sidecar(routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let accounts = ACCOUNTS.map(|name| (name, account(name, &provider.base_url())));
    let snapshot = a_snapshot(routes, accounts.into());
    Ok((provider, Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?))
}

fn account(name: &str, url: &str) -> Account {
    let dialect = if name == "anthropic" { Dialect::Anthropic } else { Dialect::OpenAi };
    let mut account = a_provider(name, dialect, url);
    if name == "copy" {
        account.kind = "OpenAICompatible".into();
    }
    account
}

/// A route of each account, called after it.
fn routes(model: &str) -> Vec<Route> {
    ACCOUNTS.map(|name| a_route(name, vec![a_backend(name, model)])).into()
}

fn events(reply: &Reply) -> Vec<Value> {
    reply.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
}

#[tokio::test]
async fn every_backend_answers_plain_and_streamed() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar(routes("ok")).await?;
    for (name, arrives) in [("openai", RESPONSES), ("copy", CHAT), ("anthropic", MESSAGES)] {
        let reply = post(sidecar.data, RESPONSES, &response(name, false)).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{name}: {reply:?}");
        let whole = reply.json();
        assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")), "{name}: {whole}");
        assert_eq!(whole["model"], name, "the app sees the name it asked for");
        let usage = &whole["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&INPUT_TOKENS.into(), &OUTPUT_TOKENS.into()));
        assert_eq!(reply.header("x-spillway-cost-usd"), "0.0003", "{name}");

        let reply = post(sidecar.data, RESPONSES, &response(name, true)).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{name}: {reply:?}");
        assert!(reply.is_complete(), "{name}: {reply:?}");
        let events = events(&reply);
        let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64()).collect();
        assert!(numbers.iter().zip(0..).all(|(number, index)| *number == Some(index)), "{name}: {numbers:?}");
        let (first, last) = (&events[0], &events[events.len() - 1]);
        assert_eq!((&first["type"], &first["response"]["model"]), (&json!("response.created"), &json!(name)));
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], ANSWER, "{name}");
        assert_eq!(last["response"]["usage"]["output_tokens"], OUTPUT_TOKENS, "{name}");

        let seen = provider.seen();
        assert!(seen.iter().rev().take(2).all(|seen| seen.path == arrives), "{name}: {seen:?}");
    }
    let native = &provider.seen()[0].body;
    assert_eq!((&native["store"], &native["input"]), (&json!(false), &json!("How are you?")), "{native}");
    Ok(())
}

#[tokio::test]
async fn a_call_and_its_output_go_round_at_every_backend() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar(routes("tools")).await?;
    for name in ACCOUNTS {
        let tool = json!({"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}});
        let mut body = response(name, false);
        body["tools"] = json!([tool]);
        let whole = post(sidecar.data, RESPONSES, &body).await?.json();
        let items = whole["output"].as_array().cloned().unwrap_or_default();
        let call = items.iter().find(|item| item["type"] == "function_call").cloned().unwrap_or_default();
        assert_eq!((&call["name"], &call["status"]), (&json!("look_up"), &json!("completed")), "{name}: {whole}");
        assert_eq!(whole["tools"].as_array().map(Vec::len), Some(usize::from(name != "openai")), "{name}: {whole}");

        let mut stream = body.clone();
        stream["stream"] = true.into();
        let streamed = events(&post(sidecar.data, RESPONSES, &stream).await?);
        let last = &streamed[streamed.len() - 1]["response"]["output"];
        let streamed = last.as_array().into_iter().flatten().find(|item| item["type"] == "function_call");
        assert_eq!(streamed.map(|call| &call["arguments"]), Some(&call["arguments"]), "{name}: {last}");

        let mut turn = vec![json!({"role": "user", "content": "Where?"})];
        turn.extend(items);
        turn.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "here"}));
        body["input"] = turn.into();
        assert_eq!(post(sidecar.data, RESPONSES, &body).await?.status, 200, "{name}");
        let sent = provider.seen().last().map(|seen| seen.body.to_string()).unwrap_or_default();
        assert!(sent.contains("here") && sent.contains(call["call_id"].as_str().unwrap_or("no id")), "{name}: {sent}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_and_is_never_complete() -> anyhow::Result<()> {
    let (_provider, sidecar) = a_sidecar(routes("cut-40-of-60")).await?;
    for name in ACCOUNTS {
        let reply = post(sidecar.data, RESPONSES, &response(name, true)).await?;
        assert!(reply.has_error_event() && !reply.is_complete(), "{name}: {reply:?}");
        let events = events(&reply);
        let last = &events[events.len() - 1];
        assert_eq!(last["sequence_number"].as_u64(), Some(events.len() as u64 - 1), "{name}: {last}");
    }
    Ok(())
}

#[tokio::test]
async fn what_would_have_to_be_kept_is_refused_by_name() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar(routes("ok")).await?;
    for (key, value) in [("previous_response_id", json!("resp_1")), ("background", json!(true))] {
        let mut body = response("openai", false);
        body[key] = value;
        let reply = post(sidecar.data, RESPONSES, &body).await?;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(key)), "{reply:?}");
    }
    assert!(provider.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_providers_own_tool_is_asked_for_where_there_is_one() -> anyhow::Result<()> {
    let mixed = Route {
        fallbacks: vec![a_rule(&[ErrorClass::ServiceUnavailable], &["claude", "well"])],
        ..a_route(
            "mixed",
            vec![a_backend("openai", "status-503"), a_spare("anthropic", "claude"), a_spare("openai", "well")],
        )
    };
    let (provider, sidecar) = a_sidecar([routes("ok"), vec![mixed]].concat()).await?;
    let search = |name: &str| {
        let mut body = response(name, false);
        body["tools"] = json!([{"type": "web_search"}]);
        body
    };
    let reply = post(sidecar.data, RESPONSES, &search("anthropic")).await?;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.message().contains("web_search"), "{reply:?}");
    assert!(provider.seen().is_empty());
    let reply = post(sidecar.data, RESPONSES, &search("mixed")).await?;
    assert_eq!((reply.status, provider.models()), (200, vec!["status-503".to_owned(), "well".to_owned()]), "{reply:?}");
    Ok(())
}
