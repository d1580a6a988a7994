//! Two routes that claim one model name for one workload: the older one has it, the younger one is told.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use spillway_crds::{ConditionType, LabelSelector, Reason, SelectorOperator};
use spillway_wire as wire;

use super::CompiledRoute;
use super::diagnostic::{Diagnostic, ObjectRef};

/// From the oldest object to the youngest; equally old ones by name. One without a time is new: it is being created.
pub(crate) fn by_age<K: Resource>(objects: &[K]) -> Vec<&K> {
    type Age = (bool, Option<Timestamp>, Option<String>, String);
    let age = |object: &&K| -> Age {
        let created = object.meta().creation_timestamp.as_ref().map(|time| time.0);
        (created.is_none(), created, object.namespace(), object.name_any())
    };
    let mut sorted: Vec<&K> = objects.iter().collect();
    sorted.sort_by_cached_key(age);
    sorted
}

/// A route that was understood. It holds its names even while none of its backends can be used, so that a missing
/// provider never hands its traffic to a younger route.
pub(crate) struct Claim {
    pub(crate) object: ObjectRef,
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) models: Vec<String>,
    /// What is sent to sidecars.
    pub(crate) route: wire::Route,
}

/// Drops every claim, given from the oldest to the youngest, to a name that an older route has on a workload both may
/// select.
pub(crate) fn oldest_wins(claims: Vec<Claim>, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, CompiledRoute> {
    let mut kept: Vec<Claim> = Vec::new();
    // Which of `kept` have a name, so that a thousand routes are not compared with each other.
    let mut holders: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for claim in claims {
        let names = claim.models.iter().map(|model| (claim.object.namespace.clone(), model.clone()));
        let winner = names.clone().find_map(|name| {
            let of_name = holders.get(&name)?;
            let winner = of_name.iter().find(|&&holder| may_overlap(&kept[holder], &claim))?;
            Some((*winner, name.1))
        });
        match winner {
            Some((winner, model)) => diagnostics.push(conflict(&claim.object, &kept[winner].object, &model)),
            None => {
                for name in names.collect::<BTreeSet<_>>() {
                    holders.entry(name).or_default().push(kept.len());
                }
                kept.push(claim);
            }
        }
    }
    let sent = kept.into_iter().map(|Claim { object, selector, models: _, route }| {
        (object.key(), CompiledRoute { namespace: object.namespace, selector, route })
    });
    sent.collect()
}

fn conflict(younger: &ObjectRef, older: &ObjectRef, model: &str) -> Diagnostic {
    let message = format!(
        "{older} is older and already serves {model:?} to the same pods: use another name, or selectors that no pod \
         matches both of"
    );
    Diagnostic::warn(younger, (ConditionType::Accepted, Reason::Conflicted), "spec.models", message)
}

/// False only where no pod can be selected by both.
fn may_overlap(one: &Claim, other: &Claim) -> bool {
    match (&one.selector, &other.selector) {
        (Some(one), Some(other)) => !is_disjoint(one, other),
        _ => true,
    }
}

/// What a selector says about one label.
#[derive(Clone, Copy)]
enum Says<'a> {
    OneOf(&'a [String]),
    NoneOf(&'a [String]),
    Present,
    Absent,
}

fn is_disjoint(one: &LabelSelector, other: &LabelSelector) -> bool {
    let other = said(other);
    said(one).iter().any(|(key, says)| other.iter().any(|(label, also)| key == label && contradict(*says, *also)))
}

fn said(selector: &LabelSelector) -> Vec<(&str, Says<'_>)> {
    let LabelSelector { match_labels, match_expressions } = selector;
    let labels = match_labels.iter().map(|(key, value)| (key.as_str(), Says::OneOf(std::slice::from_ref(value))));
    let expressions = match_expressions.iter().map(|requirement| {
        let says = match requirement.operator {
            SelectorOperator::In => Says::OneOf(&requirement.values),
            SelectorOperator::NotIn => Says::NoneOf(&requirement.values),
            SelectorOperator::Exists => Says::Present,
            SelectorOperator::DoesNotExist => Says::Absent,
        };
        (requirement.key.as_str(), says)
    });
    labels.chain(expressions).collect()
}

fn contradict(one: Says<'_>, other: Says<'_>) -> bool {
    match (one, other) {
        (Says::OneOf(these), Says::OneOf(those)) => !these.iter().any(|value| those.contains(value)),
        (Says::OneOf(these), Says::NoneOf(not)) | (Says::NoneOf(not), Says::OneOf(these)) => {
            these.iter().all(|value| not.contains(value))
        }
        (Says::OneOf(_) | Says::Present, Says::Absent) | (Says::Absent, Says::OneOf(_) | Says::Present) => true,
        (Says::OneOf(_), Says::Present)
        | (Says::Present, Says::OneOf(_) | Says::NoneOf(_) | Says::Present)
        | (Says::NoneOf(_), Says::NoneOf(_) | Says::Present | Says::Absent)
        | (Says::Absent, Says::NoneOf(_) | Says::Absent) => false,
    }
}
