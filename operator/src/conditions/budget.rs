//! The status of a budget that only warns: what is spent, what is left, when the count starts again.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spillway_crds::{ConditionStatus, ConditionType, ModelBudget, ModelBudgetStatus, Money, Period, WorkloadSpend};

use spillway_wire::{OnExhausted, Reserve};

use super::Writer;
use crate::compile::{Compiled, Diagnostic, Kind, ObjectRef};

/// The workloads a status names.
const TOP: usize = 10;

/// What was spent in a budget's period by the routes it is about, in nano-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFigures {
    /// By workload: `Deployment/checkout`. One that occurs twice counts twice.
    pub by_workload: Vec<(String, u64)>,
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
        Some((Reserve::WorstCase, OnExhausted::Downgrade(_))) => "is never passed, and downgrades when it is used up",
        Some((Reserve::Usual, OnExhausted::Block)) => "refuses requests when it is used up",
        Some((Reserve::Usual, OnExhausted::Downgrade(_))) => "downgrades requests when it is used up",
        Some((Reserve::Nothing, _)) | None => "reports what is spent, and blocks nothing",
    };
    let accepted = writer.of(ConditionType::Accepted, &found, does);
    let is_accepted = accepted.status == ConditionStatus::True.as_str();
    let resolved = writer.of(ConditionType::ResolvedRefs, &found, "every route it names exists");
    let bare = ModelBudgetStatus { conditions: vec![accepted, resolved], ..ModelBudgetStatus::default() };
    let (Ok(limit), true) = (budget.spec.limit.nanos(), is_accepted) else { return bare };
    let spent = figures.by_workload.iter().fold(0_u64, |sum, (_, nanos)| sum.saturating_add(*nanos));
    let (start, end) = period(budget.spec.period, now);
    ModelBudgetStatus {
        spent: Some(Money::from_nanos(spent)),
        remaining: Some(Money::from_nanos(limit.saturating_sub(spent))),
        period_start: start.map(Time),
        resets_at: end.map(Time),
        exhausted: Some(spent >= limit),
        top_workloads: top(figures),
        ..bare
    }
}

fn top(figures: &BudgetFigures) -> Vec<WorkloadSpend> {
    let mut spenders: Vec<&(String, u64)> = figures.by_workload.iter().filter(|(_, nanos)| *nanos > 0).collect();
    spenders.sort_by(|(one, less), (other, more)| more.cmp(less).then_with(|| one.cmp(other)));
    let spend = |(workload, nanos): &(String, u64)| WorkloadSpend {
        workload: workload.clone(),
        spent: Money::from_nanos(*nanos),
    };
    spenders.into_iter().take(TOP).map(spend).collect()
}

/// When the period of `now` began and when it ends, in UTC.
fn period(period: Period, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let first = today.first_of_month();
    let (start, end) = match period {
        Period::Day => (today, today.checked_add(1.day())),
        Period::Month => (first, first.checked_add(1.month())),
        // Refused when the budget is compiled.
        Period::Hour | Period::Week | Period::Once => return (None, None),
    };
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    (midnight(start), end.ok().and_then(midnight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_start_and_end_at_midnight_utc() {
        let rows = [
            (Period::Day, "2026-11-21T13:14:15Z", Some("2026-11-21T00:00:00Z"), Some("2026-11-22T00:00:00Z")),
            (Period::Day, "2026-12-31T23:59:59Z", Some("2026-12-31T00:00:00Z"), Some("2027-01-01T00:00:00Z")),
            (Period::Month, "2026-11-21T13:14:15Z", Some("2026-11-01T00:00:00Z"), Some("2026-12-01T00:00:00Z")),
            (Period::Month, "2028-02-29T00:00:00Z", Some("2028-02-01T00:00:00Z"), Some("2028-03-01T00:00:00Z")),
            (Period::Once, "2026-11-21T13:14:15Z", None, None),
        ];
        for (kind, now, start, end) in rows {
            let (got_start, got_end) = period(kind, now.parse().unwrap());
            assert_eq!(got_start.map(|at| at.to_string()).as_deref(), start, "{kind:?} {now}");
            assert_eq!(got_end.map(|at| at.to_string()).as_deref(), end, "{kind:?} {now}");
        }
    }
}
