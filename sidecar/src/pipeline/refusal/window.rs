//! A prompt that is too long for everybody who could be asked, and what would help.

use spillway_policy::fallback::Counted;
use spillway_wire::OnExceeded;

use super::{Skips, describe};
use crate::{
    error::ProxyError,
    pipeline::{
        conversation::is_one,
        resolve::Call,
        truncate::{TooLong, Why},
    },
};

/// `tried`: why leaving out messages did not help, where that is what the route does.
pub(in crate::pipeline) fn context_length(
    call: &Call,
    backend: usize,
    skips: &Skips,
    tried: Option<TooLong>,
) -> ProxyError {
    if tried.is_some_and(|tried| tried.why == Why::NoTime) {
        return ProxyError::NoTime { model: call.model.clone() };
    }
    let window = call.window(backend).unwrap_or(u64::MAX);
    let output = call.demand().output.of(window);
    let room = window.saturating_sub(output);
    let counted = call.counted(backend);
    let prompt = counted.map_or(call.sizes.lower, |counted| counted.tokens);
    // Without what is kept for the answer there would be room, for all of it or for what must stay.
    let would_fit = |tokens: u64| tokens <= window && room < tokens;
    let fits = would_fit(prompt) || tried.is_some_and(|tried| would_fit(tried.needs));
    let prompt = match counted {
        Some(Counted { exact: true, .. }) => prompt.to_string(),
        Some(_) => format!("about {prompt}"),
        None => format!("at least {prompt}"),
    };
    let to = &call.route.backends[backend];
    ProxyError::ContextLength {
        prompt,
        output: if fits { output } else { 0 },
        taker: format!("backend {:?} ({}) of {:?}", to.name, to.model, call.model),
        window,
        advice: advice(call, &describe(call, skips), tried),
    }
}

fn advice(call: &Call, larger: &str, tried: Option<TooLong>) -> String {
    let rule = Rule::of(call);
    match (call.route.window.on_exceeded, tried) {
        (OnExceeded::Reject, _) => {
            let modes = if is_one(call.api) { "LargerModel, Truncate or Hybrid" } else { "LargerModel" };
            format!(" ({} can help: set contextWindow.onExceeded to {modes})", rule.policy)
        }
        (_, Some(tried)) => shortened(&rule, tried, larger),
        _ if larger.is_empty() => format!(
            " and {} has no backend with a larger window (add one to the rule for ContextWindowExceeded in \
             spec.fallbacks{})",
            rule.policy, rule.or_shorten
        ),
        _ => format!(" and no backend that {} names has room: {larger} (add one{})", rule.policy, rule.or_shorten),
    }
}

/// What the route's policy is called, and what it might say.
struct Rule {
    policy: String,
    /// Where a larger window would come from.
    larger: String,
    /// What else it could do, if anything.
    or_shorten: &'static str,
}

// === impl Rule ===

impl Rule {
    fn of(call: &Call) -> Self {
        let route = &call.route;
        let policy = match &route.policy {
            Some(policy) => format!("FallbackPolicy {policy}"),
            None => format!("a FallbackPolicy for ModelRoute {}", route.name),
        };
        let add = format!("add a backend with a larger window to the rule for ContextWindowExceeded of {policy}");
        let larger = match route.window.on_exceeded {
            OnExceeded::LargerModel | OnExceeded::Hybrid => add,
            OnExceeded::Reject | OnExceeded::Truncate | OnExceeded::Summarize => {
                format!("{add} and set its contextWindow.onExceeded to Hybrid")
            }
        };
        let or_shorten = if is_one(call.api) { ", or set contextWindow.onExceeded: Hybrid" } else { "" };
        Self { policy, larger, or_shorten }
    }
}

/// Why leaving out messages was not enough.
fn shortened(rule: &Rule, TooLong { needs, why }: TooLong, others: &str) -> String {
    let Rule { policy, larger, .. } = rule;
    let others = if others.is_empty() { String::new() } else { format!(", no other backend has room ({others})") };
    match why {
        Why::NoConversation => {
            format!("{others}, and what is no conversation is not shortened (send a shorter text, or {larger})")
        }
        Why::Fixed(tokens) => format!(
            "{others}, and what is no message of it, its tools and instructions, needs {tokens} (send fewer or shorter ones, \
             or {larger})"
        ),
        Why::Rule { keep_last, keep_system } => {
            let changes = [(keep_last, "keepLast lower"), (keep_system, "keepSystem to false")];
            let changes: Vec<&str> =
                changes.into_iter().filter(|(helps, _)| *helps).map(|(_, change)| change).collect();
            format!(
                "{others}, and what must stay of it needs {needs} (set {} in contextWindow.truncate of {policy})",
                changes.join(" and ")
            )
        }
        Why::Messages | Why::NoTime => {
            format!("{others}, and the least that can be left of it needs {needs} (send shorter messages, or {larger})")
        }
    }
}
