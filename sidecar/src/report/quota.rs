//! Tells the operator what was spent and what could be used, and asks for more.
//!
//! Apart from the other reports: these are small, frequent, and what they bring is waited for. A report that is lost is
//! made good by the next one; none is sent again.

use std::{sync::Arc, time::Duration};

use spillway_wire::paths;
use tokio::time::{sleep, timeout};

use crate::{
    backoff::Backoff,
    chain::Chain,
    link::{Link, LinkError},
    runtime::Runtime,
};

/// While nothing presses.
const EVERY: Duration = Duration::from_secs(2);
/// However much presses.
const GAP: Duration = Duration::from_millis(50);
/// What the last one may take: the pod is being ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends reports of rights for as long as the process lives.
#[derive(Debug)]
pub struct QuotaReporter {
    link: Arc<Link>,
    runtime: Arc<Runtime>,
}

// === impl QuotaReporter ===

impl QuotaReporter {
    #[must_use]
    pub const fn new(link: Arc<Link>, runtime: Arc<Runtime>) -> Self {
        Self { link, runtime }
    }

    /// Never returns; drop it, then call [`QuotaReporter::finish`].
    pub async fn run(&self) {
        let mut backoff = Backoff::default();
        loop {
            match self.report().await {
                Ok(()) => {
                    backoff.reset();
                    sleep(GAP).await;
                    // What pressed meanwhile is due now.
                    _ = timeout(EVERY - GAP, self.runtime.rights.is_due()).await;
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "report of rights was not taken");
                    // Somebody may be waiting; and this is no more often than when all is well.
                    sleep(backoff.next(self.runtime.roll()).min(EVERY)).await;
                }
            }
        }
    }

    /// Gives back what is not in use, and says so. Not said, it stays this pod's until the pod is gone for certain.
    pub async fn finish(&self) {
        self.runtime.rights.leave();
        let sent = timeout(FAREWELL, async {
            let mut backoff = Backoff::default();
            while let Err(error) = self.report().await {
                tracing::warn!(error = %Chain(&error), "the last report of rights was not taken");
                sleep(backoff.next(self.runtime.roll())).await;
            }
        });
        if sent.await.is_err() {
            tracing::warn!("the operator does not know what this pod gives back");
        }
    }

    async fn report(&self) -> Result<(), LinkError> {
        let Some(report) = self.runtime.quota_report() else { return Ok(()) };
        self.link.post(paths::QUOTA, &report).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use spillway_wire::{AccountName, AccountUse, Down, Grant, QuotaReport, Rights};

    use super::*;
    use crate::{
        feed::{Feed, Intake, OperatorFeed},
        journal::Journal,
        link::fake::{Authority, FakeOperator, Subscribed},
        runtime::unix,
        server::fake::{World, chat, route},
    };

    /// A sidecar with a budget, and its operator.
    async fn start() -> (World, FakeOperator, Subscribed) {
        let world = World::new(|config| {
            config["budgets"] = serde_json::json!({"shop/month": {"limit_nanos": 1_000, "per": "Namespace",
                "period": {"every": "Month"}, "reserve": "WorstCase", "on_exhausted": "Block"}});
            route(config)["budgets"] = serde_json::json!(["shop/month"]);
        })
        .await;
        let mut operator = FakeOperator::start(&Authority::new()).await;
        let runtime = Arc::clone(&world.runtime);
        let intake = Intake::new(Arc::clone(&runtime), Journal::open(None));
        let feed = OperatorFeed { link: operator.link(), runtime, boot: "b".into() };
        tokio::spawn(Feed::Operator(feed).run(intake));
        let stream = operator.subscribed().await;
        (world, operator, stream)
    }

    fn month(world: &World) -> i64 {
        let generation = world.runtime.generation().unwrap();
        generation.snapshot.budgets["shop/month"].period.at(unix()).unwrap().start
    }

    fn granted(report: &QuotaReport, period: i64, total_nanos: u64) -> Down {
        let account = AccountName { budget: "shop/month".into(), value: None, period };
        let (returned_nanos, spent_nanos, left_nanos) = (0, 0, total_nanos);
        let grants = vec![Grant { account, total_nanos, returned_nanos, spent_nanos, keep_nanos: None, left_nanos }];
        let (journal, answers) = (report.journal.clone(), report.stamp);
        let rights = Rights { journal, epoch: 1, serial: report.serial + 1, answers, grants, ..Rights::default() };
        Down::Rights { rights }
    }

    #[tokio::test]
    async fn a_wish_is_reported_at_once_granted_used_and_the_rest_given_back_at_the_end() {
        const GRANTED: u64 = 1_000_000_000;
        let (world, mut operator, stream) = start().await;
        let reporter = Arc::new(QuotaReporter::new(operator.link(), Arc::clone(&world.runtime)));
        let reporting = tokio::spawn({
            let reporter = Arc::clone(&reporter);
            async move { reporter.run().await }
        });
        // Nothing is known of any account before somebody asks.
        assert_eq!(operator.quota(|_| true).await.accounts, []);
        let period = month(&world);
        let body = chat();
        let (got, ()) = tokio::join!(world.chat(&body), async {
            let wants = operator.quota(|report| !report.accounts.is_empty()).await;
            assert!(wants.accounts[0].largest_nanos > 0 && wants.accounts[0].wants_nanos > 0, "{wants:?}");
            stream.send(&granted(&wants, period, GRANTED));
        });
        assert_eq!(got.status, 200, "{got:?}");
        reporting.abort();
        reporter.finish().await;
        let last = operator.quota(|report| report.last).await;
        let AccountUse { granted_nanos, returned_nanos, spent_nanos, open_nanos, .. } = last.accounts[0];
        assert_eq!((granted_nanos, spent_nanos, open_nanos), (GRANTED, 60_000, 0));
        assert_eq!(returned_nanos, GRANTED - 60_000);
        assert_eq!(world.chat(&chat()).await.code(), "budget_unavailable", "and nothing is admitted after that");
    }

    #[tokio::test]
    async fn nothing_is_reported_where_there_is_nothing_to_spend() {
        let world = World::new(|_| {}).await;
        let mut operator = FakeOperator::start(&Authority::new()).await;
        let reporter = QuotaReporter::new(operator.link(), Arc::clone(&world.runtime));
        reporter.report().await.unwrap();
        reporter.finish().await;
        assert!(operator.is_quiet());
    }
}
