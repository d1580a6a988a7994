//! Why a request failed, worded for the person who sent it, and the one table that turns it into HTTP.

mod limited;
mod unfit;

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use spillway_policy::{Class, NanoUsd};
use spillway_providers::{BadRequest, Fault, Pass};

pub use limited::Limited;
pub(crate) use unfit::CODE as INVALID_OUTPUT;
pub use unfit::Unfit;

/// Why the application gets an error instead of an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("no config has arrived yet (hint: is the operator running? the sidecar's /readyz says more)")]
    NotConfigured,
    #[error("{what} is at its limit of {limit}, try again in a second")]
    Overloaded { what: &'static str, limit: u64 },
    #[error(
        "there is no {:?} here; there are POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, \
         /v1/messages, /v1/messages/count_tokens and GET /v1/models, /v1/models/{{model}}; passed on as they are {}",
        excerpt(path),
        Pass::paths()
    )]
    NoSuchPath { path: String },
    #[error("{} takes {allowed}, not {}", excerpt(path), excerpt(method))]
    Method { path: String, method: String, allowed: String },
    #[error("host {:?} is not this sidecar's name (use 127.0.0.1, [::1] or localhost)", excerpt(host))]
    Host { host: String },
    #[error("content-type is {:?}, it must be {wanted}", excerpt(found))]
    ContentType { found: String, wanted: String },
    #[error("content-encoding is {:?}, request bodies must not be compressed", excerpt(found))]
    ContentEncoding { found: String },
    #[error("request body has {} bytes, at most {limit} are taken (request.maxBodyBytes of the ModelRoute)", .size.map_or_else(|| "more".to_owned(), |size| size.to_string()))]
    TooLarge { size: Option<u64>, limit: u64 },
    #[error("request body was not complete: {reason}")]
    Incomplete { reason: String },
    #[error(transparent)]
    Invalid(#[from] BadRequest),
    #[error("no route serves model {:?} (known: {known})", excerpt(model))]
    UnknownModel { model: String, known: String },
    #[error("{path} is about what one provider keeps: {why}")]
    WhichRoute { path: String, why: String },
    #[error("prompt has {prompt} tokens{}, {model:?} takes {window}{advice}", kept(*.output))]
    ContextLength { prompt: u64, output: u64, model: String, window: u64, advice: String },
    #[error("no backend of {model:?} can serve this request: {reasons}")]
    NoCandidate { model: String, reasons: String },
    #[error("{}", cost_limit(.route, .model, *.max, .cheapest.as_ref(), .reasons))]
    CostLimit { route: String, model: String, max: NanoUsd, cheapest: Option<(String, NanoUsd)>, reasons: String },
    #[error("no key has arrived for {providers} (hint: see ResolvedRefs of the ModelProvider)")]
    Credentials { providers: String },
    #[error("route {route} has no usable backend (hint: its ResolvedRefs condition says which provider is missing)")]
    NoBackend { route: String },
    #[error(
        "no backend of route {route} can be asked now ({class}): {reasons} (hint: {}spillway reset-breaker {} tries them at once)",
        another(*.unruled, *.class), reset_arguments(.route)
    )]
    Unavailable { route: String, class: Class, reasons: String, retry_after: Duration, unruled: bool },
    #[error("{0}")]
    Limited(Box<Limited>),
    #[error("{0}")]
    Upstream(Box<Exhausted>),
    #[error("{0}")]
    Unfit(Box<Unfit>),
}

/// Every attempt failed; this is the last of them.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
    pub class: Class,
    pub fault: Fault,
    pub attempts: u32,
    /// Why there was no further candidate: `big takes no images`.
    pub skipped: String,
    /// The route has no fallback rule for the class. An empty rule is one: somebody wanted the error to come through.
    pub unruled: bool,
    /// There would have been another attempt, had the route's budget of extra attempts not been spent.
    pub spent: bool,
    pub retry_after: Option<Duration>,
    /// The provider's headers that are passed on: its limits, its request id.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How an error looks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub status: StatusCode,
    pub kind: &'static str,
    pub code: String,
    pub param: Option<String>,
    pub retry_after: Option<Duration>,
    /// What to tell an SDK that retries on its own. None: let it decide.
    pub should_retry: Option<bool>,
}

/// The `type`s of OpenAI's error bodies.
mod kind {
    pub(super) const REQUEST: &str = "invalid_request_error";
    pub(super) const AUTHENTICATION: &str = "authentication_error";
    pub(super) const PERMISSION: &str = "permission_error";
    pub(super) const NOT_FOUND: &str = "not_found_error";
    pub(super) const RATE: &str = "rate_limit_error";
    pub(super) const SERVER: &str = "server_error";
}

/// Enough of what a caller sent to recognise it by.
const EXCERPT_CHARS: usize = 100;

/// What a caller sent, and no more of it than helps: an error is no echo.
fn excerpt(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}

const SOON: Duration = Duration::from_secs(1);

/// What would help more than waiting, where no rule of the route says where else to go.
fn another(unruled: bool, class: Class) -> String {
    match remedy(class).filter(|_| unruled) {
        Some(remedy) => format!("{remedy}; "),
        None => String::new(),
    }
}

fn kept(output: u64) -> String {
    if output == 0 { String::new() } else { format!(" and {output} are kept for the answer") }
}

fn cost_limit(route: &str, model: &str, max: NanoUsd, cheapest: Option<&(String, NanoUsd)>, reasons: &str) -> String {
    match cheapest {
        Some((backend, worst)) => format!(
            "a request to {model:?} may cost ${max}, and the cheapest backend that could serve this one, {backend:?}, can \
             cost ${worst} (set a lower max_tokens, send a shorter prompt, or raise maxCostPerRequest of ModelRoute \
             {route}); {reasons}"
        ),
        None => format!(
            "a request to {model:?} may cost ${max}, and no backend that could serve this one has a known price (give it \
             one in spec.models of its ModelProvider, or remove maxCostPerRequest of ModelRoute {route}); {reasons}"
        ),
    }
}

/// `chat -n shop` for `shop/chat`.
fn reset_arguments(route: &str) -> String {
    route.split_once('/').map_or_else(|| route.to_owned(), |(namespace, name)| format!("{name} -n {namespace}"))
}

// === impl ProxyError ===

impl ProxyError {
    /// The one table from our errors to OpenAI's. No `_` arm: a new variant has to choose.
    #[must_use]
    pub fn shape(&self) -> Shape {
        use StatusCode as S;
        let shape = match self {
            Self::NotConfigured => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "not_configured").soon(),
            Self::Overloaded { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "overloaded").soon(),
            Self::NoSuchPath { .. } => Shape::new(S::NOT_FOUND, kind::REQUEST, "not_found"),
            Self::Method { .. } => Shape::new(S::METHOD_NOT_ALLOWED, kind::REQUEST, "method_not_allowed"),
            Self::Host { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "invalid_request"),
            Self::ContentType { .. } | Self::ContentEncoding { .. } => {
                Shape::new(S::UNSUPPORTED_MEDIA_TYPE, kind::REQUEST, "unsupported_media_type")
            }
            Self::TooLarge { .. } => Shape::new(S::PAYLOAD_TOO_LARGE, kind::REQUEST, "request_too_large"),
            Self::Incomplete { .. } => Shape::new(S::REQUEST_TIMEOUT, kind::REQUEST, "invalid_request"),
            Self::Invalid(bad) => {
                Shape { param: bad.param.clone(), ..Shape::new(S::BAD_REQUEST, kind::REQUEST, "invalid_request") }
            }
            Self::WhichRoute { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "route_required"),
            Self::UnknownModel { .. } => Shape::new(S::NOT_FOUND, kind::REQUEST, "model_not_found").at("model"),
            Self::ContextLength { .. } => {
                Shape::new(S::BAD_REQUEST, kind::REQUEST, "context_length_exceeded").at("messages")
            }
            Self::CostLimit { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "cost_limit_exceeded"),
            Self::NoCandidate { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "invalid_request"),
            Self::Credentials { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "credentials_unavailable"),
            Self::NoBackend { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "no_usable_backend"),
            Self::Limited(limited) => limited.shape(),
            Self::Unavailable { class, retry_after, .. } => {
                let (status, kind, _) = of_class(*class);
                Shape { retry_after: Some(*retry_after), ..Shape::new(status, kind, "all_backends_unavailable") }
            }
            Self::Upstream(exhausted) => exhausted.shape(),
            Self::Unfit(_) => Unfit::shape(),
        };
        debug_assert!(!shape.status.is_success(), "an error is no success");
        shape
    }

    /// Why the last attempt failed, if there was one.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Upstream(exhausted) => Some(exhausted.class),
            Self::Unavailable { class, .. } => Some(*class),
            Self::Unfit(_) => Some(Class::UnprocessableEntity),
            _ => None,
        }
    }
}

// === impl Exhausted ===

impl Exhausted {
    fn shape(&self) -> Shape {
        let (status, kind, code) = of_class(self.class);
        // The provider's own code says more (`insufficient_quota`), except where SDKs look for OpenAI's word.
        let code = match (&self.fault.code, self.class) {
            (Some(own), class) if class != Class::ContextWindowExceeded => own.clone(),
            _ => code.to_owned(),
        };
        Shape {
            retry_after: self.retry_after,
            // This request's tries are spent; an SDK that repeats all of them would square the load.
            should_retry: (self.attempts > 1 || self.spent).then_some(false),
            ..Shape::new(status, kind, code)
        }
    }
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { route, backend, class, fault, attempts, skipped, unruled, spent, retry_after: _, headers: _ } = self;
        write!(f, "backend {backend:?} of route {route} failed with {class}")?;
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
        if *unruled && let Some(remedy) = remedy(*class) {
            write!(f, " (hint: {remedy})")?;
        }
        Ok(())
    }
}

/// What a FallbackPolicy could do about a failure. Nothing, where another backend would be told the same.
fn remedy(class: Class) -> Option<String> {
    match class {
        Class::ContextWindowExceeded => {
            Some("a FallbackPolicy with contextWindow.onExceeded LargerModel, Truncate or Hybrid helps".to_owned())
        }
        Class::Connection
        | Class::Timeout
        | Class::InternalServerError
        | Class::RateLimited
        | Class::ServiceUnavailable => {
            Some(format!("a FallbackPolicy with a rule for {class} in spec.fallbacks would ask another backend"))
        }
        Class::BadRequest
        | Class::NotFound
        | Class::ContentPolicyViolation
        | Class::Authentication
        | Class::PermissionDenied
        | Class::UnprocessableEntity => None,
    }
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

// === impl Shape ===

impl Shape {
    fn new(status: StatusCode, kind: &'static str, code: impl Into<String>) -> Self {
        Self { status, kind, code: code.into(), param: None, retry_after: None, should_retry: None }
    }

    fn soon(self) -> Self {
        Self { retry_after: Some(SOON), ..self }
    }

    fn at(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhausted(class: spillway_providers::Class, code: Option<&str>, attempts: u32) -> ProxyError {
        let fault = Fault {
            class,
            status: Some(429),
            code: code.map(str::to_owned),
            message: "slow down".into(),
            window: None,
        };
        ProxyError::Upstream(Box::new(Exhausted {
            route: "shop/chat".into(),
            backend: "mini".into(),
            class: class_of(class),
            fault,
            attempts,
            skipped: "big takes no images".into(),
            unruled: attempts == 1,
            spent: false,
            retry_after: Some(SOON),
            headers: Vec::new(),
        }))
    }

    #[test]
    fn errors_name_the_object_the_value_the_bound_and_the_fix() {
        let too_long = |output| ProxyError::ContextLength {
            prompt: 9012,
            output,
            model: "chat".into(),
            window: 8192,
            advice: " (say so)".into(),
        };
        let rows = [
            (too_long(0), "prompt has 9012 tokens, \"chat\" takes 8192 (say so)"),
            (too_long(64), "prompt has 9012 tokens and 64 are kept for the answer, \"chat\" takes 8192 (say so)"),
            (
                ProxyError::UnknownModel { model: "x".into(), known: "chat, gpt-4o*".into() },
                "no route serves model \"x\" (known: chat, gpt-4o*)",
            ),
            (
                ProxyError::UnknownModel { model: "é".repeat(50_000), known: "chat".into() },
                &*format!("no route serves model \"{}…\" (known: chat)", "é".repeat(100)),
            ),
            (
                exhausted(spillway_providers::Class::RateLimited, None, 3),
                "backend \"mini\" of route shop/chat failed with RateLimited (status 429): slow down; 3 attempts were \
                 made; not tried: big takes no images",
            ),
            (
                exhausted(spillway_providers::Class::RateLimited, None, 1),
                "backend \"mini\" of route shop/chat failed with RateLimited (status 429): slow down; not tried: big takes \
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
}
