//! Should a failed attempt be repeated on the same backend, and after how long?

pub mod budget;

use std::time::Duration;

use crate::{Class, Classes};

/// A route's rule for repeating attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Attempts on one backend after its first.
    pub attempts: u32,
    pub on: Classes,
    pub base: Duration,
    pub max: Duration,
    /// The longest `Retry-After` that is waited for.
    pub honour_retry_after: Duration,
}

/// What happened, and what is left.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub class: Class,
    /// Repeats already made on this backend.
    pub repeats: u32,
    /// The pause before this attempt. Zero for the first.
    pub paused: Duration,
    pub retry_after: Option<Duration>,
    /// Until the request's deadline.
    pub left: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Repeat after this pause.
    After(Duration),
    Stop(Stop),
}

/// Why not again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The rule does not name the class.
    Class,
    /// The rule's attempts are used up.
    Spent,
    /// The provider asks for more patience than the rule has.
    RetryAfterTooLong,
    /// The request's deadline comes first.
    Deadline,
}

/// No pause is longer, whatever a rule says: an application has long given up.
const LONGEST: Duration = Duration::from_secs(600);

impl Rule {
    /// Decides. `roll` is any random number; equal rolls give equal pauses.
    ///
    /// The pause is "decorrelated jitter", as the AWS Architecture Blog describes it in "Exponential Backoff And Jitter": a
    /// random length between `base` and three times the pause before, at most `max`. Callers who failed together do not
    /// return together, and nobody returns at once. `Retry-After` is a floor: up to a fifth is added to it, never taken off.
    #[must_use]
    pub fn after(&self, failure: &Failure, roll: u64) -> Verdict {
        if !self.on.contains(failure.class) {
            return Verdict::Stop(Stop::Class);
        }
        if failure.repeats >= self.attempts {
            return Verdict::Stop(Stop::Spent);
        }
        let most = failure.paused.max(self.base).saturating_mul(3);
        let mut pause = (self.base + part(most.saturating_sub(self.base), roll)).min(self.max).min(LONGEST);
        if let Some(floor) = failure.retry_after {
            if floor > self.honour_retry_after.min(LONGEST) {
                return Verdict::Stop(Stop::RetryAfterTooLong);
            }
            pause = pause.max(stagger(floor, roll));
        }
        if pause >= failure.left { Verdict::Stop(Stop::Deadline) } else { Verdict::After(pause) }
    }
}

/// What a provider asked for and up to a fifth more, so that those who were told the same do not return together.
#[must_use]
pub fn stagger(wait: Duration, roll: u64) -> Duration {
    wait.saturating_add(part(wait / 5, roll))
}

/// A random part of `whole`.
fn part(whole: Duration, roll: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    // The high half of the product is uniform in 0..nanos for a uniform roll, without a division.
    Duration::from_nanos(u64::try_from((u128::from(nanos) * u128::from(roll)) >> 64).unwrap_or(nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const LOW: u64 = 0;
    const HIGH: u64 = u64::MAX;

    fn rule() -> Rule {
        let on = [Class::Connection, Class::RateLimited].into_iter().collect();
        Rule { attempts: 3, on, base: MS(200), max: MS(1_000), honour_retry_after: MS(10_000) }
    }

    #[test]
    fn pauses_grow_to_the_maximum_and_the_provider_sets_the_floor() {
        use Class::{Connection, RateLimited, Timeout};
        let rows = [
            ("first, lowest roll", Connection, (0, 0), None, LOW, Ok(200)),
            ("first, highest roll", Connection, (0, 0), None, HIGH, Ok(600)),
            ("three times the last, at most", Connection, (1, 300), None, HIGH, Ok(900)),
            ("and the base at least", Connection, (1, 300), None, LOW, Ok(200)),
            ("up to max", Connection, (2, 900), None, HIGH, Ok(1_000)),
            ("spent", Connection, (3, 0), None, LOW, Err(Stop::Spent)),
            ("not named by the rule", Timeout, (0, 0), None, LOW, Err(Stop::Class)),
            ("retry-after is a floor", RateLimited, (0, 0), Some(2_000), LOW, Ok(2_000)),
            ("with up to a fifth more", RateLimited, (0, 0), Some(2_000), HIGH, Ok(2_400)),
            ("a small one changes nothing", RateLimited, (0, 0), Some(1), HIGH, Ok(600)),
            ("too long", RateLimited, (0, 0), Some(10_001), LOW, Err(Stop::RetryAfterTooLong)),
        ];
        for (row, class, (repeats, paused), retry_after, roll, want) in rows {
            let failure =
                Failure { class, repeats, paused: MS(paused), retry_after: retry_after.map(MS), left: MS(60_000) };
            match (rule().after(&failure, roll), want) {
                (Verdict::After(pause), Ok(want)) => assert!(pause.abs_diff(MS(want)) < MS(1), "{row}: {pause:?}"),
                (got, want) => assert_eq!(got, Verdict::Stop(want.expect_err(row)), "{row}"),
            }
        }
    }

    #[test]
    fn nobody_waits_past_the_deadline() {
        let paused = Duration::ZERO;
        let failure = Failure { class: Class::Connection, repeats: 0, paused, retry_after: None, left: MS(200) };
        assert_eq!(rule().after(&failure, LOW), Verdict::Stop(Stop::Deadline));
        assert_eq!(rule().after(&Failure { left: MS(201), ..failure }, LOW), Verdict::After(MS(200)));
    }

    proptest! {
        #[test]
        fn a_pause_is_never_shorter_than_asked_nor_longer_than_left(
            repeats in 0u32..100, paused in 0u64.., asked in proptest::option::of(0u64..20_000), left in 0u64..100_000, roll in 0u64..,
        ) {
            let rule = Rule { attempts: u32::MAX, ..rule() };
            let failure = Failure {
                class: Class::RateLimited, repeats, paused: MS(paused), retry_after: asked.map(MS), left: MS(left),
            };
            if let Verdict::After(pause) = rule.after(&failure, roll) {
                prop_assert!(pause >= asked.map_or(Duration::ZERO, MS) && pause < MS(left));
            }
        }
    }
}
