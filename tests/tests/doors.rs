//! Bad input at every door: a clear error that says what and how to mend it, and a sidecar that goes on.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::{Value, json};
use spillway_tests::client::{CHAT, MESSAGES, Reply, chat, post, request, send};
use spillway_tests::http1::{Connection, Head};
use spillway_tests::process::program;
use spillway_tests::provider::Provider;
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::Dialect;
use tokio::net::TcpStream;

const JSON: (&str, &str) = ("content-type", "application/json");
const MEGABYTE: usize = 1024 * 1024;

async fn a_sidecar() -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let account = a_provider("openai", Dialect::OpenAi, &provider.base_url());
    let snapshot = a_snapshot(vec![a_route("chat", vec![a_backend("openai", "ok")])], vec![("openai", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

/// One row: what is sent, and status, code and a word of the message that must come back.
struct Door {
    name: &'static str,
    bytes: Vec<u8>,
    status: u16,
    code: &'static str,
    word: &'static str,
}

fn door(name: &'static str, bytes: Vec<u8>, status: u16, code: &'static str, word: &'static str) -> Door {
    Door { name, bytes, status, code, word }
}

fn body(name: &'static str, text: &str, word: &'static str) -> Door {
    door(name, request("POST", CHAT, &[JSON], text.as_bytes()), 400, "invalid_request", word)
}

fn bodies() -> Vec<Door> {
    let nested = format!(r#"{{"model":"chat","messages":[],"x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    vec![
        body("an empty body", "", "JSON"),
        body("no JSON", "model=chat", "JSON"),
        body("JSON cut short", r#"{"model":"chat","messages":[{"role":"#, "JSON"),
        body("an array", "[]", "object"),
        body("a key twice", r#"{"model":"chat","model":"other","messages":[]}"#, "model"),
        body("no model", r#"{"messages":[]}"#, "model"),
        body("a model that is no string", r#"{"model":7,"messages":[]}"#, "model"),
        body("half a character", r#"{"model":"\ud800","messages":[]}"#, "surrogate"),
        body("no messages", r#"{"model":"chat"}"#, "messages"),
        body("messages that are no list", r#"{"model":"chat","messages":"hello"}"#, "messages"),
        body(
            "a stream that is no flag",
            r#"{"model":"chat","messages":[{"role":"user","content":"x"}],"stream":"yes"}"#,
            "stream",
        ),
        body(
            "a number past all bounds",
            r#"{"model":"chat","messages":[{"role":"user","content":"x"}],"max_tokens":1e400}"#,
            "1e400",
        ),
        body(
            "a negative limit",
            r#"{"model":"chat","messages":[{"role":"user","content":"x"}],"max_tokens":-1}"#,
            "max_tokens",
        ),
        body("nesting without end", &nested, "nest"),
        door(
            "bytes that are no UTF-8",
            request("POST", CHAT, &[JSON], b"{\"model\":\"chat\",\"messages\":[],\"x\":\"\xff\"}"),
            400,
            "invalid_request",
            "UTF-8",
        ),
    ]
}

fn envelopes() -> Vec<Door> {
    let good = chat("chat").to_string();
    let good = good.as_bytes();
    let host = ("host", "evil.example");
    vec![
        door(
            "an unknown model",
            request("POST", CHAT, &[JSON], chat("gpt-9").to_string().as_bytes()),
            404,
            "model_not_found",
            "chat",
        ),
        door("an unknown path", request("POST", "/v1/chat", &[JSON], good), 404, "not_found", "/v1/chat/completions"),
        door("the wrong method", request("PUT", CHAT, &[JSON], good), 405, "method_not_allowed", "POST"),
        door("a GET where POST belongs", request("GET", "/v1/embeddings", &[], b""), 405, "method_not_allowed", "POST"),
        door(
            "a form",
            request("POST", CHAT, &[("content-type", "text/plain")], good),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        door(
            "a compressed body",
            request("POST", CHAT, &[JSON, ("content-encoding", "gzip")], good),
            415,
            "unsupported_media_type",
            "compress",
        ),
        door(
            "40 MB",
            request("POST", CHAT, &[JSON], &vec![b' '; 40 * MEGABYTE]),
            413,
            "request_too_large",
            "maxBodyBytes",
        ),
        door("40 MB announced, none sent", announced(40 * MEGABYTE), 413, "request_too_large", "maxBodyBytes"),
        door(
            "a path with a trick",
            request("POST", "/v1/../v1/chat/completions", &[JSON], good),
            404,
            "not_found",
            "/v1",
        ),
        door("a stranger's host", rebound(good, host.1), 400, "invalid_request", "127.0.0.1"),
    ]
}

fn announced(length: usize) -> Vec<u8> {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// What a browser sends after a DNS rebinding.
fn rebound(body: &[u8], host: &str) -> Vec<u8> {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn head_of(to: SocketAddr, path: &str) -> anyhow::Result<Head> {
    let mut connection = Connection::new(TcpStream::connect(to).await?)?;
    connection.write(format!("HEAD {path} HTTP/1.1\r\nhost: {to}\r\n\r\n").as_bytes()).await?;
    connection.head().await?.context("closed without an answer")
}

fn openai_shape(reply: &Reply) -> bool {
    let error = &reply.json()["error"];
    let strings = ["message", "type", "code"].iter().all(|field| error[field].is_string());
    strings
        && (error["param"].is_string() || error["param"].is_null())
        && reply.header("content-type").contains("application/json")
}

#[tokio::test]
async fn bad_requests_get_a_clear_error_and_never_reach_the_provider() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar().await?;
    for Door { name, bytes, status, code, word } in bodies().into_iter().chain(envelopes()) {
        let reply = send(sidecar.data, &bytes).await.map_err(|error| error.context(name))?;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{name}: {reply:?}");
        assert!(reply.message().contains(word), "{name}: {word:?} is not in {:?}", reply.message());
        assert!(openai_shape(&reply), "{name}: {reply:?}");
    }
    assert!(provider.seen().is_empty(), "{:?}", provider.models());
    assert_eq!(post(sidecar.data, CHAT, &chat("chat")).await?.status, 200, "it goes on");
    Ok(())
}

#[tokio::test]
async fn an_anthropic_app_gets_errors_in_its_own_shape() -> anyhow::Result<()> {
    let (_provider, sidecar) = a_sidecar().await?;
    let rows: [(Value, u16); 2] =
        [(json!({"model": "nobody", "max_tokens": 5, "messages": []}), 404), (json!([]), 400)];
    for (body, status) in rows {
        let reply = post(sidecar.data, MESSAGES, &body).await?;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        let answer = reply.json();
        assert_eq!(answer["type"], "error", "{answer}");
        assert!(answer["error"]["type"].is_string() && answer["error"]["message"].is_string(), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_alone() -> anyhow::Result<()> {
    let (_provider, sidecar) = a_sidecar().await?;
    let both = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let headers = format!("GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: {}\r\n\r\n", "a".repeat(MEGABYTE));
    let rows: [(&str, &[u8]); 5] = [
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("zeros", &[0; 4096]),
        ("a line without end", &[b'A'; 256 * 1024]),
        ("two framings", both.as_bytes()),
        ("a header without end", headers.as_bytes()),
    ];
    for (name, bytes) in rows {
        let mut connection = Connection::new(TcpStream::connect(sidecar.data).await?)?;
        // It may close while we still write.
        let _ = connection.write(bytes).await;
        if let Ok(Some(head)) = connection.head().await {
            assert!((400..500).contains(&head.status()), "{name}: {}", head.first_line());
        }
    }
    assert_eq!(post(sidecar.data, CHAT, &chat("chat")).await?.status, 200, "it goes on");
    Ok(())
}

#[tokio::test]
async fn models_lists_exactly_what_may_be_asked_for() -> anyhow::Result<()> {
    let (_provider, sidecar) = a_sidecar().await?;
    let reply = send(sidecar.data, &request("GET", "/v1/models", &[], b"")).await?;
    let names: Vec<Value> = reply.json()["data"].as_array().into_iter().flatten().map(|m| m["id"].clone()).collect();
    assert_eq!((reply.status, names), (200, vec![json!("chat")]), "{reply:?}");
    assert_eq!(send(sidecar.data, &request("GET", "/v1/models/chat", &[], b"")).await?.status, 200);
    assert_eq!(send(sidecar.data, &request("GET", "/v1/models/nobody", &[], b"")).await?.status, 404);
    assert_eq!(head_of(sidecar.data, "/v1/models").await?.status(), 200, "HEAD is GET without its body");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_keeps_the_one_in_force() -> anyhow::Result<()> {
    for broken in ["", "{", r#"{"revision":"x","routes":{"shop/chat":{"name":"chat"}}}"#] {
        let (_provider, sidecar) = a_sidecar().await?;
        let (_, before) = sidecar.admin_get("/debug/config").await?;
        sidecar.replace_snapshot(broken.as_bytes())?;
        let said = |output: &str| output.contains("what was read before stays in use");
        sidecar.until_output(said).await.map_err(|error| error.context(format!("after {broken:?}")))?;
        assert_eq!(post(sidecar.data, CHAT, &chat("chat")).await?.status, 200, "after {broken:?}");
        assert_eq!(sidecar.admin_get("/debug/config").await?.1, before, "after {broken:?}");
    }
    Ok(())
}
