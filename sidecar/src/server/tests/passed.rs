//! What is passed on as it is.

use serde_json::{Value, json};

use crate::server::fake::*;

const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data; boundary=b";

/// An answer that is no JSON.
fn other(kind: &str, body: &str) -> Act {
    Act::Write(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

fn chunked(kind: &str, chunks: &[&str]) -> String {
    let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, data): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n");
    parts.iter().map(part).collect::<String>() + "--b--\r\n"
}

/// The provider speaks another dialect.
fn turn(config: &mut Value, kind: &str) {
    config["providers"]["ai/fake"]["kind"] = kind.into();
    config["providers"]["ai/fake"]["dialect"] = kind.into();
}

/// A second route, over the same backends.
fn second(config: &mut Value, name: &str) {
    let mut route = route(config).clone();
    (route["name"], route["models"]) = (name.into(), json!([name]));
    config["routes"][format!("shop/{name}")] = route;
}

/// Lets applications at what the provider keeps.
fn allow(config: &mut Value, name: &str) {
    config["routes"][name]["request"]["pass_through"] = json!(["Files", "Batches"]);
}

#[tokio::test]
async fn a_request_goes_where_the_provider_has_it_with_the_providers_name_of_the_model() {
    let rows = [
        ("/v1/moderations", "/v1/moderations", json!({"model": "chat", "input": "x"})),
        ("/v1/rerank", "/v1/rerank", json!({"model": "chat", "query": "q", "documents": ["a"]})),
        ("/v2/rerank", "/v1/rerank", json!({"model": "chat", "query": "q", "documents": ["a"]})),
        ("/v1/images/generations", "/v1/images/generations", json!({"model": "chat", "prompt": "x", "n": 2})),
    ];
    for (path, upstream, mut body) in rows {
        let world = World::new(|_| ()).await;
        let answer = r#"{"model":"small-1-2026","results":[1]}"#;
        world.provider.then([Act::Write(reply(200, &["x-request-id: r"], answer))]);
        let got = world.post(path, body.to_string().into()).await;
        assert_eq!(
            (got.status.as_u16(), got.text.as_str()),
            (200, r#"{"model":"chat","results":[1]}"#),
            "{path}: {got:?}"
        );
        let names = ["x-spillway-route", "x-spillway-backend", "x-request-id", "x-spillway-cost-usd"];
        assert_eq!(names.map(|name| got.header(name)), ["shop/chat", "small", "r", ""], "{path}: unknown is not 0");
        let seen = &world.provider.seen()[0];
        assert!(seen.starts_with(&format!("POST {upstream} HTTP/1.1\r\n")), "{path}: {seen}");
        assert!(seen.contains("authorization: Bearer sk-canary\r\n"), "{path}: {seen}");
        body["model"] = "small-1".into();
        assert_eq!(body_of(seen), body, "{path}");
        let totals = world.runtime.usage.lines()[0].totals;
        assert_eq!((totals.requests, totals.unpriced, totals.cost_nanos), (1, 1, 0), "{path}");
    }
}

#[tokio::test]
async fn defaults_of_a_conversation_stay_out_of_everything_else_and_what_is_set_does_not() {
    let world = World::new(|config| {
        route(config)["request"]["defaults"] = json!({"temperature": 0.2});
        route(config)["request"]["set"] = json!({"user": "shop"});
    })
    .await;
    let rows = [
        ("/v1/moderations", json!({"model": "chat", "input": "x"}), false),
        ("/v1/rerank", json!({"model": "chat", "query": "q", "documents": ["a"]}), false),
        ("/v1/images/generations", json!({"model": "chat", "prompt": "x"}), false),
        ("/v1/embeddings", json!({"model": "chat", "input": "x"}), false),
        ("/v1/completions", json!({"model": "chat", "prompt": "x"}), true),
        ("/v1/chat/completions", chat(), true),
    ];
    for (path, body, want) in rows {
        world.post(path, body.to_string().into()).await;
        let seen = body_of(&world.provider.seen().pop().unwrap());
        assert_eq!((seen.get("temperature").is_some(), &seen["user"]), (want, &json!("shop")), "{path}: {seen}");
    }
    world.provider.then([Act::Write(reply(200, &[], r#"{"text":"x"}"#))]);
    world.send("POST", "/v1/audio/transcriptions", FORM, form(&[("name=\"model\"", "chat")])).await;
    let seen = world.provider.seen().pop().unwrap();
    assert!(seen.contains("name=\"user\"") && !seen.contains("temperature"), "{seen}");
}

#[tokio::test]
async fn cohere_reranks_and_who_cannot_is_refused_by_name() {
    let body = json!({"model": "chat", "query": "q", "documents": ["a"]}).to_string();
    let world = World::new(|config| turn(config, "Cohere")).await;
    world.provider.then([Act::Write(reply(200, &[], r#"{"results":[]}"#))]);
    assert_eq!(world.post("/v2/rerank", body.clone().into()).await.status, 200);
    assert!(world.provider.seen()[0].starts_with("POST /v1/rerank "), "behind its base URL");

    world.provider.then([Act::Write(reply(200, &[], r#"{"results":[],"usage":{"total_tokens":7}}"#))]);
    assert_eq!(world.post("/v1/rerank", body.clone().into()).await.header("x-spillway-cost-usd"), "0.000007");

    let world = World::new(|config| turn(config, "Anthropic")).await;
    let got = world.post("/v1/rerank", body.into()).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert!(got.text.contains("small (Anthropic) does not serve this path"), "{got:?}");
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn what_fails_is_answered_by_the_next_backend_that_has_it() {
    let world = World::new(|config| {
        let mut gemini = config["providers"]["ai/fake"].clone();
        (gemini["kind"], gemini["dialect"]) = ("Gemini".into(), "Gemini".into());
        config["providers"]["ai/gemini"] = gemini;
        route(config)["backends"][1]["provider"] = "ai/gemini".into();
        route(config)["fallbacks"] = json!([{"on": ["InternalServerError"], "to": ["large", "blind"]}]);
    })
    .await;
    world.provider.then([Act::status(500, &[], "down"), Act::Write(reply(200, &[], r#"{"results":[]}"#))]);
    let got = world.post("/v1/moderations", json!({"model": "chat", "input": "x"}).to_string().into()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-backend")), (200, "blind"), "{got:?}");
    assert_eq!(world.provider.models(), ["small-1", "blind-1"]);
}

#[tokio::test]
async fn a_form_gets_the_providers_name_of_the_model_and_keeps_its_file() {
    let world = World::new(|config| route(config)["request"]["set"] = json!({"language": "de"})).await;
    let usage = json!({"text": "hallo", "usage": {"type": "tokens", "input_tokens": 10, "output_tokens": 5, "total_tokens": 15}});
    world.provider.then([Act::Write(reply(200, &[], &usage.to_string()))]);
    let file = "RIFF\r\n\r\n--c--\r\n";
    let sent =
        form(&[("name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav", file), ("name=\"model\"", "chat")]);
    let got = world.send("POST", "/v1/audio/transcriptions", FORM, sent).await;
    assert_eq!((got.json()["text"].as_str(), got.header("x-spillway-cost-usd")), (Some("hallo"), ""), "{got:?}");
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!(
        (totals.input_tokens, totals.output_tokens, totals.unpriced),
        (10, 5, 1),
        "tokens of sound have no price"
    );
    let seen = &world.provider.seen()[0];
    let (_, boundary) = seen.split_once("boundary=").unwrap();
    let (boundary, _) = boundary.split_once("\r\n").unwrap();
    assert!(boundary.starts_with("spillway-"), "not the sender's: {boundary}");
    let seen = seen.replace(boundary, "b");
    for part in [
        "POST /v1/audio/transcriptions HTTP/1.1\r\n",
        "content-type: multipart/form-data; boundary=b\r\n",
        "name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\nRIFF\r\n\r\n--c--\r\n\r\n--b\r\n",
        "name=\"model\"\r\n\r\nsmall-1\r\n",
        "name=\"language\"\r\n\r\nde\r\n--b--\r\n",
    ] {
        assert!(seen.contains(part), "{part:?} is not in {seen}");
    }
    world.provider.then([other("text/plain; charset=utf-8", "1\n00:00:00,000 --> 00:00:01,000\nhallo\n")]);
    let sent = form(&[("name=\"model\"", "chat"), ("name=\"response_format\"", "srt")]);
    let got = world.send("POST", "/v1/audio/transcriptions", FORM, sent).await;
    assert_eq!(
        (got.header("content-type"), got.text.ends_with("hallo\n")),
        ("text/plain; charset=utf-8", true),
        "{got:?}"
    );
}

#[tokio::test]
async fn a_form_without_a_model_or_that_is_none_is_refused_and_so_is_one_too_large() {
    let world = World::new(|_| ()).await;
    let rows = [
        (FORM, form(&[("name=\"file\"; filename=\"a\"", "x")]), 400, "\\\"model\\\" is missing"),
        (FORM, form(&[("name=\"model\"", "nobody")]), 404, "no route serves model"),
        (FORM, "x".to_owned(), 400, "form is unreadable"),
        (JSON, "{}".to_owned(), 415, "it must be multipart/form-data"),
        (
            FORM,
            form(&[("name=\"model\"", "chat"), ("name=\"file\"; filename=\"a\"", &"x".repeat(100_000))]),
            413,
            "maxBodyBytes",
        ),
    ];
    for (kind, body, status, word) in rows {
        let got = world.send("POST", "/v1/audio/translations", kind, body).await;
        assert_eq!(got.status, status, "{got:?}");
        assert!(got.text.contains(word), "{word}: {got:?}");
    }
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn sound_is_passed_on_as_it_comes_and_never_ends_as_if_it_were_whole() {
    let body = || json!({"model": "chat", "input": "hi", "voice": "alloy"}).to_string().into();
    let world = World::new(|_| ()).await;
    world.provider.then([Act::Write(chunked("audio/mpeg", &["ID3", "abc"]) + "0\r\n\r\n")]);
    let got = world.post("/v1/audio/speech", body()).await;
    assert_eq!((got.text.as_str(), got.header("content-type"), got.whole), ("ID3abc", "audio/mpeg", true), "{got:?}");

    let rows = [
        ("broken", Act::WriteAndClose(chunked("audio/mpeg", &["ID3"]))),
        (
            "short",
            Act::WriteAndClose("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 9\r\n\r\nID3".into()),
        ),
    ];
    for (name, act) in rows {
        world.provider.then([act]);
        let got = world.post("/v1/audio/speech", body()).await;
        assert_eq!((got.status.as_u16(), got.text.as_str(), got.whole), (200, "ID3", false), "{name}");
    }
    assert_eq!(world.runtime.usage.lines()[0].totals.errors, 2);
    world.provider.then([Act::Write(reply(200, &[], r#"{"error":{"message":"overloaded","code":503}}"#))]);
    assert_eq!(world.post("/v1/audio/speech", body()).await.status, 503, "an error inside a 200");
}

#[tokio::test]
async fn sound_that_stalls_is_cut_off() {
    let world = World::new(|config| config["providers"]["ai/fake"]["timeouts"]["idle_ms"] = 50.into()).await;
    world.provider.then([Act::WriteAndHang(chunked("audio/mpeg", &["ID3"]))]);
    let got = world.post("/v1/audio/speech", json!({"model": "chat", "input": "hi"}).to_string().into()).await;
    assert_eq!((got.text.as_str(), got.whole), ("ID3", false), "{got:?}");
    world.left().await;
}

#[tokio::test]
async fn files_and_batches_are_kept_by_the_first_backend_that_can() {
    let world = World::new(|config| {
        allow(config, "shop/chat");
        let first = &mut route(config)["backends"][0];
        first["provider"] = "ai/claude".into();
        first["role"] = "Fallback".into();
        route(config)["backends"][1]["role"] = "Primary".into();
        let mut claude = config["providers"]["ai/fake"].clone();
        (claude["kind"], claude["dialect"]) = ("Anthropic".into(), "Anthropic".into());
        config["providers"]["ai/claude"] = claude;
    })
    .await;
    let upload = form(&[("name=\"purpose\"", "batch"), ("name=\"file\"; filename=\"a\"", "{}\n")]);
    let batch = r#"{"input_file_id":"f-1","endpoint":"/v1/chat/completions","completion_window":"24h"}"#;
    let rows = [
        ("POST", "/v1/files", FORM, upload.as_str(), "POST /v1/files"),
        ("GET", "/v1/files?limit=2&after=f-0", "", "", "GET /v1/files?limit=2&after=f-0"),
        ("GET", "/v1/files/f-1", "", "", "GET /v1/files/f-1"),
        ("GET", "/v1/files/..%3Fx", "", "", "GET /v1/files/..%3Fx"),
        ("DELETE", "/v1/files/f-1", "", "", "DELETE /v1/files/f-1"),
        ("POST", "/v1/batches", JSON, batch, "POST /v1/batches"),
        ("POST", "/v1/batches/b-1/cancel", "", "", "POST /v1/batches/b-1/cancel"),
    ];
    for (method, path, kind, body, want) in rows {
        world.provider.then([Act::Write(reply(200, &[], r#"{"id":"x","model":"gpt-4o"}"#))]);
        let got = world.send(method, path, kind, body.to_owned()).await;
        assert_eq!(
            (got.status.as_u16(), got.text.as_str()),
            (200, r#"{"id":"x","model":"gpt-4o"}"#),
            "{path}: {got:?}"
        );
        assert_eq!(got.header("x-spillway-backend"), "large", "{path}");
        let seen = world.provider.seen().pop().unwrap();
        assert!(seen.starts_with(&format!("{want} HTTP/1.1\r\n")) && seen.ends_with(body), "{path}: {seen}");
    }
    world.provider.then([other(JSON, "{\"custom_id\":1}\n{\"custom_id\":2}\n")]);
    let got = world.send("GET", "/v1/files/f-2/content", "", "").await;
    assert_eq!((got.text.lines().count(), got.header("content-type")), (2, JSON), "whatever it says it is");
    let totals =
        world.runtime.usage.lines().iter().fold((0, 0), |(requests, unpriced), line| {
            (requests + line.totals.requests, unpriced + line.totals.unpriced)
        });
    assert_eq!(totals, (8, 1), "the batch alone costs something");
}

#[tokio::test]
async fn nobody_reaches_the_files_and_batches_of_an_account_unless_the_route_says_so() {
    let world = World::new(|config| {
        second(config, "other");
        route(config)["request"]["pass_through"] = json!(["Files"]);
    })
    .await;
    let rows = [
        ("GET", "/v1/files", "", 200, ""),
        ("GET", "/v1/files/..%2Fbatches%2Fb-1", "", 400, "leads to another path"),
        ("GET", "/v1/files/..%252Fbatches", "", 400, "leads to another path"),
        ("GET", "/v1/files/..", "", 400, "leads to another path"),
        ("GET", "/v1/files", "other", 403, "GET /v1/files reaches what the provider keeps for everybody with its key"),
        (
            "DELETE",
            "/v1/files/f",
            "other",
            403,
            "route shop/other does not allow it (add Files to spec.request.passThrough",
        ),
        (
            "GET",
            "/v1/batches",
            "chat",
            403,
            "route shop/chat does not allow it (add Batches to spec.request.passThrough",
        ),
        ("POST", "/v1/batches", "", 403, "route shop/chat, shop/other does not allow it (add Batches"),
    ];
    for (method, path, name, status, word) in rows {
        if status == 200 {
            world.provider.then([Act::Write(reply(200, &[], r#"{"data":[]}"#))]);
        }
        let mut request = http::Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        if !name.is_empty() {
            request = request.header("x-spillway-route", name);
        }
        let request = request.body(http_body_util::Full::default()).unwrap();
        let got = exchange(&mut connect(world.addr).await, request).await;
        assert_eq!(got.status, status, "{method} {path} {name}: {got:?}");
        assert!(got.text.contains(word), "{method} {path} {name}: {got:?}");
        if status == 403 {
            assert_eq!(got.code(), "pass_through_not_allowed", "{got:?}");
        }
    }
    assert_eq!(world.provider.seen().len(), 1, "whoever is refused is not heard of");
}

#[tokio::test]
async fn a_file_is_asked_for_once_and_its_absence_is_nobodys_failure() {
    let world = World::new(|config| {
        allow(config, "shop/chat");
        route(config)["retries"] = json!({"attempts": 3, "on": ["InternalServerError", "RateLimited"], "backoff_base_ms": 1,
            "backoff_max_ms": 1, "honour_retry_after_ms": 50});
        route(config)["fallbacks"] = json!([{"on": ["InternalServerError", "NotFound", "RateLimited"], "to": ["large"]}]);
    })
    .await;
    for (status, class) in [(404, "NotFound"), (500, "InternalServerError"), (429, "RateLimited")] {
        world.provider.then([Act::status(status, &["retry-after: 60"], "No such File object: f")]);
        let got = world.send("GET", "/v1/files/f", "", "").await;
        let told = [got.header("x-spillway-error-class"), got.header("x-spillway-attempts")];
        assert_eq!(told, [class, "1"], "{got:?}");
        assert!(got.text.contains("No such File object"), "{got:?}");
        assert_eq!(world.chat(&chat()).await.status, 200, "the model is not left alone for it: {status}");
    }
    world.provider.then([Act::status(404, &[], "no such path")]);
    let body = json!({"model": "chat", "input": "x"}).to_string();
    assert_eq!(world.post("/v1/moderations", body.into()).await.header("x-spillway-backend"), "large", "by its rule");
    assert_eq!(world.chat(&chat()).await.header("x-spillway-backend"), "small");
}

#[tokio::test]
async fn a_request_without_a_model_says_which_route_it_is_for_unless_there_is_but_one() {
    let world = World::new(|config| {
        allow(config, "shop/chat");
        second(config, "other");
    })
    .await;
    let got = world.send("GET", "/v1/files", "", "").await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (400, "route_required"), "{got:?}");
    assert!(got.text.contains("x-spillway-route: shop/chat, shop/other"), "{got:?}");
    for (name, status) in [("other", 200), ("shop/other", 200), ("nobody", 400), ("shop/", 400)] {
        world.provider.then([Act::Write(reply(200, &[], r#"{"data":[]}"#))]);
        let request = http::Request::get("/v1/files").header("host", "127.0.0.1").header("x-spillway-route", name);
        let request = request.body(http_body_util::Full::default()).unwrap();
        let got = exchange(&mut connect(world.addr).await, request).await;
        assert_eq!(got.status, status, "{name}: {got:?}");
        assert_eq!(got.header("x-spillway-route"), if status == 200 { "shop/other" } else { "" }, "{name}");
    }
    let world = World::new(|config| turn(config, "Anthropic")).await;
    let got = world.send("GET", "/v1/files", "", "").await;
    assert!(got.text.contains("no route here has a first choice that speaks OpenAI's API"), "{got:?}");
}

#[tokio::test]
async fn limits_hold_for_what_is_passed_on_and_a_bound_on_cost_refuses_what_nobody_can_price() {
    let world = World::new(|config| {
        allow(config, "shop/chat");
        route(config)["limits"] = json!([{"name": "rpm", "per": "Pod", "requests": 1, "window_ms": 60_000}]);
    })
    .await;
    for status in [200, 429] {
        world.provider.then([Act::Write(reply(200, &[], r#"{"data":[]}"#))]);
        assert_eq!(world.send("GET", "/v1/files", "", "").await.status, status);
    }
    let world = World::new(|config| {
        allow(config, "shop/chat");
        route(config)["max_cost_nanos"] = 1_000_000_000_000u64.into();
    })
    .await;
    let body = json!({"model": "chat", "prompt": "x"}).to_string();
    assert_eq!(world.post("/v1/images/generations", body.into()).await.code(), "cost_limit_exceeded");
    world.provider.then([Act::Write(reply(200, &[], r#"{"data":[]}"#))]);
    assert_eq!(world.send("GET", "/v1/files", "", "").await.status, 200, "it costs nothing");
}
