//! What answers are checked for.

use serde::{Deserialize, Serialize};

/// The checks of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// Against the form the request asked for.
    #[serde(default)]
    pub schema: SchemaCheck,
}

/// What becomes of an answer that has not the form its request asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchemaCheck {
    /// Nobody looks.
    #[default]
    None,
    /// The application gets it, and is told.
    Report,
    /// The model is asked to correct it once; then another backend, or an error.
    Enforce,
}

// === impl Validation ===

impl Validation {
    /// Nothing is checked.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
