//! Why a breaker is as it is, in the words that people read.

use std::fmt;

use super::Rule;

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// So many failures in a row.
    InARow(u32),
    /// So many failures of so many attempts.
    Share {
        failed: u64,
        of: u64,
    },
    ProbeFailed,
    Paused,
    /// So many times in a row it wanted fewer requests, and did not say for how long.
    Crowded(u32),
    /// Its time was over when an attempt came.
    Due,
    PauseOver,
    Probed,
    Reset,
    /// By another rule it would not have opened.
    Revised,
    /// A new key came.
    NewKey,
    /// A health check was answered.
    Checked,
    /// So many failures of so many attempts of all sidecars together.
    Fleet {
        failed: u64,
        of: u64,
    },
    /// Probes of some of all sidecars were answered.
    FleetProbed,
}

// === impl Cause ===

impl Cause {
    /// Whether a rule opens a breaker for it.
    pub(super) fn opens(self, rule: &Rule) -> bool {
        match self {
            Self::InARow(failures) => failures >= rule.failure_threshold,
            Self::Share { failed, of } => {
                let too_many = u128::from(failed) * 1_000_000 >= u128::from(of) * u128::from(rule.failure_ratio_ppm);
                of >= u64::from(rule.min_requests) && too_many
            }
            _ => true,
        }
    }

    /// Whether how long it is open follows from its rule.
    pub(super) const fn is_of_rule(self) -> bool {
        !self.is_pause() && !matches!(self, Self::Fleet { .. })
    }

    /// Nothing is in doubt: whoever waits for long enough will be served.
    #[must_use]
    pub const fn is_pause(self) -> bool {
        matches!(self, Self::Paused | Self::Crowded(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(1) => f.write_str("a failure"),
            Self::InARow(failures) => write!(f, "{failures} failures in a row"),
            Self::Share { failed, of } => write!(f, "{failed} of {of} attempts failed"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::Paused => f.write_str("the provider asked for a pause"),
            Self::Crowded(times) => write!(f, "it refused {times} requests in a row as too many"),
            Self::Due => f.write_str("it is being probed"),
            Self::PauseOver => f.write_str("the pause is over"),
            Self::Probed => f.write_str("probes succeeded"),
            Self::Reset => f.write_str("reset by hand"),
            Self::Revised => f.write_str("its rule has changed"),
            Self::NewKey => f.write_str("a new key came"),
            Self::Checked => f.write_str("a health check was answered"),
            Self::Fleet { failed, of } => write!(f, "fleet-wide, {failed} of {of} attempts failed"),
            Self::FleetProbed => f.write_str("fleet-wide, probes succeeded"),
        }
    }
}
