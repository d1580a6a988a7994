//! How many sidecars run a route, in numbers and in words.

use spillway_crds::{ConditionStatus, Reason, SidecarCounts};

use super::Breakers;

/// Pods that a message names; a hundred names help nobody.
const NAMED: usize = 5;

/// The sidecars that one route concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFleet {
    /// Sidecars that should run it.
    pub expected: usize,
    /// Sidecars that do.
    pub programmed: usize,
    /// Pods that refused it, each with the reason.
    pub rejected: Vec<(String, String)>,
    /// Pods that have not answered yet.
    pub waiting: Vec<String>,
    /// What those who run it say of its backends.
    pub breakers: Breakers,
}

// === impl RouteFleet ===

impl RouteFleet {
    /// The numbers for `status.sidecars`.
    #[must_use]
    pub fn counts(&self) -> SidecarCounts {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        SidecarCounts {
            ready: number(self.expected),
            programmed: number(self.programmed),
            rejected: number(self.rejected.len()),
        }
    }

    /// `2/3`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}/{}", self.programmed, self.expected)
    }

    /// The condition Programmed of a route that is, or is not, accepted, and has, or has not, a backend.
    pub(super) fn programmed(&self, is_accepted: bool, has_backend: bool) -> (ConditionStatus, Reason, String) {
        use ConditionStatus::{False, True};
        let Self { expected, programmed, rejected, waiting, breakers: _ } = self;
        if !is_accepted {
            return (False, Reason::NotAccepted, "nothing is sent to sidecars: condition Accepted says why".to_owned());
        }
        if !has_backend {
            let message = "sidecars answer 503, as no backend can be used: condition ResolvedRefs says why";
            return (False, Reason::NoUsableBackend, message.to_owned());
        }
        let ratio = format!("{programmed} of {expected} sidecars run this revision");
        if let [(_, why), ..] = &rejected[..] {
            let pods = named(rejected.iter().map(|(pod, _)| pod.as_str()));
            return (False, Reason::Rejected, format!("{ratio}; refused by {pods}: {why}"));
        }
        if *expected == 0 {
            return (True, Reason::NoSidecars, "no injected pod is concerned yet".to_owned());
        }
        if programmed >= expected {
            return (True, Reason::Programmed, ratio);
        }
        let pods = named(waiting.iter().map(String::as_str));
        let message = if pods.is_empty() { ratio } else { format!("{ratio}; waiting for {pods}") };
        (False, Reason::Pending, message)
    }
}

/// `pods a, b`, in order and up to five, then how many more.
fn named<'a>(pods: impl Iterator<Item = &'a str>) -> String {
    let mut pods: Vec<&str> = pods.collect();
    pods.sort_unstable();
    let rest = pods.len().saturating_sub(NAMED);
    pods.truncate(NAMED);
    match (pods.len(), rest) {
        (0, _) => String::new(),
        (1, _) => format!("pod {}", pods[0]),
        (_, 0) => format!("pods {}", pods.join(", ")),
        (_, rest) => format!("pods {} and {rest} more", pods.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_fleet(expected: usize, programmed: usize, rejected: &[&str], waiting: &[&str]) -> RouteFleet {
        RouteFleet {
            expected,
            programmed,
            rejected: rejected.iter().map(|pod| ((*pod).to_owned(), "limits are not known here".to_owned())).collect(),
            waiting: waiting.iter().map(|pod| (*pod).to_owned()).collect(),
            breakers: Breakers::default(),
        }
    }

    #[test]
    fn programmed_says_who_is_missing() {
        use ConditionStatus::{False, True};
        let eight = ["h", "g", "f", "e", "d", "c", "b", "a"];
        let rows = [
            (a_fleet(3, 3, &[], &[]), True, Reason::Programmed, "3 of 3 sidecars run this revision"),
            (
                a_fleet(3, 2, &[], &["a"]),
                False,
                Reason::Pending,
                "2 of 3 sidecars run this revision; waiting for pod a",
            ),
            (
                a_fleet(3, 1, &[], &["b", "a"]),
                False,
                Reason::Pending,
                "1 of 3 sidecars run this revision; waiting for pods a, b",
            ),
            (
                a_fleet(8, 0, &[], &eight),
                False,
                Reason::Pending,
                "0 of 8 sidecars run this revision; waiting for pods a, b, c, d, e and 3 more",
            ),
            (
                a_fleet(2, 1, &["a"], &[]),
                False,
                Reason::Rejected,
                "1 of 2 sidecars run this revision; refused by pod a: limits are not known here",
            ),
            (a_fleet(0, 0, &[], &[]), True, Reason::NoSidecars, "no injected pod is concerned yet"),
            (a_fleet(2, 0, &[], &[]), False, Reason::Pending, "0 of 2 sidecars run this revision"),
        ];
        for (fleet, status, reason, message) in rows {
            assert_eq!(fleet.programmed(true, true), (status, reason, message.to_owned()), "{fleet:?}");
        }
    }

    #[test]
    fn what_cannot_serve_is_not_programmed() {
        let fleet = a_fleet(3, 3, &[], &[]);
        assert_eq!(fleet.programmed(false, false).1, Reason::NotAccepted);
        assert_eq!(fleet.programmed(true, false).1, Reason::NoUsableBackend);
        assert_eq!(fleet.programmed(true, false).0, ConditionStatus::False);
    }
}
