//! Providers that keep the rules of HTTP and none of its habits.

use anyhow::Context as _;
use serde_json::json;
use spillway_tests::client::{CHAT, post};
use spillway_tests::http1::Connection;
use spillway_tests::process::program;
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::Dialect;
use tokio::net::TcpListener;

/// More than fits between two sockets, so that a writer has to wait for its reader.
const LARGE: usize = 12 << 20;

#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_read_is_the_answer() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    let impatient = tokio::spawn(async move {
        let mut connection = Connection::new(listener.accept().await?.0)?;
        connection.head().await?.context("no request came")?;
        let body = r#"{"error":{"message":"too much at once","type":"rate_limit_error"}}"#;
        let head =
            format!("HTTP/1.1 429 Early\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write(format!("{head}{body}").as_bytes()).await?;
        // Reads no more, and does not hang up either.
        anyhow::Ok(connection)
    });
    let mut backend = a_backend("main", "gpt");
    backend.model.context_window_tokens = None;
    let account = a_provider("main", Dialect::OpenAi, &url);
    let snapshot = a_snapshot(vec![a_route("chat", vec![backend])], vec![("main", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    let prompt = "word ".repeat(LARGE / 5);
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": prompt}], "max_tokens": 5});
    let reply = post(sidecar.data, CHAT, &body).await?;
    assert_eq!((reply.status, reply.message().contains("too much at once")), (429, true), "{reply:?}");
    drop(impatient.await??);
    Ok(())
}
