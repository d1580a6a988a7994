//! A request that no budget pays for.

use std::{fmt, time::Duration};

use http::StatusCode;
use spillway_policy::NanoUsd;

use super::{Shape, kind};

/// Why a budget refused a request.
#[derive(Clone, Debug)]
pub struct OverBudget {
    /// `namespace/name` of the ModelBudget.
    pub budget: String,
    /// `$500 a month for this workload`.
    pub bound: String,
    pub why: NoMoney,
    /// Every backend that could have served, and what stood in its way.
    pub reasons: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMoney {
    /// Too little is left until `resets`, or for ever.
    Exhausted { asked: NanoUsd, left: NanoUsd, resets: Option<String> },
    /// Enough is left, but this sidecar got none of it in time.
    Short { asked: NanoUsd, waited: Duration },
    /// Nobody gives rights: the operator has been silent for so long. None: there is none.
    Away { silent: Option<Duration> },
    /// What it can cost is not known.
    Unpriced { backend: String, model: String, provider: String },
    /// What the provider does by itself for it has no bound.
    Unbounded { backend: String, model: String },
    /// The journal cannot be written.
    Journal,
    /// The process ends.
    Leaving,
}

/// As long as a grant takes, with some to spare.
const SOON: Duration = Duration::from_secs(2);
/// An operator that has gone is not back in a second.
const LATER: Duration = Duration::from_secs(10);

// === impl OverBudget ===

impl OverBudget {
    pub(super) fn shape(&self) -> Shape {
        let quota = |code| Shape::new(StatusCode::TOO_MANY_REQUESTS, kind::QUOTA, code);
        match self.why {
            NoMoney::Exhausted { .. } => Shape { should_retry: Some(false), ..quota("insufficient_quota") },
            NoMoney::Away { silent: None } => Shape { should_retry: Some(false), ..quota("budget_unavailable") },
            NoMoney::Away { silent: Some(_) } => Shape { retry_after: Some(LATER), ..quota("budget_unavailable") },
            NoMoney::Short { .. } => {
                let shape = Shape::new(StatusCode::TOO_MANY_REQUESTS, kind::RATE, "budget_share_exceeded");
                Shape { retry_after: Some(SOON), ..shape }
            }
            NoMoney::Unpriced { .. } | NoMoney::Unbounded { .. } => {
                let shape = Shape::new(StatusCode::BAD_REQUEST, kind::REQUEST, "price_unknown");
                Shape { should_retry: Some(false), ..shape }
            }
            NoMoney::Journal | NoMoney::Leaving => {
                Shape::new(StatusCode::SERVICE_UNAVAILABLE, kind::SERVER, "budget_unavailable").soon()
            }
        }
    }

    /// The word for it in metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.why {
            NoMoney::Exhausted { .. } => "exhausted",
            NoMoney::Short { .. } => "short",
            NoMoney::Away { .. } => "operator",
            NoMoney::Unpriced { .. } | NoMoney::Unbounded { .. } => "price_unknown",
            NoMoney::Journal => "journal",
            NoMoney::Leaving => "leaving",
        }
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, bound, why, reasons } = self;
        match why {
            NoMoney::Exhausted { asked, left, resets } => {
                write!(f, "budget {budget} of {bound} has ${left} left, and this request can cost up to ${asked}")?;
                match resets {
                    Some(resets) => write!(f, "; it begins anew at {resets}")?,
                    None => write!(f, "; it never begins anew")?,
                }
                write!(f, " (raise the ModelBudget's limit, or send a lower max_tokens or a shorter prompt)")?;
            }
            NoMoney::Short { asked, waited } => write!(
                f,
                "budget {budget} of {bound} is not used up, but the ${asked} this request can cost did not come from the operator \
                 within {} ms: other pods hold what is left; try again",
                waited.as_millis()
            )?,
            NoMoney::Away { silent: Some(silent) } => write!(
                f,
                "budget {budget} of {bound}: what this pod was given of it is used up, and the operator, who gives more, has \
                 not been heard for {} s (is it running?)",
                silent.as_secs()
            )?,
            NoMoney::Away { silent: None } => write!(
                f,
                "budget {budget} of {bound} needs an operator, and this sidecar has its config from a file (run the operator \
                 with --resources, or leave the budget out)"
            )?,
            NoMoney::Unpriced { backend, model, provider } => write!(
                f,
                "budget {budget} of {bound} limits money, and what a request to model {model:?} (backend {backend}) can cost at \
                 most is not known: give the model a price, and a maxOutputTokens, in spec.models of ModelProvider {provider}"
            )?,
            NoMoney::Unbounded { backend, model } => write!(
                f,
                "budget {budget} of {bound} limits money, and what model {model:?} (backend {backend}) searches or runs by itself for \
                 this request has no bound that could be set aside (give the tool a max_uses, and the model a contextWindow and \
                 pricing.perSearch in spec.models of its ModelProvider; or ask without the tool)"
            )?,
            NoMoney::Journal => write!(
                f,
                "budget {budget} of {bound}: the journal of what was spent can be neither written nor removed, so nothing is spent"
            )?,
            NoMoney::Leaving => write!(f, "budget {budget} of {bound}: this pod is being ended")?,
        }
        if reasons.is_empty() { Ok(()) } else { write!(f, "; {reasons}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_budget_its_bound_what_is_left_and_what_helps() {
        let over = |why| OverBudget {
            budget: "shop/month".into(),
            bound: "$500 a month for this workload".into(),
            why,
            reasons: String::new(),
        };
        let asked = NanoUsd(300_000_000);
        let exhausted = |resets: Option<&str>| NoMoney::Exhausted {
            asked,
            left: NanoUsd(120_000_000),
            resets: resets.map(str::to_owned),
        };
        let (backend, model, provider) = ("mini".to_owned(), "tuned".to_owned(), "ai/openai".to_owned());
        let seconds = Duration::from_secs;
        let rows = [
            (
                exhausted(Some("2026-12-01T00:00:00Z")),
                "has $0.12 left, and this request can cost up to $0.3; it begins anew at 2026-12-01T00:00:00Z (raise the \
                 ModelBudget's limit, or send a lower max_tokens or a shorter prompt)",
                (429, "insufficient_quota", None, Some(false)),
            ),
            (exhausted(None), "it never begins anew", (429, "insufficient_quota", None, Some(false))),
            (
                NoMoney::Short { asked, waited: seconds(2) },
                "the $0.3 this request can cost did not come from the operator within 2000 ms",
                (429, "budget_share_exceeded", Some(2), None),
            ),
            (
                NoMoney::Away { silent: Some(seconds(40)) },
                "has not been heard for 40 s",
                (429, "budget_unavailable", Some(10), None),
            ),
            (NoMoney::Away { silent: None }, "needs an operator", (429, "budget_unavailable", None, Some(false))),
            (
                NoMoney::Unpriced { backend, model, provider },
                "model \"tuned\" (backend mini) can cost at most is not known: give the model a price",
                (400, "price_unknown", None, Some(false)),
            ),
            (NoMoney::Journal, "journal", (503, "budget_unavailable", Some(1), None)),
            (NoMoney::Leaving, "being ended", (503, "budget_unavailable", Some(1), None)),
        ];
        for (why, words, want) in rows {
            let over = over(why);
            let text = over.to_string();
            assert!(text.starts_with("budget shop/month of $500 a month for this workload"), "{text}");
            assert!(text.contains(words), "{text}");
            let Shape { status, code, retry_after, should_retry, .. } = over.shape();
            let wait = retry_after.map(|wait| wait.as_secs());
            assert_eq!((status.as_u16(), code.as_str(), wait, should_retry), want, "{text}");
        }
    }

    #[test]
    fn what_has_no_bound_is_said_as_such() {
        let why = NoMoney::Unbounded { backend: "mini".to_owned(), model: "tuned".to_owned() };
        let over = OverBudget { budget: "shop/month".into(), bound: "$5 a month".into(), why, reasons: String::new() };
        let (text, Shape { status, code, should_retry, .. }) = (over.to_string(), over.shape());
        assert!(
            text.contains("model \"tuned\" (backend mini) searches or runs by itself for this request has no bound"),
            "{text}"
        );
        assert_eq!((status.as_u16(), code.as_str(), should_retry), (400, "price_unknown", Some(false)), "{text}");
    }
}
