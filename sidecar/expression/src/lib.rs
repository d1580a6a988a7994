//! Expressions over requests and answers, in CEL: `request.tokens > 4000 || request.hasTools`.
//!
//! A crate of its own because two processes must mean the same by an expression: the operator refuses at admission what
//! a sidecar could not run, with the same function that the sidecar compiles with. The wire crate has no room for an
//! interpreter, and the policy crate none for a dependency.
//!
//! Whoever may write a ModelRoute may write an expression, so everything is bounded: the length of the text, how deep it
//! nests, loops within loops, the size of patterns. An expression that fails is an answer like true and false, and no
//! failure repeats what the expression looked at: that may be a prompt.

mod check;
mod field;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, thread};

use cel::{Context, ExecutionError, Program, objects};
use regex::Regex;

pub use field::{Field, Kind, SECRET_HEADERS, Subject, Value};

/// The longest expression, in bytes.
pub const MAX_BYTES: usize = 1024;

/// More than the longest expression can use, however it nests; the parser goes down once for every level. Only what is
/// used of it is ever real memory.
const PARSER_STACK: usize = 32 << 20;

/// A compiled expression.
pub struct Expression {
    source: String,
    subject: Subject,
    program: Program,
    /// The functions, with the patterns of this expression compiled.
    functions: Context<'static>,
    reads: Reads,
}

/// What of its subject an expression looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reads {
    fields: Vec<&'static Field>,
    /// Names of headers, in lower case.
    headers: Vec<String>,
    /// Those of them that count as empty where they are missing: nobody asks whether they are there.
    defaulted: Vec<String>,
}

/// Why a text is no expression, worded for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

/// Why an expression is neither true nor false of a subject. Names no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    #[error("a key is not there")]
    NoSuchKey,
    #[error("an index is out of bounds")]
    OutOfBounds,
    #[error("a number is divided by zero or grows out of bounds")]
    Arithmetic,
    #[error("a value cannot be converted")]
    Conversion,
    #[error("values of types that do not fit meet")]
    Types,
    #[error("the result is not true or false")]
    NotBool,
}

// === impl Expression ===

impl Expression {
    /// Reads an expression over `subject`.
    ///
    /// # Errors
    /// When it is too long, too deep, no CEL, looks at what is not there, or cannot give true or false.
    pub fn compile(subject: Subject, source: &str) -> Result<Self, Invalid> {
        if source.len() > MAX_BYTES {
            let length = source.len();
            return Err(Invalid(format!("the expression has {length} bytes, at most {MAX_BYTES} are taken")));
        }
        let text = source.to_owned();
        // On a stack of its own, and what a parser's bug would do to a thread is done to that one.
        let parser = thread::Builder::new().name("expression".to_owned()).stack_size(PARSER_STACK);
        let parsed = parser.spawn(move || Self::parse(subject, text)).map(thread::JoinHandle::join);
        match parsed {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(_)) => Err(Invalid("the expression cannot be read: its parser gave up".to_owned())),
            Err(error) => Err(Invalid(format!("the expression cannot be read now: {error}"))),
        }
    }

    fn parse(subject: Subject, source: String) -> Result<Self, Invalid> {
        let program = Program::compile(&source).map_err(|errors| syntax(&errors))?;
        let check::Checked { reads, patterns } = check::check(subject, program.expression())?;
        let expression = Self { source, subject, program, functions: functions(patterns), reads };
        expression.rehearse()?;
        Ok(expression)
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The headers it looks at, in lower case.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.reads.headers
    }

    /// Whether it is true of a subject. `value` is asked for the fields that the expression looks at, and for no other; for
    /// headers it gives those of [`Self::headers`] that are there.
    ///
    /// # Errors
    /// When it is neither true nor false.
    pub fn is_true(&self, mut value: impl FnMut(&'static str) -> Value) -> Result<bool, Failed> {
        let mut facts: HashMap<objects::Key, objects::Value> = HashMap::with_capacity(self.reads.fields.len());
        for field in &self.reads.fields {
            facts.insert(field.name.into(), self.lower(value(field.name)));
        }
        let mut scope = self.functions.new_inner_scope();
        scope.add_variable_from_value(self.subject.name(), facts);
        match self.program.execute(&scope) {
            Ok(objects::Value::Bool(answer)) => Ok(answer),
            Ok(_) => Err(Failed::NotBool),
            Err(error) => Err(failed(&error)),
        }
    }

    fn lower(&self, value: Value) -> objects::Value {
        match value {
            Value::Bool(flag) => objects::Value::Bool(flag),
            Value::Int(number) => objects::Value::Int(i64::try_from(number).unwrap_or(i64::MAX)),
            Value::Text(text) => objects::Value::String(Arc::new(text)),
            Value::Headers(headers) => {
                let empty = self.reads.defaulted.iter().map(|name| (name.clone(), String::new()));
                empty.chain(headers).collect::<HashMap<_, _>>().into()
            }
        }
    }

    /// Evaluates it for made-up subjects. Types do not depend on values, so what does not fit once never does on that
    /// branch; that a key is missing or a number too large depends on them, and is no reason to refuse an expression.
    fn rehearse(&self) -> Result<(), Invalid> {
        for rich in [false, true] {
            let sample = |name: &'static str| {
                let field = self.subject.field(name).map_or(Kind::Bool, |field| field.kind);
                field.sample(rich, &self.reads.headers)
            };
            if let Err(failed @ (Failed::Types | Failed::NotBool)) = self.is_true(sample) {
                return Err(Invalid(format!("{failed}; an expression here is true or false")));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// The functions an expression may call. A pattern is compiled once, with the expression that it is in.
fn functions(patterns: HashMap<String, Regex>) -> Context<'static> {
    let mut context = Context::default();
    let matches = move |text: cel::extractors::This<Arc<String>>, pattern: Arc<String>| {
        let cel::extractors::This(text) = text;
        patterns.get(pattern.as_str()).is_some_and(|pattern| pattern.is_match(&text))
    };
    context.add_function("matches", matches);
    context
}

/// The first thing the parser stumbled over.
fn syntax(errors: &cel::ParseErrors) -> Invalid {
    let Some(first) = errors.errors.first() else { return Invalid("the expression cannot be read".to_owned()) };
    let (line, column) = first.pos;
    let place = if line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    Invalid(format!("{place}: {message}"))
}

fn failed(error: &ExecutionError) -> Failed {
    use ExecutionError as E;
    match error {
        E::NoSuchKey(_) => Failed::NoSuchKey,
        E::IndexOutOfBounds(_) => Failed::OutOfBounds,
        E::DivisionByZero(_) | E::RemainderByZero(_) | E::Overflow(..) => Failed::Arithmetic,
        E::FunctionError { .. } => Failed::Conversion,
        _ => Failed::Types,
    }
}
