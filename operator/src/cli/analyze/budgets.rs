//! What a budget cannot see.

use spillway_crds::ModelBudget;

use super::{
    Seen,
    finding::{Finding, Severity},
};
use crate::compile::{Kind, ObjectRef};

/// Models under a budget whose price nobody knows: what they cost is not counted.
pub(super) fn unpriced(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for route in &seen.resources.routes {
        let object = ObjectRef::of(Kind::ModelRoute, route);
        let Some(compiled) = seen.compiled.routes.get(&object.key()) else { continue };
        let Some(budget) = seen.resources.budgets.iter().find(|budget| counts(budget, &object)) else { continue };
        let budget = ObjectRef::of(Kind::ModelBudget, budget);
        for (index, given) in route.spec.backends.iter().enumerate() {
            let backend = compiled.route.backends.iter().find(|backend| backend.name == given.name);
            let Some(backend) = backend.filter(|backend| is_unpriced(&backend.model)) else { continue };
            let why = format!("the price of {:?} is unknown, so {budget} does not count what it costs", given.model);
            let fix = format!(
                "give it one in spec.models[].pricing of ModelProvider {} (\"0\" if it is free)",
                backend.provider
            );
            let about = (Severity::Warning, "PriceUnknown");
            found.push(Finding::new(about, &object, format!("spec.backends[{index}].model"), why, fix));
        }
    }
}

fn is_unpriced(model: &spillway_wire::Model) -> bool {
    model.price.is_none() && model.pieces.is_none()
}

fn counts(budget: &ModelBudget, route: &ObjectRef) -> bool {
    let here = ObjectRef::of(Kind::ModelBudget, budget).namespace == route.namespace;
    let routes = budget.spec.selector.as_ref().map(|selector| &selector.routes[..]).unwrap_or_default();
    here && (routes.is_empty() || routes.contains(&route.name))
}
