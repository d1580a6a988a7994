//! The route's limits: pass, wait, or be refused with the reason.
//!
//! What is reserved of a limit on tokens is the prompt, as well as it is known without counting, and the longest answer
//! the request allows (or the route's reserve where it sets none): a limit that were charged with less could be passed by
//! many requests that come at once. When the request is over, what the provider billed takes its place.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use spillway_policy::{
    fallback::Output,
    limit::{Key, LimitId, MAX_LIMITS, Nanos, Refusal, Standing},
};
use spillway_providers::prompt;

use super::{count, resolve::Call, settle::Settle};
use crate::{
    clock,
    error::{Limited, ProxyError},
    runtime::{Asked, LimitHold, LimitRule, Load, Per, Reserved, RouteLimits, Runtime},
};

/// What a request took of the limits, and what they said.
#[derive(Debug, Default)]
pub(super) struct Passage {
    hold: Option<LimitHold>,
    /// And of those of the whole fleet.
    pub(super) fleet: Option<Reserved>,
    /// For the headers of the answer.
    pub(super) standing: Standing,
    pub(super) queued: Option<Duration>,
    pub(super) refused_by: Option<Arc<str>>,
    /// Tokens of attempts that nobody got the answer of.
    pub(super) wasted: u64,
}

/// Takes from all limits of the route, after a wait if need be.
pub(super) async fn pass(runtime: &Arc<Runtime>, call: &Call, settle: &mut Settle) -> Result<(), ProxyError> {
    let rules = &call.route.limits;
    if rules.is_empty() {
        return Ok(());
    }
    let limits = &call.route.state.limits;
    let named = rules.iter().any(|limit| limit.per == Per::User);
    let user = if named { prompt::user(call.api, &call.body).unwrap_or_default() } else { String::new() };
    let mut keys = [Key { limit: LimitId(0), tenant: 0, name: "" }; MAX_LIMITS];
    let mut turn = 0;
    for (key, limit) in keys.iter_mut().zip(rules) {
        *key = self::key(limits, limit, &call.headers, &user);
        turn = if turn == 0 { key.tenant } else { turn };
    }
    // Held until the answer is there.
    let leave = rules.iter().any(|limit| limit.rule.queue.is_some()).then(|| runtime.may_wait());
    let crowd = leave.as_ref().and_then(|leave| leave.as_ref().err()).map(|most| *most as u64);
    let load = Load { crowd, ..load(call, turn) };
    let asked = limits.ask(&keys[..rules.len().min(MAX_LIMITS)], load, call.deadline);
    let waiting = match asked {
        Asked::Pass(hold) => return settle.passage.take(hold),
        Asked::Refuse(refusal) => return Err(refuse(call, *refusal, settle)),
        Asked::Wait(waiting) => waiting,
    };
    let since = clock::now();
    settle.wait(since);
    let answer = waiting.answer().await;
    drop(leave);
    let now = clock::now();
    settle.go_on(now);
    let queued = now.saturating_duration_since(since);
    settle.passage.queued = Some(queued);
    let (waited_for, done) = match answer {
        Some(Ok(hold)) => (hold.waited_for(), settle.passage.take(hold)),
        Some(Err(refusal)) => (Some(refusal.limit.clone()), Err(refuse(call, *refusal, settle))),
        None => (None, Err(ProxyError::Overloaded { what: "the queue of a limit", limit: 0 })),
    };
    if let Some(limit) = waited_for {
        runtime.telemetry.metrics.queued(&call.route.name, &limit, queued);
    }
    done
}

/// Whose count the request belongs to. Who names nobody is a tenant too, the same for all of them: a limit that could be
/// avoided by leaving out a header would be none.
fn key<'a>(limits: &RouteLimits, limit: &LimitRule, headers: &'a HeaderMap, user: &'a str) -> Key<'a> {
    let (tenant, name) = match &limit.per {
        Per::Pod | Per::Route | Per::Namespace | Per::Workload => (0, ""),
        Per::Header(header) => {
            let value = headers.get(header).map(http::HeaderValue::as_bytes).unwrap_or_default();
            (limits.hash(value), std::str::from_utf8(value).unwrap_or("(no text)"))
        }
        Per::User => (limits.hash(user.as_bytes()), user),
    };
    Key { limit: limit.rule.id, tenant, name }
}

/// What a request takes of a limit on tokens, until it is known better.
pub(super) fn reserved(call: &Call) -> u64 {
    load(call, 0).tokens
}

fn load(call: &Call, turn: u64) -> Load {
    // No backend takes more of a prompt than its window; what is beyond is shortened or refused, never used.
    let windows = call.route.candidates.iter().map(|candidate| candidate.window.unwrap_or(u64::MAX));
    let window = windows.max().unwrap_or(u64::MAX);
    let answers = u64::from(call.need.choices.max(1));
    // Nor does any write more than its longest answer, however much is asked for.
    let longest = call.route.candidates.iter().map(|candidate| candidate.max_output.unwrap_or(u64::MAX));
    let longest = longest.max().unwrap_or(u64::MAX);
    let (reserved, asked) = match call.demand().output {
        Output::Asked(tokens) | Output::AtLeast { asked: tokens, .. } => (tokens, tokens),
        Output::Reserve(tokens) => (tokens, 0),
    };
    let sum = |prompt: u64, output: u64| prompt.min(window).saturating_add(output.min(longest).saturating_mul(answers));
    Load { crowd: None, turn, tokens: sum(count::guess(&call.sizes), reserved), at_least: sum(call.sizes.lower, asked) }
}

fn refuse(call: &Call, refusal: Refusal, settle: &mut Settle) -> ProxyError {
    let limit = call.route.limits.iter().find(|limit| limit.rule.name == refusal.limit);
    refused(call, refusal, limit.map_or(&Per::Pod, |limit| &limit.per), String::new(), settle)
}

/// A limit of any kind has refused the request. `note`: what else there is to say of it.
pub(super) fn refused(call: &Call, refusal: Refusal, per: &Per, note: String, settle: &mut Settle) -> ProxyError {
    let whose = match per {
        Per::Pod | Per::Route | Per::Namespace | Per::Workload => String::new(),
        Per::Header(header) => format!(" for this value of header {header}"),
        Per::User => " for this user".to_owned(),
    };
    settle.passage.standing = refusal.standing;
    settle.passage.refused_by = Some(refusal.limit.clone());
    ProxyError::Limited(Box::new(Limited { route: call.route.name.clone(), whose, refusal, note }))
}

/// A time until something, as OpenAI writes it: `120ms`, `7s`, `6m0s`, `1h0m0s`. Rounded up.
pub(super) fn reset(nanos: Nanos) -> String {
    let ms = nanos.div_ceil(1_000_000);
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let seconds = ms.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

// === impl Passage ===

impl Passage {
    fn take(&mut self, hold: LimitHold) -> Result<(), ProxyError> {
        self.standing = hold.standing();
        self.hold = Some(hold);
        Ok(())
    }

    /// The request is over. `tokens`: what its answer used; None: no provider saw it.
    pub(super) fn end(&mut self, tokens: Option<u64>) {
        match (self.fleet.take(), tokens) {
            (Some(reserved), Some(tokens)) => reserved.settle(0, tokens.saturating_add(self.wasted)),
            (reserved, _) => drop(reserved),
        }
        match (self.hold.take(), tokens) {
            (Some(hold), Some(tokens)) => hold.settle(tokens.saturating_add(self.wasted)),
            (hold, _) => drop(hold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_as_openai_writes_it() {
        const MS: Nanos = 1_000_000;
        let rows = [
            (0, "0ms"),
            (1, "1ms"),
            (119 * MS + 1, "120ms"),
            (1_000 * MS, "1s"),
            (1_001 * MS, "2s"),
            (360_000 * MS, "6m0s"),
            (3_600_000 * MS, "1h0m0s"),
            (90_061_000 * MS, "25h1m1s"),
        ];
        for (nanos, want) in rows {
            assert_eq!(reset(nanos), want, "{nanos}");
        }
    }
}
