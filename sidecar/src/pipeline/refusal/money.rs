//! Why no budget pays for a request, in the words that the application reads.

use std::time::Duration;

use jiff::Timestamp;
use spillway_policy::fallback::Beside;

use crate::{
    error::{NoMoney, OverBudget, ProxyError},
    pipeline::{fallback::Skips, reserve::Denial, resolve::Call},
    runtime::{Away, Budget, unix},
};

/// `mini has no room in budget shop/month`.
pub(super) fn in_words(call: &Call, index: usize) -> String {
    let name = &call.route.backends[index].name;
    let budget = |budget: usize| &call.route.budgets[budget].budget.name;
    match denial(call, index) {
        Some(Denial::Unpriced { budget: of }) => {
            let lacks = if searches(call) { "does things by itself that have no bound" } else { "has no known price" };
            format!("{name} {lacks}, and budget {} limits money", budget(of))
        }
        Some(Denial::Exhausted { budget: of, asked, left }) => {
            format!("{name} can cost up to ${asked}, and budget {} has ${left} left", budget(of))
        }
        Some(Denial::Short { budget: of, asked }) => {
            format!("{name} can cost up to ${asked}, more than this pod has of budget {}", budget(of))
        }
        Some(Denial::Busy { ready_in }) => {
            let seconds = Duration::from_nanos(ready_in).as_secs_f64().ceil();
            let provider = &call.route.backends[index].provider.name;
            format!("{name} waits for {seconds} s (this pod's part of the quota of provider {provider} is used up)")
        }
        Some(Denial::Alone { .. }) => {
            let provider = &call.route.backends[index].provider.name;
            format!(
                "{name} got no leave of the operator (the quota of provider {provider} is used up, or nobody gives it out)"
            )
        }
        Some(Denial::Journal) => format!("{name} cannot be charged to a budget"),
        Some(Denial::Leaving) | None => format!("{name} is not asked any more"),
    }
}

/// Whether its provider is asked to do something by itself.
fn searches(call: &Call) -> bool {
    call.demand().beside != Beside::Nothing
}

fn denial(call: &Call, index: usize) -> Option<Denial> {
    call.rights.denials.iter().rev().find(|(of, _)| *of == index).map(|(_, denial)| *denial)
}

/// Of several reasons the one that helps most: what may be there in a moment before what will not be.
pub(super) fn refusal(call: &Call, skips: &Skips, reasons: String) -> Option<ProxyError> {
    let denials = || skips.iter().filter_map(|(index, _)| Some((*index, denial(call, *index)?)));
    let (index, denial) = denials().min_by_key(|(_, denial)| match denial {
        Denial::Short { .. } => 0,
        Denial::Exhausted { .. } => 1,
        Denial::Journal | Denial::Leaving => 2,
        Denial::Unpriced { .. } => 3,
        Denial::Busy { .. } | Denial::Alone { .. } => 4,
    })?;
    let backend = &call.route.backends[index];
    let of = |budget: usize| &*call.route.budgets[budget].budget;
    let first = || call.route.budgets.first().map(|of| &*of.budget);
    let (budget, why) = match denial {
        Denial::Short { budget, asked } => (
            of(budget),
            match call.route.rights.away() {
                Some(Away::Never) => NoMoney::Away { silent: None },
                Some(Away::Silent(silent)) => NoMoney::Away { silent: Some(silent) },
                None => NoMoney::Short { asked, waited: call.rights.waited },
            },
        ),
        Denial::Exhausted { budget, asked, left } => {
            (of(budget), NoMoney::Exhausted { asked, left, resets: resets(of(budget)) })
        }
        // Said by whoever says when to come back.
        Denial::Busy { .. } | Denial::Alone { .. } => return None,
        Denial::Journal => (first()?, NoMoney::Journal),
        Denial::Leaving => (first()?, NoMoney::Leaving),
        Denial::Unpriced { budget } => {
            let (name, model) = (backend.name.clone(), backend.model.clone());
            let why = if searches(call) {
                NoMoney::Unbounded { backend: name, model }
            } else {
                NoMoney::Unpriced { backend: name, model, provider: backend.provider.name.clone() }
            };
            (of(budget), why)
        }
    };
    // Of one backend all has been said.
    let reasons = if skips.len() > 1 { reasons } else { String::new() };
    let bound = format!("{}{}", budget.in_words(), budget.whose);
    Some(ProxyError::OverBudget(Box::new(OverBudget { budget: budget.name.clone(), bound, why, reasons })))
}

/// When a budget begins anew, as people and programs read it.
fn resets(budget: &Budget) -> Option<String> {
    let end = budget.span(unix()).end?;
    Some(Timestamp::from_second(end).ok()?.to_string())
}
