//! Both ends of a sidecar under test: a provider that does what it is told, and an application that says what it got.

mod words;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use spillway_wire::Credential;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::{
    runtime::{Limits, Runtime},
    telemetry::{Log, Telemetry},
    usage::UsageTable,
};

pub(crate) use words::{answer_body, piece, reply, stop, usage};

use words::written;

/// Longer than a request that ends by itself takes, and no longer than a test can wait.
const DRAIN: Duration = Duration::from_millis(500);

/// What the provider does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes these bytes and keeps the connection.
    Write(String),
    /// Writes them and closes it.
    WriteAndClose(String),
    /// Writes them and nothing more, until the other side leaves.
    WriteAndHang(String),
    /// Writes the first, and then the second every millisecond, until the other side leaves.
    WriteAndDrip(String, String),
}

/// A provider.
#[derive(Clone, Default)]
pub(crate) struct Provider {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    left: Mutex<usize>,
    changed: Notify,
}

/// A sidecar between a provider and an application.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<usize>,
}

/// What the application got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// False: the connection ended first.
    pub(crate) whole: bool,
}

// === impl Act ===

impl Act {
    /// A chat completion that bills 10 tokens in and 5 out.
    pub(crate) fn answer() -> Self {
        Self::Write(reply(200, &[], &answer_body()))
    }

    pub(crate) fn status(status: u16, headers: &[&str], message: &str) -> Self {
        let body = json!({"error": {"message": message, "type": "error", "code": null, "param": null}});
        Self::Write(reply(status, headers, &body.to_string()))
    }

    /// These events, as one chunk each; `end` closes the stream as it should.
    pub(crate) fn events(events: &[&str], end: bool) -> Self {
        let text = written(events);
        if end { Self::Write(text + "0\r\n\r\n") } else { Self::WriteAndHang(text) }
    }

    /// These events, and then `drop` again and again.
    pub(crate) fn events_and_drip(events: &[&str], drop: &str) -> Self {
        Self::WriteAndDrip(written(events), format!("{:x}\r\n{drop}\r\n", drop.len()))
    }
}

// === impl Provider ===

impl Provider {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let provider = Self::default();
        let shared = Arc::clone(&provider.shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        (provider, addr)
    }

    /// What to do with the next requests. After the last one: answer.
    pub(crate) fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().extend(acts);
    }

    /// The requests so far, head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The models that were asked for, in order.
    pub(crate) fn models(&self) -> Vec<String> {
        let model = |request: &String| body_of(request)["model"].as_str().unwrap_or_default().to_owned();
        self.seen().iter().map(model).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until a hanging connection was closed by the sidecar.
    pub(crate) async fn abandoned(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if *self.shared.left.lock().unwrap() > 0 {
                return;
            }
            changed.await;
        }
    }
}

pub(crate) fn body_of(request: &str) -> Value {
    let body = request.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(request) = read_request(&mut stream).await {
        shared.seen.lock().unwrap().push(request);
        let act = shared.script.lock().unwrap().pop_front().unwrap_or_else(Act::answer);
        match act {
            Act::Write(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap_or_default(),
            Act::WriteAndClose(bytes) => return stream.write_all(bytes.as_bytes()).await.unwrap_or_default(),
            Act::WriteAndHang(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
                // Comes back when the other side closes.
                _ = stream.read_u8().await;
                *shared.left.lock().unwrap() += 1;
                shared.changed.notify_one();
                return;
            }
            Act::WriteAndDrip(bytes, drop) => {
                stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
                while stream.write_all(drop.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                *shared.left.lock().unwrap() += 1;
                shared.changed.notify_one();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.and_then(|text| text.parse().ok()).unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

// === impl World ===

impl World {
    /// A sidecar with the config of [`snapshot`], as `change` leaves it.
    pub(crate) async fn new(change: impl FnOnce(&mut Value)) -> Self {
        Self::with_limits(Limits::default(), change).await
    }

    pub(crate) async fn with_limits(limits: Limits, change: impl FnOnce(&mut Value)) -> Self {
        let (provider, upstream) = Provider::start().await;
        let telemetry = Arc::new(Telemetry::new(Log::default(), &"off".parse().unwrap()));
        let runtime = Runtime::new(limits, telemetry, Arc::new(UsageTable::default()), 7);
        let mut config = snapshot(upstream);
        change(&mut config);
        runtime.apply(serde_json::from_value(config).unwrap()).unwrap();
        let (key, version) = ("ai/fake".to_owned(), "1".to_owned());
        runtime.set_credential(Credential { key, version, value: Some("sk-canary".to_owned()) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(super::serve(listener, Arc::clone(&runtime), shutdown.clone(), DRAIN));
        Self { provider, runtime, addr, shutdown, served }
    }

    /// Sends a chat request as an application would.
    pub(crate) async fn chat(&self, body: &Value) -> Got {
        self.post("/v1/chat/completions", body.to_string().into()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Got {
        receive(&mut connect(self.addr).await, path, body).await
    }

    /// Sends any request, on a connection of its own.
    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Got {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        exchange(&mut connect(self.addr).await, request.body(Full::new(body.into())).unwrap()).await
    }

    /// Sends a chat request, and hangs up as soon as `until` is true. Returns when the request is settled.
    pub(crate) async fn leave(&self, body: &Value, until: impl Fn() -> bool) {
        let mut sender = connect(self.addr).await;
        let request = tokio::spawn(sender.send_request(post("/v1/chat/completions", body.to_string().into())));
        while !until() {
            tokio::task::yield_now().await;
        }
        request.abort();
        drop(sender);
        self.left().await;
    }

    /// Waits until a call was abandoned at the provider and nothing is in flight here any more.
    pub(crate) async fn left(&self) {
        self.provider.abandoned().await;
        while self.runtime.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn connect(addr: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn post(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "127.0.0.1").header("content-type", "application/json");
    request.body(Full::new(body)).unwrap()
}

pub(crate) async fn receive(sender: &mut SendRequest<Full<Bytes>>, path: &str, body: Bytes) -> Got {
    exchange(sender, post(path, body)).await
}

pub(crate) async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Got {
    let (head, mut body) = sender.send_request(request).await.unwrap().into_parts();
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => whole = false,
        }
    }
    Got { status: head.status, headers: head.headers, text: String::from_utf8(bytes).unwrap(), whole }
}

// === impl Got ===

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Route `shop/chat` over a primary `small` (1,000 tokens) and spares `large` (100,000) and `blind` (no images, no tools).
fn snapshot(upstream: SocketAddr) -> Value {
    let backend = |name: &str, role: &str, window: u64, able: bool| {
        json!({"name": name, "provider": "ai/fake", "role": role, "model": {
            "name": format!("{name}-1"), "context_window_tokens": window, "max_output_tokens": 4096,
            "tokenizer": "O200kBase", "tools": able, "parallel_tools": able, "vision": able, "json_schema": able,
            "price": {"input_nanos": 1_000_000_000u64, "output_nanos": 10_000_000_000u64},
        }})
    };
    json!({
        "revision": "r1",
        "providers": {"ai/fake": {
            "kind": "OpenAI", "dialect": "OpenAi", "base_url": format!("http://{upstream}/v1"), "auth": "Bearer",
            "credential": "ai/fake",
            "timeouts": {"connect_ms": 2000, "first_byte_ms": 2000, "idle_ms": 2000, "total_ms": 10_000},
        }},
        "routes": {"shop/chat": {
            "namespace": "shop", "name": "chat", "models": ["chat"],
            "backends": [
                backend("small", "Primary", 1_000, true), backend("large", "Fallback", 100_000, true),
                backend("blind", "Fallback", 100_000, false),
            ],
            "context_window": {"on_exceeded": "Reject", "reserve_output_tokens": 100,
                "truncate": {"keep_system": true, "keep_last": 1}},
            "retries": {"attempts": 0, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 2, "honour_retry_after_ms": 50},
            "request": {"unsupported": "Drop", "max_body_bytes": 100_000, "timeout_ms": 5_000},
            "streaming": {"first_token_timeout_ms": 2_000, "idle_timeout_ms": 2_000},
        }},
        "egress": {"allowed_private_ranges": ["127.0.0.0/8"]},
    })
}

/// The route, to change it.
pub(crate) fn route(config: &mut Value) -> &mut Value {
    &mut config["routes"]["shop/chat"]
}

pub(crate) fn chat() -> Value {
    json!({"model": "chat", "messages": [{"role": "user", "content": "hello"}]})
}

pub(crate) fn streamed() -> Value {
    let mut body = chat();
    body["stream"] = true.into();
    body
}
