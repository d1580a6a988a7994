//! More connections than there is room for. Each is told so, in words an SDK understands and for next to no memory: a
//! connection that is served costs some tens of kilobytes, one that is turned away here about three.

use std::{fmt::Write as _, io, sync::Arc, time::Duration};

use http::{Response, header};
use spillway_providers::Api;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{error::ProxyError, pipeline::ReplyBody, runtime::Runtime};

/// For the request to come and the answer to be taken, as long as a served connection has for its head: where there is a
/// crowd, nobody is fast.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 2 * 1024;

/// Answers the first request of a connection, whatever it is, and closes it.
pub(super) async fn turn_away(mut stream: TcpStream, runtime: Arc<Runtime>) {
    // Who takes longer, or breaks off, would not have read it.
    _ = tokio::time::timeout(PATIENCE, talk(&mut stream, &runtime)).await;
}

async fn talk(stream: &mut TcpStream, runtime: &Runtime) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    let read = stream.read(&mut buffer).await?;
    if read == 0 {
        return Ok(());
    }
    let api = if buffer.starts_with(b"POST /v1/messages") { Api::Messages } else { Api::ChatCompletions };
    let what = "the number of open connections";
    let error = ProxyError::Overloaded { what, limit: runtime.most_connections() as u64 };
    stream.write_all(&written(super::turn_away(runtime, api, &error))).await?;
    stream.shutdown().await?;
    // Closed with unread bytes, the connection would be reset and the answer lost.
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

fn written(response: Response<ReplyBody>) -> Vec<u8> {
    let (head, body) = response.into_parts();
    let body = if let ReplyBody::Whole(Some(body)) = body { body } else { Default::default() };
    let mut text = format!("HTTP/1.1 {}\r\n", head.status);
    for (name, value) in &head.headers {
        // All of them are ours, and ASCII.
        _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    _ = write!(text, "{}: {}\r\n{}: close\r\n\r\n", header::CONTENT_LENGTH, body.len(), header::CONNECTION);
    [text.as_bytes(), &body].concat()
}
