//! The provider that everybody calls, and that knows what was really spent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::cluster::{INPUT_MILLI, OUTPUT_MILLI};
use super::load::Dice;
use crate::clock::Epoch;
use crate::http1::Connection;

/// The most it ever bills for a prompt: less than the prompt of [`super::load`] has.
const INPUT_TOKENS: u64 = 40;
/// How long an answer takes at most.
const SLOWEST_MS: u64 = 400;

pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    epoch: Epoch,
    spent_nanos: AtomicU64,
    /// When each request came.
    came: Mutex<Vec<u64>>,
    seed: AtomicU64,
}

impl Upstream {
    /// Listens on a free port of loopback.
    pub(super) async fn start(epoch: Epoch, seed: u64) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seed = AtomicU64::new(seed);
        let this = Arc::new(Self { address, epoch, spent_nanos: AtomicU64::new(0), came: Mutex::default(), seed });
        let server = Arc::clone(&this);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    // A sidecar that is killed leaves an error here that says nothing.
                    let _ = server.serve(Connection::new(stream)?).await;
                    std::io::Result::Ok(())
                });
            }
        });
        Ok(this)
    }

    /// What all requests so far have cost, those of callers that were killed included.
    pub(super) fn spent_nanos(&self) -> u64 {
        self.spent_nanos.load(Ordering::Relaxed)
    }

    /// When requests came, in their order.
    pub(super) fn came(&self) -> Vec<u64> {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner).clone();
        came.sort_unstable();
        came
    }

    async fn serve(&self, mut connection: Connection) -> std::io::Result<()> {
        let mut dice = Dice::new(self.seed.fetch_add(1, Ordering::Relaxed));
        while let Some(head) = connection.head().await? {
            let body = connection.body(head.framing()).await?;
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            // It is billed from the moment it is here, whoever still waits for the answer.
            self.came.lock().unwrap_or_else(PoisonError::into_inner).push(self.epoch.nanos());
            let input = 1 + dice.below(INPUT_TOKENS);
            let output = 1 + dice.below(asked["max_tokens"].as_u64().unwrap_or(1));
            self.spent_nanos.fetch_add(cost_nanos(input, output), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1 + dice.below(SLOWEST_MS))).await;
            let answer = json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
                "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
            });
            let body = answer.to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        }
        Ok(())
    }
}

/// A thousandth of a dollar for a million tokens is a nano-dollar for one.
pub(super) fn cost_nanos(input: u64, output: u64) -> u64 {
    input * INPUT_MILLI + output * OUTPUT_MILLI
}
