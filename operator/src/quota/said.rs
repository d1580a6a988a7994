//! What providers say is left of their accounts: others may use them as well, and they may be smaller than the config says.
//! Then less is handed out, so that nobody is refused there.

use spillway_policy::quota::Nanos;
use spillway_wire::Allowance;

/// However little is left, somebody has to ask whether it still is.
const LEAST_MILLI: u64 = 50;
/// Parts do not change for less than this.
const STEP_MILLI: u64 = 50;
pub(super) const ALL_MILLI: u64 = 1_000;
const SECOND: Nanos = 1_000_000_000;

/// What a provider said, by the clock of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    limit: u64,
    remaining: u64,
    at: Nanos,
    /// When there is all of it again.
    resets: Nanos,
}

// === impl Said ===

impl Said {
    pub(super) fn new(now: Nanos, given: &Allowance) -> Self {
        let Allowance { rate: _, limit, remaining, resets, age } = *given;
        let at = now.saturating_sub(age);
        Self { limit, remaining, at, resets: at.saturating_add(resets) }
    }

    /// Whether it says nothing of the present any more.
    pub(super) const fn is_over(&self, now: Nanos) -> bool {
        self.resets <= now
    }

    /// Whether this counts, and not the other one. Where models have limits of their own, the largest is the account's.
    pub(super) const fn replaces(&self, other: &Self, now: Nanos) -> bool {
        self.at >= other.at && (self.limit >= other.limit || other.is_over(now))
    }

    /// How much of a limit can be used until there is all of it again, in thousandths: no more than keeps what is left from
    /// running out.
    ///
    /// By what is left, if the config's limit is a part of the account's; or by the part that is left, if the account's is
    /// the smaller one. The latter only where it is counted over no longer than ours: of a day's limit a small part of a day
    /// is always left.
    pub(super) fn milli(&self, limit: u64, window: Nanos) -> u64 {
        let lasts = u128::from(self.resets.saturating_sub(self.at).max(SECOND));
        let left = u128::from(self.remaining) * u128::from(window) * u128::from(ALL_MILLI);
        let of_ours = left / (lasts * u128::from(limit.max(1)));
        let is_ours = lasts <= u128::from(window);
        let of_theirs = if is_ours { left / (lasts * u128::from(self.limit.max(1))) } else { 0 };
        let milli = u64::try_from(of_ours.max(of_theirs)).unwrap_or(u64::MAX);
        (milli / STEP_MILLI * STEP_MILLI).clamp(LEAST_MILLI, ALL_MILLI)
    }
}

#[cfg(test)]
mod tests {
    use spillway_wire::{Counts, RateName, RateOf};

    use super::*;

    const MINUTE: Nanos = 60 * SECOND;

    fn said(limit: u64, remaining: u64, resets: u64, age: u64) -> Said {
        let rate = RateName { of: RateOf::Provider("ai/openai".into()), counts: Counts::Requests, value: None };
        let allowance = Allowance { rate, limit, remaining, resets: resets * SECOND, age: age * SECOND };
        Said::new(100 * SECOND, &allowance)
    }

    #[test]
    fn less_is_handed_out_where_less_is_left_than_there_should_be() {
        let rows = [
            ("as it should be in the middle of a minute", said(1_000, 500, 30, 0), 1_000),
            ("all of it", said(1_000, 1_000, 60, 0), 1_000),
            ("others have used half of what should be left", said(1_000, 250, 30, 0), 500),
            ("nothing is left", said(1_000, 0, 30, 0), 50),
            ("a bucket that fills up is half full", said(1_000, 500, 30, 0), 1_000),
            ("and a tenth full", said(1_000, 100, 54, 0), 100),
            ("a larger account, and enough for us", said(10_000, 2_000, 48, 0), 1_000),
            ("a smaller account than was said", said(500, 250, 30, 0), 1_000),
            ("and much of it is used", said(500, 100, 40, 0), 300),
            ("of a day's limit", said(14_400, 14_370, 180, 0), 1_000),
            ("little of a day's limit", said(14_400, 200, 3_600, 0), 50),
            ("it is over in a moment", said(1_000, 20, 0, 0), 1_000),
        ];
        for (row, said, want) in rows {
            assert_eq!(said.milli(1_000, MINUTE), want, "{row}");
        }
    }

    #[test]
    fn the_newest_counts_and_of_several_limits_the_largest() {
        let now = 100 * SECOND;
        let known = said(1_000, 500, 30, 5);
        for (row, other, want) in [
            ("newer", said(1_000, 400, 28, 3), true),
            ("older", said(1_000, 600, 32, 7), false),
            ("of a smaller limit", said(500, 400, 28, 3), false),
            ("of a larger limit", said(2_000, 400, 28, 3), true),
        ] {
            assert_eq!(other.replaces(&known, now), want, "{row}");
        }
        assert!(said(500, 400, 28, 3).replaces(&said(1_000, 1, 5, 5), now), "what is over counts for nothing");
    }
}
