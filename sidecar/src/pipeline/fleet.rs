//! The route's limits that the whole fleet counts towards: pass, wait, or be refused with the reason.
//!
//! This sidecar has a part of each, and what its part has no room for takes leave of the operator, once. Whoever waits does
//! so in the order in which they came.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use spillway_policy::{
    limit::{Level, Nanos, Refusal, What, Why},
    quota::{self, Ask, Take},
};
use spillway_providers::prompt;

use super::{limit, resolve::Call, settle::Settle};
use crate::{
    clock,
    error::ProxyError,
    runtime::{Away, Denied, FleetLimit, LinePlace, Per, Reserved, Runtime, WaitingPlace},
};

/// Leave is asked for once, and used within this time.
const LEAVE: Duration = Duration::from_secs(1);
/// As long as it takes to ask again.
const SOON: Nanos = 1_000_000_000;

/// What is taken of one limit.
struct Wanted<'a> {
    limit: &'a FleetLimit,
    take: Take,
}

/// Which of them stands in the way, and how.
#[derive(Clone, Copy)]
struct Blocked {
    at: usize,
    /// How long until there is room. None: nobody here knows.
    ready_in: Option<Nanos>,
}

/// Takes from all fleet-wide limits of the route, after a wait if need be.
pub(super) async fn pass(runtime: &Arc<Runtime>, call: &Call, settle: &mut Settle) -> Result<(), ProxyError> {
    if call.route.fleet.is_empty() {
        return Ok(());
    }
    let wanted = wanted(call);
    let too_much = |wanted: &Wanted<'_>| wanted.take.amount > wanted.bound();
    if let Some(at) = wanted.iter().position(too_much) {
        return Err(refuse(call, &wanted[at], Why::Never, 0, settle));
    }
    let takes: Vec<Take> = wanted.iter().map(|wanted| wanted.take).collect();
    // Nobody gets in before those who wait.
    let crowd = |of: &Wanted<'_>| of.limit.queue.is_some() && call.route.state.lines.waiting(of.take.rate) > 0;
    let (blocked, again) = match wanted.iter().position(crowd) {
        Some(at) => (Blocked { at, ready_in: Some(0) }, false),
        None => match take(call, &takes, &[], false) {
            Ok(reserved) => return passed(call, &wanted, reserved, settle),
            Err(blocked) => (blocked, true),
        },
    };
    let of = &wanted[blocked.at];
    let patience = match (of.limit.queue, blocked.ready_in) {
        (Some(queue), _) => Duration::from_nanos(queue.timeout),
        (None, None) => LEAVE,
        (None, Some(ready_in)) => return Err(refuse(call, of, Why::Over, ready_in, settle)),
    };
    let place = match of.limit.queue {
        Some(queue) => Some(enter(runtime, call, of, queue.depth, settle)?),
        None => None,
    };
    let since = clock::now();
    settle.wait(since);
    let until = clock::after(since, patience).min(call.deadline);
    let waited = wait(call, &takes, until, place.as_ref().map(|(place, _)| place), (blocked, again)).await;
    let now = clock::now();
    settle.go_on(now);
    let queued = now.saturating_duration_since(since);
    if place.is_some() {
        settle.passage.queued = Some(queued);
        runtime.telemetry.metrics.queued(&call.route.name, &of.limit.name, queued);
    }
    match waited {
        Ok(reserved) => passed(call, &wanted, reserved, settle),
        Err(Blocked { at, ready_in }) => {
            let waited = Nanos::try_from(queued.as_nanos()).unwrap_or(Nanos::MAX);
            let why = if place.is_some() { Why::Waited { waited } } else { Why::Over };
            Err(refuse(call, &wanted[at], why, ready_in.unwrap_or(SOON), settle))
        }
    }
}

fn enter(
    runtime: &Arc<Runtime>,
    call: &Call,
    of: &Wanted<'_>,
    depth: u32,
    settle: &mut Settle,
) -> Result<(LinePlace, WaitingPlace), ProxyError> {
    let leave = match runtime.may_wait() {
        Ok(leave) => leave,
        Err(most) => return Err(refuse(call, of, Why::Crowded { waiting: most as u64 }, SOON, settle)),
    };
    match call.route.state.lines.enter(of.take.rate, depth) {
        Some(place) => Ok((place, leave)),
        None => Err(refuse(call, of, Why::QueueFull { depth }, SOON, settle)),
    }
}

/// Waits for its turn, and then for room. Err: there was none in time.
async fn wait(
    call: &Call,
    takes: &[Take],
    until: Instant,
    place: Option<&LinePlace>,
    (mut blocked, mut again): (Blocked, bool),
) -> Result<Reserved, Blocked> {
    let rights = &call.route.rights;
    let _turn = match place {
        Some(place) => {
            Some(tokio::time::timeout_at(until.into(), place.line().turn.lock()).await.map_err(|_| blocked)?)
        }
        None => None,
    };
    let mut changes = rights.changes();
    let (mut leave, mut asked) = (None, clock::now());
    loop {
        match take(call, takes, leave.as_slice(), std::mem::replace(&mut again, true)) {
            Ok(reserved) => return Ok(reserved),
            Err(now) => blocked = now,
        }
        let now = clock::now();
        let left = until.saturating_duration_since(now);
        if left.is_zero() || (blocked.ready_in.is_none() && rights.away().is_some()) {
            return Err(blocked);
        }
        let next = match blocked.ready_in {
            Some(ready_in) => clock::after(now, Duration::from_nanos(ready_in)),
            None => {
                if leave.is_none() || now >= clock::after(asked, LEAVE) {
                    let Take { rate, amount, .. } = takes[blocked.at];
                    leave = Some(rights.ask(rate, amount, left));
                    asked = now;
                }
                clock::after(asked, LEAVE)
            }
        };
        _ = tokio::time::timeout_at(next.min(until).into(), changes.changed()).await;
    }
}

fn take(call: &Call, takes: &[Take], permits: &[u64], again: bool) -> Result<Reserved, Blocked> {
    let tokens = takes.iter().filter(|take| take.tokens).map(|take| take.amount).max().unwrap_or(0);
    let refusal = match call.route.rights.admit(&Ask { takes, permits, again, ..Ask::default() }, (0, tokens)) {
        Ok(reserved) => return Ok(reserved),
        Err(Denied::By(refusal)) => refusal,
        Err(Denied::Journal) => return Err(Blocked { at: 0, ready_in: Some(SOON) }),
    };
    let (rate, ready_in) = match refusal {
        quota::Refusal::Rate { rate, ready_in, .. } => (Some(rate), Some(ready_in)),
        quota::Refusal::Permit { rate, .. } => (Some(rate), None),
        quota::Refusal::Exhausted { .. } | quota::Refusal::Short { .. } | quota::Refusal::Leaving => (None, Some(SOON)),
    };
    let at = takes.iter().position(|take| Some(take.rate) == rate).unwrap_or(0);
    Err(Blocked { at, ready_in })
}

/// What the request takes of each limit.
fn wanted(call: &Call) -> Vec<Wanted<'_>> {
    let fleet = &call.route.fleet;
    let named = fleet.iter().any(|limit| limit.per == Per::User);
    let user = if named { prompt::user(call.api, &call.body).unwrap_or_default() } else { String::new() };
    let tokens = limit::reserved(call);
    let mut wanted = Vec::with_capacity(fleet.len());
    for limit in fleet {
        let value = match &limit.per {
            Per::Pod | Per::Route | Per::Namespace | Per::Workload => &[],
            Per::Header(name) => call.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default(),
            Per::User => user.as_bytes(),
        };
        let rates = limit.rates(&call.route.rights, value);
        let requests = rates.requests.map(|rate| Take { rate, amount: 1, tokens: false });
        let tokens = rates.tokens.filter(|_| tokens > 0).map(|rate| Take { rate, amount: tokens, tokens: true });
        wanted.extend(requests.into_iter().chain(tokens).map(|take| Wanted { limit, take }));
    }
    wanted
}

fn passed(call: &Call, wanted: &[Wanted<'_>], reserved: Reserved, settle: &mut Settle) -> Result<(), ProxyError> {
    stand(call, wanted.iter(), settle);
    count(call, wanted, settle);
    settle.passage.fleet = Some(reserved);
    Ok(())
}

/// What is left of this sidecar's part, where that is less than what other limits leave.
fn stand<'a>(call: &Call, wanted: impl Iterator<Item = &'a Wanted<'a>>, settle: &mut Settle) {
    for Wanted { limit, take } in wanted {
        let (remaining, reset) = call.route.rights.room(take.rate);
        let (bound, slot) = match take.tokens {
            true => (limit.tokens, &mut settle.passage.standing.tokens),
            false => (limit.requests, &mut settle.passage.standing.requests),
        };
        if slot.is_none_or(|level| remaining < level.remaining) {
            *slot = Some(Level { limit: bound.unwrap_or(0), remaining, reset });
        }
    }
}

fn count(call: &Call, wanted: &[Wanted<'_>], settle: &Settle) {
    let runtime = settle.runtime();
    let mut before: Option<&FleetLimit> = None;
    for Wanted { limit, .. } in wanted {
        // Requests and tokens of one limit stand beside each other.
        if before.is_none_or(|before| !std::ptr::eq(before, *limit)) {
            runtime.telemetry.metrics.fleet_limit(&call.route.name, &limit.name, "admitted");
        }
        before = Some(limit);
    }
}

fn refuse(call: &Call, of: &Wanted<'_>, why: Why, ready_in: Nanos, settle: &mut Settle) -> ProxyError {
    settle.runtime().telemetry.metrics.fleet_limit(&call.route.name, &of.limit.name, "refused");
    stand(call, std::iter::once(of), settle);
    let refusal = Refusal {
        limit: Arc::clone(&of.limit.name),
        what: if of.take.tokens { What::Tokens } else { What::Requests },
        why,
        asked: of.take.amount,
        bound: of.bound(),
        window: of.limit.window,
        ready_in,
        standing: settle.passage.standing,
    };
    let note = match call.route.rights.away() {
        Some(Away::Never) => {
            "it is fleet-wide, and this sidecar has its config from a file: nobody hands out parts of it (run the operator with \
             --resources)"
                .to_owned()
        }
        Some(Away::Silent(silent)) => {
            format!("it is fleet-wide, and the operator, who hands out parts of it, has not been heard for {} s", silent.as_secs())
        }
        None => "it is fleet-wide, and this pod has a part of it".to_owned(),
    };
    limit::refused(call, refusal, &of.limit.per, note, settle)
}

// === impl Wanted ===

impl Wanted<'_> {
    fn bound(&self) -> u64 {
        let bound = if self.take.tokens { self.limit.tokens } else { self.limit.requests };
        bound.unwrap_or(u64::MAX)
    }
}
