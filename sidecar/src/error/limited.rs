//! A request that a limit refused, in words and numbers.

use std::{fmt, time::Duration};

use http::StatusCode;
use spillway_policy::limit::{Refusal, What, Why};

use super::{Shape, kind};

/// Why a limit refused a request.
#[derive(Clone, Debug)]
pub struct Limited {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    /// Of several counts, which kind: ` for this user`. Never whose: what an application sends is not echoed.
    pub whose: String,
    pub refusal: Refusal,
    /// What else there is to say of the limit.
    pub note: String,
}

/// SDKs wait for no `Retry-After` longer than this and retry on their own instead, in vain.
const SDK_PATIENCE: Duration = Duration::from_secs(60);
/// Even where everything says "now", there is something in the way.
const LEAST: Duration = Duration::from_millis(1);

// === impl Limited ===

impl Limited {
    pub(super) fn shape(&self) -> Shape {
        let wait = self.ready_in();
        match self.refusal.why {
            Why::Never => Shape {
                should_retry: Some(false),
                ..Shape::new(StatusCode::BAD_REQUEST, kind::REQUEST, "request_exceeds_limit")
            },
            Why::Over | Why::QueueFull { .. } | Why::Crowded { .. } | Why::TooLate { .. } | Why::Waited { .. } => {
                Shape {
                    retry_after: Some(wait),
                    should_retry: (wait > SDK_PATIENCE).then_some(false),
                    ..Shape::new(StatusCode::TOO_MANY_REQUESTS, kind::RATE, "rate_limit_exceeded")
                }
            }
        }
    }

    fn ready_in(&self) -> Duration {
        Duration::from_nanos(self.refusal.ready_in).max(LEAST)
    }

    /// `60 requests in 1m`.
    fn bound(&self) -> String {
        let Refusal { what, bound, window, .. } = &self.refusal;
        let (what, of) = match what {
            What::Requests => ("request", format!("in {}", span(Duration::from_nanos(*window)))),
            What::Tokens => ("token", format!("in {}", span(Duration::from_nanos(*window)))),
            What::Concurrency => ("request", "at a time".to_owned()),
        };
        format!("{bound} {what}{} {of}", if *bound == 1 { "" } else { "s" })
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, whose, refusal, note } = self;
        let Refusal { limit, what, why, asked, bound, .. } = refusal;
        if *why == Why::Never {
            return write!(
                f,
                "request may take up to {asked} tokens, and limit {limit:?} of route {route} gives at most {bound} at \
                 once{whose} (shorten the prompt, lower max_tokens, or raise the limit's tokens or burst)"
            );
        }
        write!(f, "limit {limit:?} of route {route} allows {}{whose}", self.bound())?;
        match what {
            What::Tokens => write!(f, ", and there is no room for the {asked} of this request now")?,
            What::Requests | What::Concurrency => write!(f, ", and that is used up")?,
        }
        match why {
            Why::Over | Why::Never => {}
            Why::QueueFull { depth } => write!(f, "; its queue of {depth} is full")?,
            Why::Crowded { waiting } => {
                write!(
                    f,
                    "; its queue has room, but this sidecar lets no more than {waiting} requests wait at a time"
                )?;
            }
            Why::TooLate { patience } => {
                let patience = span(Duration::from_nanos(*patience));
                write!(f, "; the request may wait for {patience} and would not be served by then")?;
            }
            Why::Waited { waited } => {
                write!(f, "; the request has waited for {} in its queue", span(Duration::from_nanos(*waited)))?;
            }
        }
        if !note.is_empty() {
            write!(f, "; {note}")?;
        }
        write!(f, "; try again in {}", span(self.ready_in()))
    }
}

/// A duration for people, rounded up to what matters: `80ms`, `7s`, `1m`, `1h30m`.
fn span(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let seconds = ms.div_ceil(1_000);
    let units = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = units.iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, unit)| format!("{number}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use spillway_policy::limit::Standing;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limited(what: What, why: Why, ready_in: u64) -> Limited {
        let refusal = Refusal {
            limit: "tenant".into(),
            what,
            why,
            asked: if what == What::Tokens { 512 } else { 1 },
            bound: 60,
            window: 90 * SECOND,
            ready_in,
            standing: Standing::default(),
        };
        Limited { route: "shop/chat".into(), whose: " for this user".into(), refusal, note: String::new() }
    }

    #[test]
    fn a_refusal_says_which_limit_how_much_and_when() {
        let rows = [
            (
                limited(What::Requests, Why::Over, 6_100_000_000),
                "limit \"tenant\" of route shop/chat allows 60 requests in 1m30s for this user, and that is used up; try \
                 again in 7s",
                (429, Some(6_100), None),
            ),
            (
                limited(What::Tokens, Why::TooLate { patience: 30 * SECOND }, 61 * SECOND),
                "limit \"tenant\" of route shop/chat allows 60 tokens in 1m30s for this user, and there is no room for \
                 the 512 of this request now; the request may wait for 30s and would not be served by then; try again \
                 in 1m1s",
                (429, Some(61_000), Some(false)),
            ),
            (
                limited(What::Concurrency, Why::QueueFull { depth: 9 }, 0),
                "limit \"tenant\" of route shop/chat allows 60 requests at a time for this user, and that is used up; its \
                 queue of 9 is full; try again in 1ms",
                (429, Some(1), None),
            ),
            (
                limited(What::Requests, Why::Crowded { waiting: 128 }, SECOND),
                "limit \"tenant\" of route shop/chat allows 60 requests in 1m30s for this user, and that is used up; its \
                 queue has room, but this sidecar lets no more than 128 requests wait at a time; try again in 1s",
                (429, Some(1_000), None),
            ),
            (
                limited(What::Requests, Why::Waited { waited: 250_000_000 }, 86_400 * SECOND),
                "limit \"tenant\" of route shop/chat allows 60 requests in 1m30s for this user, and that is used up; the \
                 request has waited for 250ms in its queue; try again in 1d",
                (429, Some(86_400_000), Some(false)),
            ),
            (
                limited(What::Tokens, Why::Never, 0),
                "request may take up to 512 tokens, and limit \"tenant\" of route shop/chat gives at most 60 at once \
                 for this user (shorten the prompt, lower max_tokens, or raise the limit's tokens or burst)",
                (400, None, Some(false)),
            ),
        ];
        for (limited, text, (status, wait, retry)) in rows {
            assert_eq!(limited.to_string(), text);
            let shape = limited.shape();
            assert_eq!((shape.status.as_u16(), shape.should_retry), (status, retry), "{text}");
            assert_eq!(shape.retry_after, wait.map(Duration::from_millis), "{text}");
        }
    }
}
