//! Whether an answer fits the JSON schema its request asked for.
//!
//! Validation itself is the `jsonschema` crate's business. What is here is the distrust: the schema comes with a request and
//! the answer from a model, and neither may cost more than a bounded amount of time, memory or stack. A schema is refused
//! by name when it is compiled ([`bounds`]); how long a check would take is found out before it is made ([`walk`]); and
//! nothing a schema refers to is ever fetched.
//!
//! `format` is an annotation, as JSON schema itself has it: what a library takes for a date is its own business, and an
//! answer that the application would take is not to be refused here.

mod bounds;
mod circle;
mod document;
mod flaw;
#[cfg(test)]
mod tests;
mod walk;

use std::thread;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

pub use flaw::Flaw;

/// The longest schema, in bytes.
pub const MAX_BYTES: usize = 256 << 10;

/// Faults of an answer that are told. A model that is told more does not do better, and a person reads the first.
pub const MAX_FLAWS: usize = 8;

/// More than the deepest schema that [`bounds`] lets through can use. Only what is used of it is ever real memory.
const COMPILER_STACK: usize = 64 << 20;

/// Of one compiled pattern.
const PATTERN_BYTES: usize = 2 << 20;

/// Steps back that a pattern with look-around may take over one string: about a millisecond.
const BACKTRACKS: usize = 10_000;

/// What an answer has to be.
#[derive(Debug)]
pub enum Form {
    /// Any JSON object.
    Object,
    Schema(Schema),
}

/// A compiled JSON schema.
#[derive(Debug)]
pub struct Schema {
    source: Value,
    validator: Validator,
}

/// Why a schema cannot be enforced, worded for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at(path))]
pub struct Unusable {
    /// Where in the schema, as a JSON pointer; empty for the whole of it.
    pub path: String,
    pub message: String,
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// It would, without the code fence around it: this is what is inside.
    Fenced(String),
    Unfit(Vec<Flaw>),
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("at {path}: ") }
}

// === impl Form ===

impl Form {
    /// Judges the text of an answer.
    #[must_use]
    pub fn check(&self, text: &str) -> Verdict {
        let (value, inside) = match document::read(text) {
            Ok(read) => read,
            Err(flaw) => return Verdict::Unfit(vec![flaw]),
        };
        let flaws = match self {
            Self::Object if value.is_object() => Vec::new(),
            Self::Object => vec![Flaw::new("", format!("{} is not a JSON object", flaw::excerpt(&value)))],
            Self::Schema(schema) => schema.flaws(&value),
        };
        match inside {
            _ if !flaws.is_empty() => Verdict::Unfit(flaws),
            Some(inside) => Verdict::Fenced(inside.to_owned()),
            None => Verdict::Fits,
        }
    }
}

// === impl Schema ===

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// When it is too long, too deep, no JSON schema, or refers to what is not in it.
    pub fn compile(text: &str) -> Result<Self, Unusable> {
        if text.len() > MAX_BYTES {
            let message = format!("the schema has {} bytes, at most {MAX_BYTES} are taken", text.len());
            return Err(Unusable::new("", message));
        }
        let source = text.to_owned();
        // On a stack of its own, and what a compiler's bug would do to a thread is done to that one.
        let compiler = thread::Builder::new().name("schema".to_owned()).stack_size(COMPILER_STACK);
        match compiler.spawn(move || Self::read(&source)).map(thread::JoinHandle::join) {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => Err(Unusable::new("", "the schema cannot be read: its compiler gave up".to_owned())),
            Err(error) => Err(Unusable::new("", format!("the schema cannot be read now: {error}"))),
        }
    }

    fn read(text: &str) -> Result<Self, Unusable> {
        let source: Value = serde_json::from_str(text)
            .map_err(|error| Unusable::new("", format!("the schema is not JSON: {error}")))?;
        bounds::check(&source)?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(BACKTRACKS)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().with_pattern_options(patterns).should_validate_formats(false);
        let built = options.with_retriever(Nothing).build(&source);
        match built {
            Ok(validator) => Ok(Self { source, validator }),
            Err(error) => {
                let message = format!("the schema is no valid JSON schema: {}", flaw::shortened(&error.to_string()));
                Err(Unusable { path: error.instance_path().to_string(), message })
            }
        }
    }

    /// What is wrong with a document; nothing, if it fits.
    fn flaws(&self, document: &Value) -> Vec<Flaw> {
        let steps = match walk::steps(&self.source, document) {
            Ok(steps) => steps,
            Err(too_much) => return vec![Flaw::new("", too_much.to_string())],
        };
        if self.validator.is_valid(document) {
            return Vec::new();
        }
        // Every fault of a large document is an object of its own before the first one can be read.
        let mut flaws: Vec<Flaw> = if steps <= walk::FEW {
            self.validator.iter_errors(document).take(MAX_FLAWS).map(|error| Flaw::of(&error)).collect()
        } else {
            self.validator.validate(document).err().map(|error| Flaw::of(&error)).into_iter().collect()
        };
        if flaws.is_empty() {
            flaws.push(Flaw::new("", "the document does not fit the schema".to_owned()));
        }
        flaws
    }
}

// === impl Unusable ===

impl Unusable {
    fn new(path: impl Into<String>, message: String) -> Self {
        Self { path: flaw::shortened(&path.into()), message }
    }
}

/// Stands for everything that is elsewhere.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(&self, uri: &jsonschema::Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{:.100} is not part of the schema, and nothing is fetched", uri.as_str()).into())
    }
}
