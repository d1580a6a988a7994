//! The words of every status: which conditions there are, which reasons they give, and the one way to make one.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest message a condition carries; the API's own bound is 32,768 bytes, which nobody reads.
const MESSAGE_BYTES: usize = 1024;

/// What a condition is about, in the vocabulary of the Gateway API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
    /// The object was understood and nothing in it can never work.
    Accepted,
    /// Everything it points at exists and may be used.
    ResolvedRefs,
    /// Every sidecar it concerns runs it.
    Programmed,
    /// It works, and will not for ever. Only there while it is true.
    Warning,
}

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The object is in use as written.
    Accepted,
    /// A value is malformed or contradicts another one.
    Invalid,
    /// The field exists, but this version does not enforce it.
    UnsupportedValue,
    /// An older object claims the same thing.
    Conflicted,
    /// A policy or budget names a route that does not exist.
    TargetNotFound,
    /// Every reference was found and may be used.
    ResolvedRefs,
    /// A route names a ModelProvider that does not exist.
    ProviderNotFound,
    /// A route names a ModelProvider that was refused, or whose own references do not resolve.
    ProviderNotReady,
    /// The ModelProvider does not allow this namespace.
    RefNotPermitted,
    /// The Secret does not exist, or the operator may not see it.
    SecretNotFound,
    /// The Secret has no such key, or it is empty or not text.
    SecretKeyNotFound,
    /// The Secret may not be sent to the endpoint's host.
    HostNotAllowed,
    /// A policy names a backend that its route does not have.
    BackendNotFound,
    /// No backend of the route can be used.
    NoUsableBackend,
    /// Every sidecar concerned runs this revision.
    Programmed,
    /// Some sidecars do not run this revision yet.
    Pending,
    /// A sidecar refused this revision.
    Rejected,
    /// No injected pod is concerned.
    NoSidecars,
    /// The object was refused, so nothing was sent to sidecars.
    NotAccepted,
    /// A fallback for an overflowed window leads to a smaller one.
    SmallerWindow,
    /// A fallback is configured that can never be of use.
    FallbackNeverHelps,
    /// More room is to be kept for the answer than half of a backend's window.
    ReserveTooLarge,
    /// The model is not in the catalogue and the provider does not describe it.
    ModelUnknown,
    /// A choice depends on what a backend costs, and nobody knows what it costs.
    PriceUnknown,
    /// A field is set that changes nothing beside the others.
    NoEffect,
    /// There are requests that no backend is for.
    NotAlways,
    /// A backend's model has been switched off by its provider, or will be soon.
    ModelsDeprecated,
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// Makes a condition. `previous` are the object's conditions so far: `lastTransitionTime` moves only when the status does.
#[must_use]
pub fn condition(
    kind: ConditionType,
    (status, reason): (ConditionStatus, Reason),
    message: &str,
    generation: Option<i64>,
    previous: &[Condition],
    now: Timestamp,
) -> Condition {
    let same = previous.iter().find(|old| old.type_ == kind.as_str() && old.status == status.as_str());
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: cut(message, MESSAGE_BYTES),
        observed_generation: generation,
        last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
    }
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mark = "…";
    let mut end = bytes - mark.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}", &text[..end])
}

// === impl ConditionType ===

impl ConditionType {
    /// The word in `status.conditions[].type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Warning => "Warning",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Reason ===

impl Reason {
    /// The word in `status.conditions[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Invalid => "Invalid",
            Self::UnsupportedValue => "UnsupportedValue",
            Self::Conflicted => "Conflicted",
            Self::TargetNotFound => "TargetNotFound",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::ProviderNotFound => "ProviderNotFound",
            Self::ProviderNotReady => "ProviderNotReady",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyNotFound => "SecretKeyNotFound",
            Self::HostNotAllowed => "HostNotAllowed",
            Self::BackendNotFound => "BackendNotFound",
            Self::NoUsableBackend => "NoUsableBackend",
            Self::Programmed => "Programmed",
            Self::Pending => "Pending",
            Self::Rejected => "Rejected",
            Self::NoSidecars => "NoSidecars",
            Self::NotAccepted => "NotAccepted",
            Self::SmallerWindow => "SmallerWindow",
            Self::FallbackNeverHelps => "FallbackNeverHelps",
            Self::ReserveTooLarge => "ReserveTooLarge",
            Self::ModelUnknown => "ModelUnknown",
            Self::PriceUnknown => "PriceUnknown",
            Self::NoEffect => "NoEffect",
            Self::NotAlways => "NotAlways",
            Self::ModelsDeprecated => "ModelsDeprecated",
        }
    }

    /// True for reasons that are worth a warning but leave the condition true.
    #[must_use]
    pub const fn is_advice(self) -> bool {
        matches!(
            self,
            Self::SmallerWindow
                | Self::FallbackNeverHelps
                | Self::ReserveTooLarge
                | Self::ModelUnknown
                | Self::PriceUnknown
                | Self::NoEffect
                | Self::NotAlways
                | Self::ModelsDeprecated
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ConditionStatus ===

impl ConditionStatus {
    /// The word in `status.conditions[].status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_does() {
        use ConditionStatus::{False, True};
        let accepted = |status, previous: &[Condition], now| {
            condition(ConditionType::Accepted, (status, Reason::Accepted), "m", Some(3), previous, at(now))
        };
        let first = accepted(True, &[], 10);
        assert_eq!(first.last_transition_time.0, at(10));
        let again = accepted(True, std::slice::from_ref(&first), 20);
        assert_eq!(again, first, "same status, same condition");
        let turned = accepted(False, &[again], 30);
        assert_eq!(turned.last_transition_time.0, at(30));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "é".repeat(MESSAGE_BYTES);
        let kept = cut(&long, MESSAGE_BYTES);
        assert!(kept.len() <= MESSAGE_BYTES && kept.ends_with("é…"), "{} bytes", kept.len());
    }
}
