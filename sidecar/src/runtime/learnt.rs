//! Context windows that proved smaller than they were said to be: what a provider says when it refuses a prompt.
//!
//! Only ever smaller than the config says, and for a few hours: a provider that is wrong about itself once, or that has been
//! given more since, is asked again. A config that says something new about the window is believed.
//!
//! One wrong number would turn away every prompt of every application for those hours, so a number has to fit what is known:
//! none below a prompt that the model has answered, and one far below what was believed only when it is said again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long it is believed.
const KEPT: Duration = Duration::from_secs(4 * 3_600);

/// A window that shrinks to less than one part in so many is believed at the second time.
const A_LOT: u64 = 4;

/// Of one model at one provider.
#[derive(Debug, Default)]
pub(crate) struct LearntWindow {
    /// False is the rule, and is read without a lock.
    any: AtomicBool,
    /// The largest prompt that was answered, in the provider's tokens.
    answered: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    taught: Option<Taught>,
    /// Said once, and hard to believe.
    rumour: Option<Taught>,
    /// When the largest prompt was answered.
    answered: Option<Instant>,
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
    /// A prompt of so many tokens was answered.
    pub(crate) fn answered(&self, prompt: u64, now: Instant) {
        if prompt > self.answered.load(Ordering::Relaxed) {
            let mut known = self.known();
            known.answered = Some(now);
            self.answered.fetch_max(prompt, Ordering::Relaxed);
        }
    }

    /// A provider has named its window. True: that is news. `said`: what the config says.
    pub(crate) fn teach(&self, window: u64, said: Option<u64>, now: Instant) -> bool {
        let before = self.window(said, now).or(said);
        if before.is_some_and(|before| before <= window) {
            return false;
        }
        let mut known = self.known();
        if known.answered.is_some_and(|at| !is_over(at, now)) {
            if window < self.answered.load(Ordering::Relaxed) {
                return false;
            }
        } else if known.answered.take().is_some() {
            self.answered.store(0, Ordering::Relaxed);
        }
        let news = Taught { window, said, at: now };
        let rumour = known.rumour.take().filter(|rumour| rumour.holds(said, now) && rumour.window == window);
        if rumour.is_none() && before.is_some_and(|before| window < before / A_LOT) {
            known.rumour = Some(news);
            return false;
        }
        known.taught = Some(news);
        self.any.store(true, Ordering::Relaxed);
        true
    }

    /// What it has proved to be. None: nobody has said that it is smaller than `said`.
    pub(crate) fn window(&self, said: Option<u64>, now: Instant) -> Option<u64> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut known = self.known();
        if !known.taught.is_some_and(|taught| taught.holds(said, now)) {
            known.taught = None;
            self.any.store(false, Ordering::Relaxed);
        }
        known.taught.map(|taught| taught.window)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Taught ===

impl Taught {
    fn holds(&self, said: Option<u64>, now: Instant) -> bool {
        self.said == said && !is_over(self.at, now)
    }
}

fn is_over(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= KEPT
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
    #[tokio::test(start_paused = true)]
    async fn a_window_is_not_below_what_was_answered_and_far_below_what_was_believed_only_when_said_again() {
        let (learnt, now) = (LearntWindow::default(), clock::now());
        assert!(!learnt.teach(1_000, Some(8_000), now), "said once");
        assert!(!learnt.teach(1_001, Some(8_000), now) && !learnt.teach(1_000, Some(8_000), now), "and not the same");
        assert_eq!(learnt.window(Some(8_000), now), None);
        assert!(learnt.teach(1_000, Some(8_000), now), "said twice");
        assert_eq!(learnt.window(Some(8_000), now), Some(1_000));

        let learnt = LearntWindow::default();
        learnt.answered(5_000, now);
        learnt.answered(4_000, now);
        assert!(!learnt.teach(4_999, Some(8_000), now) && !learnt.teach(4_999, None, now));
        assert!(learnt.teach(5_000, Some(8_000), now));
        let later = now + KEPT;
        assert!(learnt.teach(4_999, Some(8_000), later), "a model may be given less room one day");
        learnt.answered(4_000, later);
        assert!(!learnt.teach(3_999, Some(8_000), later));
    }
}
