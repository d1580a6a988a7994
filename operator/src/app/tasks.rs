//! The long-running tasks of the process. None of them may end by itself: one that does takes the process with it, because a
//! replica without one of its parts is worse than a replica that restarts.

use std::{collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;

/// How long tasks have to finish once they were asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Tasks by name.
pub struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

// === impl Tasks ===

impl Tasks {
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { running: JoinSet::new(), names: HashMap::new(), stop }
    }

    /// What tells tasks to finish.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task that ends after `stop`, and not before.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Runs a task that never ends by itself and needs no farewell: it is dropped at `stop`.
    pub fn spawn_forever(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop();
        self.spawn(name, async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Watches over the tasks until `stop`, then until they have finished. An error names the one that ended early.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = self.stop.cancelled() => None,
            ended = self.running.join_next_with_id() => ended,
        };
        let asked = self.stop.is_cancelled();
        self.stop.cancel();
        let result = match ended {
            None => Ok(()),
            // It was asked to, and was faster than we.
            Some(Ok(_)) if asked => Ok(()),
            Some(Ok((id, ()))) => Err(anyhow::anyhow!("task {:?} ended by itself", self.name(id))),
            Some(Err(error)) => Err(anyhow::anyhow!("task {:?} died: {error}", self.name(error.id()))),
        };
        if time::timeout(GRACE, async { while self.running.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(seconds = GRACE.as_secs(), "some tasks did not finish in time and are dropped");
        }
        result
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_is_named_and_stops_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop();
        tasks.spawn_forever("watch", std::future::pending());
        tasks.spawn("server", async {});
        let error = tasks.run().await.unwrap_err().to_string();
        assert!(error.contains("server") && stop.is_cancelled(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_end_because_they_were_asked_to_are_no_error() {
        for _ in 0..50 {
            let mut tasks = Tasks::new(CancellationToken::new());
            for _ in 0..10 {
                tasks.spawn_forever("watch", std::future::pending());
            }
            let stop = tasks.stop();
            let (running, ()) = tokio::join!(tasks.run(), async { stop.cancel() });
            running.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_an_error_and_not_silence() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("loop", async { panic!("on purpose") });
        let error = tasks.run().await.unwrap_err().to_string();
        assert!(error.contains("loop") && error.contains("died"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_lets_tasks_finish() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop();
        let (done, finished) = tokio::sync::oneshot::channel();
        let token = stop.clone();
        tasks.spawn("server", async move {
            token.cancelled().await;
            time::sleep(Duration::from_secs(3)).await;
            let _ = done.send(());
        });
        stop.cancel();
        tasks.run().await.unwrap();
        assert!(finished.await.is_ok());
    }
}
