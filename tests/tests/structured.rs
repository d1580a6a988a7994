//! Answers that have to fit a JSON schema, through processes: corrected once, answered by somebody else, or an error.

use serde_json::{Value, json};
use spillway_tests::client::{CHAT, MESSAGES, chat, message, post, streamed};
use spillway_tests::process::program;
use spillway_tests::provider::{Provider, RIGHT, WRONG};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Dialect, ErrorClass, Route, SchemaCheck, Validation};

/// A route that enforces schemas, called after its model.
fn enforcing(model: &str) -> Route {
    let route = a_route(model, vec![a_backend("main", model)]);
    Route { validation: Validation { schema: SchemaCheck::Enforce }, ..route }
}

async fn serving(dialect: Dialect, routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let snapshot = a_snapshot(routes, vec![("main", a_provider("main", dialect, &provider.base_url()))]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

fn person() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"], "additionalProperties": false})
}

fn asks(mut body: Value, schema: &Value) -> Value {
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}});
    body
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[tokio::test]
async fn a_plain_answer_is_corrected_once_in_every_dialect() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let models = ["json-right", "json-mends", "json-wrong", "json-fenced", "json-prose"];
        let (provider, sidecar) = serving(dialect, models.map(enforcing).into()).await?;
        let fenced = if dialect == Dialect::OpenAi { "1" } else { "" };
        let rows = [
            ("json-right", 200, "1"),
            ("json-mends", 200, "2"),
            ("json-wrong", 502, "2"),
            ("json-fenced", 200, fenced),
            ("json-prose", 502, "2"),
        ];
        for (model, status, attempts) in rows {
            // What is no document is no tool's input either.
            if dialect == Dialect::Anthropic && matches!(model, "json-fenced" | "json-prose") {
                continue;
            }
            let reply = post(sidecar.data, CHAT, &asks(chat(model), &person())).await?;
            let at = format!("{dialect:?} {model}: {reply:?}");
            assert_eq!((reply.status, reply.header("x-spillway-attempts")), (status, attempts), "{at}");
            if status == 200 {
                assert_eq!(document(&reply.text()), document(RIGHT), "{at}");
                let choice = &reply.json()["choices"][0];
                assert!(choice["finish_reason"] == "stop" && choice["message"].get("tool_calls").is_none(), "{at}");
            } else {
                assert_eq!(reply.code(), "invalid_structured_output", "{at}");
            }
        }
        let wrong = post(sidecar.data, CHAT, &asks(chat("json-wrong"), &person())).await?;
        assert!(wrong.message().contains("/age: \"thirty-six\" is not of type \"integer\""), "{}", wrong.message());
        let last = provider.seen().pop().map(|seen| seen.body["messages"].to_string()).unwrap_or_default();
        assert!(last.contains("- /age:") && last.contains("thirty-six"), "{last}");
        sidecar.until_output(|log| log.contains(r#""schema":"uncorrected""#)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_well_only_if_it_fits_and_one_that_is_held_is_corrected() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut held = enforcing("json-mends");
        held.streaming.hold_bytes = 1 << 20;
        let routes = vec![enforcing("json-right"), enforcing("json-wrong"), held];
        let (_provider, sidecar) = serving(dialect, routes).await?;
        for (model, complete, text) in
            [("json-right", true, RIGHT), ("json-wrong", false, WRONG), ("json-mends", true, RIGHT)]
        {
            let reply = post(sidecar.data, CHAT, &asks(streamed(model), &person())).await?;
            let at = format!("{dialect:?} {model}: {}", String::from_utf8_lossy(&reply.body));
            assert_eq!((reply.status, reply.whole, reply.is_complete()), (200, true, complete), "{at}");
            assert_eq!(document(&reply.text()), document(text), "{at}");
            assert_eq!(at.contains("invalid_structured_output") && at.contains("/age"), !complete, "{at}");
            assert!(!at.contains("tool"), "{at}");
            let mut body = message(model, true);
            body["output_config"] = json!({"format": {"type": "json_schema", "schema": person()}});
            let reply = post(sidecar.data, MESSAGES, &body).await?;
            let at = format!("{dialect:?} {model}: {}", String::from_utf8_lossy(&reply.body));
            assert_eq!((reply.status, reply.is_complete()), (200, complete), "{at}");
            assert_eq!(at.contains("event: error"), !complete, "{at}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_next_backend_of_a_rule_for_it_is_asked() -> anyhow::Result<()> {
    let mut route = enforcing("json-wrong");
    route.backends.push(a_spare("main", "json-right"));
    route.fallbacks = vec![a_rule(&[ErrorClass::UnprocessableEntity], &["json-right"])];
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![route]).await?;
    let reply = post(sidecar.data, CHAT, &asks(chat("json-wrong"), &person())).await?;
    assert_eq!((reply.status, reply.header("x-spillway-attempts")), (200, "3"), "{reply:?}");
    assert_eq!(reply.header("x-spillway-fallback-reason"), "UnprocessableEntity");
    assert_eq!(provider.models(), ["json-wrong", "json-wrong", "json-right"]);
    Ok(())
}

#[tokio::test]
async fn hostile_schemas_are_refused_or_bounded_and_the_sidecar_goes_on() -> anyhow::Result<()> {
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![enforcing("json-right")]).await?;
    let array = |more: &str| format!("{{\"properties\": {{\"name\": {{\"$ref\": \"#\"}}}}, \"{more}\": 0}}");
    let twice: Value =
        serde_json::from_str(&format!("{{\"allOf\": [{}, {}]}}", array("minProperties"), array("minItems")))?;
    let many: Vec<String> = (0..10_000).map(|number| format!("value {number}")).collect();
    let rows = [
        ("remote", json!({"$ref": "http://169.254.169.254/latest"}), 400, "nothing is fetched"),
        ("a file", json!({"items": {"$ref": "file:///etc/passwd"}}), 400, "nothing is fetched"),
        ("itself", json!({"$ref": "#"}), 400, "leads back to where it stands"),
        ("twice", twice, 200, ""),
        ("many values", json!({"properties": {"name": {"enum": many}}}), 502, "/name: \\\"Ada\\\" is not one of"),
        ("a pattern", json!({"properties": {"name": {"pattern": "^(?=(a|aa)+$)(a|aa)+b$"}}}), 502, "/name"),
        ("too large a pattern", json!({"pattern": "((\\w{200}){200}){200}"}), 400, "no valid JSON schema"),
        ("no schema", json!({"type": 7}), 400, "at /type"),
    ];
    for (row, schema, status, want) in rows {
        let reply = post(sidecar.data, CHAT, &asks(chat("json-right"), &schema)).await?;
        let body = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, status, "{row}: {body}");
        assert!(body.contains(want) && body.len() < 4_000, "{row}: {body}");
    }
    let asked = provider.seen().len();
    let reply = post(sidecar.data, CHAT, &asks(chat("json-right"), &person())).await?;
    assert_eq!((reply.status, provider.seen().len()), (200, asked + 1), "{reply:?}");
    Ok(())
}
