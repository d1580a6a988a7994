//! What the schema accepts and this version does not do: one table a kind. An object that uses any of it is refused with the
//! field's name, because a limit or a check that is silently ignored is worse than none.

use spillway_crds::{
    BreakerScope, BudgetPer, Enforcement, ExhaustedAction, FallbackPolicySpec, Limit, LimitScope, ModelBudgetSpec,
    ModelProviderSpec, ModelRouteSpec, Period, Reason, ValidationLevel,
};

use super::diagnostic::{Diagnostic, ObjectRef};

/// A field below `spec`, whether it is used, and what to do instead.
type Row<T> = (&'static str, fn(&T) -> bool, &'static str);

const REMOVE: &str = "remove it";

const PROVIDER: &[Row<ModelProviderSpec>] = &[("quota", |spec| spec.quota.is_some(), REMOVE)];

const ROUTE: &[Row<ModelRouteSpec>] = &[
    ("validation.level", |spec| level(spec).is_some_and(|level| level != ValidationLevel::None), REMOVE),
    ("validation.rules", |spec| spec.validation.as_ref().is_some_and(|checks| !checks.rules.is_empty()), REMOVE),
    ("cache", |spec| spec.cache.is_some(), REMOVE),
    ("deduplicate", |spec| spec.deduplicate.is_some(), REMOVE),
    ("batching", |spec| spec.batching.is_some(), REMOVE),
];

/// Below `spec.limits[i]`.
const LIMIT: &[Row<Limit>] = &[
    ("scope", |limit| limit.scope == Some(LimitScope::Fleet), "use Pod, so that each pod counts for itself"),
    ("onControlPlaneLoss", |limit| limit.on_control_plane_loss.is_some(), REMOVE),
];

const POLICY: &[Row<FallbackPolicySpec>] =
    &[("circuitBreaker.scope", |spec| breaker_scope(spec) == Some(BreakerScope::Fleet), "use Pod")];

const BUDGET: &[Row<ModelBudgetSpec>] = &[
    (
        "enforcement",
        |spec| spec.enforcement.unwrap_or_default() != Enforcement::Warn,
        "use Warn, which reports and blocks nothing",
    ),
    (
        "onExhausted.action",
        |spec| spec.on_exhausted.as_ref().is_some_and(|exhausted| exhausted.action != ExhaustedAction::Warn),
        "use Warn",
    ),
    ("selector.per", |spec| per(spec) != BudgetPer::Namespace, "use Namespace"),
    ("selector.header", |spec| spec.selector.as_ref().is_some_and(|selector| selector.header.is_some()), REMOVE),
    ("period", |spec| !matches!(spec.period, Period::Day | Period::Month), "use Day or Month"),
    ("timeZone", |spec| spec.time_zone.as_deref().is_some_and(|zone| zone != "UTC"), "use UTC"),
    ("alertAt", |spec| !spec.alert_at.is_empty(), REMOVE),
];

fn level(spec: &ModelRouteSpec) -> Option<ValidationLevel> {
    spec.validation.as_ref()?.level
}

fn breaker_scope(spec: &FallbackPolicySpec) -> Option<BreakerScope> {
    spec.circuit_breaker.as_ref()?.scope
}

fn per(spec: &ModelBudgetSpec) -> BudgetPer {
    spec.selector.as_ref().and_then(|selector| selector.per).unwrap_or_default()
}

/// What a ModelProvider uses and this version does not do.
pub(crate) fn provider(object: &ObjectRef, spec: &ModelProviderSpec) -> Vec<Diagnostic> {
    rows(object, "spec", spec, PROVIDER)
}

/// What a ModelRoute uses and this version does not do.
pub(crate) fn route(object: &ObjectRef, spec: &ModelRouteSpec) -> Vec<Diagnostic> {
    let mut found = rows(object, "spec", spec, ROUTE);
    for (index, limit) in spec.limits.iter().enumerate() {
        found.extend(rows(object, &format!("spec.limits[{index}]"), limit, LIMIT));
    }
    found
}

/// What a FallbackPolicy uses and this version does not do.
pub(crate) fn policy(object: &ObjectRef, spec: &FallbackPolicySpec) -> Vec<Diagnostic> {
    rows(object, "spec", spec, POLICY)
}

/// What a ModelBudget uses and this version does not do.
pub(crate) fn budget(object: &ObjectRef, spec: &ModelBudgetSpec) -> Vec<Diagnostic> {
    rows(object, "spec", spec, BUDGET)
}

fn rows<T>(object: &ObjectRef, prefix: &str, spec: &T, table: &[Row<T>]) -> Vec<Diagnostic> {
    let used = table.iter().filter(|(_, used, _)| used(spec));
    used.map(|(field, _, fix)| {
        let message = format!("this version cannot do what {field} asks for here, and ignores nothing: {fix}");
        Diagnostic::refuse(object, Reason::UnsupportedValue, format!("{prefix}.{field}"), message)
    })
    .collect()
}
