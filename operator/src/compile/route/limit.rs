//! The limits of a route. One that contradicts itself is refused: a limit that does not hold is worse than none.

use spillway_crds::{ConditionType, Limit, LimitPer, LimitScope, LossBehaviour, Queue, Reason};
use spillway_wire as wire;

use super::header;
use crate::compile::diagnostic::{Diagnostic, ObjectRef};
use crate::compile::duration::Bounds;

/// The most limits, as in the schema and in the sidecar.
const LIMITS: usize = 16;
const REQUESTS: u64 = 1_000_000_000;
const TOKENS: u64 = 1_000_000_000_000;
const CONCURRENCY: u32 = 1_000_000;
/// Shorter ones are noise between two machines; a month has to fit.
const WINDOW: Bounds = Bounds { at_least: 100, at_most: 31 * 86_400_000 };
const QUEUE_DEPTH: u32 = 100;
const QUEUE_DEPTHS: u32 = 100_000;
const QUEUE_TIMEOUT_MS: u64 = 30_000;
const QUEUE_TIMEOUT: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };

/// Lowers the limits; those with problems are left out and said so.
pub(super) fn compile(object: &ObjectRef, limits: &[Limit], found: &mut Vec<Diagnostic>) -> Vec<wire::Limit> {
    if limits.len() > LIMITS {
        let message = format!("has {} entries, a route takes at most {LIMITS}", limits.len());
        found.push(Diagnostic::refuse(object, Reason::Invalid, "spec.limits", message));
    }
    let mut lowered = Vec::with_capacity(limits.len());
    for (index, limit) in limits.iter().enumerate() {
        let mut refuse = |field: &str, message: String| {
            let path = format!("spec.limits[{index}]{field}");
            found.push(Diagnostic::refuse(object, Reason::Invalid, path, message));
        };
        check_name(limits, index, &mut refuse);
        check_amounts(limit, &mut refuse);
        check_scope(limit, &mut refuse);
        lowered.extend(lower(limit, &mut refuse));
        warn_of_one_pod(object, index, limit, found);
    }
    lowered
}

fn lower(limit: &Limit, refuse: &mut impl FnMut(&str, String)) -> Option<wire::Limit> {
    let Limit {
        name,
        per: _,
        header: _,
        scope: _,
        // The operator's own business: it is in the parts it hands out.
        on_control_plane_loss: _,
        requests,
        tokens,
        concurrency,
        window,
        burst,
        queue,
    } = limit;
    let counted = requests.is_some() || tokens.is_some();
    let window_ms = match WINDOW.read(window.as_ref()) {
        Ok(None) if counted => {
            refuse(".window", "is missing: requests and tokens are counted over a time such as 1m".to_owned());
            None
        }
        Ok(Some(_)) if !counted => {
            refuse(".window", "counts nothing: set requests or tokens, or remove it".to_owned());
            None
        }
        Ok(window) => Some(window.unwrap_or(0)),
        Err(message) => {
            refuse(".window", message);
            None
        }
    };
    let per = per(limit, refuse);
    let queue = queue.as_ref().map(|queue| self::queue(queue, refuse));
    Some(wire::Limit {
        scope: if is_fleet(limit) { wire::LimitScope::Fleet } else { wire::LimitScope::Pod },
        name: name.clone(),
        per: per?,
        requests: requests.map(u64::from),
        tokens: *tokens,
        window_ms: window_ms?,
        burst: *burst,
        concurrency: *concurrency,
        queue,
    })
}

fn check_name(limits: &[Limit], index: usize, refuse: &mut impl FnMut(&str, String)) {
    let name = &limits[index].name;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name =
        (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-');
    if !is_name {
        refuse(".name", format!("{name:?} is no name: lower-case letters, digits and '-', at most 63"));
    } else if limits[..index].iter().any(|earlier| earlier.name == *name) {
        refuse(".name", format!("{name:?} is the name of two limits: errors and metrics could not tell them apart"));
    }
}

fn check_amounts(limit: &Limit, refuse: &mut impl FnMut(&str, String)) {
    let Limit { requests, tokens, concurrency, burst, .. } = limit;
    if requests.is_none() && tokens.is_none() && concurrency.is_none() {
        refuse("", "limits nothing: set requests, tokens or concurrency".to_owned());
    }
    let amounts = [
        (".requests", requests.map(u64::from), REQUESTS),
        (".tokens", *tokens, TOKENS),
        (".concurrency", concurrency.map(u64::from), u64::from(CONCURRENCY)),
    ];
    for (field, amount, most) in amounts {
        if let Some(amount) = amount.filter(|amount| !(1..=most).contains(amount)) {
            refuse(field, format!("{amount} is outside of 1 to {most}"));
        }
    }
    let Some(burst) = *burst else { return };
    match (requests.map(u64::from), *tokens) {
        (Some(_), Some(_)) => {
            refuse(".burst", "is it of requests or of tokens? Give each a limit of its own".to_owned());
        }
        (None, None) => refuse(".burst", "goes with requests or tokens: concurrency has none".to_owned()),
        (Some(all), None) | (None, Some(all)) if burst > all || burst == 0 => {
            let what = if requests.is_some() { "requests" } else { "tokens" };
            refuse(".burst", format!("{burst} is outside of 1 to the {all} {what} of the window"));
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
}

fn is_fleet(limit: &Limit) -> bool {
    limit.scope == Some(LimitScope::Fleet)
}

/// What cannot be shared by a fleet, and what goes with nothing else.
fn check_scope(limit: &Limit, refuse: &mut impl FnMut(&str, String)) {
    if !is_fleet(limit) {
        if limit.on_control_plane_loss.is_some() {
            refuse(".onControlPlaneLoss", "goes with scope: Fleet: a pod's own limit needs no operator".to_owned());
        }
        return;
    }
    if limit.concurrency.is_some() {
        let message = "cannot be kept for the whole fleet: give each pod its own, in a limit of scope: Pod";
        refuse(".concurrency", message.to_owned());
    }
    if limit.per == Some(LimitPer::Pod) {
        refuse(".per", "is Pod, and scope: Fleet has one count for all pods: leave one of them out".to_owned());
    }
    let is_by_value = matches!(limit.per, Some(LimitPer::Header | LimitPer::User));
    if is_by_value && limit.on_control_plane_loss == Some(LossBehaviour::Floor) {
        let message = "is Floor, and of a limit per Header or User no pod has a part before it asks: use Hold or Deny";
        refuse(".onControlPlaneLoss", message.to_owned());
    }
    if limit.burst.is_some() {
        let message = "is not for scope: Fleet: how much may be used at once follows from each pod's part";
        refuse(".burst", message.to_owned());
    }
}

fn per(limit: &Limit, refuse: &mut impl FnMut(&str, String)) -> Option<wire::LimitPer> {
    let per = limit.per.unwrap_or(LimitPer::Route);
    if per != LimitPer::Header && limit.header.is_some() {
        refuse(".header", "goes with per: Header".to_owned());
    }
    Some(match per {
        LimitPer::Pod => wire::LimitPer::Pod,
        LimitPer::Route => wire::LimitPer::Route,
        LimitPer::Namespace => wire::LimitPer::Namespace,
        LimitPer::Workload => wire::LimitPer::Workload,
        LimitPer::User => wire::LimitPer::User,
        LimitPer::Header => {
            let Some(header) = &limit.header else {
                refuse(".header", "is missing: per: Header counts the values of the header named here".to_owned());
                return None;
            };
            match header::name(header, "name the tenant in another header") {
                Ok(header) => wire::LimitPer::Header(header),
                Err(message) => {
                    refuse(".header", message);
                    return None;
                }
            }
        }
    })
}

fn queue(queue: &Queue, refuse: &mut impl FnMut(&str, String)) -> wire::Queue {
    let Queue { depth, timeout } = queue;
    let depth = depth.unwrap_or(QUEUE_DEPTH);
    if !(1..=QUEUE_DEPTHS).contains(&depth) {
        refuse(".queue.depth", format!("{depth} is outside of 1 to {QUEUE_DEPTHS}"));
    }
    let timeout_ms = QUEUE_TIMEOUT.read(timeout.as_ref()).unwrap_or_else(|message| {
        refuse(".queue.timeout", message);
        None
    });
    wire::Queue { depth, timeout_ms: timeout_ms.unwrap_or(QUEUE_TIMEOUT_MS) }
}

/// Two words that promise more than one pod can keep.
fn warn_of_one_pod(object: &ObjectRef, index: usize, limit: &Limit, found: &mut Vec<Diagnostic>) {
    if let Some(per @ (LimitPer::Namespace | LimitPer::Workload)) = limit.per.filter(|_| !is_fleet(limit)) {
        let message =
            format!("{per:?} is counted in each pod apart, like Pod: for all pods together, set scope: Fleet");
        let advice = (ConditionType::Accepted, Reason::NoEffect);
        found.push(Diagnostic::warn(object, advice, format!("spec.limits[{index}].per"), message));
    }
}
