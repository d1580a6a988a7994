//! Durations as the Gateway API writes them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time as in the Gateway API: one to four numbers, each with its unit `h`, `m`, `s` or `ms`, such as `10s`,
/// `1m30s` or `250ms`.
///
/// It stays the text the user wrote until [`Duration::millis`] is asked, so that reading an object never fails on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError(String);

// === impl Duration ===

impl Duration {
    /// The length in milliseconds.
    ///
    /// # Errors
    /// When the text is not a Gateway API duration.
    pub fn millis(&self) -> Result<u64, DurationError> {
        let refuse = || DurationError(self.0.chars().take(40).collect());
        let mut rest = self.0.as_str();
        let (mut parts, mut total) = (0, 0_u64);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let unit = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(unit);
            parts += 1;
            if !(1..=5).contains(&digits) || parts > 4 {
                return Err(refuse());
            }
            let per = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(refuse()),
            };
            // At most 4 × 99,999 h, which fits.
            total += number.parse::<u64>().map_err(|_| refuse())? * per;
            rest = tail;
        }
        if parts == 0 { Err(refuse()) } else { Ok(total) }
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 2, "maxLength": 28, "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"})
    }
}

// === impl DurationError ===

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration: write numbers with units h, m, s or ms, such as \"1m30s\"", self.0)
    }
}

impl std::error::Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_gateway_api() {
        let rows = [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("1s1s", Some(2_000)),
            ("99999h", Some(359_996_400_000)),
            ("100000h", None),
            ("1s1s1s1s1s", None),
            ("", None),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1d", None),
            ("1 s", None),
            ("1µs", None),
        ];
        for (text, want) in rows {
            assert_eq!(Duration::from(text).millis().ok(), want, "{text:?}");
        }
    }
}
