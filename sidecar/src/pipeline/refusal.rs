//! Why no backend is asked, in the words that the application reads.

mod money;
mod window;

use std::time::{Duration, Instant};

use spillway_policy::{Class, NanoUsd, breaker::Refusal, fallback::Skip};
use spillway_wire::OnExceeded;

use super::{
    fallback::{Plan, Skips},
    resolve::Call,
};
use crate::{
    clock,
    error::{ProxyError, Unfit, remedy},
    runtime::{Backend, Rest, Route, Who},
};

pub(super) use window::context_length;

/// `big (gpt-4.1) takes no images, small rests for 42 s (5 failures in a row)`.
pub(super) fn describe(call: &Call, skips: &Skips) -> String {
    let route = &*call.route;
    let now = clock::now();
    let reason = |(index, skip): &(usize, Skip)| {
        let Backend { name, model, .. } = &route.backends[*index];
        match skip {
            Skip::TooLong { window, .. } | Skip::NotLarger { window } => {
                format!("{name} ({model}) takes {window} tokens")
            }
            Skip::NoTools => format!("{name} ({model}) takes no tools"),
            Skip::NoParallelTools => format!("{name} ({model}) calls one tool at a time"),
            Skip::NoImages => format!("{name} ({model}) takes no images"),
            Skip::NoImageUrls => format!("{name} ({model}) fetches no images"),
            Skip::NoJsonSchema => format!("{name} ({model}) takes no JSON schema"),
            Skip::NoHostedTools => format!("{name} ({model}) runs no tools of its own"),
            Skip::Unable => format!("{name} ({}) does not serve this path", route.backends[*index].provider.kind),
            Skip::TooExpensive { worst, max } => format!("{name} can cost up to ${worst}, more than ${max}"),
            Skip::NoPrice => format!("{name} has no known price for it"),
            Skip::Unwanted => format!("{name} is not for this request (its when is false)"),
            Skip::Unclear => format!("{name} may not be for this request (its when failed)"),
            Skip::Out => format!("{name} has no key"),
            Skip::Open => resting(route, *index, now),
            Skip::Denied => money::in_words(call, *index),
        }
    };
    skips.iter().map(reason).collect::<Vec<_>>().join(", ")
}

fn resting(route: &Route, index: usize, now: Instant) -> String {
    let backend = &route.backends[index];
    let name = &backend.name;
    let Some(Rest { who, refusal: Refusal { until, cause }, failed: _ }) = route.rest(index, now) else {
        return format!("{name} is being probed");
    };
    let seconds = until.saturating_duration_since(now).as_secs_f64().ceil();
    match who {
        Who::Backend => format!("{name} rests for {seconds} s ({cause})"),
        Who::Model => format!("model {} of {name} rests for {seconds} s ({cause})", backend.model),
        Who::Key if backend.provider.keys.len() > 1 => {
            format!(
                "{name} rests for {seconds} s (provider {} has no key to send: {})",
                backend.provider.name,
                keys(backend, now)
            )
        }
        Who::Key => format!(
            "{name} rests for {seconds} s (provider {} refuses its key, {cause}: put a valid one into its Secret)",
            backend.provider.name
        ),
        Who::Provider => format!("{name} rests for {seconds} s (provider {}: {cause})", backend.provider.name),
    }
}

/// `key 1 rests for 60 s (a failure), key 2 rests for 5 s (the provider asked for a pause)`.
fn keys(backend: &Backend, now: Instant) -> String {
    let rest = |(number, Refusal { until, cause }): (usize, Refusal)| {
        let seconds = until.saturating_duration_since(now).as_secs_f64().ceil();
        format!("key {number} rests for {seconds} s ({cause})")
    };
    backend.resting_keys(now).map(rest).collect::<Vec<_>>().join(", ")
}

/// What it amounts to that none of these is asked: too many requests, where providers asked for a pause and nothing else is
/// wrong; that there is no such model, where that is why they are left alone; that nobody serves, otherwise.
pub(super) fn class(call: &Call, skips: &Skips) -> Class {
    let (route, now) = (&call.route, clock::now());
    // An account that is used up is as good as a provider that says so.
    let down = skips.iter().filter(|(_, skip)| matches!(skip, Skip::Out | Skip::Open));
    let mut classes = down.map(|(index, _)| match route.rest(*index, now) {
        Some(rest) if rest.refusal.cause.is_pause() => Class::RateLimited,
        // An application that got this for a misspelt model, and a rule that helped, get and do the same once it rests.
        Some(Rest { who: Who::Model, failed: Some(class), .. }) => class,
        _ => Class::ServiceUnavailable,
    });
    let first = classes.next().unwrap_or(Class::RateLimited);
    if classes.all(|class| class == first) { first } else { Class::ServiceUnavailable }
}

/// How long until one of those that are left alone may be asked again.
pub(super) fn reopening(call: &Call, skips: &Skips) -> Option<Duration> {
    let (route, now) = (&call.route, clock::now());
    let room = call.ready_in().filter(|_| skips.iter().any(|(_, skip)| *skip == Skip::Denied));
    let open = skips.iter().filter(|(_, skip)| *skip == Skip::Open);
    let wait = |(index, _): &(usize, Skip)| {
        let rest = route.rest(*index, now);
        rest.map_or(Duration::ZERO, |rest| rest.refusal.until.saturating_duration_since(now))
    };
    // Whoever is to come back at once comes back in a second.
    open.map(wait).chain(room).min().map(|wait| wait.max(Duration::from_secs(1)))
}

/// What the route's policy could do about a failure, and does not. An empty rule is one: somebody wanted the error to come
/// through.
pub(super) fn helps(call: &Call, class: Class) -> Option<String> {
    let route = &call.route;
    let ruled = route.rules.iter().any(|rule| rule.on.contains(class));
    let makes_room = class == Class::ContextWindowExceeded && route.window.on_exceeded != OnExceeded::Reject;
    if ruled || makes_room { None } else { remedy(class, route.policy.as_deref()) }
}

/// No first choice can serve the call, and its length is not why.
pub(super) fn nobody(call: &Call, skips: &Skips) -> ProxyError {
    if call.route.primaries.is_empty() {
        return ProxyError::NoBackend { route: call.route.name.clone() };
    }
    if skips.iter().all(|(_, skip)| *skip == Skip::Out) {
        return ProxyError::Credentials { providers: call.route.providers_without_key() };
    }
    if let Some(retry_after) = reopening(call, skips) {
        let class = class(call, skips);
        return ProxyError::Unavailable {
            remedy: helps(call, class),
            route: call.route.name.clone(),
            class,
            reasons: describe(call, skips),
            retry_after,
        };
    }
    if skips.iter().any(|(_, skip)| *skip == Skip::Denied)
        && let Some(refusal) = money::refusal(call, skips, describe(call, skips))
    {
        return refusal;
    }
    if let Some(max) = call.route.max_cost.filter(|_| skips.iter().any(|(_, skip)| is_about_cost(*skip))) {
        return too_expensive(call, max, skips);
    }
    let mut reasons = describe(call, skips);
    if let Some(tool) =
        call.need.hosted_tool.as_ref().filter(|_| skips.iter().any(|(_, skip)| *skip == Skip::NoHostedTools))
    {
        reasons.push_str(&hosted_tool(tool));
    }
    if skips.iter().any(|(_, skip)| *skip == Skip::NoImageUrls) {
        reasons.push_str(
            " (an image is given by its URL: send it as a data URL, \"data:image/png;base64,…\", or give the route a backend \
             that fetches images)",
        );
    }
    // What names no model names a route.
    let model = if call.model.is_empty() { &call.route.name } else { &call.model };
    ProxyError::NoCandidate { model: model.clone(), reasons }
}

/// What to do about a tool that nobody here runs.
fn hosted_tool(tool: &str) -> String {
    format!(
        " ({tool:?} is a tool that only providers with a Responses API of their own have: declare a function for it, or give \
         the route a backend at one of them)"
    )
}

const fn is_about_cost(skip: Skip) -> bool {
    matches!(skip, Skip::TooExpensive { .. } | Skip::NoPrice)
}

/// Nobody can answer for as little as the route allows.
fn too_expensive(call: &Call, max: NanoUsd, skips: &Skips) -> ProxyError {
    let dear = |(index, skip): &(usize, Skip)| match skip {
        Skip::TooExpensive { worst, .. } => Some((*worst, *index)),
        _ => None,
    };
    let cheapest = skips.iter().filter_map(dear).min();
    ProxyError::CostLimit {
        route: call.route.name.clone(),
        model: call.model.clone(),
        max,
        cheapest: cheapest.map(|(worst, index)| (call.route.backends[index].name.clone(), worst)),
        reasons: describe(call, skips),
    }
}

/// The answer is not what was asked for, and nobody else can be asked.
pub(super) fn unfit(call: &Call, plan: &Plan, wrong: String, skipped: &Skips) -> ProxyError {
    let ruled = call.route.rules.iter().any(|rule| rule.on.contains(Class::UnprocessableEntity));
    ProxyError::Unfit(Box::new(Unfit {
        route: call.route.name.clone(),
        backend: call.route.backends[plan.backend].name.clone(),
        wrong,
        attempts: plan.attempts,
        skipped: describe(call, skipped),
        unruled: !ruled,
    }))
}
