//! Which context windows have proved smaller than the config says.

use std::time::Instant;

use spillway_wire::{Map, Report};

use crate::runtime::Generation;

/// By route and backend, in tokens.
pub(super) fn learnt(generation: &Generation, now: Instant) -> Map<Map<u64>> {
    let all = generation.routes.iter().flat_map(|route| {
        let windows = route.learnt_windows(now).into_iter();
        windows.map(move |(index, window)| (route, &route.backends[index], window))
    });
    let mut learnt: Map<Map<u64>> = Map::new();
    for (route, backend, window) in all.take(Report::MAX_BACKENDS) {
        learnt.entry(route.name.clone()).or_default().insert(backend.name.clone(), window);
    }
    learnt
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{clock, report::resting::tests::a_generation};

    #[test]
    fn what_one_route_has_learnt_of_a_model_is_told_of_every_route_that_has_it() {
        let (generation, now) = (a_generation(), clock::now());
        assert!(learnt(&generation, now).is_empty());
        generation.routes[0].backends[0].model_state.window.teach(2_000, None, now);
        let want = json!({"shop/chat": {"mini": 2_000}, "shop/mail": {"mini": 2_000}});
        assert_eq!(serde_json::to_value(learnt(&generation, now)).unwrap(), want);
    }
}
