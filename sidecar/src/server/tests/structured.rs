//! Answers that have to fit a JSON schema: what is wrong is corrected, answered by somebody else, or an error.

use serde_json::{Value, json};

use crate::server::fake::*;

async fn enforced(change: impl FnOnce(&mut Value)) -> World {
    World::new(|config| {
        route(config)["validation"] = json!({"schema": "Enforce"});
        change(route(config));
    })
    .await
}

fn asks(schema: &Value, stream: bool) -> Value {
    let mut body = if stream { streamed() } else { chat() };
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "price", "schema": schema}});
    body
}

fn price() -> Value {
    json!({"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]})
}

/// A whole answer that bills 10 tokens in and 5 out.
fn says(text: &str) -> Act {
    answers(json!({"role": "assistant", "content": text}), "stop")
}

fn answers(message: Value, reason: &str) -> Act {
    let mut body: Value = serde_json::from_str(&answer_body()).unwrap();
    body["choices"][0]["message"] = message;
    body["choices"][0]["finish_reason"] = json!(reason);
    Act::Write(reply(200, &[], &body.to_string()))
}

fn content(got: &Got) -> String {
    got.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

const GOOD: &str = r#"{"price": 7}"#;
const BAD: &str = r#"{"price": "seven"}"#;

#[tokio::test]
async fn an_answer_that_does_not_fit_is_corrected_once_and_both_are_paid() {
    let world = enforced(|_| ()).await;
    world.provider.then([says(BAD), says(GOOD)]);
    let got = world.chat(&asks(&price(), false)).await;
    let rows = [
        ("x-spillway-backend", "small"),
        ("x-spillway-attempts", "2"),
        ("x-spillway-fallback-reason", ""),
        ("x-spillway-schema", "corrected"),
        ("x-spillway-cost-usd", "0.00012"),
    ];
    for (name, want) in rows {
        assert_eq!(got.header(name), want, "{name} of {got:?}");
    }
    assert_eq!(content(&got), GOOD);
    let again = body_of(&world.provider.seen()[1]);
    let [asked, answered, told] = &again["messages"].as_array().unwrap()[..] else { panic!("three turns: {again}") };
    assert_eq!((&asked["content"], &answered["content"]), (&json!("hello"), &json!(BAD)));
    assert_eq!((&answered["role"], &told["role"]), (&json!("assistant"), &json!("user")));
    let told = told["content"].as_str().unwrap();
    assert!(told.contains("- /price: \"seven\" is not of type \"number\"") && told.contains("nothing else"), "{told}");
    assert_eq!(again["response_format"], asks(&price(), false)["response_format"], "the form is asked for again");
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.errors, totals.cost_nanos), (1, 0, 120_000), "one request, two bills");
    let metrics = world.runtime.telemetry.render();
    for outcome in ["unfit", "corrected"] {
        let line = format!(r#"schema_checks_total{{backend="small",outcome="{outcome}",route="shop/chat"}} 1"#);
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn a_response_is_checked_like_a_chat_plain_and_streamed() {
    let world = enforced(|_| ()).await;
    let format = json!({"type": "json_schema", "name": "price", "schema": price()});
    let asks = |stream: bool| {
        json!({"model": "chat", "input": "hello", "stream": stream, "text": {"format": format}}).to_string()
    };
    world.provider.then([says(BAD), says(GOOD)]);
    let got = world.post("/v1/responses", asks(false).into()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-schema")), (200, "corrected"), "{got:?}");
    assert_eq!(got.json()["output"][0]["content"][0]["text"], GOOD);
    let again = body_of(&world.provider.seen()[1]);
    let said: Vec<_> = again["input"].as_array().unwrap().iter().map(|item| &item["content"]).collect();
    assert_eq!((said.len(), said[0], said[1]), (3, &json!("hello"), &json!(BAD)), "{again}");

    world.provider.then([Act::events(&[&piece(BAD), &stop(), "[DONE]"], true)]);
    let got = world.post("/v1/responses", asks(true).into()).await;
    let events: Vec<Value> =
        got.text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["error"]["code"]),
        (&json!("error"), &json!("invalid_structured_output")),
        "{got:?}"
    );
    assert!(events.iter().enumerate().all(|(index, event)| event["sequence_number"] == index), "{}", got.text);
    assert!(!got.text.contains("response.completed"), "{}", got.text);
}

#[tokio::test]
async fn an_answer_that_stays_wrong_is_an_error_that_says_what_and_where() {
    let world = enforced(|_| ()).await;
    world.provider.then([says(BAD), says("I am sorry.")]);
    let got = world.chat(&asks(&price(), false)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (502, "invalid_structured_output"), "{got:?}");
    assert_eq!(got.header("x-should-retry"), "false");
    assert_eq!(got.header("x-spillway-error-class"), "UnprocessableEntity");
    let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
    for want in ["\"small\"", "not a JSON document alone", "\"I am sorry.\"", "2 attempts", "UnprocessableEntity"] {
        assert!(message.contains(want), "{want}: {message}");
    }
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.errors, totals.cost_nanos), (1, 1, 120_000), "{totals:?}");
    world.provider.then([says(BAD), says(BAD)]);
    let got = world.chat(&asks(&price(), false)).await;
    assert!(got.text.contains("/price: \\\"seven\\\" is not of type"), "{}", got.text);
}

#[tokio::test]
async fn the_next_backend_is_asked_the_question_as_it_was() {
    let world = enforced(|route| route["fallbacks"] = json!([{"on": ["UnprocessableEntity"], "to": ["large"]}])).await;
    world.provider.then([says(BAD), says(BAD), says(GOOD)]);
    let got = world.chat(&asks(&price(), false)).await;
    assert_eq!((got.status.as_u16(), content(&got).as_str()), (200, GOOD));
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-attempts")), ("large", "3"));
    assert_eq!(got.header("x-spillway-fallback-reason"), "UnprocessableEntity");
    assert_eq!(world.provider.models(), ["small-1", "small-1", "large-1"]);
    let turns: Vec<_> =
        world.provider.seen().iter().map(|seen| body_of(seen)["messages"].as_array().unwrap().len()).collect();
    assert_eq!(turns, [1, 3, 1]);
}

#[tokio::test]
async fn what_is_no_answer_or_good_enough_is_passed_on() {
    let call = json!([{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let message = |more: Value| {
        let mut message = json!({"role": "assistant", "content": null});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let rows = [
        ("a good answer", says(GOOD), GOOD),
        ("a refusal", answers(message(json!({"refusal": "I cannot do that"})), "stop"), "I cannot do that"),
        ("a filter's word", answers(message(json!({"content": "no"})), "content_filter"), "content_filter"),
        ("a tool's call", answers(message(json!({"tool_calls": call})), "tool_calls"), "tool_calls"),
        ("a lone fence", says("```json\n{\"price\": 7}\n```"), "\"content\":\"{\\\"price\\\": 7}\""),
    ];
    for (row, act, want) in rows {
        let world = enforced(|_| ()).await;
        world.provider.then([act]);
        let got = world.chat(&asks(&price(), false)).await;
        let want = if want == GOOD { Value::from(GOOD).to_string() } else { want.to_owned() };
        assert!(got.status == 200 && got.text.contains(&want), "{row}: {got:?}");
        assert_eq!((got.header("x-spillway-attempts"), got.header("x-spillway-schema")), ("1", ""), "{row}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_not_asked_for_again() {
    let world = enforced(|_| ()).await;
    world.provider.then([answers(json!({"role": "assistant", "content": "{\"price\": "}), "length")]);
    let got = world.chat(&asks(&price(), false)).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), (502, "1"), "{got:?}");
    assert!(got.text.contains("larger max_tokens"), "{}", got.text);
}

#[tokio::test]
async fn a_correction_that_the_provider_finds_too_long_says_nothing_of_the_prompt() {
    let world = enforced(|route| route["context_window"]["on_exceeded"] = json!("Truncate")).await;
    let too_long = "This model's maximum context length is 512 tokens. However, your messages resulted in 600 tokens.";
    world.provider.then([says(BAD), Act::status(400, &[], too_long)]);
    let got = world.chat(&asks(&price(), false)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (502, "invalid_structured_output"), "{got:?}");
    assert!(got.text.contains("/price") && world.provider.seen().len() == 2, "{}", got.text);
}

#[tokio::test]
async fn a_schema_that_cannot_be_enforced_is_refused_before_anybody_is_asked() {
    let world = enforced(|_| ()).await;
    let rows = [
        (json!({"$ref": "https://example.com/s.json"}), "nothing is fetched"),
        (json!({"type": "nonsense"}), "at /type"),
        (json!({"pattern": "("}), "no valid JSON schema"),
    ];
    for (schema, want) in rows {
        let got = world.chat(&asks(&schema, false)).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "invalid_request"), "{got:?}");
        assert!(got.text.contains(want) && got.json()["error"]["param"] == "response_format", "{}", got.text);
    }
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn a_correction_is_only_asked_for_where_it_fits_and_may_be_asked_for() {
    let long = format!("{{\"price\": \"{}\"}}", "word ".repeat(1_200));
    let rows = [("too long for the window", says(&long), 0), ("two in a minute", says(BAD), 1)];
    for (row, act, limit) in rows {
        let world = enforced(|route| {
            if limit > 0 {
                route["breaker"] = json!({"failure_threshold": 1, "failure_ratio_ppm": 1_000_000, "min_requests": 100,
                    "window_ms": 10_000, "success_threshold": 1, "open_for_ms": 60_000});
            }
        })
        .await;
        let later = if limit > 0 { Act::status(503, &[], "no") } else { says(GOOD) };
        world.provider.then([act, later]);
        let got = world.chat(&asks(&price(), false)).await;
        let want = if limit > 0 { (503, "2") } else { (502, "1") };
        assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), want, "{row}: {got:?}");
    }
}

fn pieces(text: &str) -> Act {
    let (half, rest) = text.split_at(text.len() / 2);
    Act::events(&[&piece(half), &piece(rest), &stop(), &usage(10), "[DONE]"], true)
}

#[tokio::test]
async fn a_stream_that_does_not_fit_never_ends_as_if_it_did() {
    let world = enforced(|_| ()).await;
    world.provider.then([pieces(GOOD)]);
    let got = world.chat(&asks(&price(), true)).await;
    assert!(got.text.ends_with("data: [DONE]\n\n") && got.text.contains("\"stop\""), "{}", got.text);
    world.provider.then([pieces(BAD)]);
    let got = world.chat(&asks(&price(), true)).await;
    assert!(got.status == 200 && got.whole, "{got:?}");
    let last = got.text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("\"code\":\"invalid_structured_output\"") && last.contains("/price"), "{}", got.text);
    assert!(last.contains("streaming.hold"), "{last}");
    assert!(!got.text.contains("[DONE]") && !got.text.contains("\"stop\""), "{}", got.text);
    assert_eq!(world.provider.seen().len(), 2, "the application has read it: nobody is asked again");
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.errors), (2, 1), "{totals:?}");
}

#[tokio::test]
async fn no_more_is_kept_behind_the_end_of_an_answer_than_has_to_be() {
    let rest =
        json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "note": "x".repeat(60_000)}).to_string();
    let (good, stop) = (piece(GOOD), stop());
    let mut events: Vec<&str> = vec![&good, &stop];
    events.extend(std::iter::repeat_n(rest.as_str(), 20));
    events.push("[DONE]");
    for (check, passed) in [("Enforce", false), ("Report", true)] {
        let world = World::new(|config| route(config)["validation"] = json!({"schema": check})).await;
        world.provider.then([Act::events(&events, true)]);
        let got = world.chat(&asks(&price(), true)).await;
        assert_eq!((got.text.contains("[DONE]"), got.text.contains(&rest)), (passed, passed), "{check}");
        let last = got.text.trim_end().rsplit("\n\n").next().unwrap();
        assert_eq!(last.contains("more than 1048576 bytes came after"), !passed, "{check}: {last:.300}");
    }
    // A response repeats at its end what it said, and that may be long.
    let world = enforced(|_| ()).await;
    let long = piece(&format!("{GOOD}{}", " ".repeat(400_000)));
    world.provider.then([Act::events(&[&long, &stop, "[DONE]"], true)]);
    let format = json!({"type": "json_schema", "name": "price", "schema": price()});
    let body = json!({"model": "chat", "input": "hello", "stream": true, "text": {"format": format}});
    let got = world.post("/v1/responses", body.to_string().into()).await;
    assert!(got.text.contains("response.completed"), "{:.300}", got.text);
}

#[tokio::test]
async fn a_stream_that_is_held_back_to_its_end_is_corrected() {
    let world = enforced(|route| route["streaming"]["hold_bytes"] = json!(1 << 20)).await;
    world.provider.then([pieces(BAD), pieces(GOOD)]);
    let got = world.chat(&asks(&price(), true)).await;
    assert!(got.text.ends_with("data: [DONE]\n\n") && !got.text.contains("seven"), "{}", got.text);
    assert_eq!((got.header("x-spillway-attempts"), got.header("x-spillway-schema")), ("2", "corrected"));
    world.provider.then([pieces(BAD), pieces(BAD)]);
    let got = world.chat(&asks(&price(), true)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (502, "invalid_structured_output"), "{got:?}");
}

#[tokio::test]
async fn a_route_that_reports_passes_on_and_one_that_does_not_look_says_nothing() {
    for (check, want) in [("Report", "unfit"), ("None", "")] {
        let world = World::new(|config| route(config)["validation"] = json!({"schema": check})).await;
        world.provider.then([says(BAD), pieces(BAD)]);
        let got = world.chat(&asks(&price(), false)).await;
        assert_eq!((content(&got).as_str(), got.header("x-spillway-schema")), (BAD, want), "{check}");
        let got = world.chat(&asks(&price(), true)).await;
        assert!(got.text.ends_with("data: [DONE]\n\n"), "{check}: {}", got.text);
        let remote = json!({"$ref": "https://example.com/s.json"});
        assert_eq!(world.chat(&asks(&remote, false)).await.status, 200, "{check}: what cannot be enforced is not");
    }
}

#[tokio::test]
async fn a_cascade_asks_on_where_the_answer_does_not_fit_the_schema() {
    for (check, second, want) in [("None", GOOD, GOOD), ("Enforce", GOOD, GOOD), ("None", BAD, BAD)] {
        let world = World::new(|config| {
            let route = route(config);
            route["strategy"] = json!({"Cascade": {"escalate_when": "!response.schemaValid"}});
            route["backends"][1]["role"] = json!("Primary");
            route["validation"] = json!({"schema": check});
        })
        .await;
        world.provider.then([says(BAD), says(second)]);
        let got = world.chat(&asks(&price(), false)).await;
        assert_eq!((content(&got).as_str(), got.header("x-spillway-backend")), (want, "large"), "{check}: {got:?}");
        assert_eq!(world.provider.models(), ["small-1", "large-1"], "{check}");
    }
}

#[tokio::test]
async fn an_object_is_asked_for_and_nothing_else_is_one() {
    let world = enforced(|_| ()).await;
    let mut body = chat();
    body["response_format"] = json!({"type": "json_object"});
    world.provider.then([says("[1]"), says("{}")]);
    let got = world.chat(&body).await;
    assert_eq!((content(&got).as_str(), got.header("x-spillway-schema")), ("{}", "corrected"), "{got:?}");
}

#[tokio::test]
async fn an_application_of_anthropics_is_told_in_its_own_words() {
    let world = enforced(|_| ()).await;
    let body = json!({"model": "chat", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}],
        "output_config": {"format": {"type": "json_schema", "schema": price()}}});
    world.provider.then([says(BAD), says(GOOD)]);
    let got = world.post("/v1/messages", body.to_string().into()).await;
    assert_eq!(got.json()["content"][0]["text"], GOOD, "{got:?}");
    world.provider.then([says(BAD), says(BAD)]);
    let got = world.post("/v1/messages", body.to_string().into()).await;
    assert_eq!((got.status.as_u16(), &got.json()["error"]["type"]), (502, &json!("api_error")), "{got:?}");
    assert!(got.text.contains("/price"), "{}", got.text);
}
