//! What an answer costs: by the tier that served it, by how long its prompt was, by the provider's own word.

use serde_json::{Value, json};

use crate::server::fake::*;

/// $1 and $10 a million tokens; ten times that above 500, and twice that for the priority tier.
fn tiers(config: &mut Value) {
    let rates = |input: u64| json!({"input_nanos": input, "output_nanos": 10 * input});
    let card = |tier: &str, above: u64, input: u64| {
        let mut card = rates(input);
        card["tier"] = tier.into();
        card["above_tokens"] = above.into();
        card
    };
    let price = &mut route(config)["backends"][0]["model"]["price"];
    *price = rates(1_000_000_000);
    price["cards"] = json!([card("Standard", 500, 10_000_000_000), card("Priority", 0, 2_000_000_000)]);
}

#[tokio::test]
async fn an_answer_costs_what_its_tier_and_its_prompt_and_its_provider_say() {
    let usage = |input: u64| json!({"prompt_tokens": input, "completion_tokens": 5, "total_tokens": input + 5});
    let mut told = usage(10);
    told["cost"] = json!(0.000_123);
    let mut thoughts = usage(10);
    thoughts["completion_tokens_details"] = json!({"reasoning_tokens": 4});
    let rows = [
        ("as usual", usage(10), Value::Null, "0.00006"),
        ("a tier without cards", usage(10), json!("flex"), "0.00006"),
        ("a dearer tier", usage(10), json!("priority"), "0.00012"),
        ("a long prompt", usage(501), Value::Null, "0.00551"),
        ("thoughts are output", thoughts, Value::Null, "0.00006"),
        ("the provider's own word", told, json!("priority"), "0.000123"),
    ];
    for (row, usage, tier, want) in rows {
        let world = World::new(tiers).await;
        let mut answer: Value = serde_json::from_str(&answer_body()).unwrap();
        (answer["usage"], answer["service_tier"]) = (usage, tier);
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let got = world.chat(&chat()).await;
        assert_eq!(got.header("x-spillway-cost-usd"), want, "{row}: {got:?}");
    }
}

#[tokio::test]
async fn what_a_request_may_cost_is_bound_by_the_tier_it_asks_for() {
    // Ten tokens of prompt and hundred of answer: a tenth of a cent, and two tenths in the dearer tier.
    for (tier, want) in [("default", 200), ("priority", 400)] {
        let world = World::new(|config| {
            tiers(config);
            route(config)["max_cost_nanos"] = 1_500_000.into();
        })
        .await;
        let mut body = chat();
        body["max_tokens"] = 100.into();
        body["service_tier"] = tier.into();
        world.provider.then([Act::Write(reply(200, &[], &answer_body()))]);
        let got = world.chat(&body).await;
        assert_eq!(got.status.as_u16(), want, "{tier}: {got:?}");
        assert!(want == 200 || got.code() == "cost_limit_exceeded", "{tier}: {got:?}");
    }
}

#[tokio::test]
async fn sound_without_a_price_of_its_own_is_billed_as_text_and_counted_as_unpriced() {
    for (rate, cost, unpriced) in [(None, "0.00006", 1), (Some(100_000_000_000u64), "0.000456", 0)] {
        let world = World::new(|config| {
            let price = &mut route(config)["backends"][0]["model"]["price"];
            *price = json!({"input_nanos": 1_000_000_000u64, "output_nanos": 10_000_000_000u64});
            if let Some(rate) = rate {
                price["audio_input_nanos"] = rate.into();
            }
        })
        .await;
        let mut answer: Value = serde_json::from_str(&answer_body()).unwrap();
        answer["usage"] =
            json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 4}});
        world.provider.then([Act::Write(reply(200, &[], &answer.to_string()))]);
        let got = world.chat(&chat()).await;
        assert_eq!(got.header("x-spillway-cost-usd"), cost, "{got:?}");
        assert_eq!(world.runtime.usage.lines()[0].totals.unpriced, unpriced, "{rate:?}");
    }
}

#[tokio::test]
async fn the_last_usage_of_a_stream_says_what_it_cost() {
    let usage = r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
    let (mut asked, mut message) = (streamed(), streamed());
    asked["stream_options"] = json!({"include_usage": true});
    message["max_tokens"] = 9.into();
    let response = json!({"model": "chat", "input": "hello", "stream": true});
    let rows = [
        ("/v1/chat/completions", &asked, json!({}), 1),
        ("/v1/chat/completions", &asked, json!({"bytes": 1_000}), 1),
        ("/v1/chat/completions", &streamed(), json!({}), 0),
        ("/v1/messages", &message, json!({}), 1),
        ("/v1/responses", &response, json!({}), 1),
    ];
    for (path, body, hold, times) in rows {
        let world = World::new(|config| {
            tiers(config);
            route(config)["hold"] = hold.clone();
        })
        .await;
        world.provider.then([Act::events(&[&piece("hi"), &stop(), usage, "[DONE]"], true)]);
        let got = world.post(path, body.to_string().into()).await;
        let told = got.text.matches(r#""usage":{"cost_usd":0.00006,"#).count();
        assert_eq!((got.status.as_u16(), told), (200, times), "{path} {hold}: {got:?}");
        assert_eq!(got.text.matches("cost_usd").count(), times, "{path} {hold}: {got:?}");
    }
}

#[tokio::test]
async fn vectors_whose_tokens_nobody_counted_have_a_count_and_a_cost() {
    let world = World::new(tiers).await;
    world.provider.then([Act::Write(reply(200, &[], r#"{"object":"list","data":[{"index":0,"embedding":[0.5]}]}"#))]);
    let request = json!({"model": "chat", "input": "a word or two of twenty-six"});
    let got = world.post("/v1/embeddings", request.to_string().into()).await;
    // The vectors are no tokens: how long they are is not charged.
    let tokens = got.json()["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!((5..=9).contains(&tokens), "{got:?}");
    assert_eq!(got.header("x-spillway-cost-usd"), format!("0.00000{tokens}"), "{got:?}");
}

#[tokio::test]
async fn an_answer_that_failed_is_billed_as_far_as_it_says_what_it_used() {
    let usage = r#""usage":{"prompt_tokens":10,"completion_tokens":5}"#;
    let broken =
        format!(r#"{{"choices":[{{"finish_reason":"error","error":{{"code":502,"message":"no"}}}}],{usage}}}"#);
    let whole = format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}],{usage}}}"#
    );
    let gzip =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}";
    let rows = [
        ("half of one", reply(200, &[], &broken), true),
        ("an error in its place", reply(200, &[], r#"{"error":{"code":500,"message":"no"}}"#), false),
        ("in a coding that was not asked for", gzip.into(), true),
    ];
    for (row, first, dearer) in rows {
        let world = World::new(|config| {
            tiers(config);
            let retries = json!({"attempts": 1, "on": ["InternalServerError"], "backoff_base_ms": 1, "backoff_max_ms": 1,
                "honour_retry_after_ms": 50});
            route(config)["retries"] = retries;
        })
        .await;
        world.provider.then([Act::Write(first), Act::Write(reply(200, &[], &whole))]);
        let got = world.chat(&chat()).await;
        let cost = got.header("x-spillway-cost-usd");
        assert_eq!((got.header("x-spillway-attempts"), cost != "0.00006"), ("2", dearer), "{row}: {got:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_charged_a_token_for_each_piece_that_came() {
    let world = World::new(tiers).await;
    let pieces = vec![piece("a"); 40];
    let events: Vec<&str> = pieces.iter().map(String::as_str).collect();
    world.provider.then([Act::events(&events, true)]);
    let got = world.chat(&streamed()).await;
    assert!(got.text.contains("error"), "{got:?}");
    assert_eq!(world.runtime.usage.lines()[0].totals.output_tokens, 40);
}
