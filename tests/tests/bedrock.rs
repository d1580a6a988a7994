//! Amazon Bedrock behind a sidecar: signed requests, binary streams.

use spillway_tests::client::{CHAT, MESSAGES, chat, message, post, streamed};
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Dialect, ErrorClass};

const REGION: &str = "eu-central-1";
const NOVA: &str = "eu.amazon.nova-pro-v1:0";

async fn bedrock() -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let mut account = a_provider("aws", Dialect::Bedrock, &format!("http://{}", provider.address));
    account.region = Some(REGION.into());
    let mut failing = a_route("failing", vec![a_backend("aws", "event-error-0"), a_spare("aws", NOVA)]);
    failing.fallbacks = vec![a_rule(&[ErrorClass::RateLimited], &[NOVA])];
    let routes = vec![
        a_route("nova", vec![a_backend("aws", NOVA)]),
        a_route("claude", vec![a_backend("aws", "invoke/anthropic.claude-opus-5")]),
        a_route("breaking", vec![a_backend("aws", "event-error-3")]),
        a_route("cut", vec![a_backend("aws", "cut-3")]),
        failing,
    ];
    let snapshot = a_snapshot(routes, vec![("aws", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

#[tokio::test]
async fn requests_are_signed_and_answers_are_those_of_the_api_that_was_called() -> anyhow::Result<()> {
    let (provider, sidecar) = bedrock().await?;
    let rows = [
        (CHAT, chat("nova"), "converse"),
        (CHAT, streamed("nova"), "converse-stream"),
        (MESSAGES, message("nova", false), "converse"),
        (MESSAGES, message("nova", true), "converse-stream"),
    ];
    for (row, (path, body, method)) in rows.into_iter().enumerate() {
        let reply = post(sidecar.data, path, &body).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{body} gave {reply:?}");
        assert_eq!(reply.is_complete(), body["stream"] == true, "{reply:?}");
        let seen = &provider.seen()[row];
        assert_eq!(seen.path, format!("/model/eu.amazon.nova-pro-v1%3A0/{method}"));
        seen.check_signature(REGION)?;
        assert_eq!(seen.body["system"][0]["text"], "Be brief.");
        assert_eq!(seen.body["messages"][0]["content"][0]["text"], "How are you?");
    }
    let usage = &post(sidecar.data, CHAT, &chat("nova")).await?.json()["usage"];
    let counts = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64());
    assert_eq!(counts, (Some(INPUT_TOKENS), Some(OUTPUT_TOKENS)), "{usage}");
    Ok(())
}

#[tokio::test]
async fn a_claude_is_asked_in_its_own_words_where_its_name_says_so() -> anyhow::Result<()> {
    let (provider, sidecar) = bedrock().await?;
    let rows = [
        (CHAT, chat("claude"), "invoke"),
        (CHAT, streamed("claude"), "invoke-with-response-stream"),
        (MESSAGES, message("claude", false), "invoke"),
        (MESSAGES, message("claude", true), "invoke-with-response-stream"),
    ];
    for (row, (path, body, method)) in rows.into_iter().enumerate() {
        let reply = post(sidecar.data, path, &body).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{body} gave {reply:?}");
        assert_eq!(reply.is_complete(), body["stream"] == true, "{reply:?}");
        let seen = &provider.seen()[row];
        assert_eq!(seen.path, format!("/model/anthropic.claude-opus-5/{method}"));
        seen.check_signature(REGION)?;
        assert_eq!(seen.body["anthropic_version"], "bedrock-2023-05-31");
        assert!(seen.body.get("model").is_none() && seen.body.get("stream").is_none(), "{}", seen.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_is_told_from_one_that_ends_and_an_early_exception_is_answered_elsewhere()
-> anyhow::Result<()> {
    let (provider, sidecar) = bedrock().await?;
    let reply = post(sidecar.data, CHAT, &streamed("failing")).await?;
    assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
    assert_eq!(reply.header("x-spillway-backend"), NOVA);
    for seen in provider.seen() {
        seen.check_signature(REGION)?;
    }
    for model in ["breaking", "cut"] {
        let reply = post(sidecar.data, CHAT, &streamed(model)).await?;
        assert!(reply.status == 200 && reply.has_error_event() && !reply.is_complete(), "{model}: {reply:?}");
    }
    Ok(())
}
