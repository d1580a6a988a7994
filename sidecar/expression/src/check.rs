//! What an expression may be made of, decided before it is ever evaluated.

use std::collections::HashMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use regex::{Regex, RegexBuilder};

use crate::{Invalid, Reads, SECRET_HEADERS, Subject};

/// Evaluating goes down once for every level. More than anybody nests by hand; a chain of `&&` or `||` is no nesting.
const MAX_DEPTH: usize = 32;

/// What a pattern may come to when it is compiled.
const PATTERN_BYTES: usize = 256 << 10;

const FUNCTIONS: [&str; 11] =
    ["size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string", "max", "min", "uint"];

const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::INDEX,
    operators::IN,
];

/// The macros, which are gone once an expression is parsed; named in messages only.
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

/// What was found on the way.
pub(crate) struct Checked {
    pub(crate) reads: Reads,
    pub(crate) patterns: HashMap<String, Regex>,
}

struct Check<'a> {
    subject: Subject,
    reads: Reads,
    /// Headers that the expression asks for being there.
    tested: Vec<String>,
    patterns: HashMap<String, Regex>,
    /// Names that loops have given to what they go over.
    scope: Vec<&'a str>,
    in_loop: bool,
}

pub(crate) fn check(subject: Subject, expression: &IdedExpr) -> Result<Checked, Invalid> {
    let mut check = Check {
        subject,
        reads: Reads::default(),
        tested: Vec::new(),
        patterns: HashMap::new(),
        scope: Vec::new(),
        in_loop: false,
    };
    check.visit(expression, 0)?;
    let Check { mut reads, tested, patterns, .. } = check;
    reads.defaulted = reads.headers.iter().filter(|name| !tested.contains(name)).cloned().collect();
    Ok(Checked { reads, patterns })
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(message.into()))
}

impl<'a> Check<'a> {
    fn visit(&mut self, expression: &'a IdedExpr, depth: usize) -> Result<(), Invalid> {
        if depth > MAX_DEPTH {
            return invalid(format!("nests deeper than {MAX_DEPTH} levels"));
        }
        let next = depth + 1;
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select, next),
            Expr::Call(call) => self.call(call, next),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, next)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, next)?;
                    self.visit(&entry.value, next)
                }
                EntryExpr::StructField(_) => invalid("an object with a type is not supported"),
            }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, next),
            Expr::Struct(_) => invalid("an object with a type is not supported"),
            Expr::Unspecified => invalid("a part of it is empty"),
        }
    }

    fn ident(&self, name: &str) -> Result<(), Invalid> {
        let subject = self.subject.name();
        if self.scope.contains(&name) {
            Ok(())
        } else if name == subject {
            invalid(format!("{subject} as a whole is no value: name one of its fields, {}", self.fields()))
        } else {
            invalid(format!("there is no {name:?}: fields are written as {subject}.name, with {}", self.fields()))
        }
    }

    fn fields(&self) -> String {
        self.subject.fields().iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
    }

    fn select(&mut self, select: &'a SelectExpr, depth: usize) -> Result<(), Invalid> {
        if self.is_headers(&select.operand) {
            return self.header(&select.field, select.test);
        }
        let Expr::Ident(name) = &select.operand.expr else {
            // CEL gives false for a field of what has none, which is never what was meant.
            return invalid(format!("{:?} is a field of something that has no fields", select.field));
        };
        let subject = self.subject.name();
        if name != subject || self.scope.contains(&name.as_str()) {
            self.visit(&select.operand, depth)?;
            return invalid(format!("{:?} is a field of something that has no fields", select.field));
        }
        match self.subject.field(&select.field) {
            Some(field) if self.reads.fields.contains(&field) => Ok(()),
            Some(field) => {
                self.reads.fields.push(field);
                Ok(())
            }
            None => invalid(format!("{subject}.{} does not exist: there are {}", select.field, self.fields())),
        }
    }

    /// Whether an expression is `request.headers`.
    fn is_headers(&self, expression: &IdedExpr) -> bool {
        let Expr::Select(select) = &expression.expr else { return false };
        let is_subject = matches!(&select.operand.expr, Expr::Ident(name) if name == self.subject.name());
        is_subject && self.subject == Subject::Request && select.field == "headers"
    }

    fn header(&mut self, name: &str, tested: bool) -> Result<(), Invalid> {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return invalid(format!("header {name:?}: names of headers are in lower case here"));
        }
        if SECRET_HEADERS.contains(&name) {
            return invalid(format!("header {name:?} carries credentials, which no expression looks at"));
        }
        self.reads.fields.extend(self.subject.field("headers").filter(|field| !self.reads.fields.contains(field)));
        let list = if tested { &mut self.tested } else { &mut self.reads.headers };
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
        if tested && !self.reads.headers.iter().any(|known| known == name) {
            self.reads.headers.push(name.to_owned());
        }
        Ok(())
    }

    fn call(&mut self, call: &'a CallExpr, depth: usize) -> Result<(), Invalid> {
        let CallExpr { func_name, target, args } = call;
        match (func_name.as_str(), &args[..]) {
            (operators::INDEX, [of, key]) if self.is_headers(of) => return self.header(literal(key)?, false),
            (operators::IN, [key, of]) if self.is_headers(of) => return self.header(literal(key)?, true),
            ("matches", [pattern]) if target.is_some() => self.pattern(literal(pattern)?)?,
            ("matches", _) => return invalid("matches is written as text.matches(\"pattern\")"),
            (name, _) if OPERATORS.contains(&name) || FUNCTIONS.contains(&name) => {}
            (name, _) => {
                let known = [&FUNCTIONS[..], &MACROS].concat().join(", ");
                return invalid(format!(
                    "there is no function {name:?} with {} arguments: there are {known}",
                    args.len()
                ));
            }
        }
        if let Some(target) = target {
            self.visit(target, depth)?;
        }
        args.iter().try_for_each(|arg| self.visit(arg, depth))
    }

    fn pattern(&mut self, pattern: &str) -> Result<(), Invalid> {
        match RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).nest_limit(32).build() {
            Ok(compiled) => {
                self.patterns.insert(pattern.to_owned(), compiled);
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                invalid(format!("pattern {pattern:?}: {last}"))
            }
        }
    }

    fn comprehension(&mut self, given: &'a ComprehensionExpr, depth: usize) -> Result<(), Invalid> {
        let ComprehensionExpr { iter_range, iter_var, iter_var2, accu_var, accu_init, loop_cond, loop_step, result } =
            given;
        self.visit(iter_range, depth)?;
        if self.in_loop {
            return invalid("a loop (all, exists, map, filter) inside of a loop is not supported");
        }
        let outside = self.scope.len();
        self.scope.extend([iter_var.as_str(), accu_var.as_str()]);
        self.scope.extend(iter_var2.as_deref());
        self.in_loop = true;
        for part in [accu_init, loop_cond, loop_step, result] {
            self.visit(part, depth)?;
        }
        self.in_loop = false;
        self.scope.truncate(outside);
        Ok(())
    }
}

fn literal(expression: &IdedExpr) -> Result<&str, Invalid> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Ok(text.inner()),
        _ => invalid("the name of a header, and the pattern of matches, have to be written out as text"),
    }
}
