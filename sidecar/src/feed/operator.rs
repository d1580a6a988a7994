//! The operator's stream: subscribe, apply what comes, and come back when it ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use spillway_wire::{Down, paths};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Intake,
    lines::{LineTooLong, Lines},
};
use crate::{
    backoff::Backoff,
    chain::Chain,
    clock,
    link::{Link, LinkError},
    runtime::Runtime,
};

/// The operator says something every 10 s; two and a half of that is a dead stream.
const SILENCE: Duration = Duration::from_secs(25);
/// A stream that lived this long ended for a reason of its own (an upgrade): the next try comes at once.
const SETTLED: Duration = Duration::from_secs(10);

/// Follows the operator.
pub struct OperatorFeed {
    pub link: Arc<Link>,
    pub runtime: Arc<Runtime>,
    /// Names this start of the process.
    pub boot: String,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("operator closed the stream")]
    Closed,
    #[error("operator said nothing for {}s", SILENCE.as_secs())]
    Silent,
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    #[error("operator sent something that is no message")]
    Garbage(#[source] serde_json::Error),
}

/// As much of a message as is needed to say what was wrong with it.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    snapshot: Option<SnapshotHead>,
}

#[derive(Deserialize)]
struct SnapshotHead {
    #[serde(default)]
    revision: String,
}

// === impl OperatorFeed ===

impl OperatorFeed {
    pub(super) async fn run(self, mut intake: Intake) {
        let mut backoff = Backoff::default();
        loop {
            let began = clock::now();
            let Err(ended) = self.follow(&mut intake).await;
            if clock::now().saturating_duration_since(began) >= SETTLED {
                backoff.reset();
            }
            let pause = backoff.next(self.runtime.roll());
            match ended {
                Ended::Closed => tracing::info!(?pause, "operator closed the stream, subscribing again"),
                ended => {
                    tracing::warn!(error = %Chain(&ended), ?pause, "no stream from the operator, last config stays in use");
                }
            }
            sleep(pause).await;
        }
    }

    /// One stream, to its end.
    async fn follow(&self, intake: &mut Intake) -> Result<std::convert::Infallible, Ended> {
        let response = self.link.post(paths::SUBSCRIBE, &intake.subscribe(&self.boot)).await?;
        tracing::info!("subscribed to the operator");
        let (mut chunks, mut lines) = (response.bytes_stream(), Lines::default());
        loop {
            let line = next_line(&mut chunks, &mut lines).await?;
            self.take(&line, intake)?;
        }
    }

    fn take(&self, line: &[u8], intake: &mut Intake) -> Result<(), Ended> {
        match serde_json::from_slice::<Down>(line) {
            Ok(message) => {
                if let Down::Trust { ca_pem } = &message
                    && let Err(error) = self.link.trust(ca_pem)
                {
                    tracing::error!(error = %Chain(&error), "new CA bundle is not usable, the one before stays");
                    return Ok(());
                }
                intake.take(message);
            }
            Err(error) => {
                let head: Head = serde_json::from_slice(line).map_err(Ended::Garbage)?;
                match head.snapshot {
                    // A newer operator asks for something this version cannot do: that has to be seen, not skipped.
                    Some(SnapshotHead { revision }) => intake.refuse(revision, format!("not understood: {error}")),
                    None => tracing::warn!(kind = head.kind, "message of an unknown kind is ignored"),
                }
            }
        }
        Ok(())
    }
}

/// The next message, however many chunks it takes.
async fn next_line<S>(chunks: &mut S, lines: &mut Lines) -> Result<Bytes, Ended>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Unpin,
{
    let deadline = Instant::now() + SILENCE;
    loop {
        if let Some(line) = lines.pop()? {
            return Ok(line);
        }
        match timeout_at(deadline, chunks.next()).await.map_err(|_| Ended::Silent)? {
            Some(chunk) => lines.push(&chunk.map_err(LinkError::from)?),
            None => return Err(Ended::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_and_half_a_message_end_the_stream_after_25_seconds() {
        for said in ["", "{\"type\":"] {
            let began = clock::now();
            let first = stream::iter([Ok(Bytes::from_static(said.as_bytes()))]);
            let mut chunks = Box::pin(first.chain(stream::pending()));
            let ended = next_line(&mut chunks, &mut Lines::default()).await.unwrap_err();
            assert!(matches!(ended, Ended::Silent), "{ended}");
            assert_eq!((clock::now() - began).as_secs(), 25, "after {said:?}");
        }
    }
}
