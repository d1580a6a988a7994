//! What is done about a prompt that does not fit, before anybody is asked or after somebody has said so.
//!
//! Cheapest first: a lower limit for the answer costs nothing where the answer is short, which most are. Whoever wants a
//! larger model has one asked before that. Messages are left out when nothing else helps.

use std::sync::Arc;

use spillway_policy::{
    Class,
    fallback::{Skip, targets},
};
use spillway_providers::{
    Fault,
    fault::{self, Length},
    tokens::Count,
};
use spillway_wire::OnExceeded;

use super::{Plan, Skips, pick};
use crate::{
    clock,
    pipeline::{
        count::ask,
        resolve::Call,
        settle::Settle,
        summarize,
        truncate::{self, TooLong},
    },
    runtime::Runtime,
};

/// What a provider says of a prompt that does not fit.
#[derive(Clone, Copy)]
pub(super) struct Overflow {
    window: Option<u64>,
    longest: Option<u64>,
    prompt: Option<Length>,
}

// === impl Overflow ===

impl Overflow {
    pub(super) const fn of(fault: &Fault) -> Self {
        Self { window: fault.window, longest: fault.longest, prompt: fault.prompt }
    }
}

// === impl Plan ===

impl Plan {
    /// Before any attempt: the prompt does not fit the window of the first choice, which the plan is at.
    pub(super) async fn make_room(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        settle: &mut Settle,
        skips: &mut Skips,
    ) -> Result<(), Option<TooLong>> {
        let mode = call.route.window.on_exceeded;
        let looks_for_more = matches!(mode, OnExceeded::LargerModel | OnExceeded::Hybrid);
        if looks_for_more && self.move_to_larger(runtime, call, 0, skips).await {
            return Ok(());
        }
        if self.lower_limit(runtime, call).await {
            return Ok(());
        }
        if looks_for_more && call.lowers_limit && self.move_to_larger(runtime, call, 0, skips).await {
            return Ok(());
        }
        if matches!(mode, OnExceeded::Reject | OnExceeded::LargerModel) {
            return Err(None);
        }
        let window = call.window(self.backend).unwrap_or(u64::MAX);
        let rooms = rooms(call, window);
        self.shorten(runtime, call, settle, &rooms).await.map_err(Some)
    }

    /// A provider said that the prompt does not fit, whatever was known of its window.
    pub(super) async fn after_overflow(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        settle: &mut Settle,
        overflow: Overflow,
        skips: &mut Skips,
    ) -> bool {
        let is_told = |call: &Call| call.told.iter().any(|(backend, _)| *backend == self.backend);
        let (limit, was_told) = (call.answer_room(self.backend), is_told(call));
        let length = self.hear(call, overflow.prompt).await;
        let is_told = is_told(call);
        let unknown = call.route.candidates[self.backend].window.is_none();
        let learnt = match overflow.window.or(overflow.longest.filter(|_| unknown)) {
            Some(window) => self.learn(call, window).await,
            None => false,
        };
        let least = overflow.window.or(overflow.longest).unwrap_or(0);
        let mode = call.route.window.on_exceeded;
        let moved = match mode {
            // What the route's own rule says, in its order: refusing is for prompts that are known to be too long.
            OnExceeded::Reject => {
                let order = targets(&call.route.rules, Class::ContextWindowExceeded).to_vec();
                self.move_on(call, &order, Class::ContextWindowExceeded, least, skips).await
            }
            OnExceeded::LargerModel | OnExceeded::Hybrid => self.move_to_larger(runtime, call, least, skips).await,
            OnExceeded::Truncate | OnExceeded::Summarize => false,
        };
        if moved || std::mem::replace(&mut self.shortened, true) {
            return moved;
        }
        if (learnt || is_told) && self.lower_limit_here(runtime, call, limit).await {
            return true;
        }
        if matches!(mode, OnExceeded::Reject | OnExceeded::LargerModel) {
            return false;
        }
        if !was_told {
            // What is shortened is measured as it is counted here.
            call.told.retain(|(backend, _)| *backend != self.backend);
        }
        let room = self.room(call, overflow, length).await;
        if self.shorten(runtime, call, settle, &[room]).await.is_err() {
            return false;
        }
        self.admission = call.admit(self.backend).await.ok();
        self.admission.is_some()
    }

    /// How long the prompt is by the provider's word, and by how much it is too long: as far as it says so.
    async fn hear(&self, call: &mut Call, said: Option<Length>) -> (Option<u64>, Option<u64>) {
        let (counted, over) = match said {
            Some(Length::Tokens(prompt)) => (Some(prompt), None),
            Some(Length::AtLeast(prompt)) => {
                ask::remember(call, self.backend, Count { tokens: prompt, exact: false }).await;
                (None, None)
            }
            Some(Length::Over(over)) if !names(call, over).await => (self.beyond(call, over).await, Some(over)),
            Some(Length::Over(_)) | None => (None, None),
        };
        if let Some(tokens) = counted
            // The same prompt is not sent there again, whatever an estimate says of it.
            && ask::remember(call, self.backend, Count { tokens, exact: true }).await
            && !call.told.iter().any(|(backend, _)| *backend == self.backend)
        {
            call.told.push((self.backend, tokens));
        }
        (counted, over)
    }

    /// Remembers a window that is smaller than it was believed to be. A prompt that would have fitted it for certain was
    /// refused for something else, whatever the words; and providers quote what they refuse, so a number that the request
    /// names itself proves nothing.
    async fn learn(&self, call: &mut Call, window: u64) -> bool {
        let (backend, said) = (&call.route.backends[self.backend], call.route.candidates[self.backend].window);
        let asked = call.need.max_output_tokens.or(backend.max_output_tokens).unwrap_or(0);
        let longest = call.sizes.upper_for(&call.route.candidates[self.backend]);
        let fits = longest.is_some_and(|longest| longest.saturating_add(asked) <= window);
        if fits || said.is_some_and(|said| said <= window) {
            return false;
        }
        if names(call, window).await {
            return false;
        }
        let backend = &call.route.backends[self.backend];
        call.learnt.retain(|(index, _)| *index != self.backend);
        call.learnt.push((self.backend, window));
        if backend.model_state.window.teach(window, said, clock::now()) {
            let (provider, model) = (&backend.provider.name, &backend.model);
            tracing::warn!(provider, model, window, said, "the window is smaller than it was said to be");
        }
        true
    }

    /// How long a prompt is that is too long by so many tokens: so much longer than the window, if that is about what was
    /// counted here. If not, the window is not what it is believed to be, which nobody can tell from this alone.
    async fn beyond(&self, call: &mut Call, over: u64) -> Option<u64> {
        let prompt = call.window(self.backend)?.saturating_add(over);
        let counted = truncate::counted(call, self.backend).await.tokens;
        (counted / 4 * 3..=counted.saturating_add(counted / 3)).contains(&prompt).then_some(prompt)
    }

    /// To the smallest window that is large enough. What calls several tools at once comes before what cannot, where that was
    /// asked for.
    async fn move_to_larger(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        larger_than: u64,
        skips: &mut Skips,
    ) -> bool {
        let route = Arc::clone(&call.route);
        let given = targets(&route.rules, Class::ContextWindowExceeded);
        let order = call.question(self.tried, self.tried, 0).by_window(given);
        let moved = self.move_on(call, &order, Class::ContextWindowExceeded, larger_than, skips).await;
        if moved {
            runtime.telemetry.metrics.overflow(&route.name, "larger_model");
        }
        moved
    }

    /// To a first choice that the prompt fits if the answer is limited to what is left of its window. False: there is none,
    /// or the request sets no limit that could be lowered.
    async fn lower_limit(&mut self, runtime: &Runtime, call: &mut Call) -> bool {
        if call.need.max_output_tokens.is_none() {
            return false;
        }
        call.lowers_limit = true;
        let order = call.hints.first_choices(&call.route.primaries);
        let out = call.route.without_key();
        let Some((backend, admission)) = pick(call, &order, out, 0, &mut Skips::new()).await else { return false };
        (self.backend, self.admission) = (backend, Some(admission));
        runtime.telemetry.metrics.overflow(&call.route.name, "limit_lowered");
        true
    }

    /// The same backend once more, with a lower limit than `before`: the request's own, or the one that its API has to be told.
    async fn lower_limit_here(&mut self, runtime: &Runtime, call: &mut Call, before: Option<u64>) -> bool {
        if call.need.max_output_tokens.is_none() && call.unasked_limit(self.backend).is_none() {
            return false;
        }
        call.lowers_limit = true;
        let picked = pick(call, &[self.backend], call.route.without_key(), 0, &mut Skips::new()).await;
        let lowered = call.answer_room(self.backend);
        if lowered.is_none() || lowered == before {
            return false;
        }
        self.admission = picked.map(|(_, admission)| admission);
        if self.admission.is_some() {
            runtime.telemetry.metrics.overflow(&call.route.name, "limit_lowered");
        }
        self.admission.is_some()
    }

    /// Fewer messages, or a summary in place of the older ones.
    async fn shorten(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        settle: &mut Settle,
        rooms: &[u64],
    ) -> Result<(), TooLong> {
        let summarized = match call.route.window.summarize {
            Some(rule) => summarize::fit(runtime, call, settle, self.backend, (rooms, &rule)).await,
            None => false,
        };
        if !summarized {
            truncate::fit(call, self.backend, rooms).await?;
        }
        self.reason.get_or_insert(Class::ContextWindowExceeded);
        let done = if summarized { "summarized" } else { "truncated" };
        runtime.telemetry.metrics.overflow(&call.route.name, done);
        Ok(())
    }

    /// What to shorten to, as we count, when a provider said that a prompt is too long which was believed to fit, or nobody
    /// knew. `theirs` and `over`: the prompt as it counts, and how much of it is too much.
    async fn room(&self, call: &mut Call, said: Overflow, (theirs, over): (Option<u64>, Option<u64>)) -> u64 {
        let counted = truncate::counted(call, self.backend).await;
        let window = said.window.or(call.window(self.backend)).unwrap_or(u64::MAX);
        let room = rooms(call, window).first().copied().unwrap_or(0).min(said.longest.unwrap_or(u64::MAX));
        // A prompt for which there is room by its own count does not fit something else than is known here.
        if let Some(theirs) = theirs.filter(|theirs| *theirs > counted.tokens.max(room)) {
            // No two messages are off by the same factor.
            let ours = u128::from(room) * u128::from(counted.tokens) / u128::from(theirs) / 32 * 31;
            return u64::try_from(ours).unwrap_or(room).min(room);
        }
        if counted.tokens > room && counted.exact {
            return room;
        }
        if let Some(over) = over {
            return (counted.tokens.saturating_sub(over) / 32 * 31).min(room);
        }
        // The provider counts more than we do, by an unknown factor: a quarter off is more than tokenizers differ.
        room.min(counted.tokens) / 4 * 3
    }
}

/// Whether the request names a number itself: providers quote what they refuse, so it proves nothing then.
async fn names(call: &Call, number: u64) -> bool {
    call.aside(move |call| fault::is_named(&call.body, number)).await.unwrap_or(true)
}

/// How long a prompt may be that is shortened: with all of the answer that was asked for, where that leaves it half of the
/// window, or else with as much of it as must be.
fn rooms(call: &Call, window: u64) -> Vec<u64> {
    let least = window.saturating_sub(call.demand().output.of(window));
    let whole = call.need.max_output_tokens.filter(|asked| *asked <= window / 2).map(|asked| window - asked);
    whole.into_iter().chain([least]).collect()
}

/// An estimate is a reason to look for more room, not one to refuse: then whoever has the largest window that it may fit
/// decides. None: it fits nobody.
pub(super) fn doubtful(first: &Skips, larger: &Skips) -> Option<usize> {
    let found = first.iter().chain(larger).filter_map(too_long).filter(|(.., certain)| !certain);
    // Of two alike the one that was asked for first.
    found.rev().max_by_key(|(_, window, _)| *window).map(|(index, ..)| index)
}

/// A backend whose window is too small, that window, and whether that is certain.
pub(super) const fn too_long(&(index, skip): &(usize, Skip)) -> Option<(usize, u64, bool)> {
    match skip {
        Skip::TooLong { certain, window, .. } => Some((index, window, certain)),
        Skip::NotLarger { .. }
        | Skip::NoTools
        | Skip::NoParallelTools
        | Skip::NoImages
        | Skip::NoImageUrls
        | Skip::NoJsonSchema
        | Skip::NoHostedTools
        | Skip::Unable
        | Skip::TooExpensive { .. }
        | Skip::NoPrice
        | Skip::Unwanted
        | Skip::Unclear
        | Skip::Out
        | Skip::Open
        | Skip::Denied => None,
    }
}
