//! What there is to hand out: by the config, which every replica works out for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spillway_crds::LossBehaviour;
use spillway_policy::quota::{Loss, Nanos, RateRule};
use spillway_wire::{self as wire, BackendName, Counts, LimitPer, LimitScope, RateOf};

use crate::compile::{Compiled, CompiledRoute};

/// Of what an account allows, this much is not handed out: providers count when they are done, and that is a little later.
const HEADROOM_PERCENT: u64 = 3;
const MINUTE_MS: u64 = 60_000;
const MILLISECOND: Nanos = 1_000_000;
/// Of a limit of tokens, so much may wait in buckets at most: a part of this many.
const BUCKET_PARTS: u64 = 20;
/// What a request takes of tokens, if the limit is large enough for that.
const USUAL_TOKENS: u64 = 1_000;

/// Budgets and fleet-wide limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    compiled: Arc<Compiled>,
    rates: BTreeMap<RateKey, Terms>,
}

/// A rate before it is known whose.
pub(super) type RateKey = (RateOf, Counts);

/// A fleet-wide limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: u64,
    pub(super) window: Nanos,
    counts: Counts,
    loss: Loss,
    pub(super) whose: Whose,
}

/// Who has all of a limit to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Everybody,
    /// Each workload.
    Workload,
    /// Each value of a header, or each user.
    Value,
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(compiled: Arc<Compiled>) -> Self {
        let limits = compiled.routes.iter().flat_map(|(key, route)| limits(&compiled, key, route));
        let rates = limits.chain(compiled.providers.iter().flat_map(|(key, provider)| quotas(key, provider))).collect();
        Self { rates, compiled }
    }

    /// By `namespace/name`.
    pub(super) fn budgets(&self) -> &wire::Map<wire::Budget> {
        &self.compiled.budgets
    }

    pub(super) fn rate(&self, key: &RateKey) -> Option<&Terms> {
        self.rates.get(key)
    }

    /// The breaker of a backend that the fleet shares, if it is one.
    pub(super) fn breaker(&self, of: &BackendName) -> Option<(&wire::Breaker, &wire::Backend)> {
        let route = &self.compiled.routes.get(&of.route)?.route;
        let breaker = route.breaker.as_ref().filter(|breaker| breaker.is_fleet())?;
        Some((breaker, route.backends.iter().find(|backend| backend.name == of.backend)?))
    }

    /// The rates that a pod shares in: those of its routes, and of the providers they use. In those of values it shares when
    /// it asks.
    pub(super) fn rates_of(&self, namespace: &str, labels: &BTreeMap<String, String>) -> BTreeMap<&RateKey, &Terms> {
        let mut of = BTreeSet::new();
        for (key, route) in self.compiled.of_namespace(namespace).filter(|(_, route)| route.selects(namespace, labels))
        {
            of.extend(route.route.backends.iter().map(|backend| RateOf::Provider(backend.provider.clone())));
            let is_theirs =
                |limit: &&wire::Limit| limit.scope == LimitScope::Fleet && Whose::of(&limit.per) != Whose::Value;
            let fleet = route.route.limits.iter().filter(is_theirs);
            of.extend(fleet.map(|limit| RateOf::Limit { route: key.clone(), limit: limit.name.clone() }));
        }
        let keys = of.into_iter().flat_map(|of| [(of.clone(), Counts::Requests), (of, Counts::Tokens)]);
        keys.filter_map(|key| self.rates.get_key_value(&key)).collect()
    }
}

fn limits<'a>(
    compiled: &'a Compiled,
    key: &'a str,
    route: &'a CompiledRoute,
) -> impl Iterator<Item = (RateKey, Terms)> + 'a {
    let fleet = route.route.limits.iter().filter(|limit| limit.scope == LimitScope::Fleet);
    fleet.flat_map(move |limit| {
        let loss = match compiled.losses.get(&(key.to_owned(), limit.name.clone())) {
            None | Some(LossBehaviour::Hold) => Loss::Hold,
            Some(LossBehaviour::Floor) => Loss::Floor,
            Some(LossBehaviour::Deny) => Loss::Deny,
        };
        let window = limit.window_ms.saturating_mul(MILLISECOND);
        let whose = Whose::of(&limit.per);
        let of = RateOf::Limit { route: key.to_owned(), limit: limit.name.clone() };
        amounts(limit.requests, limit.tokens).map(move |(counts, limit)| {
            let terms = Terms { limit, window, counts, loss, whose };
            ((of.clone(), counts), terms)
        })
    })
}

fn quotas(key: &str, provider: &wire::Provider) -> impl Iterator<Item = (RateKey, Terms)> {
    let of = RateOf::Provider(key.to_owned());
    let quota = provider.quota.unwrap_or(wire::Quota { requests: None, tokens: None });
    let less = |all: u64| (all - all.div_ceil(100).saturating_mul(HEADROOM_PERCENT).min(all)).max(1);
    amounts(quota.requests.map(less), quota.tokens.map(less)).map(move |(counts, limit)| {
        let window = MINUTE_MS * MILLISECOND;
        ((of.clone(), counts), Terms { limit, window, counts, loss: Loss::Hold, whose: Whose::Everybody })
    })
}

fn amounts(requests: Option<u64>, tokens: Option<u64>) -> impl Iterator<Item = (Counts, u64)> {
    let amounts = [(Counts::Requests, requests), (Counts::Tokens, tokens)];
    amounts.into_iter().filter_map(|(counts, amount)| Some((counts, amount?)))
}

// === impl Whose ===

impl Whose {
    const fn of(per: &LimitPer) -> Self {
        match per {
            LimitPer::Pod | LimitPer::Route | LimitPer::Namespace => Self::Everybody,
            LimitPer::Workload => Self::Workload,
            LimitPer::Header(_) | LimitPer::User => Self::Value,
        }
    }

    /// What makes the rate of one of them another than that of the next. None: it says a value where none counts, or none
    /// where one does.
    pub(super) fn subject<'a>(self, workload: &'a str, value: Option<&'a str>) -> Option<Vec<&'a str>> {
        match (self, value) {
            (Self::Everybody, None) => Some(Vec::new()),
            (Self::Workload, None) => Some(vec![workload]),
            (Self::Value, Some(value)) => Some(vec!["value", value]),
            (Self::Everybody | Self::Workload, Some(_)) | (Self::Value, None) => None,
        }
    }
}

// === impl Terms ===

impl Terms {
    /// The same with so many thousandths of the limit.
    pub(super) fn part(self, milli: u64) -> Self {
        let limit = u128::from(self.limit) * u128::from(milli) / 1_000;
        Self { limit: u64::try_from(limit).unwrap_or(u64::MAX).max(1), ..self }
    }

    /// The rule for so many sidecars. What their buckets hold is set aside from the limit, so the larger the fleet, the less a
    /// bucket holds beyond its part; larger requests ask for leave.
    pub(super) fn rule(&self, members: u64) -> RateRule {
        let Self { limit, window, counts, loss, whose } = *self;
        let quantum = match counts {
            Counts::Requests => 1,
            Counts::Tokens => {
                let buckets = members.max(1).next_power_of_two().saturating_mul(BUCKET_PARTS);
                (limit / buckets).clamp(1, USUAL_TOKENS)
            }
        };
        RateRule { limit, window, quantum, loss, on_demand: whose == Whose::Value }
    }
}
