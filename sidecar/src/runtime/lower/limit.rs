//! The limits of a route, in the units and with the names they are enforced by.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use spillway_policy::limit::{LimitId, MAX_LIMITS, Nanos, QueueRule, Rule};
use spillway_wire as wire;

use super::Nack;
use crate::runtime::{LimitRule, Per};

pub(super) fn rules(given: &[wire::Limit]) -> Result<Vec<LimitRule>, Nack> {
    if given.len() > MAX_LIMITS {
        return Err(format!("has {} limits, at most {MAX_LIMITS} can be enforced", given.len()));
    }
    // Those of the fleet are counted elsewhere.
    let own = || given.iter().filter(|limit| limit.scope == wire::LimitScope::Pod);
    let rules: Vec<LimitRule> = own()
        .map(|limit| rule(limit).map_err(|why| format!("limit {}: {why}", limit.name)))
        .collect::<Result<_, _>>()?;
    match given.iter().enumerate().find(|(index, limit)| given[..*index].iter().any(|other| other.name == limit.name)) {
        Some((_, twice)) => Err(format!("limit {}: there are two of this name", twice.name)),
        None => Ok(rules),
    }
}

fn rule(given: &wire::Limit) -> Result<LimitRule, Nack> {
    let wire::Limit { name, per, scope: _, requests, tokens, window_ms, burst, concurrency, queue } = given;
    let counted = requests.is_some() || tokens.is_some();
    if counted && *window_ms == 0 {
        return Err("counts over a window of 0ms".to_owned());
    }
    if !counted && concurrency.is_none() {
        return Err("limits nothing".to_owned());
    }
    let mut hasher = DefaultHasher::new();
    let per = self::per(per)?;
    // What is counted for each of one thing says nothing about each of another: then it is another limit.
    (name, &per).hash(&mut hasher);
    let rule = Rule {
        id: LimitId(hasher.finish()),
        name: name.as_str().into(),
        requests: *requests,
        tokens: *tokens,
        window: nanos(*window_ms),
        burst: *burst,
        concurrency: *concurrency,
        queue: queue.map(|wire::Queue { depth, timeout_ms }| QueueRule { depth, timeout: nanos(timeout_ms) }),
    };
    Ok(LimitRule { rule, per })
}

pub(super) fn per(given: &wire::LimitPer) -> Result<Per, Nack> {
    Ok(match given {
        wire::LimitPer::Pod => Per::Pod,
        wire::LimitPer::Route => Per::Route,
        wire::LimitPer::Namespace => Per::Namespace,
        wire::LimitPer::Workload => Per::Workload,
        wire::LimitPer::Header(name) => {
            Per::Header(name.parse().map_err(|error| format!("per header {name:?}: {error}"))?)
        }
        wire::LimitPer::User => Per::User,
    })
}

pub(super) fn nanos(ms: u64) -> Nanos {
    Nanos::try_from(Duration::from_millis(ms).as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lowered(limits: Value) -> Result<Vec<LimitRule>, Nack> {
        rules(&serde_json::from_value::<Vec<wire::Limit>>(limits).unwrap())
    }

    #[test]
    fn a_limit_is_the_same_while_its_name_and_what_it_is_per_are() {
        let id = |limit: Value| lowered(json!([limit])).unwrap()[0].rule.id;
        let plain = id(json!({"name": "a", "per": "Pod", "requests": 1, "window_ms": 1000}));
        assert_eq!(plain, id(json!({"name": "a", "per": "Pod", "tokens": 9, "window_ms": 1, "burst": 3})));
        assert_ne!(plain, id(json!({"name": "b", "per": "Pod", "requests": 1, "window_ms": 1000})));
        assert_ne!(plain, id(json!({"name": "a", "per": "User", "requests": 1, "window_ms": 1000})));
        let header = |name: &str| id(json!({"name": "a", "per": {"Header": name}, "concurrency": 1}));
        assert_ne!(header("x-a"), header("x-b"));
    }

    #[test]
    fn what_cannot_be_enforced_is_refused() {
        let rows = [
            (json!([{"name": "a", "per": "Pod"}]), "limit a: limits nothing"),
            (json!([{"name": "a", "per": "Pod", "tokens": 1}]), "limit a: counts over a window of 0ms"),
            (json!([{"name": "a", "per": {"Header": "a b"}, "concurrency": 1}]), "limit a: per header \"a b\": "),
            (
                json!([{"name": "a", "per": "Pod", "concurrency": 1}, {"name": "a", "per": "User", "concurrency": 1}]),
                "limit a: there are two of this name",
            ),
            (json!(vec![json!({"name": "a", "per": "Pod", "concurrency": 1}); 17]), "has 17 limits, at most 16"),
        ];
        for (limits, want) in rows {
            let why = lowered(limits.clone()).unwrap_err();
            assert!(why.starts_with(want), "{limits}: {why}");
        }
    }
}
