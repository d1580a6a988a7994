//! What routes and backends have learnt and hold while they run. Handed on to the next config, by name: an edit of a route
//! neither forgets that a backend is down nor hands out its limits anew.

use std::sync::Arc;

use super::generation::Generation;

/// Of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {}

/// Of one backend of one route.
#[derive(Debug, Default)]
pub(crate) struct BackendState {}

/// The route's state in the config before, or a new one.
pub(super) fn route(before: Option<&Generation>, name: &str) -> Arc<RouteState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|route| route.name == name));
    old.map_or_else(Arc::default, |route| Arc::clone(&route.state))
}

/// The backend's state in the config before, if it still asks the same model of the same provider, or a new one.
pub(super) fn backend(
    before: Option<&Generation>,
    route: &str,
    name: &str,
    (provider, model): (&str, &str),
) -> Arc<BackendState> {
    let old = before.and_then(|generation| generation.routes.iter().find(|old| old.name == route));
    let old = old.and_then(|route| route.backends.iter().find(|backend| backend.name == name));
    let same = old.filter(|old| old.provider.name == provider && old.model == model);
    same.map_or_else(Arc::default, |backend| Arc::clone(&backend.state))
}
