//! A provider that can be slow, wrong, full or gone on demand: the model a request names says how ([`Fault`]).
//!
//! It speaks the OpenAI dialect on `/v1/chat/completions` (and completions, embeddings, models) and `/v1/responses`, the
//! Anthropic one on `/v1/messages`, and Amazon Bedrock's below `/model/`, plain and streamed, and keeps an exact log of what
//! reached it. Every answer bills [`INPUT_TOKENS`] and
//! [`OUTPUT_TOKENS`], so that costs can be checked to the last digit.

mod anthropic;
pub mod bedrock;
mod fault;
mod json;
mod openai;
mod passed;
mod responses;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use fault::Fault;
pub use json::{RIGHT, WRONG};
pub use passed::{PIECE_BYTES, PIECES};
use script::{Script, Step};

use crate::clock::Epoch;
use crate::http1::{Connection, Head};

/// What every answer bills as its prompt.
pub const INPUT_TOKENS: u64 = 100;
/// What every answer bills as its completion.
pub const OUTPUT_TOKENS: u64 = 20;
/// What every answer says; cut between any two bytes it tests the framing of streams.
pub const ANSWER: &str = "Grüße aus Zürich, 東京 and 🎉 — all well.";
/// How long [`Provider::until`] waits before it calls a condition broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listening provider. Its tasks end with the test's runtime.
pub struct Provider {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Null when it was no JSON.
    pub body: Value,
    /// The body as it came.
    pub raw: Bytes,
    /// When it had arrived, from the start of the provider on.
    pub at: Duration,
    pub end: End,
    /// When it ended.
    pub ended_at: Option<Duration>,
}

/// How a request ended, as the provider saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not yet.
    Open,
    /// The whole script was written.
    Written,
    /// The caller left before that.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
    /// OpenAI's other API.
    Responses,
}

/// What is shared by all connections.
struct Shared {
    started: Epoch,
    log: watch::Sender<Vec<Seen>>,
    down: AtomicBool,
    /// Models whose one failure has happened.
    failed_once: Mutex<BTreeSet<String>>,
}

// === impl Provider ===

impl Provider {
    /// Listens on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            started: Epoch::start(),
            log: watch::Sender::new(Vec::new()),
            down: AtomicBool::new(false),
            failed_once: Mutex::default(),
        });
        let provider = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move { serve(Connection::new(stream)?, &shared).await });
            }
        });
        Ok(provider)
    }

    /// From now on every request is noted and its connection reset.
    pub fn go_down(&self) {
        self.shared.down.store(true, Ordering::Relaxed);
    }

    pub fn come_back(&self) {
        self.shared.down.store(false, Ordering::Relaxed);
    }

    /// The time, as the log has it.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// What a `ModelProvider` has as its endpoint.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Everything that reached it, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log.borrow().clone()
    }

    /// The models that were asked for, in order of arrival.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        self.seen().iter().map(Seen::model).collect()
    }

    /// Waits until the log satisfies `condition`, and returns it.
    pub async fn until(&self, condition: impl Fn(&[Seen]) -> bool) -> anyhow::Result<Vec<Seen>> {
        let mut log = self.shared.log.subscribe();
        let waited = tokio::time::timeout(PATIENCE, log.wait_for(|seen| condition(seen))).await;
        match waited {
            Ok(seen) => Ok(seen?.clone()),
            Err(_) => anyhow::bail!("not within {PATIENCE:?}; the provider saw {:#?}", self.seen()),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The model it asked for.
    #[must_use]
    pub fn model(&self) -> String {
        let in_path = self.path.strip_prefix("/model/").and_then(|path| path.split('/').next());
        self.body["model"].as_str().or(in_path).unwrap_or_default().to_owned()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn new(head: &Head, body: Bytes, at: Duration) -> Self {
        let mut words = head.first_line().split(' ').map(str::to_owned);
        Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers: head.headers().map(|(name, value)| (name, value.to_owned())).collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            raw: body,
            at,
            end: End::Open,
            ended_at: None,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The script for a request; a fault that happens once has happened after this.
    fn script(&self, seen: &Seen) -> Script {
        if self.down.load(Ordering::Relaxed) {
            return script::of(seen, &Fault::Reset);
        }
        let model = seen.model();
        let fault = Fault::of(&model);
        if let Fault::Once { .. } | Fault::Pause(..) = &fault {
            let mut failed = self.failed_once.lock().expect("no code panics while holding the set");
            if !failed.insert(model) {
                return script::of(seen, &Fault::None);
            }
        }
        script::of(seen, &fault)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.started.nanos())
    }

    fn ended(&self, index: usize, end: End) {
        let now = self.now();
        self.log.send_modify(|log| {
            log[index].end = end;
            log[index].ended_at = Some(now);
        });
    }
}

/// One connection, request by request, until either side ends it.
async fn serve(mut connection: Connection, shared: &Shared) -> io::Result<()> {
    while let Some(head) = connection.head().await? {
        let body = connection.body(head.framing()).await?;
        let seen = Seen::new(&head, body, shared.now());
        let script = shared.script(&seen);
        let mut index = 0;
        shared.log.send_modify(|log| {
            index = log.len();
            log.push(seen);
        });
        let played = play(&mut connection, &script.steps).await;
        shared.ended(index, if played.is_ok() { End::Written } else { End::Abandoned });
        if script.reset {
            return connection.reset();
        }
        if played.is_err() || script.close {
            return Ok(());
        }
    }
    Ok(())
}

/// Fails when the caller is gone.
async fn play(connection: &mut Connection, steps: &[Step]) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => connection.write(bytes).await?,
            Step::Wait(pause) => {
                // A caller that leaves meanwhile is noticed at once, not at the next write.
                let left = tokio::time::timeout(*pause, connection.closed_by_peer()).await.is_ok();
                if left {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            Step::Hang => {
                connection.closed_by_peer().await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Step::Flood(bytes) => loop {
                connection.write(bytes).await?;
            },
        }
    }
    Ok(())
}

/// An answer of so many tokens, no two of them alike.
#[must_use]
pub fn words(count: usize) -> String {
    (1..=count).map(|number| format!("word{number} ")).collect()
}

/// A literal as a step.
fn send(bytes: impl Into<Bytes>) -> Step {
    Step::Send(bytes.into())
}
