//! Who sees everything: what all sidecars have set aside and what providers have billed, together, and what they have let
//! pass of their limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Outcome, RATE, WINDOW};

#[derive(Clone)]
pub(super) struct Observer(Arc<Mutex<Seen>>);

struct Seen {
    seed: u64,
    limit: u64,
    /// Billed, or set aside and perhaps billed yet. What a process that ends had set aside stays.
    exposed: u64,
    refused: u64,
    /// When requests have passed the limit, in the window that ends now.
    passed: VecDeque<Duration>,
    busiest: usize,
    passes: u64,
}

impl Observer {
    pub(super) fn new(seed: u64, limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            seed,
            limit,
            exposed: 0,
            refused: 0,
            passed: VecDeque::new(),
            busiest: 0,
            passes: 0,
        })))
    }

    pub(super) fn seed(&self) -> u64 {
        self.with(|seen| seen.seed)
    }

    /// A request goes upstream that may cost so much.
    pub(super) fn admitted(&self, amount: u64) {
        self.with(|seen| {
            seen.exposed += amount;
            let Seen { seed, limit, exposed, .. } = *seen;
            assert!(exposed <= limit, "seed {seed}: {exposed} of {limit} are billed or set aside");
        });
    }

    /// It has cost less than was set aside, by so much.
    pub(super) fn settled(&self, less: u64) {
        self.with(|seen| seen.exposed -= less);
    }

    pub(super) fn refused(&self) {
        self.with(|seen| seen.refused += 1);
    }

    /// A request has passed the limit.
    pub(super) fn passed(&self) {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        self.with(|seen| {
            while seen.passed.front().is_some_and(|first| *first + WINDOW <= now) {
                seen.passed.pop_front();
            }
            seen.passed.push_back(now);
            seen.passes += 1;
            let Seen { seed, passed, busiest, .. } = seen;
            *busiest = passed.len().max(*busiest);
            assert!(passed.len() as u64 <= RATE, "seed {seed}: {} of {RATE} in the window to {now:?}", passed.len());
        });
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.with(|seen| Outcome {
            spent: seen.exposed,
            refused: seen.refused,
            busiest: seen.busiest as u64,
            passes: seen.passes,
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
