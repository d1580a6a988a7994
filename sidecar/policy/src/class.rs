//! The twelve classes of a failed attempt, and sets of them.

use std::fmt;

/// Why an attempt failed, as far as a policy distinguishes.
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

/// A set of classes: sixteen bits, because rules are asked on every failed attempt.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Classes(u16);

// === impl Class ===

impl Class {
    pub const ALL: [Self; 12] = [
        Self::Connection,
        Self::Timeout,
        Self::ContextWindowExceeded,
        Self::BadRequest,
        Self::NotFound,
        Self::ContentPolicyViolation,
        Self::Authentication,
        Self::InternalServerError,
        Self::RateLimited,
        Self::ServiceUnavailable,
        Self::PermissionDenied,
        Self::UnprocessableEntity,
    ];

    /// The word users write in a FallbackPolicy, and read in headers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "ConnectionError",
            Self::Timeout => "Timeout",
            Self::ContextWindowExceeded => "ContextWindowExceeded",
            Self::BadRequest => "BadRequest",
            Self::NotFound => "NotFound",
            Self::ContentPolicyViolation => "ContentPolicyViolation",
            Self::Authentication => "Authentication",
            Self::InternalServerError => "InternalServerError",
            Self::RateLimited => "RateLimited",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::PermissionDenied => "PermissionDenied",
            Self::UnprocessableEntity => "UnprocessableEntity",
        }
    }
}

impl Class {
    /// The other side, or the way to it, is in trouble, and more attempts add to it. Otherwise it has answered in order, and
    /// its answer is about this very request, or about what it was asked for.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Connection
            | Self::Timeout
            | Self::InternalServerError
            | Self::RateLimited
            | Self::ServiceUnavailable => true,
            Self::ContextWindowExceeded
            | Self::BadRequest
            | Self::NotFound
            | Self::ContentPolicyViolation
            | Self::Authentication
            | Self::PermissionDenied
            | Self::UnprocessableEntity => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Classes ===

impl Classes {
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & (1 << class as u16) != 0
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | 1 << class as u16))
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Class::ALL.iter().filter(|class| self.contains(**class))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: Classes = [Class::Connection, Class::UnprocessableEntity].into_iter().collect();
        for class in Class::ALL {
            let want = matches!(class, Class::Connection | Class::UnprocessableEntity);
            assert_eq!(set.contains(class), want, "{class}");
        }
        assert_eq!(format!("{set:?}"), "{Connection, UnprocessableEntity}");
    }
}
