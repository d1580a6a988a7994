//! Estimates of a prompt's length, corrected by what providers report of the prompts they were sent.
//!
//! A model whose tokenizer nobody knows finds some factor more or fewer tokens than an estimate that knows only how many
//! letters there are. The factor is the model's and the application's language's; it changes little from one prompt to the
//! next, so a mean over the last few is better than none. What is further off than a quarter or the double is no matter of a
//! tokenizer (a provider's own instructions, what a tool of its own found) and tells nothing of the next prompt: it is not learnt.

use std::sync::atomic::{AtomicU32, Ordering};

/// A prompt shorter than this is mostly template.
const SHORT: u64 = 200;

/// Per mille.
const ONE: u64 = 1_000;
const LEAST: u64 = ONE / 4;
const MOST: u64 = ONE * 2;

/// A report is worth so much of what was known before: one in so many.
const WEIGHT: u64 = 8;

/// What one model makes of an estimate of a thousand tokens. Zero: nobody knows yet.
#[derive(Debug, Default)]
pub struct Calibration(AtomicU32);

// === impl Calibration ===

impl Calibration {
    /// The provider found `reported` tokens in a prompt that was estimated at `estimated`, uncorrected.
    pub fn learn(&self, estimated: u64, reported: u64) {
        if estimated < SHORT || reported == 0 {
            return;
        }
        let seen = reported.saturating_mul(ONE) / estimated;
        if !(LEAST..=MOST).contains(&seen) {
            return;
        }
        let before = u64::from(self.0.load(Ordering::Relaxed));
        let mean = if before == 0 { seen } else { (before * (WEIGHT - 1) + seen).div_ceil(WEIGHT) };
        // Of two reports at the same moment one is lost, and the next one comes.
        self.0.store(u32::try_from(mean).unwrap_or(0), Ordering::Relaxed);
    }

    /// What the model makes of a thousand estimated tokens. None: nobody knows yet.
    #[must_use]
    pub fn per_mille(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|known| *known > 0)
    }

    /// An estimate as the model would count.
    #[must_use]
    pub fn correct(&self, estimated: u64) -> u64 {
        self.per_mille().map_or(estimated, |known| (estimated.saturating_mul(known.into())).div_ceil(ONE))
    }

    /// The longest estimate that is no more than so many tokens of the model.
    #[must_use]
    pub fn undo(&self, tokens: u64) -> u64 {
        self.per_mille().map_or(tokens, |known| tokens.saturating_mul(ONE) / u64::from(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_taken_as_it_is_until_somebody_has_counted() {
        let fresh = Calibration::default();
        for (estimated, reported) in [(SHORT - 1, 200), (1_000, 0), (1_000, 249), (1_000, 2_001), (1_000, u64::MAX)] {
            fresh.learn(estimated, reported);
            assert_eq!((fresh.per_mille(), fresh.correct(1_000), fresh.undo(1_000)), (None, 1_000, 1_000));
        }
    }

    #[test]
    fn what_providers_report_is_met_by_and_by_and_an_odd_report_moves_nothing() {
        let calibration = Calibration::default();
        calibration.learn(1_000, 800);
        assert_eq!(calibration.correct(2_000), 1_600, "the first report is all there is");
        calibration.learn(1_000, 50_000);
        assert_eq!(calibration.per_mille(), Some(800), "no tokenizer is off by so much");
        for _ in 0..60 {
            calibration.learn(10_000, 12_500);
        }
        assert!((1_250..=1_257).contains(&calibration.correct(1_000)), "{calibration:?}");
        for tokens in [0, 1, 999, 123_456] {
            assert!(calibration.correct(calibration.undo(tokens)) <= tokens, "{tokens}");
        }
    }

    #[test]
    fn it_stays_within_a_quarter_and_the_double_whatever_is_reported() {
        let most = u64::from(u32::MAX);
        for (reported, bound) in [(most.div_ceil(4), 250), (most * 2, 2_000)] {
            let calibration = Calibration::default();
            (0..100).for_each(|_| calibration.learn(u64::from(u32::MAX), reported));
            assert_eq!(calibration.correct(1_000), bound);
            assert!(calibration.correct(u64::MAX) > 0 && calibration.undo(u64::MAX) > 0);
        }
    }
}
