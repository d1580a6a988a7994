//! What went wrong at a provider, in one of twelve classes.

use crate::Dialect;

/// The twelve classes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Connection,
    Timeout,
    ContextWindowExceeded,
    BadRequest,
    NotFound,
    ContentPolicyViolation,
    Authentication,
    InternalServerError,
    RateLimited,
    ServiceUnavailable,
    PermissionDenied,
    UnprocessableEntity,
}

/// A failed attempt, as far as the provider's words tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub class: Class,
    /// The provider's HTTP status; None when there was none (a cut stream), or when it was a 200 with an error inside.
    pub status: Option<u16>,
    /// The provider's own code: `context_length_exceeded`, `overloaded_error`.
    pub code: Option<String>,
    /// The provider's words, keys blanked out, at most 512 bytes.
    pub message: String,
    /// The context window in tokens, where an overflow message names it.
    pub window: Option<u64>,
}

/// Classifies a provider's error answer.
#[must_use]
pub fn classify(_dialect: Dialect, status: u16, body: &[u8]) -> Fault {
    let message = String::from_utf8_lossy(&body[..body.len().min(256)]).into_owned();
    Fault { class: Class::InternalServerError, status: Some(status), code: None, message, window: None }
}
