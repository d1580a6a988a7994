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

use spillway_wire::{Delivery, paths};
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

/// What waits for the leader. Cheap to clone.
#[derive(Clone, Default)]
pub struct Relay {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
}

/// How the leader is reached and convinced.
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
enum RelayError {
    #[error("the operator's own token {path:?} cannot be read")]
    Token { path: PathBuf, source: std::io::Error },
    #[error("the leader cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the leader answered {0}")]
    Refused(http::StatusCode),
}

// === impl Relay ===

impl Relay {
    /// Takes a report that this replica has received; an older one of the same source is dropped for it.
    pub fn offer(&self, delivery: Delivery) {
        self.queue().offer(delivery);
        self.shared.wake.notify_one();
    }

    /// Forgets sources that will not report again.
    pub fn retain(&self, keep: impl Fn(&Incarnation) -> bool) {
        self.queue().retain(keep);
    }

    /// Passes on whatever is new while another replica leads; tries a last time at `stop`.
    pub async fn run(&self, link: Link, mut leadership: watch::Receiver<Leadership>, stop: CancellationToken) {
        let mut line = Line { link, ip: None, client: None };
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
        let ip = match leadership {
            Leadership::Following { ip, .. } => Some(*ip),
            Leadership::Leading | Leadership::Unknown => None,
        };
        if ip != line.ip {
            line.ip = ip;
            line.client = None;
            self.queue().resend();
        }
    }

    async fn drain(&self, line: &mut Line) -> Result<(), RelayError> {
        while line.ip.is_some() {
            let batch = self.queue().batch();
            if batch.is_empty() {
                break;
            }
            line.post(batch.body()).await?;
            line.link.metrics.relayed.inc_by(batch.len() as u64);
            self.queue().delivered(&batch);
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().expect("nothing panics while holding the queue")
    }
}

/// A link with the leader at its end.
struct Line {
    link: Link,
    ip: Option<IpAddr>,
    /// Made when it is first used, and again after a failure: the authority may have changed.
    client: Option<reqwest::Client>,
}

// === impl Line ===

impl Line {
    async fn post(&mut self, body: Vec<u8>) -> Result<(), RelayError> {
        let Link { host, port, token_file, .. } = &self.link;
        let token = tokio::fs::read_to_string(token_file).await;
        let token = token.map_err(|source| RelayError::Token { path: token_file.clone(), source })?;
        let url = format!("https://{host}:{port}{}", paths::RELAY);
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer =
            client.post(url).bearer_auth(token.trim()).body(body).send().await.map_err(RelayError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(RelayError::Refused(answer.status()));
        }
        self.client = Some(client);
        Ok(())
    }

    fn connect(&self) -> Result<reqwest::Client, RelayError> {
        let Link { tls, host, port, .. } = &self.link;
        let builder =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
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
