//! When somebody is left alone, tried again, or asked twice: breakers, health, budgets of extra attempts, hedges.

use std::time::Duration;

use spillway_policy::{
    Class, Classes,
    breaker::Rule,
    retry::{self, budget},
};
use spillway_wire as wire;

use super::super::generation::{Check, Hedge};

/// Every sidecar of a fleet checks: a shorter interval is more than a provider should see.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);
/// Failures in a row that make a provider unhealthy where only the checks are configured.
const CHECKS: u32 = 3;
/// Health goes by failures in a row, so the length of the window means nothing.
const HEALTH_WINDOW: Duration = Duration::from_secs(10);

/// When a provider is unhealthy: by requests and checks alike, or, where only checks are configured, by them alone. A single
/// good check is always enough.
pub(super) fn health(passive: Option<&wire::PassiveHealth>, active: Option<&wire::ActiveHealth>) -> Option<Rule> {
    let (failures, open_for) = match (passive, active) {
        (Some(wire::PassiveHealth { failures, recover_after_ms }), _) => {
            (*failures, Duration::from_millis(*recover_after_ms))
        }
        (None, Some(active)) => (CHECKS, Duration::from_millis(active.interval_ms).max(SHORTEST_INTERVAL) * 2),
        (None, None) => return None,
    };
    Some(Rule {
        failure_threshold: failures,
        failure_ratio_ppm: 1_000_000,
        min_requests: u32::MAX,
        window: HEALTH_WINDOW,
        success_threshold: 1,
        open_for,
    })
}

pub(super) const fn budget(given: wire::RetryBudget) -> budget::Rule {
    let wire::RetryBudget { ratio_ppm, min_per_second } = given;
    budget::Rule { ratio_ppm, min_per_second }
}

pub(super) const fn hedge(given: wire::Hedge) -> Hedge {
    let wire::Hedge { after_ms, max_ratio_ppm } = given;
    Hedge { after: Duration::from_millis(after_ms), max_ratio_ppm }
}

pub(super) fn check(given: &wire::ActiveHealth) -> Check {
    let wire::ActiveHealth { path, interval_ms } = given;
    Check { path: path.clone(), interval: Duration::from_millis(*interval_ms).max(SHORTEST_INTERVAL) }
}

pub(super) fn retries(given: &wire::Retries) -> retry::Rule {
    let wire::Retries { attempts, on, backoff_base_ms, backoff_max_ms, honour_retry_after_ms, budget: _ } = given;
    retry::Rule {
        attempts: *attempts,
        on: classes(on),
        base: Duration::from_millis(*backoff_base_ms),
        max: Duration::from_millis(*backoff_max_ms),
        honour_retry_after: Duration::from_millis(*honour_retry_after_ms),
    }
}

pub(super) fn classes(given: &[wire::ErrorClass]) -> Classes {
    use wire::ErrorClass as W;
    given
        .iter()
        .map(|class| match class {
            W::Connection => Class::Connection,
            W::Timeout => Class::Timeout,
            W::ContextWindowExceeded => Class::ContextWindowExceeded,
            W::BadRequest => Class::BadRequest,
            W::NotFound => Class::NotFound,
            W::ContentPolicyViolation => Class::ContentPolicyViolation,
            W::Authentication => Class::Authentication,
            W::InternalServerError => Class::InternalServerError,
            W::RateLimited => Class::RateLimited,
            W::ServiceUnavailable => Class::ServiceUnavailable,
            W::PermissionDenied => Class::PermissionDenied,
            W::UnprocessableEntity => Class::UnprocessableEntity,
        })
        .collect()
}
