//! What the schema accepts and this version does not do: one table a kind. An object that uses any of it is refused with the
//! field's name, because a limit or a check that is silently ignored is worse than none.

use spillway_crds::{ModelRouteSpec, Reason, ValidationLevel};

use super::diagnostic::{Diagnostic, ObjectRef};

/// A field below `spec`, whether it is used, and what to do instead.
type Row<T> = (&'static str, fn(&T) -> bool, &'static str);

const REMOVE: &str = "remove it";

const ROUTE: &[Row<ModelRouteSpec>] = &[
    ("validation.level", |spec| level(spec).is_some_and(|level| level != ValidationLevel::None), REMOVE),
    ("validation.rules", |spec| spec.validation.as_ref().is_some_and(|checks| !checks.rules.is_empty()), REMOVE),
    ("cache", |spec| spec.cache.is_some(), REMOVE),
    ("deduplicate", |spec| spec.deduplicate.is_some(), REMOVE),
    ("batching", |spec| spec.batching.is_some(), REMOVE),
];

fn level(spec: &ModelRouteSpec) -> Option<ValidationLevel> {
    spec.validation.as_ref()?.level
}

/// What a ModelRoute uses and this version does not do.
pub(crate) fn route(object: &ObjectRef, spec: &ModelRouteSpec) -> Vec<Diagnostic> {
    rows(object, "spec", spec, ROUTE)
}

fn rows<T>(object: &ObjectRef, prefix: &str, spec: &T, table: &[Row<T>]) -> Vec<Diagnostic> {
    let used = table.iter().filter(|(_, used, _)| used(spec));
    used.map(|(field, _, fix)| {
        let message = format!("this version cannot do what {field} asks for here, and ignores nothing: {fix}");
        Diagnostic::refuse(object, Reason::UnsupportedValue, format!("{prefix}.{field}"), message)
    })
    .collect()
}
