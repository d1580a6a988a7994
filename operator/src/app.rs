//! `spillway operator`: builds everything, starts the tasks, and ends politely.

mod cluster;
pub mod local;
mod standalone;
pub mod tasks;

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};
use tokio_util::sync::CancellationToken;

use self::tasks::Tasks;
use crate::settings::{Settings, SourceSettings};

/// A replica that is to end goes on serving for this long, until everybody knows that it is not ready any more.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs the operator until a signal, or until one of its tasks ends.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = Tasks::new(stop.clone());
    let signals = signals(draining.clone(), stop.clone())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the operator starts");
    let started = match &settings.source {
        SourceSettings::Cluster(cluster) => {
            stop.run_until_cancelled(cluster::start(&settings, cluster, draining, &mut tasks)).await
        }
        SourceSettings::Directory(directory) => {
            Some(standalone::start(&settings, directory, draining, &mut tasks).await)
        }
    };
    tasks.spawn_forever("signals", signals);
    match started {
        Some(Ok(())) => tasks.run().await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    }
}

/// Listens for the signals at once, so that none is missed while things start.
fn signals(draining: CancellationToken, stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let watcher = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        draining.cancel();
        time::sleep(FAREWELL).await;
        stop.cancel();
    });
    Ok(async move {
        let _ = watcher.await;
        std::future::pending::<()>().await;
    })
}
