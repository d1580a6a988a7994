//! The API server: one object with compare-and-swap, and one Lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use turmoil::net::{TcpListener, TcpStream};

use super::lines;
use crate::quota::store::{Outcome, Read, StoreError};

pub(super) const HOST: &str = "api";
const PORT: u16 = 6443;
/// As the real Lease has it.
pub(super) const LEASE: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(2);

/// What outlives every process.
#[derive(Clone, Default)]
pub(super) struct State(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    version: u64,
    bytes: Option<Vec<u8>>,
    /// Who holds the Lease, and when it was renewed.
    holder: Option<(String, Duration)>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::quota) enum Call {
    Read,
    Write { expects: String, bytes: Vec<u8> },
    Lease { name: String },
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Stored { version: u64, bytes: Option<Vec<u8>> },
    Conflict,
    Leader(String),
}

pub(super) async fn serve(state: State) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let state = state.clone();
        tokio::spawn(async move {
            let (mut reader, mut writer) = lines::split(stream);
            if let Some(call) = reader.next().await {
                // Whoever asked may be gone: then its outcome is unknown to it.
                let _ = writer.send(&state.answer(call)).await;
            }
        });
    }
}

impl State {
    fn answer(&self, call: Call) -> Answer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match call {
            Call::Read => Answer::Stored { version: kept.version, bytes: kept.bytes.clone() },
            Call::Write { expects, bytes } if expects == kept.version.to_string() => {
                kept.version += 1;
                kept.bytes = Some(bytes);
                Answer::Stored { version: kept.version, bytes: None }
            }
            Call::Write { .. } => Answer::Conflict,
            Call::Lease { name } => {
                let now = turmoil::sim_elapsed().unwrap_or_default();
                let free = kept.holder.as_ref().is_none_or(|(holder, at)| *holder == name || now - *at >= LEASE);
                if free {
                    kept.holder = Some((name, now));
                }
                Answer::Leader(kept.holder.as_ref().map(|(holder, _)| holder.clone()).unwrap_or_default())
            }
        }
    }
}

/// What a replica keeps its ledger in.
pub(in crate::quota) async fn read() -> Result<Read, StoreError> {
    match ask(&Call::Read).await {
        Some(Answer::Stored { version, bytes }) => Ok(Read { bytes, token: version.to_string().into() }),
        _ => Err(StoreError::Slow),
    }
}

pub(in crate::quota) async fn write(expects: &str, bytes: &[u8]) -> Result<Outcome, StoreError> {
    match ask(&Call::Write { expects: expects.to_owned(), bytes: bytes.to_vec() }).await {
        Some(Answer::Stored { version, .. }) => Ok(Outcome::Done(version.to_string().into())),
        Some(Answer::Conflict) => Ok(Outcome::Conflict),
        _ => Err(StoreError::Slow),
    }
}

/// Who leads now. None: nobody can say.
pub(super) async fn lease(name: &str) -> Option<String> {
    match ask(&Call::Lease { name: name.to_owned() }).await? {
        Answer::Leader(leader) => Some(leader),
        _ => None,
    }
}

async fn ask(call: &Call) -> Option<Answer> {
    let exchange = async {
        let (mut reader, mut writer) = lines::split(TcpStream::connect((HOST, PORT)).await.ok()?);
        writer.send(call).await.ok()?;
        reader.next().await
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}
