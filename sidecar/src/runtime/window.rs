//! What a route does with prompts that do not fit.

use spillway_policy::truncate::{Order, Rule};
use spillway_wire as wire;
use wire::OnExceeded;

#[derive(Clone, Debug)]
pub(crate) struct WindowRule {
    pub(crate) on_exceeded: OnExceeded,
    /// Tokens kept for the answer where a request sets no limit.
    pub(crate) reserve_output: u64,
    pub(crate) truncate: Rule,
    pub(crate) summarize: Option<SummaryRule>,
    /// Where length alone does not decide, the provider is asked, if it counts.
    pub(crate) asks_provider: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SummaryRule {
    /// Who writes it.
    pub(crate) backend: usize,
    pub(crate) keep: Rule,
    pub(crate) max_tokens: u64,
}

// === impl WindowRule ===

impl WindowRule {
    pub(super) fn lower(given: &wire::ContextWindow, backends: &[wire::Backend]) -> Result<Self, String> {
        let wire::ContextWindow { on_exceeded, reserve_output_tokens, truncate, summarize, count } = given;
        let wire::Truncate { keep_system, keep_last, order } = *truncate;
        let order = match order {
            wire::DropOrder::OldestFirst => Order::OldestFirst,
            wire::DropOrder::MiddleOut => Order::MiddleOut,
        };
        let truncate = Rule { keep_system, keep_last: keep_last as usize, order };
        let summary = |given: &wire::Summarize| {
            let wire::Summarize { backend, keep_last, max_tokens } = given;
            let found = backends.iter().position(|other| other.name == *backend);
            let missing = || format!("summaries are to be written by backend {backend}, which the route does not have");
            // What was summarized once has to be the beginning of what is summarized later.
            let keep = Rule { keep_system: true, keep_last: *keep_last as usize, order: Order::OldestFirst };
            Ok::<_, String>(SummaryRule { backend: found.ok_or_else(missing)?, keep, max_tokens: *max_tokens })
        };
        Ok(Self {
            on_exceeded: *on_exceeded,
            reserve_output: *reserve_output_tokens,
            truncate,
            summarize: summarize.as_ref().map(summary).transpose()?,
            asks_provider: *count == wire::Counter::Provider,
        })
    }
}
