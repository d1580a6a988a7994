//! Price × usage → money. Integers only, rounded up once per answer, so that a bill is never too small by rounding.

use std::{fmt, ops::Add};

/// Billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

/// Nano-dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// Tokens a provider billed. `input` includes what was read from or written to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

const TOKENS_PER_PRICE: u128 = 1_000_000;
const NANOS_PER_USD: u64 = 1_000_000_000;

// === impl Price ===

impl Price {
    /// What the answer cost. Saturates: a provider that reports absurd numbers gives an absurd cost, not a small one.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> NanoUsd {
        // A provider whose cache figures exceed its input figure contradicts itself; both are billed as reported.
        let plain = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let parts = [
            (plain, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
            (usage.output, self.output),
        ];
        let total = parts.iter().fold(0u128, |sum, &(tokens, price)| {
            sum.saturating_add(u128::from(tokens).saturating_mul(u128::from(price)))
        });
        NanoUsd(u64::try_from(total.div_ceil(TOKENS_PER_PRICE)).unwrap_or(u64::MAX))
    }
}

// === impl NanoUsd ===

impl Add for NanoUsd {
    type Output = Self;

    /// Saturates, for the same reason as [`Price::of`].
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Dollars as a decimal: `0.00015`, `12`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut fraction) = (self.0 / NANOS_PER_USD, self.0 % NANOS_PER_USD);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let mut width = 9;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{whole}.{fraction:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINI: Price =
        Price { input: 150_000_000, output: 600_000_000, cache_read: 75_000_000, cache_write: 187_500_000 };

    #[test]
    fn every_kind_of_token_has_its_price() {
        let rows = [
            ("nothing", Usage::default(), 0),
            ("input", Usage { input: 1_000, ..Usage::default() }, 150_000),
            ("output", Usage { output: 1_000, ..Usage::default() }, 600_000),
            ("cached input is not billed twice", Usage { input: 1_000, cache_read: 1_000, ..Usage::default() }, 75_000),
            ("written input neither", Usage { input: 1_000, cache_write: 400, ..Usage::default() }, 90_000 + 75_000),
            ("caches beyond the input", Usage { input: 1, cache_read: 1_000, ..Usage::default() }, 75_000),
        ];
        for (row, usage, want) in rows {
            assert_eq!(MINI.of(&usage), NanoUsd(want), "{row}");
        }
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_a_whole_one() {
        let price = Price { input: 1, ..Price::default() };
        assert_eq!(price.of(&Usage { input: 1, ..Usage::default() }), NanoUsd(1));
        assert_eq!(price.of(&Usage { input: 1_000_001, ..Usage::default() }), NanoUsd(2));
    }

    #[test]
    fn money_reads_as_dollars() {
        for (nanos, want) in
            [(0, "0"), (1, "0.000000001"), (150_000, "0.00015"), (1_500_000_000, "1.5"), (12_000_000_000, "12")]
        {
            assert_eq!(NanoUsd(nanos).to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn more_tokens_never_cost_less(input in 0u64.., output in 0u64.., read in 0u64.., more in 0u64..) {
            let usage = Usage { input, output, cache_read: read, cache_write: 0 };
            let larger = Usage { output: output.saturating_add(more), ..usage };
            prop_assert!(MINI.of(&usage) <= MINI.of(&larger));
        }
    }
}
