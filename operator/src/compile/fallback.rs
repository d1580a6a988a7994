//! FallbackPolicy -> the context window, fallback and retry rules of one `wire::Route`.

use spillway_crds::{ConditionType, ErrorClass, FallbackPolicySpec, FallbackRule, Reason, Retries};
use spillway_wire as wire;

use super::chain;
use super::diagnostic::{Diagnostic, ObjectRef, Severity};
use super::policy::WAIT;
use super::rest;
use super::window;

/// What applies to a route without a policy: one retry on a connection error, and nobody else to ask.
const RETRY_ATTEMPTS: u32 = 1;
const BACKOFF_BASE_MS: u64 = 250;
const BACKOFF_MAX_MS: u64 = 8_000;
/// Longer than this, the next backend is the better answer.
const HONOUR_RETRY_AFTER_MS: u64 = 30_000;
/// What is retried when a policy asks for retries and does not say on what.
const RETRY_ON: [wire::ErrorClass; 5] = [
    wire::ErrorClass::RateLimited,
    wire::ErrorClass::Timeout,
    wire::ErrorClass::ServiceUnavailable,
    wire::ErrorClass::Connection,
    wire::ErrorClass::InternalServerError,
];

/// The part of a `wire::Route` that a policy decides.
pub(crate) struct Rules {
    pub(crate) context_window: wire::ContextWindow,
    pub(crate) fallbacks: Vec<wire::FallbackRule>,
    pub(crate) retries: wire::Retries,
    pub(crate) breaker: wire::Breaker,
    pub(crate) hedge: Option<wire::Hedge>,
}

/// A route's backends, as far as its policy is concerned.
pub(crate) struct Backends<'a> {
    /// The route's name, for diagnostics.
    pub(crate) route: &'a str,
    /// The text of its annotation [`rest::RESET`].
    pub(crate) reset: Option<&'a str>,
    /// The names of all backends in the route's spec.
    pub(crate) named: &'a [String],
    /// Those that are left, in order.
    pub(crate) usable: &'a [wire::Backend],
}

/// The rules of a route under `policy`.
pub(crate) fn compile(
    policy: Option<&(ObjectRef, &FallbackPolicySpec)>,
    backends: &Backends<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Rules {
    let reset = backends.reset.map(str::to_owned);
    let Some((object, spec)) = policy else {
        return Rules {
            context_window: window::compile(None, backends),
            fallbacks: Vec::new(),
            retries: retries(None),
            breaker: rest::breaker(None, reset),
            hedge: None,
        };
    };
    let FallbackPolicySpec { target_refs: _, context_window: given, fallbacks, retries: retry, hedge, circuit_breaker } =
        spec;
    let rules = Rules {
        context_window: window::compile(given.as_ref(), backends),
        fallbacks: fallbacks
            .iter()
            .enumerate()
            .map(|(index, rule)| named(object, index, rule, backends, diagnostics))
            .collect(),
        retries: retries(retry.as_ref()),
        breaker: rest::breaker(circuit_breaker.as_ref(), reset),
        hedge: hedge.as_ref().and_then(rest::hedge),
    };
    advise(object, &rules, backends, diagnostics);
    if let Some(given) = given {
        window::advise(object, given, &rules.context_window, backends, diagnostics);
    }
    if rules.hedge.is_some() && backends.usable.len() < 2 {
        let message = "the route has one backend, and a second request to the same one is no hedge: add a backend";
        let about = (ConditionType::Accepted, Reason::FallbackNeverHelps);
        diagnostics.push(Diagnostic::warn(object, about, "spec.hedge", message).about(backends.route));
    }
    rules
}

/// One rule, with only those names that lead somewhere: a sidecar refuses a snapshot with others.
fn named(
    object: &ObjectRef,
    index: usize,
    rule: &FallbackRule,
    backends: &Backends<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> wire::FallbackRule {
    let FallbackRule { on, to } = rule;
    for (position, name) in to.iter().enumerate().filter(|(_, name)| !backends.named.contains(*name)) {
        let message = format!(
            "ModelRoute {}/{} has no backend {name:?}: add it, or use one of {}",
            object.namespace,
            backends.route,
            backends.named.join(", ")
        );
        let path = format!("spec.fallbacks[{index}].to[{position}]");
        let about = (ConditionType::ResolvedRefs, Reason::BackendNotFound);
        diagnostics.push(Diagnostic::warn(object, about, path, message).about(backends.route));
    }
    let role = |name: &String| backends.usable.iter().find(|backend| backend.name == *name).map(|backend| backend.role);
    for (position, name) in to.iter().enumerate().filter(|(_, name)| role(name) == Some(wire::Role::Shadow)) {
        let message =
            format!("{name:?} is a Shadow, whose answers nobody gets: give it the role Fallback, or remove it");
        let path = format!("spec.fallbacks[{index}].to[{position}]");
        let about = (ConditionType::Accepted, Reason::FallbackNeverHelps);
        diagnostics.push(Diagnostic::warn(object, about, path, message).about(backends.route));
    }
    let is_usable = |name: &&String| role(name).is_some_and(|role| role != wire::Role::Shadow);
    wire::FallbackRule {
        on: on.iter().copied().map(class).collect(),
        to: to.iter().filter(is_usable).cloned().collect(),
    }
}

/// Warns of what a person reading the policy would expect to help, and cannot.
fn advise(object: &ObjectRef, rules: &Rules, backends: &Backends<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(first) = backends.usable.iter().find(|backend| backend.role == wire::Role::Primary) else { return };
    let Some(overflowed) = first.model.context_window_tokens else { return };
    let is_for_overflow = |rule: &wire::FallbackRule| rule.on.contains(&wire::ErrorClass::ContextWindowExceeded);
    let rule = rules.fallbacks.iter().enumerate().find(|(_, rule)| is_for_overflow(rule));
    let hopeless = rule.is_some_and(|(_, rule)| chain::is_hopeless(backends.usable, &rule.to));
    let mut helps = false;
    for name in rule.iter().flat_map(|(_, rule)| &rule.to) {
        let window = backends
            .usable
            .iter()
            .find(|backend| backend.name == *name)
            .and_then(|backend| backend.model.context_window_tokens);
        let Some(window) = window.filter(|window| *window <= overflowed) else {
            helps = true;
            continue;
        };
        let message = format!(
            "a prompt that overflows {:?} ({overflowed} tokens) does not fit {name:?} ({window} tokens) either: \
             name a backend with a larger window",
            first.name
        );
        let index = rule.map_or(0, |(index, _)| index);
        let about = (ConditionType::Accepted, Reason::SmallerWindow);
        let path = format!("spec.fallbacks[{index}].to");
        let severity = if hopeless { Severity::Refuse } else { Severity::Warn };
        let warning = Diagnostic::warn(object, about, path, message).about(backends.route);
        diagnostics.push(Diagnostic { severity, ..warning });
    }
    let wants_larger =
        matches!(rules.context_window.on_exceeded, wire::OnExceeded::LargerModel | wire::OnExceeded::Hybrid);
    if wants_larger && !helps && !hopeless {
        let message = format!(
            "no backend with more than the {overflowed} tokens of {:?} is named for ContextWindowExceeded, so there is no \
             larger model to go to: add one to spec.fallbacks",
            first.name
        );
        let about = (ConditionType::Accepted, Reason::FallbackNeverHelps);
        let path = "spec.contextWindow.onExceeded";
        diagnostics.push(Diagnostic::warn(object, about, path, message).about(backends.route));
    }
}

fn retries(given: Option<&Retries>) -> wire::Retries {
    let nothing = Retries { on: vec![ErrorClass::ConnectionError], ..Retries::default() };
    let Retries { attempts, on, backoff, budget, honour_retry_after } = given.unwrap_or(&nothing);
    let backoff = backoff.clone().unwrap_or_default();
    // Refused before, if they do not read.
    let read = |value: Option<&spillway_crds::Duration>| WAIT.read(value).unwrap_or_default();
    let max = read(backoff.max.as_ref());
    let base = read(backoff.base.as_ref()).unwrap_or_else(|| BACKOFF_BASE_MS.min(max.unwrap_or(BACKOFF_BASE_MS)));
    wire::Retries {
        attempts: attempts.unwrap_or(RETRY_ATTEMPTS),
        on: if on.is_empty() { RETRY_ON.to_vec() } else { on.iter().copied().map(class).collect() },
        backoff_base_ms: base,
        backoff_max_ms: max.unwrap_or_else(|| BACKOFF_MAX_MS.max(base)),
        honour_retry_after_ms: read(honour_retry_after.as_ref()).unwrap_or(HONOUR_RETRY_AFTER_MS),
        budget: Some(rest::budget(budget.as_ref())),
    }
}

const fn class(written: ErrorClass) -> wire::ErrorClass {
    match written {
        ErrorClass::ConnectionError => wire::ErrorClass::Connection,
        ErrorClass::Timeout => wire::ErrorClass::Timeout,
        ErrorClass::ContextWindowExceeded => wire::ErrorClass::ContextWindowExceeded,
        ErrorClass::BadRequest => wire::ErrorClass::BadRequest,
        ErrorClass::NotFound => wire::ErrorClass::NotFound,
        ErrorClass::ContentPolicyViolation => wire::ErrorClass::ContentPolicyViolation,
        ErrorClass::Authentication => wire::ErrorClass::Authentication,
        ErrorClass::InternalServerError => wire::ErrorClass::InternalServerError,
        ErrorClass::RateLimited => wire::ErrorClass::RateLimited,
        ErrorClass::ServiceUnavailable => wire::ErrorClass::ServiceUnavailable,
        ErrorClass::PermissionDenied => wire::ErrorClass::PermissionDenied,
        ErrorClass::UnprocessableEntity => wire::ErrorClass::UnprocessableEntity,
    }
}
