//! Closed-loop load: each connection sends its next request when the last one is answered.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::STAMP;
use crate::clock::Epoch;
use crate::http1::{Connection, Framing};

/// What to send, to whom and for how long.
#[derive(Clone)]
pub struct Load {
    pub target: SocketAddr,
    /// JSON, sent as it is.
    pub body: Bytes,
    pub connections: usize,
    /// Not counted: pools fill, caches warm.
    pub warm_up: Duration,
    pub measured: Duration,
}

/// What was seen, in nanoseconds.
#[derive(Default)]
pub struct Seen {
    /// Request sent to answer complete.
    pub whole: Vec<u64>,
    /// Request sent to first content of a stream.
    pub first: Vec<u64>,
    /// For each later piece of a stream: sent by the upstream to read here.
    pub lag: Vec<u64>,
    /// From the end of the warm-up to the last answer.
    pub span: u64,
    /// Warm-up included: what the target has served.
    pub requests: u64,
}

impl Seen {
    #[must_use]
    pub fn per_second(&self) -> f64 {
        if self.span == 0 { 0.0 } else { self.whole.len() as f64 * 1e9 / self.span as f64 }
    }
}

/// Nearest-rank median in microseconds.
#[must_use]
pub fn median_micros(nanos: &mut [u64]) -> f64 {
    let middle = nanos.len() / 2;
    if nanos.is_empty() { 0.0 } else { *nanos.select_nth_unstable(middle).1 as f64 / 1e3 }
}

/// Runs one load to its end. The first failed request ends it with an error: figures beside failures mean nothing.
pub async fn run(load: &Load, epoch: Epoch) -> anyhow::Result<Seen> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let begin = epoch.nanos() + as_nanos(load.warm_up);
    let end = begin + as_nanos(load.measured);
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        connections.spawn_local(one_connection(load.clone(), seen.clone(), epoch, begin..end));
    }
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(seen.take())
}

async fn one_connection(
    load: Load,
    seen: Rc<RefCell<Seen>>,
    epoch: Epoch,
    window: std::ops::Range<u64>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(load.target).await.with_context(|| format!("connect to {}", load.target))?;
    let mut connection = Connection::new(stream)?;
    let request = request(load.target, &load.body);
    loop {
        let sent = epoch.nanos();
        if sent >= window.end {
            return Ok(());
        }
        connection.write(&request).await?;
        let mut pieces = Pieces::default();
        answer(&mut connection, epoch, &mut pieces).await?;
        let done = epoch.nanos();
        let mut seen = seen.borrow_mut();
        seen.requests += 1;
        if sent >= window.start {
            seen.whole.push(done - sent);
            seen.span = seen.span.max(done - window.start);
            seen.first.extend(pieces.first.map(|first| first.saturating_sub(sent)));
            seen.lag.append(&mut pieces.lag);
        }
    }
}

fn request(target: SocketAddr, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {target}\r\nauthorization: Bearer spillway\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

#[derive(Default)]
struct Pieces {
    first: Option<u64>,
    lag: Vec<u64>,
    done: bool,
}

async fn answer(connection: &mut Connection, epoch: Epoch, pieces: &mut Pieces) -> anyhow::Result<()> {
    let head = connection.head().await?.context("the connection was closed instead of answered")?;
    let framing = head.framing();
    if head.status() != 200 {
        let body = connection.body(framing).await?;
        anyhow::bail!("{}: {}", head.first_line(), String::from_utf8_lossy(&body));
    }
    if framing != Framing::Chunked {
        connection.body(framing).await?;
        return Ok(());
    }
    while let Some(chunk) = connection.chunk().await? {
        pieces.read(&chunk, epoch.nanos());
    }
    ensure!(pieces.done, "the stream ended without [DONE]");
    Ok(())
}

impl Pieces {
    fn read(&mut self, chunk: &[u8], now: u64) {
        for at in memchr::memmem::find_iter(chunk, STAMP) {
            let digits = chunk[at + STAMP.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let sent = digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            if self.first.is_none() {
                self.first = Some(now);
            } else {
                self.lag.push(now.saturating_sub(sent));
            }
        }
        self.done |= memchr::memmem::find(chunk, b"[DONE]").is_some();
    }
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
