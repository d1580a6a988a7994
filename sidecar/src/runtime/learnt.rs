//! Context windows that proved smaller than they were said to be: what a provider says when it refuses a prompt.
//!
//! Only ever smaller than the config says, and for a few hours: a provider that is wrong about itself once, or that has been
//! given more since, is asked again. A config that says something new about the window is believed.
//!
//! One wrong number would turn away every prompt of every application for those hours, so a number has to fit what is known:
//! none below a prompt that the model has answered, and one far below what was believed only when it is said again. What was
//! said once is believed for minutes: what is shortened to it meanwhile proves nothing, so then the next prompt goes as it
//! is, and is answered, or the provider says the same again. An answer to a prompt that is longer ends the belief at once.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long it is believed where it was said twice, and where it was said once.
const KEPT: Duration = Duration::from_secs(4 * 3_600);
const KEPT_ONCE: Duration = Duration::from_secs(10 * 60);

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
    /// What was said last, believed or not.
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
    /// It was said before, and forgotten or not believed.
    again: bool,
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
        if self.any.load(Ordering::Relaxed) {
            let mut known = self.known();
            if known.taught.is_some_and(|taught| taught.window < prompt) {
                (known.taught, known.rumour) = (None, None);
                // Nothing below it is learnt from here on, though something longer was answered long ago.
                known.answered = Some(now);
                self.any.store(false, Ordering::Relaxed);
            }
        }
    }

    /// A provider has named its window. True: that is news. `said`: what the config says.
    pub(crate) fn teach(&self, window: u64, said: Option<u64>, now: Instant) -> bool {
        let before = self.window(said, now).or(said);
        if before.is_some_and(|before| before <= window) {
            return false;
        }
        let mut known = self.known();
        if known.answered.is_some_and(|at| !is_over(at, now, KEPT)) {
            if window < self.answered.load(Ordering::Relaxed) {
                return false;
            }
        } else if known.answered.take().is_some() {
            self.answered.store(0, Ordering::Relaxed);
        }
        let is_same = |rumour: Taught| rumour.said == said && rumour.window == window && !is_over(rumour.at, now, KEPT);
        let news = Taught { window, said, at: now, again: known.rumour.is_some_and(is_same) };
        known.rumour = Some(news);
        if !news.again && before.is_some_and(|before| window < before / A_LOT) {
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
        self.said == said && !is_over(self.at, now, if self.again { KEPT } else { KEPT_ONCE })
    }
}

fn is_over(at: Instant, now: Instant, kept: Duration) -> bool {
    now.saturating_duration_since(at) >= kept
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
        let holds = |from: Instant, kept: Duration| {
            for (seconds, want) in [(0, Some(4_000)), (kept.as_secs() - 1, Some(4_000)), (kept.as_secs(), None)] {
                assert_eq!(learnt.window(Some(8_000), from + Duration::from_secs(seconds)), want, "{seconds}");
            }
        };
        holds(now, KEPT_ONCE);
        let again = now + KEPT_ONCE;
        assert!(learnt.teach(4_000, Some(8_000), again), "a prompt went as it was, and was refused");
        holds(again, KEPT);
        let now = again + KEPT;
        assert!(learnt.teach(6_000, None, now), "nothing was said of it");
        assert_eq!(learnt.window(None, now), Some(6_000));
        assert_eq!(learnt.window(Some(5_000), now), None, "the config has something to say now");
        assert_eq!(learnt.window(None, now), None, "and what was learnt before is over");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_a_longer_prompt_refutes_a_window_at_once() {
        for said in [Some(8_000), None] {
            let (learnt, now) = (LearntWindow::default(), clock::now());
            assert!(learnt.teach(5_000, said, now));
            learnt.answered(5_000, now);
            assert_eq!(learnt.window(said, now), Some(5_000), "it may be just that");
            learnt.answered(5_001, now);
            assert_eq!(learnt.window(said, now), None);
            assert!(!learnt.teach(5_000, said, now), "nor is it believed again");
        }
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
