//! A provider that answers at once, so that a run measures the proxy in front of it.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::clock::Epoch;
use crate::http1::{Connection, Framing};

/// Content pieces in a streamed answer; the role, finish, usage and end events come on top.
pub const CHUNKS: usize = 200;
/// A body that names a model ending so is answered in step with [`PACE`] instead of as fast as it is read.
pub const PACED: &str = "-paced";
/// tokio's timers tick in milliseconds; a faster pace would be none.
const PACE: Duration = Duration::from_millis(1);

/// Listens on a free port of loopback and serves from the current [`tokio::task::LocalSet`].
pub async fn start(epoch: Epoch) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                // A proxy that closes an idle connection ends `serve` with an error nobody needs.
                let _ = serve(Connection::new(stream)?, epoch).await;
                io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

async fn serve(mut connection: Connection, epoch: Epoch) -> io::Result<()> {
    let plain = plain_answer();
    while let Some(head) = connection.head().await? {
        let framing = head.framing();
        let body = connection.body(framing).await?;
        // Only short bodies are ever streamed here, so a long one is not searched.
        let short = framing != Framing::Chunked && body.len() < 4096;
        if short && memchr::memmem::find(&body, b"\"stream\":true").is_some() {
            let paced = memchr::memmem::find(&body, PACED.as_bytes()).is_some();
            stream_answer(&mut connection, paced, epoch).await?;
        } else {
            connection.write(&plain).await?;
        }
    }
    Ok(())
}

/// A short answer, about a kilobyte with its head.
fn plain_answer() -> Vec<u8> {
    let text = "A short answer has a few sentences, and this one has as many as it takes to weigh as much. ".repeat(6);
    let body = format!(
        r#"{{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1767225600,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":50,"completion_tokens":120,"total_tokens":170,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
    );
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench";
    format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Every event is a write of its own, as a model that has just made a token sends it.
async fn stream_answer(connection: &mut Connection, paced: bool, epoch: Epoch) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write(head.as_bytes()).await?;
    let mut pace = tokio::time::interval(PACE);
    let mut write = String::with_capacity(512);
    for index in 0..CHUNKS {
        if paced {
            pace.tick().await;
        } else {
            tokio::task::yield_now().await;
        }
        let role = if index == 0 { r#""role":"assistant","# } else { "" };
        let sent = epoch.nanos();
        let choice =
            format!(r#"{{"index":0,"delta":{{{role}"content":" @{sent}"}},"logprobs":null,"finish_reason":null}}"#);
        connection.write(event(&mut write, &choice, "null").as_bytes()).await?;
    }
    let finish = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#;
    connection.write(event(&mut write, finish, "null").as_bytes()).await?;
    let usage = format!(r#"{{"prompt_tokens":50,"completion_tokens":{CHUNKS},"total_tokens":{}}}"#, 50 + CHUNKS);
    connection.write(event(&mut write, "", &usage).as_bytes()).await?;
    connection.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").await
}

/// One event of the stream as one HTTP chunk, in the buffer that is used again and again.
fn event<'a>(write: &'a mut String, choice: &str, usage: &str) -> &'a str {
    let data = format!(
        "data: {{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{choice}],\"usage\":{usage}}}\n\n"
    );
    write.clear();
    // Writing to a String cannot fail.
    let _ = write!(write, "{:x}\r\n{data}\r\n", data.len());
    write
}
