//! When a budget's count starts again: the same at both ends, whatever time zone data either has.

use jiff::{SignedDuration, Timestamp, ToSpan, Zoned, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How long a budget lasts, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub every: Every,
    /// The rule of a time zone in the notation of POSIX (`CET-1CEST,M3.5.0,M10.5.0/3`). None: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Every {
    Hour,
    Day,
    /// From Monday on.
    Week,
    Month,
    /// One period that never ends.
    Once,
}

/// A period in seconds since 1970, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    /// None: it never ends.
    pub end: Option<i64>,
}

// === impl Period ===

impl Period {
    /// The period that a moment, in seconds since 1970, belongs to. None: the zone is not in the notation, or the moment
    /// is thousands of years away.
    #[must_use]
    pub fn at(&self, unix: i64) -> Option<Span> {
        if self.every == Every::Once {
            return Some(Span { start: 0, end: None });
        }
        let zone = match &self.zone {
            Some(rule) => TimeZone::posix(rule).ok()?,
            None => TimeZone::UTC,
        };
        let now = Timestamp::from_second(unix).ok()?.to_zoned(zone);
        let (start, next) = self.bounds(&now)?;
        Some(Span { start: start.timestamp().as_second(), end: Some(next.timestamp().as_second()) })
    }

    fn bounds(&self, now: &Zoned) -> Option<(Zoned, Zoned)> {
        if self.every == Every::Hour {
            // By elapsed time, so that the hour that a change of clocks repeats is a period of its own.
            let past = SignedDuration::from_secs(i64::from(now.minute()) * 60 + i64::from(now.second()))
                + SignedDuration::from_nanos(i64::from(now.subsec_nanosecond()));
            let start = now.checked_sub(past).ok()?;
            let next = start.checked_add(SignedDuration::from_hours(1)).ok()?;
            return Some((start, next));
        }
        let today = now.date();
        let (first, length) = match self.every {
            Every::Week => {
                let since_monday = i64::from(today.weekday().to_monday_zero_offset());
                (today.checked_sub(since_monday.days()).ok()?, 1.week())
            }
            Every::Month => (today.first_of_month(), 1.month()),
            Every::Hour | Every::Day | Every::Once => (today, 1.day()),
        };
        let midnight =
            |date: jiff::civil::Date| date.to_datetime(Time::midnight()).to_zoned(now.time_zone().clone()).ok();
        Some((midnight(first)?, midnight(first.checked_add(length).ok()?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn unix(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_moment_belongs_to_one_period() {
        let rows = [
            (Every::Hour, None, "2026-11-21T23:53:21Z", "2026-11-21T23:00:00Z", "2026-11-22T00:00:00Z"),
            (Every::Day, None, "2026-11-21T23:59:59Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            (Every::Day, Some(BERLIN), "2026-11-21T23:53:21Z", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
            (Every::Week, None, "2026-11-22T12:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Every::Week, None, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Every::Month, None, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (Every::Month, Some(BERLIN), "2026-03-31T22:30:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
            // A day of 23 hours, and one of 25.
            (Every::Day, Some(BERLIN), "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Every::Day, Some(BERLIN), "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            // The hour that comes twice is two.
            (Every::Hour, Some(BERLIN), "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            (Every::Hour, Some(BERLIN), "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
            // Half an hour off.
            (Every::Hour, Some("IST-5:30"), "2026-11-21T12:00:00Z", "2026-11-21T11:30:00Z", "2026-11-21T12:30:00Z"),
        ];
        for (every, zone, at, start, end) in rows {
            let period = Period { every, zone: zone.map(str::to_owned) };
            let want = Span { start: unix(start), end: Some(unix(end)) };
            assert_eq!(period.at(unix(at)), Some(want), "{every:?} {zone:?} {at}");
        }
        let once = Period { every: Every::Once, zone: None };
        assert_eq!(once.at(unix("2026-11-21T12:00:00Z")), Some(Span { start: 0, end: None }));
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        for every in [Every::Hour, Every::Day, Every::Week, Every::Month] {
            for zone in [None, Some(BERLIN), Some("NZST-12NZDT,M9.5.0,M4.1.0/3"), Some("<-03>3")] {
                let period = Period { every, zone: zone.map(str::to_owned) };
                let mut at = unix("2026-01-01T00:00:00Z");
                for _ in 0..400 {
                    let span = period.at(at).unwrap();
                    let end = span.end.unwrap();
                    assert!(span.start <= at && at < end, "{every:?} {zone:?} {at} {span:?}");
                    assert_eq!(period.at(end - 1), Some(span), "{every:?} {zone:?} {at}");
                    assert_eq!(period.at(end).unwrap().start, end, "{every:?} {zone:?} {at}");
                    at = end;
                }
            }
        }
    }

    #[test]
    fn what_is_no_zone_and_what_is_no_time_has_no_period() {
        let period = |zone: &str| Period { every: Every::Day, zone: Some(zone.to_owned()) };
        assert_eq!(period("Europe/Berlin").at(0), None);
        assert_eq!(period("").at(0), None);
        for unix in [i64::MIN, i64::MAX] {
            assert_eq!(period(BERLIN).at(unix), None);
        }
    }
}
