//! The status of a budget: what is spent, what is left, when the count starts again.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spillway_crds::{ConditionStatus, ConditionType, ModelBudget, ModelBudgetStatus, Money, ValueSpend, WorkloadSpend};
use spillway_wire::{OnExhausted, Reserve};

use super::Writer;
use crate::compile::{Compiled, Diagnostic, Kind, ObjectRef};
use crate::quota::{Standing, percent};

/// The workloads a status names.
const TOP: usize = 10;
/// Where a budget says nothing else.
const ALERT_AT: [u32; 3] = [50, 80, 100];
const NAME_CHARS: usize = 317;

/// What is known of a budget in its period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFigures {
    /// By workload (`Deployment/checkout`), in nano-dollars, from the bill of usage. One that occurs twice counts twice.
    pub by_workload: Vec<(String, u64)>,
    /// What sidecars say. None: none has yet.
    pub standing: Option<Standing>,
}

/// The status of a budget.
#[must_use]
pub fn budget_status(
    budget: &ModelBudget,
    compiled: &Compiled,
    figures: &BudgetFigures,
    now: Timestamp,
) -> ModelBudgetStatus {
    let object = ObjectRef::of(Kind::ModelBudget, budget);
    let found: Vec<&Diagnostic> = compiled.diagnostics_of(&object).collect();
    let previous = budget.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let writer = Writer { generation: budget.metadata.generation, previous, now };
    let kept = compiled.budgets.get(&object.key()).map(|budget| (budget.reserve, &budget.on_exhausted));
    let does = match kept {
        Some((Reserve::WorstCase, OnExhausted::Block)) => "is never passed, and refuses requests when it is used up",
        Some((Reserve::WorstCase, OnExhausted::Downgrade(_))) => {
            "is never passed, but by the backends it downgrades to when it is used up: those are counted and not limited"
        }
        Some((Reserve::Usual, OnExhausted::Block)) => "refuses requests when it is used up",
        Some((Reserve::Usual, OnExhausted::Downgrade(_))) => "downgrades requests when it is used up",
        Some((Reserve::Nothing, _)) | None => "reports what is spent, and blocks nothing",
    };
    let accepted = writer.of(ConditionType::Accepted, &found, does);
    let is_accepted = accepted.status == ConditionStatus::True.as_str();
    let resolved = writer.of(ConditionType::ResolvedRefs, &found, "every route it names exists");
    let bare = ModelBudgetStatus { conditions: vec![accepted, resolved], ..ModelBudgetStatus::default() };
    let (Ok(limit), true) = (budget.spec.limit.nanos(), is_accepted) else { return bare };
    let by_bill = figures.by_workload.iter().fold(0_u64, |sum, (_, nanos)| sum.saturating_add(*nanos));
    // Before any sidecar has spoken of it, the bill is the only one who knows.
    let standing = figures.standing.clone().unwrap_or_else(|| Standing {
        spent: by_bill,
        remaining: limit.saturating_sub(by_bill),
        percent: percent(by_bill, limit),
        exhausted: by_bill >= limit,
        ..Standing::default()
    });
    let workloads = if standing.workloads.is_empty() { &figures.by_workload } else { &standing.workloads };
    let span = compiled.budgets.get(&object.key()).and_then(|budget| budget.period.at(now.as_second()));
    let begins = span.filter(|span| span.end.is_some()).map(|span| span.start);
    let time = |unix: i64| Timestamp::from_second(unix).ok().map(Time);
    ModelBudgetStatus {
        spent: Some(Money::from_nanos(standing.spent)),
        reserved: Some(Money::from_nanos(standing.reserved)),
        stranded: Some(Money::from_nanos(standing.stranded)),
        remaining: Some(Money::from_nanos(standing.remaining)),
        period_start: begins.and_then(time),
        resets_at: span.and_then(|span| span.end).and_then(time),
        exhausted: Some(standing.exhausted),
        alerted: alerted(budget, standing.percent, begins, figures.standing.is_some()),
        top_workloads: top(workloads, |workload, spent| WorkloadSpend { workload, spent }),
        top_values: top(&standing.values, |value, spent| ValueSpend { value, spent }),
        ..bare
    }
}

/// Of the limit: a new leader may know so much less at first than the one before.
const SLACK_PERCENT: u64 = 10;

/// The percentages that are reached. One that was shown in this period stays while little is missing: a new leader may not
/// know all at once. Where much is, the limit was raised.
fn alerted(budget: &ModelBudget, percent: u64, begins: Option<i64>, is_known: bool) -> Vec<u32> {
    let wanted = if budget.spec.alert_at.is_empty() { &ALERT_AT[..] } else { &budget.spec.alert_at };
    let shown = budget.status.as_ref();
    let shown = shown.filter(|shown| shown.period_start.as_ref().map(|start| start.0.as_second()) == begins);
    let shown = shown.map_or(&[][..], |shown| &shown.alerted);
    let is_near = |at: u32| !is_known || percent.saturating_add(SLACK_PERCENT) >= u64::from(at);
    let is_reached = |at: &&u32| percent >= u64::from(**at) || shown.contains(at) && is_near(**at);
    let mut alerted: Vec<u32> = wanted.iter().filter(is_reached).copied().collect();
    alerted.sort_unstable();
    alerted
}

/// Those that spent the most.
fn top<T>(spenders: &[(String, u64)], show: impl Fn(String, Money) -> T) -> Vec<T> {
    let mut spenders: Vec<&(String, u64)> = spenders.iter().filter(|(_, nanos)| *nanos > 0).collect();
    spenders.sort_by(|(one, less), (other, more)| more.cmp(less).then_with(|| one.cmp(other)));
    spenders.into_iter().take(TOP).map(|(name, nanos)| show(cut(name), Money::from_nanos(*nanos))).collect()
}

/// A value of a header is anybody's, and the schema has a bound.
fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS).collect()
}
