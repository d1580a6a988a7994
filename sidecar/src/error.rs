//! Why a request failed, worded for the person who sent it, and the one table that turns it into HTTP ([`shape`] says what
//! that looks like).

mod budget;
mod exhausted;
mod limited;
mod shape;
mod unfit;

use std::time::Duration;

use http::StatusCode;
use spillway_policy::{Class, NanoUsd};
use spillway_providers::{BadRequest, Pass};

pub use budget::{NoMoney, OverBudget};
pub(crate) use exhausted::remedy;
pub use exhausted::{Exhausted, class_of};
pub use limited::Limited;
use shape::kind;
pub use shape::{Shape, of_class, of_fault};
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
    #[error(
        "request body holds {values} values, which would take {bytes} bytes to work on, and this sidecar has {limit} for all \
         requests together: send fewer, or give the sidecar a larger memory limit"
    )]
    TooManyValues { values: usize, bytes: u64, limit: u64 },
    #[error(
        "this sidecar failed while it worked on the request's body or its answer: that is a bug, others' requests go on"
    )]
    Broken,
    #[error("request body was not complete: {reason}")]
    Incomplete { reason: String },
    #[error(transparent)]
    Invalid(#[from] BadRequest),
    #[error("no route serves model {:?} (known: {known})", excerpt(model))]
    UnknownModel { model: String, known: String },
    #[error("{path} is about what one provider keeps: {why}")]
    WhichRoute { path: String, why: String },
    #[error(
        "{what} reaches what the provider keeps for everybody with its key, and route {routes} does not allow it (add \
         {value} to spec.request.passThrough of the ModelRoute)"
    )]
    NotPassed { what: String, routes: String, value: String },
    #[error("prompt has {prompt} tokens{}, {taker} takes {window}{advice}", kept(*.output))]
    ContextLength { prompt: String, output: u64, taker: String, window: u64, advice: String },
    #[error(
        "the prompt for {model:?} is too long and there was no time to shorten it (try again, with a longer timeout if this \
         one was short)"
    )]
    NoTime { model: String },
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
        another(.remedy.as_deref()), reset_arguments(.route)
    )]
    Unavailable { route: String, class: Class, reasons: String, retry_after: Duration, remedy: Option<String> },
    #[error("{0}")]
    OverBudget(Box<OverBudget>),
    #[error("{0}")]
    Limited(Box<Limited>),
    #[error("{0}")]
    Upstream(Box<Exhausted>),
    #[error("{0}")]
    Unfit(Box<Unfit>),
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

/// What would help more than waiting, where no rule of the route says where else to go.
fn another(remedy: Option<&str>) -> String {
    remedy.map(|remedy| format!("{remedy}; ")).unwrap_or_default()
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
            Self::TooLarge { .. } | Self::TooManyValues { .. } => {
                Shape::new(S::PAYLOAD_TOO_LARGE, kind::REQUEST, "request_too_large")
            }
            Self::Broken => Shape::new(S::INTERNAL_SERVER_ERROR, kind::SERVER, "internal_error"),
            Self::Incomplete { .. } => Shape::new(S::REQUEST_TIMEOUT, kind::REQUEST, "invalid_request"),
            Self::Invalid(bad) => {
                Shape { param: bad.param.clone(), ..Shape::new(S::BAD_REQUEST, kind::REQUEST, "invalid_request") }
            }
            Self::WhichRoute { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "route_required"),
            Self::NotPassed { .. } => Shape::new(S::FORBIDDEN, kind::PERMISSION, "pass_through_not_allowed"),
            Self::UnknownModel { .. } => Shape::new(S::NOT_FOUND, kind::REQUEST, "model_not_found").at("model"),
            Self::ContextLength { .. } => {
                Shape::new(S::BAD_REQUEST, kind::REQUEST, "context_length_exceeded").at("messages")
            }
            Self::NoTime { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "overloaded").soon(),
            Self::CostLimit { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "cost_limit_exceeded"),
            Self::NoCandidate { .. } => Shape::new(S::BAD_REQUEST, kind::REQUEST, "invalid_request"),
            Self::Credentials { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "credentials_unavailable"),
            Self::NoBackend { .. } => Shape::new(S::SERVICE_UNAVAILABLE, kind::SERVER, "no_usable_backend"),
            Self::OverBudget(over) => over.shape(),
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

    /// The status for callers of Anthropic's API, where it has one of its own.
    #[must_use]
    pub fn anthropic_status(&self) -> Option<u16> {
        if let Self::Upstream(exhausted) = self { exhausted.anthropic_status() } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_object_the_value_the_bound_and_the_fix() {
        let too_long = |output| ProxyError::ContextLength {
            prompt: "9012".into(),
            output,
            taker: "backend \"small\" (gpt-4) of \"chat\"".into(),
            window: 8192,
            advice: " (say so)".into(),
        };
        let rows = [
            (too_long(0), "prompt has 9012 tokens, backend \"small\" (gpt-4) of \"chat\" takes 8192 (say so)"),
            (
                too_long(64),
                "prompt has 9012 tokens and 64 are kept for the answer, backend \"small\" (gpt-4) of \"chat\" takes 8192 \
                 (say so)",
            ),
            (
                ProxyError::NoTime { model: "chat".into() },
                "the prompt for \"chat\" is too long and there was no time to shorten it (try again, with a longer timeout \
                 if this one was short)",
            ),
            (
                ProxyError::UnknownModel { model: "x".into(), known: "chat, gpt-4o*".into() },
                "no route serves model \"x\" (known: chat, gpt-4o*)",
            ),
            (
                ProxyError::UnknownModel { model: "é".repeat(50_000), known: "chat".into() },
                &*format!("no route serves model \"{}…\" (known: chat)", "é".repeat(100)),
            ),
        ];
        for (error, want) in rows {
            assert_eq!(error.to_string(), want);
        }
    }
}
