//! Summaries of conversations' beginnings, found by what was summarized: a conversation that grows has had its beginning
//! summarized before. Nothing is held before the first.
//!
//! A key says nothing of who asked, so that two who began alike share a summary: it is a hash that nobody can make two
//! conversations have.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Of their text, all together.
const MOST_BYTES: usize = 1 << 20;

/// However short they are, and those that are being written.
const MOST: usize = 512;

/// Whoever failed is not asked for the same again at once.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// The hash of what was summarized, by whom and how.
pub(crate) type SummaryKey = [u8; 32];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) text: String,
    /// What the provider said it wrote.
    pub(crate) tokens: u64,
}

/// Those of late, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    kept: Mutex<Vec<(SummaryKey, Arc<AsyncMutex<State>>)>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Made(Arc<Summary>),
    Failed(Instant),
}

/// What came of asking for a summary.
#[derive(Debug)]
pub(crate) enum Waited {
    Made(Arc<Summary>),
    /// It could not be made a moment ago.
    Failed,
    /// It is this one's to make. All others wait for it; dropped, it is the next one's.
    Mine(Making),
}

/// Leave to make a summary that others may be waiting for.
#[derive(Debug)]
#[must_use = "dropping it lets somebody else make the summary"]
pub(crate) struct Making(OwnedMutexGuard<State>);

// === impl Summaries ===

impl Summaries {
    /// A summary that is there.
    pub(crate) fn find(&self, key: &SummaryKey) -> Option<Arc<Summary>> {
        let state = self.state(key, false)?;
        let state = state.try_lock().ok()?;
        if let State::Made(summary) = &*state { Some(Arc::clone(summary)) } else { None }
    }

    /// The summary, or leave to make it. Waits for whoever is making it.
    pub(crate) async fn get(&self, key: &SummaryKey, now: impl Fn() -> Instant) -> Waited {
        let Some(state) = self.state(key, true) else { return Waited::Failed };
        let state = state.lock_owned().await;
        match &*state {
            State::Made(summary) => Waited::Made(Arc::clone(summary)),
            State::Failed(at) if now().saturating_duration_since(*at) < FAILED_FOR => Waited::Failed,
            State::Failed(_) | State::Nothing => Waited::Mine(Making(state)),
        }
    }

    fn state(&self, key: &SummaryKey, add: bool) -> Option<Arc<AsyncMutex<State>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == key).map(|at| kept.remove(at));
        let found = found.or_else(|| add.then(|| (*key, Arc::default())))?;
        let state = Arc::clone(&found.1);
        kept.push(found);
        forget(&mut kept);
        Some(state)
    }
}

/// Forgets the oldest, and all of them beyond what there is room for. What is being written has no length yet.
fn forget(kept: &mut Vec<(SummaryKey, Arc<AsyncMutex<State>>)>) {
    let (mut bytes, mut number) = (0, 0);
    let length = |state: &AsyncMutex<State>| match state.try_lock().as_deref() {
        Ok(State::Made(summary)) => summary.text.len(),
        _ => 0,
    };
    let first = kept.iter().rposition(|(_, state)| {
        bytes += length(state);
        number += 1;
        bytes > MOST_BYTES || number > MOST
    });
    if let Some(first) = first {
        kept.drain(..=first);
    }
}

// === impl Making ===

impl Making {
    /// It is there, for everybody.
    pub(crate) fn made(mut self, summary: Summary) -> Arc<Summary> {
        let summary = Arc::new(summary);
        *self.0 = State::Made(Arc::clone(&summary));
        summary
    }

    pub(crate) fn failed(mut self, now: Instant) {
        *self.0 = State::Failed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const fn key(number: u8) -> SummaryKey {
        [number; 32]
    }

    fn summary(text: &str) -> Summary {
        Summary { text: text.to_owned(), tokens: 1 }
    }

    async fn mine(summaries: &Summaries, number: u8) -> Making {
        match summaries.get(&key(number), clock::now).await {
            Waited::Mine(making) => making,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_makes_it_and_the_others_wait_for_it() {
        let summaries = Arc::new(Summaries::default());
        let making = mine(&summaries, 1).await;
        assert!(summaries.find(&key(1)).is_none());
        let other = Arc::clone(&summaries);
        let waiting = tokio::spawn(async move { other.get(&key(1), clock::now).await });
        tokio::task::yield_now().await;
        let made = making.made(summary("all of it"));
        let Waited::Made(shared) = waiting.await.unwrap() else { panic!("it was there") };
        assert!(Arc::ptr_eq(&made, &shared));
        assert_eq!(summaries.find(&key(1)).map(|found| found.text.clone()).as_deref(), Some("all of it"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_is_left_alone_for_a_while_and_who_leaves_is_replaced_at_once() {
        let summaries = Summaries::default();
        drop(mine(&summaries, 1).await);
        mine(&summaries, 1).await.failed(clock::now());
        assert!(matches!(summaries.get(&key(1), clock::now).await, Waited::Failed));
        tokio::time::advance(FAILED_FOR).await;
        drop(mine(&summaries, 1).await);
    }

    #[tokio::test]
    async fn those_not_used_of_late_are_forgotten() {
        let summaries = Summaries::default();
        for number in 0..4 {
            mine(&summaries, number).await.made(summary(&"x".repeat(300 << 10)));
            assert!(summaries.find(&key(0)).is_some(), "used all the time");
        }
        assert!(summaries.find(&key(1)).is_none() && summaries.find(&key(3)).is_some());
    }
}
