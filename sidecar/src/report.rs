//! Tells the operator what this sidecar runs and what it has used.
//!
//! A report carries totals since the boot, so nothing is lost with a report: the next one says it again. Totals go to the
//! journal before they go out, at the latest a second after they changed, so a container that dies takes at most its
//! last second along; the next boot delivers the rest under the old boot's name. Which backends are left alone, and
//! whose windows proved smaller than they were said to be, goes along as it is when the report is made.

mod outbox;
mod quota;
mod resting;
mod windows;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use spillway_wire::{Ack, Report, paths};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use self::outbox::Outbox;
pub use self::quota::QuotaReporter;
use crate::{
    backoff::Backoff,
    chain::Chain,
    clock,
    journal::{Journal, Slot},
    link::{Link, LinkError},
    runtime::Runtime,
};

/// How often, and for how long.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long changes are collected: a busy sidecar sends one report in this time.
    collect: Duration,
    heartbeat: Duration,
    /// What the last report may take: the pod is being ended.
    farewell: Duration,
}

/// The contract says a second after a change and ten without one; a report also takes time to travel.
const PACE: Pace =
    Pace { collect: Duration::from_millis(900), heartbeat: Duration::from_secs(9), farewell: Duration::from_secs(2) };

/// Sends reports for as long as the process lives.
#[derive(Debug)]
pub struct Reporter {
    link: Arc<Link>,
    runtime: Arc<Runtime>,
    ack: watch::Receiver<Ack>,
    journal: Journal,
    outbox: Mutex<Outbox>,
    noted: Notify,
    pace: Pace,
}

// === impl Reporter ===

impl Reporter {
    #[must_use]
    pub fn new(
        link: Arc<Link>,
        boot: String,
        journal: Journal,
        runtime: Arc<Runtime>,
        ack: watch::Receiver<Ack>,
    ) -> Self {
        let outbox = Mutex::new(Outbox::new(boot, journal.load(Slot::Usage)));
        Self { link, runtime, ack, journal, outbox, noted: Notify::new(), pace: PACE }
    }

    /// Never returns; drop it, then call [`Reporter::finish`].
    pub async fn run(&self) {
        tokio::join!(self.keep_books(), self.watch_backends(), self.send_reports());
    }

    /// The last report. Whether it arrives or not, the journal has it.
    pub async fn finish(&self) {
        self.note();
        let ack = self.ack.borrow().clone();
        let sent = timeout(self.pace.farewell, async {
            let mut backoff = Backoff::default();
            while let Err(error) = self.send_all(&ack, true).await {
                tracing::warn!(error = %Chain(&error), "the last report was not taken");
                sleep(backoff.next(self.runtime.roll())).await;
            }
        });
        if sent.await.is_err() {
            tracing::warn!("the operator does not know the last totals of this sidecar (they are in its journal)");
        }
    }

    /// Copies changed totals into the books, while reports may be on their way or failing.
    async fn keep_books(&self) {
        loop {
            self.runtime.usage.changed().await;
            sleep(self.pace.collect).await;
            if self.note() {
                self.noted.notify_one();
            }
        }
    }

    /// A pause is over without anybody doing anything: only looking tells.
    async fn watch_backends(&self) {
        loop {
            sleep(self.pace.collect).await;
            if self.note_backends() {
                self.noted.notify_one();
            }
        }
    }

    async fn send_reports(&self) {
        let mut ack = self.ack.clone();
        let mut backoff = Backoff::default();
        loop {
            let current = ack.borrow_and_update().clone();
            match self.send_all(&current, false).await {
                Ok(()) => {
                    backoff.reset();
                    tokio::select! {
                        Ok(()) = ack.changed() => {}
                        () = self.noted.notified() => {}
                        () = sleep(self.pace.heartbeat) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "report was not taken, totals are kept and sent again");
                    // A config that was just taken says that the operator is back.
                    tokio::select! {
                        Ok(()) = ack.changed() => {}
                        () = sleep(backoff.next(self.runtime.roll())) => {}
                    }
                }
            }
        }
    }

    /// True if a total has changed.
    fn note(&self) -> bool {
        let mut outbox = self.lock();
        let changed = outbox.note(self.runtime.usage.lines());
        if changed {
            self.journal.save(Slot::Usage, &outbox.saved());
        }
        changed
    }

    /// True if since the last time a backend is left alone, or asked again, or has another window than it was thought to.
    fn note_backends(&self) -> bool {
        let generation = self.runtime.generation();
        let now = clock::now();
        let resting = |generation| resting::resting(generation, now, clock::since_epoch());
        let resting = generation.as_deref().map(resting).unwrap_or_default();
        let windows = generation.as_deref().map(|generation| windows::learnt(generation, now)).unwrap_or_default();
        let mut outbox = self.lock();
        outbox.note_backends(resting) | outbox.note_windows(windows)
    }

    /// This boot's report, then those of earlier boots.
    async fn send_all(&self, ack: &Ack, last: bool) -> Result<(), LinkError> {
        self.note_backends();
        let report = self.prepare(|outbox| outbox.report(ack.clone(), last));
        self.send(&report).await?;
        while let Some(report) = self.prepare(Outbox::earlier_report) {
            match self.send(&report).await {
                Err(error) if error.is_final() => {
                    tracing::error!(boot = report.boot, error = %Chain(&error), "totals of an earlier boot are given up");
                    self.prepare(|outbox| outbox.refused(&report));
                }
                sent => sent?,
            }
        }
        Ok(())
    }

    async fn send(&self, report: &Report) -> Result<(), LinkError> {
        self.link.post(paths::REPORT, report).await?;
        let oldest_day = clock::day_name(clock::today() - 1);
        self.prepare(|outbox| outbox.delivered(report, &oldest_day));
        Ok(())
    }

    /// A report's number is in the journal before it is used, so that no later boot uses it again.
    fn prepare<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let mut outbox = self.lock();
        let made = change(&mut outbox);
        self.journal.save(Slot::Usage, &outbox.saved());
        made
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().expect("nothing panics while holding the outbox")
    }
}

#[cfg(test)]
mod tests;
