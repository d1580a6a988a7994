//! A stretch of days, as a person names it.

use std::fmt;

use jiff::{ToSpan, civil::Date};

/// Days in UTC, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) first: Date,
    pub(super) last: Date,
}

// === impl Days ===

impl Days {
    /// What `--period` says.
    pub(super) fn read(text: &str, today: Date) -> anyhow::Result<Self> {
        let day = |first: Date| Self { first, last: first };
        let month = |of: Date| Self { first: of.first_of_month(), last: of.last_of_month() };
        let named = match text {
            "today" => Some(day(today)),
            "yesterday" => Some(day(today.saturating_sub(1.day()))),
            "week" => Some(Self { first: today.saturating_sub(6.days()), last: today }),
            "month" => Some(month(today)),
            "last-month" => Some(month(today.first_of_month().saturating_sub(1.day()))),
            _ => None,
        };
        let written = || match text.split_once("..") {
            Some((first, last)) => Some(Self { first: first.parse().ok()?, last: last.parse().ok()? }),
            None if text.len() == 7 => Some(month(format!("{text}-01").parse().ok()?)),
            None => Some(day(text.parse().ok()?)),
        };
        let Some(days) = named.or_else(written) else {
            anyhow::bail!(
                "--period {text:?} is no stretch of days (use today, yesterday, week, month, last-month, 2026-11, 2026-11-21 or \
                 2026-11-01..2026-11-15)"
            )
        };
        anyhow::ensure!(days.first <= days.last, "--period {text:?} ends before it begins");
        Ok(days)
    }

    /// Whether a day, written `2026-11-21`, is one of them.
    pub(super) fn has(self, day: &str) -> bool {
        day.parse::<Date>().is_ok_and(|day| self.first <= day && day <= self.last)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { write!(f, "on {first}") } else { write!(f, "from {first} to {last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_read_as_it_is_said() {
        let today = "2026-03-01".parse().unwrap();
        let rows = [
            ("today", "2026-03-01", "2026-03-01"),
            ("yesterday", "2026-02-28", "2026-02-28"),
            ("week", "2026-02-23", "2026-03-01"),
            ("month", "2026-03-01", "2026-03-31"),
            ("last-month", "2026-02-01", "2026-02-28"),
            ("2026-02", "2026-02-01", "2026-02-28"),
            ("2026-02-14", "2026-02-14", "2026-02-14"),
            ("2026-02-14..2026-03-02", "2026-02-14", "2026-03-02"),
        ];
        for (text, first, last) in rows {
            let want = Days { first: first.parse().unwrap(), last: last.parse().unwrap() };
            assert_eq!(Days::read(text, today).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_period_is_said_to_be_none() {
        let today = "2026-03-01".parse().unwrap();
        for text in ["", "tomorrow", "2026", "2026-13", "2026-02-30", "2026-02-14..", "..", "2026-2-1"] {
            let error = Days::read(text, today).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("last-month"), "{error}");
        }
        let error = Days::read("2026-02-14..2026-02-01", today).unwrap_err().to_string();
        assert!(error.contains("ends before it begins"), "{error}");
    }
}
