//! The end of every attempt: which was the last, what its provider said, and what would have helped.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use spillway_policy::Class;
use spillway_providers::Fault;

use super::{Shape, of_fault};

/// Every attempt failed; this is the last of them.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
    /// The provider's name for the model that the backend is.
    pub model: String,
    pub class: Class,
    pub fault: Fault,
    pub attempts: u32,
    /// Why there was no further candidate: `big takes no images`.
    pub skipped: String,
    /// What would have helped, by [`remedy`].
    pub remedy: Option<String>,
    /// There would have been another attempt, had the route's budget of extra attempts not been spent.
    pub spent: bool,
    pub retry_after: Option<Duration>,
    /// The provider's headers that are passed on: its limits, its request id.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Anthropic's status for a provider that is overloaded.
const OVERLOADED: u16 = 529;

/// And for a request that it does not read to its end.
const TOO_LARGE: u16 = 413;

// === impl Exhausted ===

impl Exhausted {
    pub(super) fn shape(&self) -> Shape {
        let (status, kind, code) = of_fault(self.class, &self.fault);
        // The provider's own code says more (`insufficient_quota`), except where SDKs look for OpenAI's word.
        let code = match (&self.fault.code, self.class) {
            (Some(own), class) if class != Class::ContextWindowExceeded && !self.fault.is_unpaid() => own.clone(),
            _ => code.to_owned(),
        };
        Shape {
            param: self.fault.param().map(str::to_owned),
            inner: self.fault.inner().map(str::to_owned),
            retry_after: self.retry_after,
            // This request's tries are spent; an SDK that repeats all of them would square the load.
            should_retry: (self.attempts > 1 || self.spent).then_some(false),
            ..Shape::new(status, kind, code)
        }
    }

    /// The provider's status, where Anthropic's callers know one that others do not: an overload, and a request that has too
    /// many bytes.
    pub(super) fn anthropic_status(&self) -> Option<u16> {
        match self.fault.status {
            _ if self.fault.is_overload() => Some(OVERLOADED),
            Some(TOO_LARGE) if self.class == Class::BadRequest => Some(TOO_LARGE),
            _ => None,
        }
    }
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { route, backend, model, class, fault, attempts, skipped, remedy, spent, retry_after: _, headers: _ } =
            self;
        write!(f, "backend {backend:?} ({model}) of route {route} failed with {class}")?;
        if let Some(status) = fault.status {
            write!(f, " (status {status})")?;
        }
        write!(f, ": {}", fault.message)?;
        if *attempts > 1 {
            write!(f, "; {attempts} attempts were made")?;
        }
        if !skipped.is_empty() {
            write!(f, "; not tried: {skipped}")?;
        }
        if *spent {
            write!(f, "; the route's budget of extra attempts is spent (retries.budget of its FallbackPolicy)")?;
        }
        if let Some(remedy) = remedy {
            write!(f, " (hint: {remedy})")?;
        }
        Ok(())
    }
}

/// What a route's FallbackPolicy could do about a failure. Nothing, where another backend would be told the same.
pub(crate) fn remedy(class: Class, policy: Option<&str>) -> Option<String> {
    match class {
        Class::ContextWindowExceeded => Some(match policy {
            Some(policy) => {
                format!("contextWindow.onExceeded LargerModel, Truncate or Hybrid in FallbackPolicy {policy} helps")
            }
            None => "a FallbackPolicy with contextWindow.onExceeded LargerModel, Truncate or Hybrid helps".to_owned(),
        }),
        Class::Connection
        | Class::Timeout
        | Class::InternalServerError
        | Class::RateLimited
        | Class::ServiceUnavailable => Some(match policy {
            Some(policy) => {
                format!("a rule for {class} in spec.fallbacks of FallbackPolicy {policy} would ask another backend")
            }
            None => format!("a FallbackPolicy with a rule for {class} in spec.fallbacks would ask another backend"),
        }),
        Class::BadRequest
        | Class::NotFound
        | Class::ContentPolicyViolation
        | Class::Authentication
        | Class::PermissionDenied
        | Class::UnprocessableEntity => None,
    }
}

/// The provider's word for a class, in ours.
#[must_use]
pub fn class_of(class: spillway_providers::Class) -> Class {
    use spillway_providers::Class as P;
    match class {
        P::Connection => Class::Connection,
        P::Timeout => Class::Timeout,
        P::ContextWindowExceeded => Class::ContextWindowExceeded,
        P::BadRequest => Class::BadRequest,
        P::NotFound => Class::NotFound,
        P::ContentPolicyViolation => Class::ContentPolicyViolation,
        P::Authentication => Class::Authentication,
        P::InternalServerError => Class::InternalServerError,
        P::RateLimited => Class::RateLimited,
        P::ServiceUnavailable => Class::ServiceUnavailable,
        P::PermissionDenied => Class::PermissionDenied,
        P::UnprocessableEntity => Class::UnprocessableEntity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProxyError;

    fn exhausted(class: spillway_providers::Class, code: Option<&str>, attempts: u32) -> ProxyError {
        let said = Fault::local(class, "slow down".into());
        let fault = Fault { status: Some(429), code: code.map(str::to_owned), ..said };
        ProxyError::Upstream(Box::new(Exhausted {
            route: "shop/chat".into(),
            backend: "mini".into(),
            model: "gpt-4o-mini".into(),
            class: class_of(class),
            fault,
            attempts,
            skipped: "big takes no images".into(),
            remedy: remedy(class_of(class), None).filter(|_| attempts == 1),
            spent: false,
            retry_after: Some(Duration::from_secs(1)),
            headers: Vec::new(),
        }))
    }

    #[test]
    fn the_last_attempt_is_told_with_the_others_and_what_would_have_helped() {
        let rows = [
            (
                exhausted(spillway_providers::Class::RateLimited, None, 3),
                "backend \"mini\" (gpt-4o-mini) of route shop/chat failed with RateLimited (status 429): slow down; 3 attempts were \
                 made; not tried: big takes no images",
            ),
            (
                exhausted(spillway_providers::Class::RateLimited, None, 1),
                "backend \"mini\" (gpt-4o-mini) of route shop/chat failed with RateLimited (status 429): slow down; not tried: big takes \
                 no images (hint: a FallbackPolicy with a rule for RateLimited in spec.fallbacks would ask another backend)",
            ),
        ];
        for (error, want) in rows {
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn an_sdk_is_told_not_to_repeat_what_was_repeated_here() {
        use spillway_providers::Class::{ContextWindowExceeded, RateLimited};
        assert_eq!(exhausted(RateLimited, None, 2).shape().should_retry, Some(false));
        assert_eq!(exhausted(RateLimited, None, 1).shape().should_retry, None);
        assert_eq!(exhausted(RateLimited, Some("insufficient_quota"), 1).shape().code, "insufficient_quota");
        assert_eq!(exhausted(ContextWindowExceeded, Some("400"), 1).shape().code, "context_length_exceeded");
    }

    #[test]
    fn a_provider_that_wants_money_a_shorter_body_or_another_parameter_says_so() {
        use spillway_providers::Dialect::{Anthropic, OpenAi};
        let rows = [
            (
                OpenAi,
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
                (402, 402, "insufficient_quota", "insufficient_quota", None),
            ),
            (
                Anthropic,
                413,
                r#"{"type":"error","error":{"type":"request_too_large","message":"too large"}}"#,
                (400, 413, "invalid_request_error", "request_too_large", None),
            ),
            (
                OpenAi,
                400,
                r#"{"error":{"message":"no","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
                (400, 400, "invalid_request_error", "unsupported_value", Some("temperature")),
            ),
            (
                OpenAi,
                400,
                r#"{"error":{"message":"no","type":"invalid_request_error","param":"that is no name","code":"x"}}"#,
                (400, 400, "invalid_request_error", "x", None),
            ),
        ];
        for (dialect, status, body, want) in rows {
            let mut error = exhausted(spillway_providers::Class::BadRequest, None, 1);
            let fault = spillway_providers::fault::classify(dialect, status, "", body.as_bytes());
            if let ProxyError::Upstream(told) = &mut error {
                (told.class, told.fault) = (class_of(fault.class), fault);
            }
            let shape = error.shape();
            let messages = shape.clone().for_callers_of(spillway_providers::Api::Messages, error.anthropic_status());
            let got =
                (shape.status.as_u16(), messages.status.as_u16(), shape.kind, &*shape.code, shape.param.as_deref());
            assert_eq!(got, want, "{body}");
        }
    }
}
