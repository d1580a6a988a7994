//! What an application may decide for a single request, and what it may not.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::json;

use crate::server::fake::{Act, Got, World, chat, connect, post, reply, route};

async fn ask(world: &World, headers: &[(&'static str, &str)]) -> Got {
    ask_for(world, post("/v1/chat/completions", Bytes::from(chat().to_string())), headers).await
}

async fn ask_for(
    world: &World,
    mut request: http::Request<http_body_util::Full<Bytes>>,
    headers: &[(&'static str, &str)],
) -> Got {
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    let answer = connect(world.addr).await.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    Got { status: head.status, headers: head.headers, text: String::from_utf8(bytes.into()).unwrap(), whole: true }
}

async fn world(hints: &[&str]) -> World {
    let hints = json!(hints);
    World::new(|config| {
        route(config)["request"]["hints"] = hints;
        route(config)["fallbacks"] = json!([{"on": ["ServiceUnavailable"], "to": ["large"]}]);
    })
    .await
}

type Headers = &'static [(&'static str, &'static str)];

const ALL: [&str; 4] = ["Backend", "Timeout", "Unsupported", "NoFallback"];

#[tokio::test]
async fn a_hint_that_the_route_does_not_allow_or_that_says_nothing_is_refused_by_name() {
    let (none, all) = (world(&[]).await, world(&ALL).await);
    let rows: [(&World, Headers, &str); 11] = [
        (&none, &[("x-spillway-backend", "large")], "add Backend to spec.request.hints"),
        (&none, &[("x-spillway-timeout", "1s")], "add Timeout to spec.request.hints"),
        (&none, &[("x-spillway-unsupported", "drop")], "add Unsupported to spec.request.hints"),
        (&none, &[("x-spillway-no-fallback", "false")], "add NoFallback to spec.request.hints"),
        (
            &all,
            &[("x-spillway-backend", "huge")],
            "\"huge\" is no backend of route shop/chat (there are small, large, blind)",
        ),
        (&all, &[("x-spillway-timeout", "soon")], "\"soon\" is not a duration such as 30s"),
        (&all, &[("x-spillway-timeout", "0s")], "\"0s\" is not a duration"),
        (&all, &[("x-spillway-unsupported", "maybe")], "\"maybe\" is none of drop, reject and pass"),
        (&all, &[("x-spillway-no-fallback", "")], "\"\" is neither true nor false"),
        (&all, &[("x-spillway-timeout", "1s"), ("x-spillway-timeout", "9s")], "it is given twice"),
        (&all, &[("x-spillway-backend", "\u{e9}")], "is no backend of route"),
    ];
    for (world, headers, want) in rows {
        let got = ask(world, headers).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "invalid_request"), "{headers:?}: {got:?}");
        let (param, message) = (&got.json()["error"]["param"], got.json()["error"]["message"].to_string());
        assert_eq!(param, headers[0].0, "{got:?}");
        assert!(message.contains(headers[0].0) && message.contains(&want.replace('"', "\\\"")), "{message}");
    }
    assert!(none.provider.seen().is_empty() && all.provider.seen().is_empty());
    assert_eq!(ask(&none, &[]).await.status, 200);
}

#[tokio::test]
async fn a_backend_that_was_asked_for_is_asked_first_and_the_others_after_it() {
    let world = world(&["Backend"]).await;
    let named = [("x-spillway-backend", "blind")];
    let got = ask(&world, &named).await;
    assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-fallback-reason")), ("blind", ""), "{got:?}");
    world.provider.then([Act::status(503, &[], "down")]);
    let got = ask(&world, &named).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
}

#[tokio::test]
async fn a_backend_that_was_asked_for_keeps_the_files_and_counts_the_tokens() {
    let world = World::new(|config| {
        route(config)["request"]["hints"] = json!(["Backend"]);
        route(config)["request"]["pass_through"] = json!(["Files"]);
        let mut claude = config["providers"]["ai/fake"].clone();
        (claude["kind"], claude["dialect"]) = ("Anthropic".into(), "Anthropic".into());
        config["providers"]["ai/claude"] = claude;
        route(config)["backends"][2]["provider"] = "ai/claude".into();
    })
    .await;
    let files = || post("/v1/files", Bytes::new());
    world.provider.then([Act::Write(reply(200, &[], r#"{"id":"f"}"#))]);
    let got = ask_for(&world, files(), &[("x-spillway-backend", "large")]).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "large"), "{got:?}");
    let got = ask_for(&world, files(), &[("x-spillway-backend", "blind")]).await;
    assert_eq!(got.status, 400, "who has none is not passed over in silence: {got:?}");
    assert!(got.text.contains("blind (Anthropic) does not serve this path"), "{got:?}");

    world.provider.then([Act::Write(reply(200, &[], r#"{"input_tokens":42}"#))]);
    let count = post("/v1/messages/count_tokens", Bytes::from(chat().to_string()));
    let got = ask_for(&world, count, &[("x-spillway-backend", "blind")]).await;
    assert_eq!((got.text.as_str(), got.header("x-spillway-backend")), (r#"{"input_tokens":42}"#, "blind"), "{got:?}");
}

#[tokio::test]
async fn nobody_is_asked_beside_the_first_where_that_was_asked_for() {
    let world = world(&ALL).await;
    for (value, status, asked) in [("true", 503, 1), ("false", 200, 3)] {
        world.provider.then([Act::status(503, &[], "down")]);
        let got = ask(&world, &[("x-spillway-no-fallback", value)]).await;
        assert_eq!((got.status.as_u16(), world.provider.seen().len()), (status, asked), "{value}: {got:?}");
    }
}

#[tokio::test]
async fn a_timeout_that_was_asked_for_only_shortens() {
    let world = World::new(|config| {
        route(config)["request"]["timeout_ms"] = json!(100);
        route(config)["request"]["hints"] = json!(["Timeout"]);
    })
    .await;
    for value in ["50ms", "1h"] {
        world.provider.then([Act::WriteAndHang(String::new())]);
        let begun = crate::clock::now();
        assert_eq!(ask(&world, &[("x-spillway-timeout", value)]).await.status, 504, "{value}");
        assert!(begun.elapsed().as_millis() < 2_000, "{value}: the provider's own timeout");
    }
}
