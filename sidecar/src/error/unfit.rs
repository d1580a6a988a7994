//! An answer came, and it is not what was asked for.

use http::StatusCode;

use super::{Shape, kind};

/// The last answer had not the form its request asked for.
#[derive(Clone, Debug)]
pub struct Unfit {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
    /// What is wrong with it, and where.
    pub wrong: String,
    pub attempts: u32,
    /// Why there was no further candidate.
    pub skipped: String,
    /// The route has no fallback rule for it.
    pub unruled: bool,
}

/// What OpenAI's clients see as the error's code.
pub(crate) const CODE: &str = "invalid_structured_output";

// === impl Unfit ===

impl Unfit {
    /// The application's request was good, and whoever stands behind us gave something else: a bad gateway, in one word.
    pub(super) fn shape() -> Shape {
        // Whoever repeats it asks the same model the same, and has been asked for a correction already.
        Shape { should_retry: Some(false), ..Shape::new(StatusCode::BAD_GATEWAY, kind::SERVER, CODE) }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { route, backend, wrong, attempts, skipped, unruled } = self;
        write!(
            f,
            "backend {backend:?} of route {route} gave an answer that is not what the request asked for: {wrong}"
        )?;
        if *attempts > 1 {
            write!(f, "; {attempts} attempts were made")?;
        }
        if !skipped.is_empty() {
            write!(f, "; not tried: {skipped}")?;
        }
        let rule = if *unruled {
            "a FallbackPolicy with a rule for UnprocessableEntity in spec.fallbacks would ask another backend; "
        } else {
            ""
        };
        write!(f, " (hint: {rule}a model that keeps to schemas, or a schema that asks for less, helps as well)")
    }
}
