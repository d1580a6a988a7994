//! The only place that asks what time it is.
//!
//! Monotonic time comes from tokio, so that a paused test clock drives everything; a clock [`Clock::starting_at`] some wall
//! time moves its wall time along with it.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time. Handed down, never asked for globally.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    origin: Option<(Timestamp, Instant)>,
}

// === impl Clock ===

impl Clock {
    /// The machine's own time.
    #[must_use]
    pub fn system() -> Self {
        Self { origin: None }
    }

    /// A clock that shows `wall` now and then advances with tokio's time.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { origin: Some((wall, tokio::time::Instant::now().into_std())) }
    }

    /// Time that never goes back, for durations and deadlines.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// The time of day, for tokens, certificates and calendars.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match self.origin {
            Some((wall, since)) => wall + (self.monotonic() - since),
            None => system_time(),
        }
    }

    /// Seconds since 1970, the unit of tokens and certificates.
    #[must_use]
    pub fn unix(&self) -> i64 {
        self.wall().as_second()
    }

    /// Today in UTC, the days usage is booked on.
    #[must_use]
    pub fn today(&self) -> jiff::civil::Date {
        self.wall().to_zoned(jiff::tz::TimeZone::UTC).date()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place the others have to ask")]
fn system_time() -> Timestamp {
    Timestamp::now()
}

/// A number in `0.0..1.0` that differs from call to call, for jitter; nothing secret may rest on it.
#[must_use]
pub fn roll() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let unit = bits as f64 / (1u64 << 53) as f64;
    unit
}

/// `base`, give or take up to `ratio` of it.
#[must_use]
pub fn jittered(base: Duration, ratio: f64, roll: f64) -> Duration {
    base.mul_f64(1.0 + ratio * (2.0 * roll - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_started_clock_follows_the_paused_clock() {
        let start: Timestamp = "2026-11-21T23:59:58Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        assert_eq!(clock.wall(), start);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.unix(), start.as_second() + 3);
        assert_eq!(clock.today().to_string(), "2026-11-22");
    }

    #[test]
    fn jitter_stays_within_its_ratio() {
        for _ in 0..1000 {
            let age = jittered(Duration::from_secs(1800), 0.1, roll());
            assert!((1620..=1980).contains(&age.as_secs()), "{age:?}");
        }
    }
}
