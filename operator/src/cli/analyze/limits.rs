//! Limits that are never reached because another one is, and limits that nothing passes.

use spillway_wire::{Limit, LimitPer};

use super::{
    Seen,
    finding::{Finding, Severity},
};
use crate::compile::{Kind, ObjectRef};

/// Of two limits on the same thing the tighter one decides; so does one on all of it over one on a part.
pub(super) fn never_reached(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    each(seen, |object, limits, _| {
        for (index, limit) in limits.iter().enumerate() {
            let tighter = limits.iter().enumerate().find(|(other, tighter)| {
                let same = covers(limit, tighter) && *other > index;
                *other != index && !same && covers(tighter, limit)
            });
            if let Some((_, tighter)) = tighter {
                let why = format!("is never reached: {:?} is always used up before it", tighter.name);
                let fix = "make it tighter, or remove it";
                let about = (Severity::Warning, "LimitNeverReached");
                found.push(Finding::new(about, object, format!("spec.limits[{index}]"), why, fix));
            }
        }
    });
}

/// A limit on tokens that is smaller than what the smallest usual request takes of it.
pub(super) fn let_nothing_through(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    each(seen, |object, limits, reserve| {
        for (index, limit) in limits.iter().enumerate() {
            let most = limit.tokens.map(|tokens| limit.burst.unwrap_or(tokens));
            if let Some(most) = most.filter(|most| *most <= reserve) {
                let why = format!(
                    "a request that sets no limit of its own keeps {reserve} tokens for its answer, and all there ever are is \
                     {most}: one such request uses up all of it"
                );
                let fix = "allow more tokens at once, or keep less in contextWindow.reserveOutputTokens of the FallbackPolicy";
                let about = (Severity::Warning, "LimitTooSmall");
                found.push(Finding::new(about, object, format!("spec.limits[{index}].tokens"), why, fix));
            }
        }
    });
}

fn each(seen: &Seen<'_>, mut look: impl FnMut(&ObjectRef, &[Limit], u64)) {
    for route in &seen.resources.routes {
        let object = ObjectRef::of(Kind::ModelRoute, route);
        if let Some(compiled) = seen.compiled.routes.get(&object.key()) {
            look(&object, &compiled.route.limits, compiled.route.context_window.reserve_output_tokens);
        }
    }
}

/// Whether whatever passes `tighter` passes `limit`.
fn covers(tighter: &Limit, limit: &Limit) -> bool {
    // A sidecar has one pod, workload and namespace: what is not by tenant is about all of the route's requests.
    let is_all = !matches!(tighter.per, LimitPer::Header(_) | LimitPer::User);
    let of_the_same = is_all || limit.per == tighter.per;
    let rate = |limit: &Limit, amount: Option<u64>| {
        amount.map(|amount| (u128::from(amount), u128::from(limit.window_ms), limit.burst.unwrap_or(amount)))
    };
    // Per time, without a division: a / b <= c / d.
    let no_less = |(a, b, burst): (u128, u128, u64), (c, d, room): (u128, u128, u64)| a * d <= c * b && burst <= room;
    let counted = |tight: Option<u64>, loose: Option<u64>| match (rate(tighter, tight), rate(limit, loose)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(tight), Some(loose)) => no_less(tight, loose),
    };
    let at_once = match (tighter.concurrency, limit.concurrency) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(tight), Some(loose)) => tight <= loose,
    };
    of_the_same && counted(tighter.requests, limit.requests) && counted(tighter.tokens, limit.tokens) && at_once
}
