//! Context windows that proved smaller than they were said to be: what a provider says when it refuses a prompt.
//!
//! Only ever smaller than the config says, and for a few hours: a provider that is wrong about itself once, or that has been
//! given more since, is asked again. A config that says something new about the window is believed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long it is believed.
const KEPT: Duration = Duration::from_secs(4 * 3_600);

/// Of one model at one provider.
#[derive(Debug, Default)]
pub(crate) struct LearntWindow {
    /// False is the rule, and is read without a lock.
    any: AtomicBool,
    taught: Mutex<Option<Taught>>,
}

#[derive(Clone, Copy, Debug)]
struct Taught {
    window: u64,
    /// What the config said then.
    said: Option<u64>,
    at: Instant,
}

// === impl LearntWindow ===

impl LearntWindow {
    /// A provider has named its window. True: that is news. `said`: what the config says.
    pub(crate) fn teach(&self, window: u64, said: Option<u64>, now: Instant) -> bool {
        if said.is_some_and(|said| window >= said) {
            return false;
        }
        let before = self.window(said, now);
        if before.is_some_and(|before| before <= window) {
            return false;
        }
        *self.taught.lock().unwrap_or_else(PoisonError::into_inner) = Some(Taught { window, said, at: now });
        self.any.store(true, Ordering::Relaxed);
        true
    }

    /// What it has proved to be. None: nobody has said that it is smaller than `said`.
    pub(crate) fn window(&self, said: Option<u64>, now: Instant) -> Option<u64> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut taught = self.taught.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |taught: &Taught| taught.said == said && now.saturating_duration_since(taught.at) < KEPT;
        if !taught.as_ref().is_some_and(holds) {
            *taught = None;
            self.any.store(false, Ordering::Relaxed);
        }
        taught.map(|taught| taught.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn a_window_is_learnt_downwards_and_forgotten_in_time() {
        let (learnt, now) = (LearntWindow::default(), clock::now());
        assert_eq!(learnt.window(Some(8_000), now), None);
        assert!(!learnt.teach(8_000, Some(8_000), now) && !learnt.teach(9_000, Some(8_000), now), "not smaller");
        assert!(learnt.teach(6_000, Some(8_000), now) && learnt.teach(4_000, Some(8_000), now));
        assert!(!learnt.teach(6_000, Some(8_000), now) && !learnt.teach(4_000, Some(8_000), now), "no news");
        let rows = [(0, Some(4_000)), (KEPT.as_secs() - 1, Some(4_000)), (KEPT.as_secs(), None)];
        for (seconds, want) in rows {
            assert_eq!(learnt.window(Some(8_000), now + Duration::from_secs(seconds)), want, "{seconds}");
        }
        assert!(learnt.teach(6_000, None, now), "nothing was said of it");
        assert_eq!(learnt.window(None, now), Some(6_000));
        assert_eq!(learnt.window(Some(5_000), now), None, "the config has something to say now");
        assert_eq!(learnt.window(None, now), None, "and what was learnt before is over");
    }
}
