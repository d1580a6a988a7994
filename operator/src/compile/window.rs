//! What happens to a prompt that does not fit -> `wire::ContextWindow`.

use spillway_crds::{ConditionType, ContextWindow, DropOrder, OnExceeded, Reason, Summarize, TokenCounter, Truncate};
use spillway_wire as wire;

use super::diagnostic::{Diagnostic, ObjectRef};
use super::fallback::Backends;

const RESERVE_OUTPUT_TOKENS: u64 = 1_024;
/// The reserve that nobody asked for takes at most this part of the smallest window.
const RESERVE_PART: u64 = 4;
const KEEP_LAST: u32 = 4;
/// A summary leaves out how things were said: more of the newest messages stay as they are.
const SUMMARY_KEEP_LAST: u32 = 6;
const SUMMARY_TOKENS: u32 = 800;
/// What a sidecar keeps free for a summary: a quarter more than it may have, by another tokenizer, and so much around it.
const AROUND_SUMMARY: u64 = 48;

/// The rules for a route with these backends. None given: its defaults.
pub(super) fn compile(given: Option<&ContextWindow>, backends: &Backends<'_>) -> wire::ContextWindow {
    let nothing = ContextWindow::default();
    let ContextWindow { on_exceeded, reserve_output_tokens, truncate, summarize, count } = given.unwrap_or(&nothing);
    let Truncate { keep_system, keep_last, drop } = truncate.clone().unwrap_or_default();
    let smallest = backends.usable.iter().filter_map(|backend| backend.model.context_window_tokens).min();
    let fitting = smallest.map_or(RESERVE_OUTPUT_TOKENS, |window| RESERVE_OUTPUT_TOKENS.min(window / RESERVE_PART));
    let on_exceeded = match on_exceeded.unwrap_or_default() {
        OnExceeded::Reject => wire::OnExceeded::Reject,
        OnExceeded::LargerModel => wire::OnExceeded::LargerModel,
        OnExceeded::Truncate => wire::OnExceeded::Truncate,
        OnExceeded::Summarize => wire::OnExceeded::Summarize,
        OnExceeded::Hybrid => wire::OnExceeded::Hybrid,
    };
    let wanted = summarize.as_ref().filter(|_| on_exceeded == wire::OnExceeded::Summarize);
    wire::ContextWindow {
        on_exceeded,
        reserve_output_tokens: reserve_output_tokens.unwrap_or(fitting),
        truncate: wire::Truncate {
            keep_system: keep_system.unwrap_or(true),
            keep_last: keep_last.unwrap_or(KEEP_LAST),
            order: match drop {
                None | Some(DropOrder::OldestFirst) => wire::DropOrder::OldestFirst,
                Some(DropOrder::MiddleOut) => wire::DropOrder::MiddleOut,
            },
        },
        summarize: wanted.filter(|given| can_write(&given.backend, backends)).map(summary),
        count: match count.unwrap_or_default() {
            TokenCounter::Local => wire::Counter::Local,
            TokenCounter::Provider => wire::Counter::Provider,
        },
    }
}

/// What no route could do anything with.
pub(super) fn check(given: &ContextWindow, invalid: &mut impl FnMut(String, String)) {
    let ContextWindow { on_exceeded, reserve_output_tokens, truncate: _, summarize, count: _ } = given;
    if let Some(tokens) = reserve_output_tokens.filter(|tokens| *tokens > 1_000_000_000) {
        invalid("spec.contextWindow.reserveOutputTokens".into(), format!("{tokens} is more than 1000000000"));
    }
    if *on_exceeded == Some(OnExceeded::Summarize) && summarize.is_none() {
        let message = "onExceeded: Summarize needs it: which backend writes the summary".to_owned();
        invalid("spec.contextWindow.summarize".into(), message);
    }
}

fn summary(given: &Summarize) -> wire::Summarize {
    let Summarize { backend, keep_last, max_summary_tokens } = given;
    wire::Summarize {
        backend: backend.clone(),
        keep_last: keep_last.unwrap_or(SUMMARY_KEEP_LAST),
        max_tokens: max_summary_tokens.unwrap_or(SUMMARY_TOKENS).into(),
    }
}

/// A shadow's answers reach nobody, summaries included.
fn can_write(name: &str, backends: &Backends<'_>) -> bool {
    let found = backends.usable.iter().find(|backend| backend.name == name);
    found.is_some_and(|backend| backend.role != wire::Role::Shadow)
}

/// Warns of what cannot help.
pub(super) fn advise(
    object: &ObjectRef,
    given: &ContextWindow,
    rules: &wire::ContextWindow,
    backends: &Backends<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut warn = |about, path: &str, message| {
        let path = format!("spec.contextWindow.{path}");
        diagnostics.push(Diagnostic::warn(object, about, path, message).about(backends.route));
    };
    let reserve = rules.reserve_output_tokens;
    for backend in backends.usable {
        let Some(window) = backend.model.context_window_tokens.filter(|window| window / 2 < reserve) else { continue };
        let message = format!(
            "{reserve} tokens are more than half of the window of backend {:?} ({window} tokens), and no more than half, {}, \
             is kept for an answer: keep less",
            backend.name,
            window / 2
        );
        warn((ConditionType::Accepted, Reason::ReserveTooLarge), "reserveOutputTokens", message);
    }
    let Some(summarize) = &given.summarize else { return };
    let name = &summarize.backend;
    if rules.on_exceeded != wire::OnExceeded::Summarize {
        let message = "nothing is summarized: set onExceeded to Summarize, or remove it".to_owned();
        warn((ConditionType::Accepted, Reason::FallbackNeverHelps), "summarize", message);
    } else if !backends.named.contains(name) {
        let message = format!(
            "ModelRoute {}/{} has no backend {name:?}, and old messages are left out instead of summarized: add it, or use \
             one of {}",
            object.namespace,
            backends.route,
            backends.named.join(", ")
        );
        warn((ConditionType::ResolvedRefs, Reason::BackendNotFound), "summarize.backend", message);
    } else if rules.summarize.is_none() {
        let message = format!(
            "backend {name:?} cannot write summaries, and old messages are left out instead: name one that is usable and \
             no Shadow"
        );
        warn((ConditionType::Accepted, Reason::FallbackNeverHelps), "summarize.backend", message);
    }
    if let Some(message) = too_long(rules, backends) {
        warn((ConditionType::Accepted, Reason::FallbackNeverHelps), "summarize.maxSummaryTokens", message);
    }
}

/// Why no summary is ever written, where that is for its length: there is room for it in no window, and all are known.
fn too_long(rules: &wire::ContextWindow, backends: &Backends<'_>) -> Option<String> {
    let most = rules.summarize.as_ref()?.max_tokens;
    let takes = most.saturating_add(most / 4).saturating_add(AROUND_SUMMARY);
    let answering = backends.usable.iter().filter(|backend| backend.role != wire::Role::Shadow);
    let windows: Option<Vec<u64>> = answering.map(|backend| backend.model.context_window_tokens).collect();
    let window = windows?.into_iter().max()?;
    let room = window - rules.reserve_output_tokens.min(window / 2);
    let message = format!(
        "a summary of {most} tokens takes up to {takes}, and the largest window ({window}) leaves {room} for a prompt, so old \
         messages are left out instead: set it lower"
    );
    (takes >= room).then_some(message)
}
