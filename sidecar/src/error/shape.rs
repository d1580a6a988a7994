//! How an error looks over HTTP, and the table from classes to it.

use std::time::Duration;

use http::StatusCode;
use spillway_policy::Class;
use spillway_providers::{Api, Fault};

/// How an error looks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub status: StatusCode,
    pub kind: &'static str,
    pub code: String,
    pub param: Option<String>,
    /// Azure's `innererror`, as JSON.
    pub inner: Option<String>,
    pub retry_after: Option<Duration>,
    /// What to tell an SDK that retries on its own. None: let it decide.
    pub should_retry: Option<bool>,
}

/// The `type`s of OpenAI's error bodies.
pub(super) mod kind {
    pub(in crate::error) const REQUEST: &str = "invalid_request_error";
    pub(in crate::error) const AUTHENTICATION: &str = "authentication_error";
    pub(in crate::error) const PERMISSION: &str = "permission_error";
    pub(in crate::error) const NOT_FOUND: &str = "not_found_error";
    pub(in crate::error) const RATE: &str = "rate_limit_error";
    /// OpenAI's word for who has no money left.
    pub(in crate::error) const QUOTA: &str = "insufficient_quota";
    pub(in crate::error) const SERVER: &str = "server_error";
}

const SOON: Duration = Duration::from_secs(1);

// === impl Shape ===

impl Shape {
    pub(super) fn new(status: StatusCode, kind: &'static str, code: impl Into<String>) -> Self {
        Self { status, kind, code: code.into(), param: None, inner: None, retry_after: None, should_retry: None }
    }

    pub(super) fn soon(self) -> Self {
        Self { retry_after: Some(SOON), ..self }
    }

    /// As callers of an API read it: some failures have a status of their own at Anthropic.
    pub(crate) fn for_callers_of(self, api: Api, anthropic: Option<u16>) -> Self {
        let known = anthropic.filter(|_| matches!(api, Api::Messages | Api::CountTokens));
        match known.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => Self { status, ..self },
            None => self,
        }
    }

    pub(super) fn at(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }
}

/// Status, type and code for a provider's failure. An overload passes, which no other failure of a server's is known to.
#[must_use]
pub fn of_fault(class: Class, fault: &Fault) -> (StatusCode, &'static str, &'static str) {
    if fault.is_unpaid() {
        return (StatusCode::PAYMENT_REQUIRED, kind::QUOTA, kind::QUOTA);
    }
    of_class(if fault.is_overload() { Class::ServiceUnavailable } else { class })
}

/// Status, type and code for the class of the last failure.
#[must_use]
pub fn of_class(class: Class) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match class {
        Class::Connection => (S::BAD_GATEWAY, kind::SERVER, "upstream_unreachable"),
        Class::Timeout => (S::GATEWAY_TIMEOUT, kind::SERVER, "upstream_timeout"),
        Class::ContextWindowExceeded => (S::BAD_REQUEST, kind::REQUEST, "context_length_exceeded"),
        Class::BadRequest => (S::BAD_REQUEST, kind::REQUEST, "invalid_request"),
        Class::NotFound => (S::NOT_FOUND, kind::NOT_FOUND, "upstream_not_found"),
        Class::ContentPolicyViolation => (S::BAD_REQUEST, kind::REQUEST, "content_policy_violation"),
        Class::Authentication => (S::UNAUTHORIZED, kind::AUTHENTICATION, "upstream_authentication"),
        Class::InternalServerError => (S::BAD_GATEWAY, kind::SERVER, "upstream_error"),
        Class::RateLimited => (S::TOO_MANY_REQUESTS, kind::RATE, "rate_limit_exceeded"),
        Class::ServiceUnavailable => (S::SERVICE_UNAVAILABLE, kind::SERVER, "upstream_unavailable"),
        Class::PermissionDenied => (S::FORBIDDEN, kind::PERMISSION, "upstream_permission_denied"),
        Class::UnprocessableEntity => (S::UNPROCESSABLE_ENTITY, kind::REQUEST, "unprocessable_entity"),
    }
}
