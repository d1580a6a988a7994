//! When somebody is left alone, tried again, or asked twice: breakers, budgets of extra attempts, hedges, health.

use spillway_crds::{ActiveHealth, BreakerScope, CircuitBreaker, Health, Hedge, PassiveHealth, RetryBudget};
use spillway_wire as wire;

use super::duration::Bounds;

/// Whenever the text of this annotation of a ModelRoute changes, its breakers are closed.
pub const RESET: &str = "spillway.dev/reset-breaker";

const WINDOW: Bounds = Bounds { at_least: 1_000, at_most: 3_600_000 };
const OPEN_FOR: Bounds = Bounds { at_least: 10, at_most: 3_600_000 };
const AFTER: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };
const RECOVER_AFTER: Bounds = Bounds { at_least: 1_000, at_most: 3_600_000 };
/// Every sidecar checks for itself, so a fleet of a thousand makes a thousand requests in this time.
const INTERVAL: Bounds = Bounds { at_least: 5_000, at_most: 3_600_000 };

const FAILURE_THRESHOLD: u32 = 5;
const FAILURE_RATIO: f64 = 0.5;
const MIN_REQUESTS: u32 = 10;
const WINDOW_MS: u64 = 30_000;
const SUCCESS_THRESHOLD: u32 = 2;
/// Three times as long at most, so that a backend that is well again is asked within half a minute.
const OPEN_FOR_MS: u64 = 10_000;

const BUDGET_RATIO: f64 = 0.2;
const BUDGET_MIN_PER_SECOND: u32 = 10;

const HEDGE_RATIO: f64 = 0.05;

const PASSIVE_FAILURES: u32 = 5;
const RECOVER_AFTER_MS: u64 = 30_000;
const INTERVAL_MS: u64 = 30_000;

/// The breaker of a route. One that nobody asked for is the same as an empty one: who is not there is not waited for.
pub(crate) fn breaker(given: Option<&CircuitBreaker>, reset: Option<String>) -> wire::Breaker {
    let nothing = CircuitBreaker::default();
    let CircuitBreaker { failure_threshold, failure_ratio, min_requests, window, success_threshold, open_for, scope } =
        given.unwrap_or(&nothing);
    wire::Breaker {
        failure_threshold: failure_threshold.unwrap_or(FAILURE_THRESHOLD),
        failure_ratio_ppm: ppm(failure_ratio.unwrap_or(FAILURE_RATIO)),
        min_requests: min_requests.unwrap_or(MIN_REQUESTS),
        // Refused before, if they do not read; so for all below.
        window_ms: WINDOW.read(window.as_ref()).unwrap_or_default().unwrap_or(WINDOW_MS),
        success_threshold: success_threshold.unwrap_or(SUCCESS_THRESHOLD),
        open_for_ms: OPEN_FOR.read(open_for.as_ref()).unwrap_or_default().unwrap_or(OPEN_FOR_MS),
        scope: match scope {
            None | Some(BreakerScope::Pod) => wire::BreakerScope::Pod,
            Some(BreakerScope::Fleet) => wire::BreakerScope::Fleet,
        },
        reset,
    }
}

/// The budget of a route's retries, fallbacks and hedges; there always is one.
pub(crate) fn budget(given: Option<&RetryBudget>) -> wire::RetryBudget {
    let (ratio, min_per_second) =
        given.map_or((None, None), |RetryBudget { ratio, min_per_second }| (*ratio, *min_per_second));
    wire::RetryBudget {
        ratio_ppm: ppm(ratio.unwrap_or(BUDGET_RATIO)),
        min_per_second: min_per_second.unwrap_or(BUDGET_MIN_PER_SECOND),
    }
}

pub(crate) fn hedge(given: &Hedge) -> Option<wire::Hedge> {
    let Hedge { after, max_ratio } = given;
    let after_ms = AFTER.read(Some(after)).unwrap_or_default()?;
    Some(wire::Hedge { after_ms, max_ratio_ppm: ppm(max_ratio.unwrap_or(HEDGE_RATIO)) })
}

pub(crate) fn health(given: Option<&Health>) -> (Option<wire::PassiveHealth>, Option<wire::ActiveHealth>) {
    let Some(Health { passive, active }) = given else { return (None, None) };
    let passive = passive.as_ref().map(|PassiveHealth { failures, recover_after }| wire::PassiveHealth {
        failures: failures.unwrap_or(PASSIVE_FAILURES),
        recover_after_ms: RECOVER_AFTER.read(recover_after.as_ref()).unwrap_or_default().unwrap_or(RECOVER_AFTER_MS),
    });
    let active = active.as_ref().map(|ActiveHealth { path, interval }| wire::ActiveHealth {
        path: path.clone(),
        interval_ms: INTERVAL.read(interval.as_ref()).unwrap_or_default().unwrap_or(INTERVAL_MS),
    });
    (passive, active)
}

/// What is wrong with a policy's breaker, as paths and messages; so for all below.
pub(crate) fn check_breaker(given: &CircuitBreaker, invalid: &mut impl FnMut(String, String)) {
    let CircuitBreaker {
        failure_threshold,
        failure_ratio,
        min_requests,
        window,
        success_threshold,
        open_for,
        scope: _,
    } = given;
    let at = |field: &str| format!("spec.circuitBreaker.{field}");
    let counts = [
        ("failureThreshold", failure_threshold),
        ("minRequests", min_requests),
        ("successThreshold", success_threshold),
    ];
    for (field, _) in counts.into_iter().filter(|(_, count)| **count == Some(0)) {
        invalid(at(field), "0 is less than 1".into());
    }
    check_ratio(at("failureRatio"), *failure_ratio, invalid);
    for (field, bounds, value) in [("window", WINDOW, window), ("openFor", OPEN_FOR, open_for)] {
        if let Err(message) = bounds.read(value.as_ref()) {
            invalid(at(field), message);
        }
    }
}

pub(crate) fn check_budget(given: &RetryBudget, invalid: &mut impl FnMut(String, String)) {
    let RetryBudget { ratio, min_per_second: _ } = given;
    check_ratio("spec.retries.budget.ratio".into(), *ratio, invalid);
}

pub(crate) fn check_hedge(given: &Hedge, invalid: &mut impl FnMut(String, String)) {
    let Hedge { after, max_ratio } = given;
    if let Err(message) = AFTER.read(Some(after)) {
        invalid("spec.hedge.after".into(), message);
    }
    check_ratio("spec.hedge.maxRatio".into(), *max_ratio, invalid);
}

pub(crate) fn check_health(given: &Health, invalid: &mut impl FnMut(String, String)) {
    let Health { passive, active } = given;
    if let Some(PassiveHealth { failures, recover_after }) = passive {
        if *failures == Some(0) {
            invalid("spec.health.passive.failures".into(), "0 is less than 1".into());
        }
        if let Err(message) = RECOVER_AFTER.read(recover_after.as_ref()) {
            invalid("spec.health.passive.recoverAfter".into(), message);
        }
    }
    if let Some(ActiveHealth { path, interval }) = active {
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        if !path.starts_with('/') || path.len() > 256 || !plain {
            let message = format!("{path:?} is no path below the endpoint: write it like /models");
            invalid("spec.health.active.path".into(), message);
        }
        if let Err(message) = INTERVAL.read(interval.as_ref()) {
            invalid("spec.health.active.interval".into(), message);
        }
    }
}

fn check_ratio(path: String, ratio: Option<f64>, invalid: &mut impl FnMut(String, String)) {
    if let Some(ratio) = ratio.filter(|ratio| !(0.0..=1.0).contains(ratio)) {
        invalid(path, format!("{ratio} is outside of 0 to 1"));
    }
}

/// Parts per million; what is outside of 0 to 1 was refused before.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped first")]
fn ppm(ratio: f64) -> u32 {
    (ratio.clamp(0.0, 1.0) * 1_000_000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default_of_the_reference() {
        let want = wire::Breaker {
            failure_threshold: 5,
            failure_ratio_ppm: 500_000,
            min_requests: 10,
            window_ms: 30_000,
            success_threshold: 2,
            open_for_ms: 10_000,
            scope: wire::BreakerScope::Pod,
            reset: None,
        };
        assert_eq!(breaker(None, None), want);
        let fleet = CircuitBreaker { scope: Some(BreakerScope::Fleet), ..CircuitBreaker::default() };
        assert_eq!(breaker(Some(&fleet), None), wire::Breaker { scope: wire::BreakerScope::Fleet, ..want.clone() });
        assert_eq!(breaker(Some(&CircuitBreaker::default()), None), want);
        assert_eq!(budget(None), wire::RetryBudget { ratio_ppm: 200_000, min_per_second: 10 });
        let given = Hedge { after: "3s".into(), max_ratio: None };
        assert_eq!(hedge(&given), Some(wire::Hedge { after_ms: 3_000, max_ratio_ppm: 50_000 }));
        let given = Health {
            passive: Some(PassiveHealth::default()),
            active: Some(ActiveHealth { path: "/models".into(), interval: None }),
        };
        let passive = wire::PassiveHealth { failures: 5, recover_after_ms: 30_000 };
        let active = wire::ActiveHealth { path: "/models".into(), interval_ms: 30_000 };
        assert_eq!(health(Some(&given)), (Some(passive), Some(active)));
        assert_eq!(health(None), (None, None));
    }
}
