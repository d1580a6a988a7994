//! Expressions, compiled once: reading one takes a thread of its own and longer than all the rest of a config, so one that
//! some route of the config before has is taken from there.

use std::sync::Arc;

use spillway_expression::{Expression, Subject};
use spillway_wire as wire;

use super::{super::generation::Generation, Nack};

pub(super) fn when(source: &str, before: Option<&Generation>) -> Result<Arc<Expression>, Nack> {
    let backends = before.into_iter().flat_map(|old| &old.routes).flat_map(|route| &route.backends);
    let same = backends.filter_map(|backend| backend.when.as_ref()).find(|old| old.source() == source);
    let compile = || Expression::compile(Subject::Request, source).map(Arc::new);
    let compiled = same.map_or_else(compile, |old| Ok(Arc::clone(old)));
    compiled.map_err(|invalid| format!("when {source:?}: {invalid}"))
}

/// When a cascade asks the next backend.
pub(super) fn escalate(given: &wire::Strategy, before: Option<&Generation>) -> Result<Option<Arc<Expression>>, Nack> {
    let wire::Strategy::Cascade { escalate_when: source } = given else { return Ok(None) };
    let routes = before.into_iter().flat_map(|old| &old.routes);
    let same = routes.filter_map(|route| route.escalate.as_ref()).find(|old| old.source() == source);
    let compile = || Expression::compile(Subject::Response, source).map(Arc::new);
    let compiled = same.map_or_else(compile, |old| Ok(Arc::clone(old)));
    compiled.map(Some).map_err(|invalid| format!("escalate_when {source:?}: {invalid}"))
}
