//! One sidecar's stream, from its subscription to its end.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::poll_fn;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use spillway_wire::Down;
use tokio::sync::{broadcast::error::RecvError, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Slot;
use super::session::{Line, Session};
use super::view::line;
use crate::metrics::Metrics;
use crate::tls::{Authority, Body};

/// So that a dead connection is noticed at both ends.
const PING: Duration = Duration::from_secs(10);
/// A sidecar that takes no bytes for this long is stuck; it is better off connecting again.
const STUCK: Duration = Duration::from_secs(15);
/// A sidecar that says nothing to a snapshot for this long: its report went to a replica that does not know this stream, or was lost. A new
/// subscription says what it runs.
const ACK_PATIENCE: Duration = Duration::from_secs(30);
/// Lines that wait for the sidecar to read. More would only be outdated by then.
const BUFFERED_LINES: usize = 4;
/// A sidecar whose token never ends is asked for it again after a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why a stream ended. The names are label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Left,
    Stuck,
    Silent,
    Replaced,
    Expired,
    Closing,
}

/// Everything a stream listens to.
pub(super) struct Stream {
    pub(super) slot: Slot,
    pub(super) session: Session,
    pub(super) authority: watch::Receiver<std::sync::Arc<Authority>>,
    /// When the sidecar's token ends.
    pub(super) expires: Option<Instant>,
    /// Its connection is to end.
    pub(super) closing: CancellationToken,
    pub(super) metrics: Metrics,
}

// === impl Stream ===

impl Stream {
    /// Starts the stream, and gives the body that carries it.
    pub(super) fn spawn(self) -> Body {
        let (lines, mut body) = mpsc::channel::<Bytes>(BUFFERED_LINES);
        tokio::spawn(self.run(lines));
        let frames = poll_fn(move |context| {
            body.poll_recv(context).map(|line| line.map(|l| Ok::<_, Infallible>(Frame::data(l))))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn run(mut self, lines: mpsc::Sender<Bytes>) {
        let end = self.talk(&lines).await;
        let reason = end.label();
        self.metrics.streams_ended.with_label_values(&[reason]).inc();
        tracing::debug!(uid = self.slot.uid, reason, "a sidecar's stream ended");
    }

    async fn talk(&mut self, lines: &mpsc::Sender<Bytes>) -> End {
        let start = tokio::time::Instant::now();
        let mut ping = interval_at(start + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let expires = self.expires.map_or(start + LONGEST, tokio::time::Instant::from_std);
        let mut ack_deadline = start;
        loop {
            let awaited = self.session.awaited().cloned();
            if let Err(end) = self.catch_up(lines).await {
                return end;
            }
            if self.session.awaited() != awaited.as_ref() {
                ack_deadline = tokio::time::Instant::now() + ACK_PATIENCE;
            }
            let message = tokio::select! {
                biased;
                () = self.slot.evicted.cancelled() => return End::Replaced,
                () = self.closing.cancelled() => return End::Closing,
                () = lines.closed() => return End::Left,
                () = sleep_until(expires) => return End::Expired,
                () = sleep_until(ack_deadline), if self.session.awaited().is_some() => return End::Silent,
                changed = self.slot.push.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::Replaced,
                },
                Ok(()) = self.slot.ack.changed() => continue,
                rights = self.slot.rights.recv() => match rights {
                    Ok(bytes) => match send(lines, bytes).await {
                        Ok(()) => continue,
                        Err(end) => return end,
                    },
                    // Older ones have made room: what they brought comes again.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return End::Replaced,
                },
                Ok(()) = self.authority.changed() => {
                    Down::Trust { ca_pem: self.authority.borrow_and_update().cert_pem().to_owned() }
                }
                _ = ping.tick() => Down::Ping,
            };
            if let Err(end) = send(lines, line(&message)).await {
                return end;
            }
        }
    }

    async fn catch_up(&mut self, lines: &mpsc::Sender<Bytes>) -> Result<(), End> {
        self.session.acknowledged(&self.slot.ack.borrow_and_update());
        let Some(push) = self.slot.push.borrow_and_update().clone() else { return Ok(()) };
        for line in self.session.next(&push.view, &push.config.keys) {
            let bytes = match line {
                Line::Credential(bytes) => {
                    self.metrics.credentials_pushed.with_label_values(&["sent"]).inc();
                    bytes
                }
                Line::Withdrawal(bytes) => {
                    self.metrics.credentials_pushed.with_label_values(&["withdrawn"]).inc();
                    bytes
                }
                Line::Snapshot(bytes) => {
                    self.metrics.snapshots_pushed.inc();
                    bytes
                }
            };
            send(lines, bytes).await?;
        }
        Ok(())
    }
}

async fn send(lines: &mpsc::Sender<Bytes>, bytes: Bytes) -> Result<(), End> {
    match timeout(STUCK, lines.send(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Left),
        Err(_) => Err(End::Stuck),
    }
}

// === impl End ===

impl End {
    fn label(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Stuck => "stuck",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Closing => "closing",
        }
    }
}

#[cfg(test)]
mod tests;
