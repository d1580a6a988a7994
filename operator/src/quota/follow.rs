//! Rights on their way between replicas: from the one that leads to those where pods' streams end.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::poll_fn};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use spillway_wire::{RightsDelivery, paths};
use tokio::sync::{broadcast::error::RecvError, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Bank, down};
use crate::clock;
use crate::lease::Leadership;
use crate::publish::Publisher;
use crate::relay::{Line, Link, RelayError};
use crate::tls::Body;

/// Lines that wait for another replica to read.
const BUFFERED_LINES: usize = 256;
/// A replica that takes no bytes for this long asks again.
const STUCK: Duration = Duration::from_secs(15);
/// The leader says something at least this often, if only that it is there.
const SILENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest line: as much as a report.
const MAX_LINE_BYTES: usize = 2 << 20;

/// So that the other end knows that somebody is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What the leader says, until it does not lead any more or its connection is to end.
pub fn stream(bank: &Bank, closing: CancellationToken) -> Body {
    let (mut rights, leadership) = (bank.lines(), bank.inner.leadership.clone());
    let (lines, mut body) = mpsc::channel::<Bytes>(BUFFERED_LINES);
    tokio::spawn(closing.run_until_cancelled_owned(async move {
        while leadership.borrow().is_leading() {
            let line = match timeout(SIGN_OF_LIFE, rights.recv()).await {
                Ok(Ok(line)) => line,
                Ok(Err(RecvError::Lagged(_))) => continue,
                Ok(Err(RecvError::Closed)) => return,
                Err(_) => Bytes::from_static(b"\n"),
            };
            if !matches!(timeout(STUCK, lines.send(line)).await, Ok(Ok(()))) {
                return;
            }
        }
    }));
    let frames = poll_fn(move |context| {
        body.poll_recv(context).map(|line| line.map(|line| Ok::<_, Infallible>(Frame::data(line))))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Fetches rights from whoever leads, for the pods whose streams end here. Runs for ever.
pub async fn follow(link: Link, mut leadership: watch::Receiver<Leadership>, publisher: Publisher) {
    let mut line = Line::new(link);
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = leadership.borrow_and_update().clone();
        line.turn_to(&seen);
        let listened = async {
            match &seen {
                Leadership::Following { .. } => listen(&mut line, &publisher).await,
                Leadership::Leading | Leadership::Unknown => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = leadership.changed() => match changed {
                Ok(()) => pause = FIRST_PAUSE,
                Err(_) => return std::future::pending().await,
            },
            ended = listened => {
                match ended {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(error) => tracing::debug!(%error, "rights cannot be fetched from the leader"),
                }
                sleep(clock::jittered(pause, 0.5, clock::roll())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Until the leader ends it, or says nothing any more.
async fn listen(line: &mut Line, publisher: &Publisher) -> Result<(), RelayError> {
    let mut chunks = line.open(paths::RIGHTS).await?.bytes_stream();
    let mut rest = BytesMut::new();
    while let Ok(Some(chunk)) = timeout(SILENCE, chunks.next()).await {
        rest.extend_from_slice(&chunk.map_err(RelayError::Unreachable)?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            hand_on(&rest.split_to(end + 1).freeze(), publisher);
        }
        if rest.len() > MAX_LINE_BYTES {
            break;
        }
    }
    Ok(())
}

/// An empty line only says that somebody is there.
fn hand_on(line: &Bytes, publisher: &Publisher) {
    let line = line.trim_ascii();
    if line.is_empty() {
        return;
    }
    match serde_json::from_slice::<RightsDelivery>(line) {
        Ok(delivery) => _ = publisher.rights(&delivery.uid, || down(&delivery)),
        Err(error) => tracing::warn!(%error, "the leader sent rights that cannot be read"),
    }
}
