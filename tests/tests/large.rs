//! Large bodies: whoever sends one waits for it himself, and nobody else does.

use std::process::Command;

use spillway_tests::client::{CHAT, Reply, chat, post, request};
use spillway_tests::http1::Connection;
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::{Dialect, Route};
use tokio::net::TcpStream;

/// As many as the memory for bodies has room for, and one more than are worked on at once.
const BODIES: usize = 3;

/// Of one body. Each message is a few values, which take much longer to translate than their text.
const MESSAGES: usize = 20_000;

/// Requests that are answered meanwhile. Without help a sidecar answers none of them, or the one it had begun on.
const OTHERS: usize = 20;

const MODEL: &str = "large";

async fn world() -> anyhow::Result<(Sidecar, Provider)> {
    let provider = Provider::start().await?;
    let patient = |name, dialect| {
        let mut account = a_provider(name, dialect, &provider.base_url());
        account.timeouts.first_byte_ms = 60_000;
        account.timeouts.idle_ms = 60_000;
        account.timeouts.total_ms = 60_000;
        account
    };
    let route = |name: &str, account: &str, model: &str| -> Route {
        let mut backend = a_backend(account, model);
        backend.model.context_window_tokens = None;
        let mut route = a_route(name, vec![backend]);
        route.request.timeout_ms = 60_000;
        route
    };
    let routes = vec![route("chat", "main", "small"), route("claude", "other", MODEL)];
    let accounts = vec![("main", patient("main", Dialect::OpenAi)), ("other", patient("other", Dialect::Anthropic))];
    let command = Command::new(program("spillway-sidecar")?);
    let sidecar = Sidecar::configured(command, &a_snapshot(routes, accounts)).await?;
    Ok((sidecar, provider))
}

/// A long conversation in OpenAI's words, which a backend that speaks Anthropic's has to be told in its own.
fn long() -> Vec<u8> {
    let mut body = chat("claude");
    let said = body["messages"][1].clone();
    let text = "all work and no play ".repeat(4);
    let message = |number: usize| {
        let mut message = said.clone();
        message["role"] = if number.is_multiple_of(2) { "user" } else { "assistant" }.into();
        message["content"] = format!("{number} {text}").into();
        message
    };
    body["messages"] = (0..=MESSAGES).map(message).collect();
    request("POST", CHAT, &[("content-type", "application/json")], body.to_string().as_bytes())
}

async fn read(connection: &mut Connection) -> anyhow::Result<Reply> {
    let head = connection.head().await?.ok_or_else(|| anyhow::anyhow!("closed instead of answered"))?;
    let body = connection.body(head.framing()).await?;
    let headers = head.headers().map(|(name, value)| (name, value.to_owned())).collect();
    Ok(Reply { status: head.status(), headers, body, whole: true })
}

#[tokio::test]
async fn small_requests_are_answered_while_large_ones_are_worked_on() -> anyhow::Result<()> {
    let (sidecar, provider) = world().await?;
    let short = chat("chat");
    let small = || post(sidecar.data, CHAT, &short);
    let long = long();
    let (last, most) = long.split_last().expect("it is not empty");
    let mut connections = Vec::new();
    for _ in 0..BODIES {
        let mut connection = Connection::new(TcpStream::connect(sidecar.data).await?)?;
        connection.write(most).await?;
        connections.push(connection);
    }
    // Requests in turn with those bodies: when they have been answered, the sidecar has read what has been sent.
    for _ in 0..OTHERS {
        assert_eq!(small().await?.text(), ANSWER);
    }
    for connection in &mut connections {
        connection.write(&[*last]).await?;
    }
    for number in 0..OTHERS {
        let reply = small().await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
        let arrived = provider.models().iter().filter(|model| *model == MODEL).count();
        assert_eq!(arrived, 0, "a large one was done with before {number} others: they have waited for it");
    }
    for mut connection in connections {
        let reply = read(&mut connection).await?;
        assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}\n{}", sidecar.output());
    }
    Ok(())
}
