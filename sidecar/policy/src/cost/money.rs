//! Amounts of money.

use std::{fmt, ops::Add};

/// Billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

const NANOS_PER_USD: u64 = 1_000_000_000;

// === impl NanoUsd ===

impl Add for NanoUsd {
    type Output = Self;

    /// Saturates: absurd numbers give an absurd cost, not a small one.
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
    use super::*;

    #[test]
    fn money_reads_as_dollars() {
        for (nanos, want) in
            [(0, "0"), (1, "0.000000001"), (150_000, "0.00015"), (1_500_000_000, "1.5"), (12_000_000_000, "12")]
        {
            assert_eq!(NanoUsd(nanos).to_string(), want);
        }
    }
}
