//! The only place that asks what time it is.

use std::time::{Duration, Instant, SystemTime};

/// UTC days since 1970-01-01.
pub type Day = i64;

const SECONDS_PER_DAY: u64 = 86_400;

/// Monotonic time. Tokio's, so that a paused test clock drives everything.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// So long after a moment. One so far away that no clock holds it never comes; a year is as good as never.
#[must_use]
pub fn after(moment: Instant, duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * SECONDS_PER_DAY);
    moment.checked_add(duration).unwrap_or(moment + YEAR)
}

/// Time since 1970, for what a person or another process reads.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The UTC day a request is charged to.
#[must_use]
pub fn today() -> Day {
    Day::try_from(since_epoch().as_secs() / SECONDS_PER_DAY).unwrap_or(Day::MAX)
}

/// `2026-11-21`.
#[must_use]
pub fn day_name(day: Day) -> String {
    let days = jiff::Span::new().try_days(day).unwrap_or_default();
    jiff::civil::date(1970, 1, 1).saturating_add(days).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_a_date() {
        for (day, want) in [(0, "1970-01-01"), (20_778, "2026-11-21")] {
            assert_eq!(day_name(day), want);
        }
    }
}
