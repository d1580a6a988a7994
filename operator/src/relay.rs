//! Passes reports on to the replica that leads.
//!
//! Reports are cumulative, so only the newest of each source matters: what waits here is bounded by the number of sidecars, however long the
//! leader is away. A new leader starts with what was stored and is told everything this replica knows at once, instead
//! of waiting for sidecars to repeat themselves.

mod queue;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use spillway_wire::{Delivery, QuotaDelivery, paths};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::pods::Incarnation;
use crate::tls::Tls;
use queue::Queue;

/// For one batch, from connecting to the answer.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// For what is still unsent at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// What is passed on: of each source, the newest.
pub trait Parcel: Serialize + Send + Sync + 'static {
    /// Where the leader takes a list of them.
    const PATH: &'static str;

    fn source(&self) -> Incarnation;

    fn is_older_than(&self, other: &Self) -> bool;
}

/// What waits for the leader. Cheap to clone.
pub struct Relay<P = Delivery> {
    shared: Arc<Shared<P>>,
}

struct Shared<P> {
    queue: Mutex<Queue<P>>,
    wake: Notify,
}

/// How the leader is reached and convinced. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    pub tls: Tls,
    /// The name in every replica's certificate: `spillway.NAMESPACE.svc`.
    pub host: String,
    pub port: u16,
    /// The operator's own projected token of audience `spillway`; the kubelet renews the file.
    pub token_file: PathBuf,
    pub metrics: Metrics,
}

/// Why a batch was not passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the operator's own token {path:?} cannot be read")]
    Token { path: PathBuf, source: std::io::Error },
    #[error("the leader cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the leader did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the leader answered {0}")]
    Refused(http::StatusCode),
}

// === impl Parcel ===

impl Parcel for Delivery {
    const PATH: &'static str = paths::RELAY;

    fn source(&self) -> Incarnation {
        Incarnation { uid: self.from.uid.clone(), boot: self.report.boot.clone() }
    }

    fn is_older_than(&self, other: &Self) -> bool {
        self.report.sequence < other.report.sequence
    }
}

impl Parcel for QuotaDelivery {
    const PATH: &'static str = paths::RELAY_QUOTA;

    fn source(&self) -> Incarnation {
        Incarnation { uid: self.from.uid.clone(), boot: self.report.journal.clone() }
    }

    fn is_older_than(&self, other: &Self) -> bool {
        let order = |one: &Self| (one.report.stamp.life, one.report.stamp.sent);
        order(self) < order(other)
    }
}

// === impl Relay ===

impl<P> Clone for Relay<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P> Default for Relay<P> {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { queue: Mutex::default(), wake: Notify::new() }) }
    }
}

impl<P: Parcel> Relay<P> {
    /// Takes a report that this replica has received; an older one of the same source is dropped for it.
    pub fn offer(&self, delivery: P) {
        self.queue().offer(delivery);
        self.shared.wake.notify_one();
    }

    /// The newest of every source.
    pub(crate) fn all(&self) -> Vec<Arc<P>> {
        self.queue().all()
    }

    /// Forgets sources that will not report again. `keep` is told how long each has been silent.
    pub fn retain(&self, keep: impl Fn(&Incarnation, Duration) -> bool) {
        self.queue().retain(keep);
    }

    /// Passes on whatever is new while another replica leads; tries a last time at `stop`.
    pub async fn run(&self, link: Link, mut leadership: watch::Receiver<Leadership>, stop: CancellationToken) {
        let mut line = Line::new(link);
        let mut pause = FIRST_PAUSE;
        loop {
            let seen = leadership.borrow_and_update().clone();
            self.turn_to(&mut line, &seen);
            let sent = match stop.run_until_cancelled(self.drain(&mut line)).await {
                Some(sent) => sent,
                None => break,
            };
            let failed = sent.is_err();
            if let Err(error) = sent {
                line.link.metrics.relay_failures.inc();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "reports wait to be passed on to the leader");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = leadership.changed() => if changed.is_err() { break },
                () = self.shared.wake.notified(), if !failed => {}
                () = sleep(clock::jittered(pause, 0.5, clock::roll())), if failed => {}
            }
            pause = if failed { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        }
        if !matches!(timeout(LAST_PATIENCE, self.drain(&mut line)).await, Ok(Ok(()))) {
            tracing::info!("some reports were not passed on; their sidecars repeat them to another replica");
        }
    }

    /// A new leader has to hear everything.
    fn turn_to(&self, line: &mut Line, leadership: &Leadership) {
        if line.turn_to(leadership) {
            self.queue().resend();
        }
    }

    async fn drain(&self, line: &mut Line) -> Result<(), RelayError> {
        while line.ip.is_some() {
            let batch = self.queue().batch();
            if batch.is_empty() {
                break;
            }
            line.post(P::PATH, batch.body()).await?;
            line.link.metrics.relayed.inc_by(batch.len() as u64);
            self.queue().delivered(&batch);
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue<P>> {
        self.shared.queue.lock().expect("nothing panics while holding the queue")
    }
}

/// A link with the leader at its end.
pub(crate) struct Line {
    link: Link,
    ip: Option<IpAddr>,
    /// Made when it is first used, and again after a failure: the authority may have changed.
    client: Option<reqwest::Client>,
}

// === impl Line ===

impl Line {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, ip: None, client: None }
    }

    /// True: the leader is another one.
    pub(crate) fn turn_to(&mut self, leadership: &Leadership) -> bool {
        let ip = match leadership {
            Leadership::Following { ip, .. } => Some(*ip),
            Leadership::Leading | Leadership::Unknown => None,
        };
        let is_new = ip != self.ip;
        if is_new {
            self.ip = ip;
            self.client = None;
        }
        is_new
    }

    async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<(), RelayError> {
        let send = |request: reqwest::RequestBuilder| request.timeout(PATIENCE).body(body).send();
        self.ask(path, send).await.map(drop)
    }

    /// An answer that goes on for as long as both ends like.
    pub(crate) async fn open(&mut self, path: &str) -> Result<reqwest::Response, RelayError> {
        match timeout(PATIENCE, self.ask(path, reqwest::RequestBuilder::send)).await {
            Ok(answer) => answer,
            Err(_) => Err(RelayError::Silent),
        }
    }

    async fn ask<F>(
        &mut self,
        path: &str,
        send: impl FnOnce(reqwest::RequestBuilder) -> F,
    ) -> Result<reqwest::Response, RelayError>
    where
        F: Future<Output = reqwest::Result<reqwest::Response>>,
    {
        let Link { host, port, token_file, .. } = &self.link;
        let token = tokio::fs::read_to_string(token_file).await;
        let token = token.map_err(|source| RelayError::Token { path: token_file.clone(), source })?;
        let url = format!("https://{host}:{port}{path}");
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer = send(client.post(url).bearer_auth(token.trim())).await.map_err(RelayError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(RelayError::Refused(answer.status()));
        }
        self.client = Some(client);
        Ok(answer)
    }

    fn connect(&self) -> Result<reqwest::Client, RelayError> {
        let Link { tls, host, port, .. } = &self.link;
        let builder =
            reqwest::Client::builder().no_proxy().connect_timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let builder = builder.tls_backend_preconfigured(tls.client_config());
        let builder = match self.ip {
            Some(ip) => builder.resolve(host, SocketAddr::new(ip, *port)),
            None => builder,
        };
        builder.build().map_err(RelayError::Unreachable)
    }
}

#[cfg(test)]
mod tests;
