//! Requests that come at their own pace, whether or not others have been answered, as applications' do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::{client::send, clock};

/// How long those that were answered with 200 took, the shortest first: so many a second for so long.
pub async fn answered(to: SocketAddr, request: &Arc<[u8]>, rate: u32, seconds: u32) -> anyhow::Result<Vec<Duration>> {
    let mut calls = JoinSet::new();
    let mut every = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..rate * seconds {
        every.tick().await;
        let request = Arc::clone(request);
        calls.spawn(async move {
            let from = clock::now();
            let reply = send(to, &request).await;
            (clock::now() - from, reply)
        });
    }
    let mut took = Vec::new();
    while let Some(call) = calls.join_next().await {
        let (duration, reply) = call?;
        if reply?.status == 200 {
            took.push(duration);
        }
    }
    took.sort_unstable();
    Ok(took)
}

/// What so many of a hundred do not exceed, the shortest first; zero of none.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
