//! What is kept between two requests: by a provider, where a route allows it, and by nobody else but for the newest items.

use serde_json::{Value, json};

use crate::server::fake::*;

const JSON: &str = "application/json";

/// Lets applications at what the provider keeps.
fn allow(config: &mut Value) {
    route(config)["request"]["pass_through"] = json!(["Responses", "ChatCompletions", "Models"]);
}

/// The provider only chats.
fn chats(config: &mut Value) {
    config["providers"]["ai/fake"]["kind"] = "OpenAICompatible".into();
}

fn response(status: &str, text: &str) -> Act {
    let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]});
    let body = json!({"id": "resp_1", "object": "response", "model": "small-1", "status": status,
        "error": if status == "failed" { json!({"code": "server_error", "message": "no"}) } else { Value::Null },
        "output": [item], "usage": {"input_tokens": 10, "output_tokens": 5}});
    Act::Write(reply(200, &[], &body.to_string()))
}

#[tokio::test]
async fn answers_that_a_provider_keeps_are_reached_where_the_route_allows_it() {
    let rows = [
        ("GET", "/v1/responses/resp_1?include_obfuscation=true", ""),
        ("DELETE", "/v1/responses/resp_1", ""),
        ("POST", "/v1/responses/resp_1/cancel", ""),
        ("GET", "/v1/responses/resp_1/input_items", ""),
        ("GET", "/v1/chat/completions?limit=2", ""),
        ("GET", "/v1/chat/completions/c", ""),
        ("POST", "/v1/chat/completions/c", r#"{"metadata":{"a":"b"}}"#),
        ("DELETE", "/v1/chat/completions/c", ""),
        ("GET", "/v1/chat/completions/c/messages", ""),
        ("DELETE", "/v1/models/ft%3Agpt-4o-mini%3Ame%3Ax%3A1", ""),
    ];
    let (open, closed) = (World::new(allow).await, World::new(|_| ()).await);
    for (method, path, body) in rows {
        // One that failed is told like any other.
        open.provider.then([response("failed", "hi")]);
        let kind = if body.is_empty() { "" } else { JSON };
        let got = open.send(method, path, kind, body.to_owned()).await;
        assert_eq!((got.status.as_u16(), got.json()["model"].as_str()), (200, Some("small-1")), "{path}: {got:?}");
        let seen = open.provider.seen().pop().unwrap();
        assert!(seen.starts_with(&format!("{method} {path} HTTP/1.1\r\n")) && seen.ends_with(body), "{path}: {seen}");
        let got = closed.send(method, path, kind, body.to_owned()).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (403, "pass_through_not_allowed"), "{path}: {got:?}");
    }
    assert!(closed.provider.seen().is_empty());
}

#[tokio::test]
async fn what_goes_on_from_a_kept_answer_goes_to_its_keeper_and_is_kept_again() {
    let rows = [
        json!({"model": "chat", "input": "x", "previous_response_id": "resp_1"}),
        json!({"model": "chat", "conversation": "conv_1"}),
        json!({"model": "chat", "input": "x", "background": true}),
        json!({"model": "chat", "input": [{"type": "item_reference", "id": "msg_9"}]}),
        json!({"prompt": {"id": "pmpt_1"}}),
        json!({}),
    ];
    let open = World::new(|config| {
        allow(config);
        route(config)["fallbacks"] = json!([{"on": ["InternalServerError"], "to": ["large"]}]);
    })
    .await;
    let closed = World::new(|_| ()).await;
    for body in rows {
        open.provider.then([response("completed", "hi")]);
        let got = open.post("/v1/responses", body.to_string().into()).await;
        assert_eq!(got.status, 200, "{body}: {got:?}");
        let mut want = body.clone();
        want["model"] = "small-1".into();
        assert_eq!(body_of(&open.provider.seen().pop().unwrap()), want, "and nothing else is changed");
        let got = closed.post("/v1/responses", body.to_string().into()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
    }
    assert!(closed.provider.seen().is_empty());
    open.provider.then([Act::status(500, &[], "down")]);
    let body = json!({"model": "chat", "input": "x", "previous_response_id": "resp_1"});
    let got = open.post("/v1/responses", body.to_string().into()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), (502, "1"), "nobody else has it: {got:?}");
}

#[tokio::test]
async fn an_item_that_was_told_a_moment_ago_may_be_named_whoever_answers() {
    // The provider names all of its answers alike.
    let world = World::new(chats).await;
    for (streamed, said) in [(false, "hi"), (true, "ho")] {
        if streamed {
            world.provider.then([Act::events(&[&piece(said), &stop(), "[DONE]"], true)]);
        }
        let body = json!({"model": "chat", "input": "hello", "stream": streamed});
        let got = world.post("/v1/responses", body.to_string().into()).await;
        let id = got.text.split("\"id\":\"msg_").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let named = json!({"type": "item_reference", "id": format!("msg_{id}")});
        let input = json!([{"role": "user", "content": "hello"}, named, {"role": "user", "content": "and?"}]);
        let body = json!({"model": "chat", "input": input});
        let got = world.post("/v1/responses", body.to_string().into()).await;
        assert_eq!(got.status, 200, "{got:?}");
        let messages = &body_of(&world.provider.seen().pop().unwrap())["messages"];
        assert_eq!(
            (&messages[1]["role"], &messages[2]["content"]),
            (&json!("assistant"), &json!("and?")),
            "{messages}"
        );
        assert!(messages[1].to_string().contains(said), "{messages}");
    }
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let world = World::new(|_| ()).await;
    world.provider.then([response("completed", "hi")]);
    world.post("/v1/responses", json!({"model": "chat", "input": "x", "store": false}).to_string().into()).await;
    let body = json!({"model": "chat", "input": [{"type": "item_reference", "id": "msg_1"}]}).to_string();
    let got = world.post("/v1/responses", body.clone().into()).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert!(got.text.contains("input[0] refers to an item that is kept elsewhere"), "{got:?}");
    world.provider.then([response("completed", "hi"), response("completed", "ho")]);
    world.post("/v1/responses", json!({"model": "chat", "input": "x"}).to_string().into()).await;
    assert_eq!(world.post("/v1/responses", body.into()).await.status, 200);
}
