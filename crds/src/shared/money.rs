//! US dollars as decimal text, counted as integer nano-dollars.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;
/// Decimals of a dollar that a nano-dollar can hold.
const DECIMALS: usize = 9;
/// The most decimals that may be written; those beyond the ninth round up.
const MAX_DECIMALS: usize = 12;
/// The most digits before the point: a billion dollars less one, far inside what 64 bits of nano-dollars hold.
const MAX_WHOLE: usize = 9;

/// US dollars as a decimal string: `"0.05"`. Up to nine digits before the point and twelve after it; what is finer than a
/// nano-dollar is rounded up.
///
/// It stays the text the user wrote until [`Money::nanos`] is asked, so that reading an object never fails on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub String);

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyError(String);

// === impl Money ===

impl Money {
    /// The amount in nano-dollars, rounded up.
    ///
    /// # Errors
    /// When the text is not a plain decimal number within the bounds.
    pub fn nanos(&self) -> Result<u64, MoneyError> {
        let refuse = || MoneyError(self.0.chars().take(40).collect());
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = match self.0.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(refuse()),
            None => (self.0.as_str(), ""),
        };
        let sizes = (1..=MAX_WHOLE).contains(&whole.len()) && fraction.len() <= MAX_DECIMALS;
        if !sizes || !digits(whole) || !digits(fraction) {
            return Err(refuse());
        }
        let (kept, finer) = fraction.split_at(fraction.len().min(DECIMALS));
        let dollars: u64 = whole.parse().map_err(|_| refuse())?;
        let nanos: u64 = format!("{kept:0<DECIMALS$}").parse().map_err(|_| refuse())?;
        let up = u64::from(finer.bytes().any(|digit| digit != b'0'));
        Ok(dollars * NANOS_PER_DOLLAR + nanos + up)
    }

    /// An exact amount as text, with at least two decimals: `1.23`, `0.0000195`.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        let (dollars, rest) = (nanos / NANOS_PER_DOLLAR, nanos % NANOS_PER_DOLLAR);
        let fraction = format!("{rest:09}");
        let kept = fraction.trim_end_matches('0').len().max(2);
        Self(format!("{dollars}.{}", &fraction[..kept]))
    }
}

impl From<&str> for Money {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 22, "pattern": r"^[0-9]{1,9}(\.[0-9]{1,12})?$"})
    }
}

// === impl MoneyError ===

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an amount in US dollars: write a decimal number such as \"0.05\", below a billion",
            self.0
        )
    }
}

impl std::error::Error for MoneyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_become_nano_dollars_rounded_up() {
        let rows = [
            ("0", Some(0)),
            ("1", Some(1_000_000_000)),
            ("0.05", Some(50_000_000)),
            ("0.075", Some(75_000_000)),
            ("500.00", Some(500_000_000_000)),
            ("0.0000000001", Some(1)),
            ("0.1234567890", Some(123_456_789)),
            ("0.123456789001", Some(123_456_790)),
            ("999999999.999999999999", Some(1_000_000_000_000_000_000)),
            ("1000000000", None),
            ("0.1234567890123", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1,5", None),
            ("1.2.3", None),
            ("$5", None),
            (" 5", None),
            ("٣", None),
        ];
        for (text, want) in rows {
            assert_eq!(Money::from(text).nanos().ok(), want, "{text:?}");
        }
    }

    #[test]
    fn nano_dollars_become_exact_text() {
        let rows = [
            (0, "0.00"),
            (1_230_000_000, "1.23"),
            (30_100_000_000, "30.10"),
            (19_500, "0.0000195"),
            (1, "0.000000001"),
        ];
        for (nanos, want) in rows {
            let text = Money::from_nanos(nanos);
            assert_eq!(text.0, want, "{nanos}");
            assert_eq!(text.nanos(), Ok(nanos), "{want} reads back");
        }
    }
}
