//! Something to know about a set of resources.

use std::fmt;

use serde::Serialize;

use crate::{
    compile::{Diagnostic, ObjectRef, Severity as Refusal},
    source::Problem,
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It cannot work.
    Error,
    /// It does not do what whoever wrote it will think, or will cease to.
    Warning,
    /// It works, and could be better.
    Info,
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// `ModelRoute shop/chat`.
    pub(super) object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    /// One word, for programs.
    pub(super) reason: &'static str,
    pub(super) why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(
        (severity, reason): (Severity, &'static str),
        object: &ObjectRef,
        field: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (field, fix) = (Some(field.into()), Some(fix.into()));
        Self { severity, object: object.to_string(), field, reason, why: why.into(), fix }
    }

    /// What the conditions would say.
    pub(super) fn of(diagnostic: &Diagnostic) -> Self {
        let Diagnostic { object, condition: _, reason, path, message, severity, route: _ } = diagnostic;
        // They end with what to do, behind a colon.
        let (why, fix) = match message.rsplit_once(": ") {
            Some((why, fix)) => (why.to_owned(), Some(fix.to_owned())),
            None => (message.clone(), None),
        };
        let failed = *severity == Refusal::Refuse || diagnostic.is_settled();
        let severity = if failed { Severity::Error } else { Severity::Warning };
        Self { severity, object: object.to_string(), field: path.clone(), reason: reason.as_str(), why, fix }
    }

    /// What could not be read.
    pub(super) fn unread(problem: &Problem) -> Self {
        let Problem { file, line, object, message } = problem;
        let place = format!("{}:{line}", file.display());
        let (object, why) = match object {
            Some(object) => (object.clone(), format!("{message} ({place})")),
            None => (place, message.clone()),
        };
        Self { severity: Severity::Error, object, field: None, reason: "Unreadable", why, fix: None }
    }
}

/// `warning: ModelRoute shop/chat: spec.backends[0]: why: what to do (Reason)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, object, field, reason, why, fix } = self;
        write!(f, "{severity}: {object}: ")?;
        if let Some(field) = field {
            write!(f, "{field}: ")?;
        }
        f.write_str(why)?;
        if let Some(fix) = fix {
            write!(f, ": {fix}")?;
        }
        write!(f, " ({reason})")
    }
}
