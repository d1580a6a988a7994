//! The first choice: of the primary backends that can serve the request, the one that the route's strategy puts first.

use std::sync::{Arc, atomic::Ordering};

use spillway_policy::{
    balance::{self, Turn},
    fallback::Set,
};

use super::{
    count,
    fallback::{Skips, Taken},
    reserve::Closed,
    resolve::Call,
    when,
};
use crate::{
    clock,
    runtime::{Backend, Route, Runtime, Strategy},
};

/// Whom to ask first. Counts the prompt if whether the one whose turn it is can serve depends on it; only a backend that
/// is really asked has had its turn.
pub(super) async fn primary(runtime: &Runtime, call: &mut Call, skips: &mut Skips) -> Option<Taken> {
    let route = Arc::clone(&call.route);
    let first_choices = call.hints.first_choices(&route.primaries);
    when::judge(call, &first_choices);
    let mut open = Set::default();
    loop {
        skips.clear();
        let question = call.question(route.without_key(), open, 0);
        let able = question.able(&first_choices, |index, skip| skips.push((index, skip)));
        let mut order: Vec<usize> = able.iter().map(|able| able.index).collect();
        sort(&mut order, &route, call, runtime);
        call.hints.sort(&mut order);
        let Some(first) = order.first().copied() else {
            passed_over(runtime, call, skips);
            return None;
        };
        if able.iter().any(|able| able.index == first && able.certain) {
            let admission = match call.admit(first).await {
                Ok(admission) => admission,
                Err(Closed::Gate) => {
                    open.insert(first);
                    continue;
                }
                Err(Closed::Rights) => continue,
            };
            passed_over(runtime, call, skips);
            took_turn(&order, &route);
            runtime.telemetry.metrics.chosen(&route.name, &route.backends[first].name, route.strategy.as_str());
            return Some((first, admission));
        }
        Box::pin(count::count(call, first)).await;
    }
}

/// Counts why backends did not become the first choice.
fn passed_over(runtime: &Runtime, call: &Call, skips: &Skips) {
    for (index, skip) in skips {
        let backend = &call.route.backends[*index].name;
        runtime.telemetry.metrics.passed_over(&call.route.name, backend, skip.as_str());
    }
}

/// Puts backends that can all serve into the order in which they should be asked.
fn sort(order: &mut [usize], route: &Route, call: &Call, runtime: &Runtime) {
    let backends = &route.backends;
    if let Some(session) = session(route, call) {
        let weight = |index: usize| if route.strategy == Strategy::Weighted { backends[index].weight } else { 1 };
        return balance::by_affinity(order, session, |index| &backends[index].name, weight);
    }
    match route.strategy {
        Strategy::Priority | Strategy::Cascade => {}
        Strategy::Weighted => balance::by_turn(order, |index| turn(&backends[index])),
        Strategy::LeastCost => {
            let (input, demand) = (call.sizes.common(), call.demand());
            balance::by_cost(order, |index| route.candidates[index].worst(input, &demand));
        }
        Strategy::LeastLatency => {
            let now = clock::now();
            balance::by_latency(order, |index| backends[index].state.load(now), runtime.roll());
        }
        Strategy::LeastBusy => {
            let now = clock::now();
            balance::by_busy(order, |index| backends[index].state.load(now).in_flight, runtime.roll());
        }
    }
}

/// What names the session that a request is part of. None: it may go anywhere.
fn session<'a>(route: &Route, call: &'a Call) -> Option<&'a [u8]> {
    // A cascade goes from cheap to dear, whoever asks.
    let header = route.affinity.as_ref().filter(|_| route.strategy != Strategy::Cascade)?;
    let value = call.headers.get(header)?.as_bytes();
    if value.is_empty() { None } else { Some(value) }
}

fn turn(backend: &Backend) -> Turn {
    Turn { weight: backend.weight, behind: backend.state.behind.load(Ordering::Relaxed) }
}

/// A request that its session has sent somewhere counts as well: the others then even it out.
fn took_turn(order: &[usize], route: &Route) {
    if route.strategy == Strategy::Weighted {
        let backends = &route.backends;
        let moved = |index: usize, behind| backends[index].state.behind.store(behind, Ordering::Relaxed);
        balance::take_turn(order, |index| turn(&backends[index]), moved);
    }
}
