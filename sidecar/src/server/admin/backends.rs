//! `/debug/backends`: who is left alone, why, until when, and what happened before. The same for the metrics.

use std::time::Instant;

use serde_json::{Value, json};
use spillway_policy::breaker::Transition;

use crate::{
    clock,
    runtime::{Backend, GateView, Runtime},
};

pub(super) fn page(runtime: &Runtime) -> String {
    let now = clock::now();
    let mut routes = serde_json::Map::new();
    if let Some(generation) = runtime.generation() {
        for route in &generation.routes {
            let learnt = route.learnt_windows(now);
            let learnt = |at: usize| learnt.iter().find(|(index, _)| *index == at).map(|(_, window)| *window);
            let backends = route.backends.iter().enumerate();
            let backends: Value = backends.map(|(index, backend)| self::backend(backend, learnt(index), now)).collect();
            let left = route.budget.as_ref().map(|rule| route.state.left(rule, now));
            let page =
                json!({"backends": backends, "retry_budget_left": left, "retries_refused": route.state.refused()});
            routes.insert(route.name.clone(), page);
        }
    }
    format!("{:#}\n", json!({ "routes": routes }))
}

fn backend(backend: &Backend, learnt: Option<u64>, now: Instant) -> Value {
    let gates = backend.every_gate().map(|(who, gate)| {
        let GateView { phase, until, history, turns: _ } = gate.view();
        json!({
            "gate": who.as_str(),
            "name": gate.name(),
            "state": phase.as_str(),
            "for_ms": until.map(|until| millis(until.saturating_duration_since(now))),
            "history": history.iter().map(|transition| self::transition(*transition, now)).collect::<Value>(),
        })
    });
    let mut page = json!({"name": backend.name, "provider": backend.provider.name, "gates": gates.collect::<Value>()});
    if let Some(window) = learnt {
        page["learnt_window_tokens"] = window.into();
    }
    if let Some(per_mille) = backend.state.calibration.per_mille() {
        page["token_estimate_per_mille"] = per_mille.into();
    }
    page
}

fn transition(Transition { at, to, cause }: Transition, now: Instant) -> Value {
    json!({"ago_ms": millis(now.saturating_duration_since(at)), "to": to.as_str(), "why": cause.to_string()})
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the metrics what every breaker and every budget is now. What routes share is told once.
pub(super) fn measure(runtime: &Runtime) {
    let metrics = &runtime.telemetry.metrics;
    metrics.begin_gates();
    let Some(generation) = runtime.generation() else { return };
    let mut told = std::collections::BTreeSet::new();
    for route in &generation.routes {
        let left = route.budget.as_ref().map(|rule| route.state.left(rule, clock::now()));
        metrics.budget(&route.name, left, route.state.refused());
        for (index, window) in route.learnt_windows(clock::now()) {
            let backend = &route.backends[index];
            metrics.learnt_window(&backend.provider.name, &backend.model, window);
        }
        for backend in &route.backends {
            if let Some(per_mille) = backend.state.calibration.per_mille() {
                metrics.estimates(&route.name, &backend.name, per_mille);
            }
        }
        for (who, gate) in route.backends.iter().flat_map(Backend::every_gate) {
            if told.insert(gate.name().to_owned()) {
                let GateView { phase, turns, .. } = gate.view();
                metrics.gate(who.as_str(), gate.name(), phase, turns);
            }
        }
    }
}
