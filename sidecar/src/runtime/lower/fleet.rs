//! The limits and accounts that the whole fleet counts towards.

use spillway_policy::limit::QueueRule;
use spillway_wire::{self as wire, LimitScope, RateOf};

use super::{Nack, limit};
use crate::runtime::{Per, fleet::FleetLimit, rights::Rights};

/// What a provider's account allows is counted over a minute.
const MINUTE_MS: u64 = 60_000;

/// Those of a route's limits that are not counted here.
pub(super) fn limits(route: &str, given: &[wire::Limit], rights: &Rights) -> Result<Vec<FleetLimit>, Nack> {
    let fleet = given.iter().filter(|limit| limit.scope == LimitScope::Fleet);
    fleet.map(|given| fleet_limit(route, given, rights).map_err(|why| format!("limit {}: {why}", given.name))).collect()
}

fn fleet_limit(route: &str, given: &wire::Limit, rights: &Rights) -> Result<FleetLimit, Nack> {
    let wire::Limit { name, per, scope: _, requests, tokens, window_ms, burst: _, concurrency, queue } = given;
    if concurrency.is_some() {
        return Err("concurrency is counted in each pod, and not in the fleet".to_owned());
    }
    if *window_ms == 0 || requests.or(*tokens).is_none() {
        return Err("counts nothing, or over a window of 0ms".to_owned());
    }
    let queue = queue.map(|wire::Queue { depth, timeout_ms }| QueueRule { depth, timeout: limit::nanos(timeout_ms) });
    let limit = FleetLimit {
        name: name.as_str().into(),
        of: RateOf::Limit { route: route.to_owned(), limit: name.clone() },
        per: limit::per(per)?,
        requests: *requests,
        tokens: *tokens,
        window: limit::nanos(*window_ms),
        queue,
        rates: None,
    };
    Ok(numbered(limit, rights))
}

/// What the account of a provider allows. None: it is not said.
pub(super) fn account(provider: &str, given: Option<&wire::Quota>, rights: &Rights) -> Option<FleetLimit> {
    let wire::Quota { requests, tokens } = *given?;
    let limit = FleetLimit {
        name: "quota".into(),
        of: RateOf::Provider(provider.to_owned()),
        per: Per::Route,
        requests,
        tokens,
        window: limit::nanos(MINUTE_MS),
        queue: None,
        rates: None,
    };
    Some(numbered(limit, rights))
}

fn numbered(limit: FleetLimit, rights: &Rights) -> FleetLimit {
    let rates = (!limit.is_by_value()).then(|| limit.numbered(rights, None));
    FleetLimit { rates, ..limit }
}
