//! The leader's loop: takes over, hands out, writes down.

use std::sync::Arc;
use std::time::Duration;

use spillway_policy::quota::{Epoch, Ledger, Token};
use spillway_wire::RightsDelivery;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ledger::{Stored, decode};
use super::pen::{News, Pen};
use super::store::{Store, StoreError};
use super::{Bank, Desk, Post, down, line};
use crate::clock;
use crate::lease::Tenure;
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::publish::Publisher;

/// Between two turns when nobody waits.
const EVERY: Duration = Duration::from_millis(250);
/// What a pod said last that is gone by now is kept for so long, in case that there was no leader to tell.
const ENDED: Duration = Duration::from_secs(60);
/// What a pod said that lives, which reports every two seconds: not with this journal any more.
const FORGOTTEN: Duration = Duration::from_secs(1_800);
/// From the first who waits to the turn: others may wait as well.
const GATHER: Duration = Duration::from_millis(10);
/// Between two looks at what is over.
const TIDY: Duration = Duration::from_secs(2);
/// After a turn or a write, this many times as long passes before the next one.
const REST: u32 = 4;
/// Before the ledger is read again after a failure, and before another take-over.
const PAUSE: Duration = Duration::from_secs(1);

/// Everything the loop works with.
pub struct Runner {
    pub bank: Bank,
    pub store: Store,
    pub publisher: Publisher,
    pub pods: Pods,
    pub tenure: watch::Receiver<Tenure>,
    pub metrics: Metrics,
    /// This process: no two have the same name.
    pub instance: String,
}

/// Why nothing can be handed out now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "ConfigMap {} holds no ledger of rights (fix: restore it; if it is deleted, every budget begins anew as if nothing had been spent in its period)",
        super::CONFIG_MAP_NAME
    )]
    Corrupt(#[source] crate::packed::Corrupt),
}

/// Whether the next leader is to hear of a source that has been silent for so long. The last report of a pod that has ended
/// may be all there is of it; a leader that has retired it remembers that for far longer.
fn may_matter(alive: bool, silent: Duration) -> bool {
    silent < if alive { FORGOTTEN } else { ENDED }
}

// === impl Runner ===

impl Runner {
    /// Leads whenever this replica holds the Lease, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut leadership = self.bank.inner.leadership.clone();
        let mut taken = 0_u64;
        loop {
            let leads = leadership.borrow_and_update().is_leading();
            if leads {
                taken += 1;
                let name = format!("{}/{taken}", self.instance);
                if stop.run_until_cancelled(self.lead(name.into())).await.is_none() {
                    break;
                }
                *self.bank.desk() = None;
                stop.run_until_cancelled(sleep(clock::jittered(PAUSE, 0.5, clock::roll()))).await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = leadership.changed() => if changed.is_err() { break },
                () = sleep(TIDY) => self.prune(),
            }
        }
        *self.bank.desk() = None;
    }

    /// Until somebody else does.
    async fn lead(&self, name: Arc<str>) {
        match self.read().await {
            Ok((stored, token)) => self.take_over(name, stored, token),
            Err(error) => {
                self.metrics.rights_failures.inc();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "no rights are handed out");
                return;
            }
        }
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut plan = self.bank.inner.plan.subscribe();
        let mut pen = Pen::new(self.store.clone(), self.metrics.clone());
        let (mut tidied, mut rested) = (Instant::now(), Instant::now());
        while self.bank.is_leading() {
            tokio::select! {
                news = pen.settled() => self.tell(news),
                () = self.bank.inner.wake.notified() => sleep_until(rested.max(Instant::now() + GATHER)).await,
                _ = tick.tick() => {}
            }
            if plan.has_changed().unwrap_or(false) {
                let plan = plan.borrow_and_update().clone();
                self.with(|desk| desk.follow(plan));
            }
            let now = Instant::now();
            if now >= tidied {
                tidied = now + TIDY;
                self.tidy();
            }
            if !self.turn(&mut pen) {
                tracing::info!("another replica hands out rights");
                return;
            }
            rested = Instant::now() + now.elapsed() * REST;
        }
    }

    async fn read(&self) -> Result<(Stored, Token), Trouble> {
        let read = self.store.read().await?;
        let stored = match read.bytes {
            Some(bytes) => decode(&bytes).map_err(Trouble::Corrupt)?,
            // Later than whoever led before everything was lost, if anybody did.
            None => {
                let epoch = Epoch(u64::try_from(self.bank.at().unix).unwrap_or_default());
                Stored { ledger: Ledger { epoch, ..Ledger::default() }, ..Stored::default() }
            }
        };
        Ok((stored, read.token))
    }

    fn take_over(&self, name: Arc<str>, stored: Stored, token: Token) {
        let plan = self.bank.inner.plan.borrow().clone();
        let at = self.bank.at();
        let mut desk = Desk::take_over(name, stored, token, plan, at);
        // What this replica was told while another one led.
        for delivery in self.bank.inner.relay.all() {
            desk.hear(at, &delivery, false);
        }
        *self.bank.desk() = Some(desk);
        tracing::info!("this replica hands out rights");
    }

    /// Sends what may be sent, and starts what is to be written. False: somebody else leads.
    fn turn(&self, pen: &mut Pen) -> bool {
        let at = self.bank.at();
        let until = self.tenure.borrow().map(|until| self.bank.nanos(until));
        let turned = self.with(|desk| {
            let turn = desk.turn(at.now, until);
            if let Some(write) = turn.write.filter(|_| pen.is_idle()) {
                pen.start(write, |write| desk.encode(write));
            }
            (turn.rights, desk.is_deposed())
        });
        let (rights, deposed) = turned.unwrap_or((Vec::new(), true));
        rights.into_iter().for_each(|post| self.send(post));
        !deposed
    }

    fn tell(&self, news: News) {
        let now = self.bank.at().now;
        let pods = self.pods.read();
        self.with(|desk| match news {
            News::Written(stored, token) => desk.written(now, &stored, token, &pods),
            News::Found(stored, token) => desk.reread(now, &stored, token),
            News::Abandoned => desk.abandon(),
        });
    }

    fn tidy(&self) {
        let at = self.bank.at();
        let pods = self.pods.read();
        self.with(|desk| desk.tidy(at, &pods));
        drop(pods);
        self.prune();
    }

    /// Forgets what the next leader is not to hear: of a source that is gone, whose account is closed, it would count what was
    /// spent a second time. Every replica does, because any of them may lead next or tell whoever does.
    fn prune(&self) {
        let pods = self.pods.read();
        if pods.is_ready() {
            self.bank.inner.relay.retain(|source, silent| may_matter(pods.get(&source.uid).is_some(), silent));
        }
    }

    /// To the stream of the pod, wherever it ends.
    fn send(&self, post: Post) {
        let Post { uid, rights, relayed } = post;
        let delivery = RightsDelivery { uid, rights };
        let here = self.publisher.rights(&delivery.uid, || down(&delivery));
        if relayed || !here {
            // Nobody else may be there to listen.
            let _ = self.bank.inner.followers.send(line(&delivery));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Desk) -> T) -> Option<T> {
        self.bank.desk().as_mut().map(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leader_has_closed_is_not_told_to_the_next_one() {
        let rows = [(true, 0, true), (true, 600, true), (true, 7_000, false), (false, 5, true), (false, 61, false)];
        for (alive, silent, want) in rows {
            assert_eq!(may_matter(alive, Duration::from_secs(silent)), want, "{alive} {silent}");
        }
    }
}
