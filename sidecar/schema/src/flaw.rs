//! What is wrong with an answer, in words for a person and for the model that is asked to correct it.

use std::fmt::{self, Write as _};

use jsonschema::ValidationError;
use serde_json::Value;

/// One fault of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", shown(path))]
pub struct Flaw {
    /// Where in the answer, as a JSON pointer; empty for the whole of it.
    pub path: String,
    pub message: String,
}

/// Enough of a value to recognise it by.
const VALUE_CHARS: usize = 60;

/// Enough of a sentence: a schema may list thousands of allowed values.
const MESSAGE_CHARS: usize = 240;

fn shown(path: &str) -> &str {
    if path.is_empty() { "the answer" } else { path }
}

// === impl Flaw ===

impl Flaw {
    pub(crate) fn new(path: impl Into<String>, message: String) -> Self {
        Self { path: path.into(), message }
    }

    pub(crate) fn of(error: &ValidationError<'_>) -> Self {
        // The library writes the whole value into its sentence; a fault of the root would repeat the answer.
        let message = error.masked_with(excerpt(error.instance())).to_string();
        Self { path: shortened(&error.instance_path().to_string()), message: shortened(&message) }
    }
}

/// A value as JSON, as far as it helps.
pub(crate) fn excerpt(value: &Value) -> String {
    let mut start = Start { text: String::new(), left: VALUE_CHARS };
    if write!(start, "{value}").is_err() {
        start.text.push('…');
    }
    start.text
}

pub(crate) fn shortened(text: &str) -> String {
    let mut start = Start { text: String::new(), left: MESSAGE_CHARS };
    if start.write_str(text).is_err() {
        start.text.push('…');
    }
    start.text
}

/// The first characters of what is written; more of it is not even formatted.
struct Start {
    text: String,
    left: usize,
}

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.left) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.left = 0;
                Err(fmt::Error)
            }
            None => {
                self.text.push_str(text);
                self.left -= text.chars().count();
                Ok(())
            }
        }
    }
}
