//! The only place of this crate that asks what time it is.

use std::time::Instant;

/// A point that everything in one run is timed from, so that two ends of a connection can compare their readings.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    #[must_use]
    pub fn start() -> Self {
        Self(now())
    }

    #[must_use]
    pub fn nanos(self) -> u64 {
        u64::try_from(now().saturating_duration_since(self.0).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The monotonic clock, for deadlines of real processes; nothing here can be paused.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock.rs the ban points to")]
pub fn now() -> Instant {
    Instant::now()
}
