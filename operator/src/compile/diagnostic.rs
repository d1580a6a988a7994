//! What is to be said about an object: to its author at admission, and to everyone in its conditions.

use std::fmt;

use kube::{Resource, ResourceExt};
use spillway_crds::{ConditionType, Reason};

/// The longest path or message.
const TEXT_BYTES: usize = 1024;

/// The kinds that are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ModelProvider,
    ModelRoute,
    FallbackPolicy,
    ModelBudget,
}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// What the validating webhook does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It can never work: refuse it.
    Refuse,
    /// It may come to work when other objects change, or it works and is odd: warn.
    Warn,
}

/// One thing to say about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    pub object: ObjectRef,
    /// The condition it belongs to. The condition is false because of it, unless [`Reason::is_advice`].
    pub condition: ConditionType,
    pub reason: Reason,
    /// The field it is about: `spec.backends[1].providerRef`.
    pub path: Option<String>,
    /// Names the value, the other object and what to do.
    pub message: String,
    pub severity: Severity,
    /// For a FallbackPolicy: the one route of several it is about.
    pub route: Option<String>,
}

// === impl Kind ===

impl Kind {
    /// The kind as it is written in YAML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelProvider => "ModelProvider",
            Self::ModelRoute => "ModelRoute",
            Self::FallbackPolicy => "FallbackPolicy",
            Self::ModelBudget => "ModelBudget",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ObjectRef ===

impl ObjectRef {
    /// Names `object`. One without a namespace is in `default`, as kubectl has it.
    #[must_use]
    pub fn of<K: Resource>(kind: Kind, object: &K) -> Self {
        let namespace = object.namespace().filter(|namespace| !namespace.is_empty());
        Self { kind, namespace: namespace.unwrap_or_else(|| "default".to_owned()), name: object.name_any() }
    }

    /// `namespace/name`: the key of maps by object.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// The object's own text is malformed, contradicts itself, or asks for what is not there yet.
    pub(crate) fn refuse(
        object: &ObjectRef,
        reason: Reason,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            object: object.clone(),
            condition: ConditionType::Accepted,
            reason,
            path: Some(clean(path.into())),
            message: clean(message.into()),
            severity: Severity::Refuse,
            route: None,
        }
    }

    /// The object is well, but something it depends on is not, or not as its author may think.
    pub(crate) fn warn(
        object: &ObjectRef,
        (condition, reason): (ConditionType, Reason),
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            object: object.clone(),
            condition,
            reason,
            path: Some(clean(path.into())),
            message: clean(message.into()),
            severity: Severity::Warn,
            route: None,
        }
    }

    /// Says which route of a policy it is about.
    pub(crate) fn about(mut self, route: &str) -> Self {
        self.route = Some(route.to_owned());
        self
    }

    /// Nothing that is yet to come would help: the Secret is there, and it does not give its key for this. In a cluster it may
    /// be edited at any time; whoever looks at files has all of them in front of him.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.reason, Reason::HostNotAllowed | Reason::SecretKeyNotFound)
    }

    /// The path and the message, as they are shown.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.path {
            Some(path) => format!("{path}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Names and values come from anyone who may write a resource and end up on terminals: no escapes, no novels.
fn clean(text: String) -> String {
    if text.len() <= TEXT_BYTES && !text.contains(char::is_control) {
        return text;
    }
    let plain = text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one });
    plain.take(TEXT_BYTES / 4).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_has_no_escapes_in_it() {
        let object = ObjectRef { kind: Kind::ModelRoute, namespace: "shop".into(), name: "chat".into() };
        let one = Diagnostic::refuse(&object, Reason::Invalid, "spec.\u{1b}[31m", "é".repeat(5000));
        assert_eq!(one.path.as_deref(), Some("spec.\u{fffd}[31m"));
        assert!(one.message.len() <= TEXT_BYTES);
    }
}
