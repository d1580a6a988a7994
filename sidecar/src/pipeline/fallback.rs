//! Which backend is next: first, after a failure, and when the prompt does not fit.

use std::{sync::Arc, time::Duration};

use spillway_policy::{
    Class, NanoUsd,
    fallback::{Choice, Set, Skip, by_window, targets},
    retry::{self, Verdict},
    truncate::DoesNotFit,
};
use spillway_wire::OnExceeded;

use super::{attempt::Failure, choose, count, resolve::Call, settle::Settle, truncate};
use crate::{
    clock,
    error::{Exhausted, ProxyError},
    runtime::{Route, Runtime},
};

/// Where a request stands.
pub(super) struct Plan {
    pub(super) backend: usize,
    /// Attempts made, on all backends together.
    pub(super) attempts: u32,
    /// Why the first choice was left.
    pub(super) reason: Option<Class>,
    /// Attempts on this backend after its first.
    repeats: u32,
    tried: Set,
    /// The prompt was shortened because a provider said it was too long. Once is enough: a provider that says so again
    /// counts in a way nobody here understands.
    shortened: bool,
}

/// Backends that were passed over, and why.
pub(super) type Skips = Vec<(usize, Skip)>;

/// The first choice.
pub(super) async fn first(runtime: &Runtime, call: &mut Call) -> Result<Plan, ProxyError> {
    let mut skips = Skips::new();
    if let Some(backend) = choose::primary(runtime, call, &mut skips).await {
        return Ok(Plan::at(backend));
    }
    let too_long = |&(index, skip): &(usize, Skip)| match skip {
        Skip::TooLong { window, certain, .. } => Some((index, window, certain)),
        Skip::NotLarger { .. }
        | Skip::NoTools
        | Skip::NoImages
        | Skip::NoJsonSchema
        | Skip::TooExpensive { .. }
        | Skip::NoPrice
        | Skip::Out => None,
    };
    let Some((backend, window, certain)) = skips.iter().find_map(too_long) else {
        return Plan::without_primary(call, &mut skips).await;
    };
    let mut plan = Plan::at(backend);
    // An estimate is a reason to look for more room, not one to refuse: then the provider decides.
    let solved = plan.make_room(call, window, &mut skips).await;
    if solved.is_ok() || !certain { Ok(plan) } else { Err(context_length(call, backend, &skips, solved.err())) }
}

/// The first of `order` that can serve the call; counts the prompt if that has to be known.
async fn pick(call: &mut Call, order: &[usize], out: Set, larger_than: u64, skips: &mut Skips) -> Option<usize> {
    loop {
        skips.clear();
        match call.question(out, larger_than).first_of(order.iter().copied(), |index, skip| skips.push((index, skip))) {
            Choice::Take(backend) => return Some(backend),
            Choice::Count(backend) => count::count(call, backend).await,
            Choice::Nobody => return None,
        }
    }
}

// === impl Plan ===

impl Plan {
    fn at(backend: usize) -> Self {
        Self { backend, attempts: 0, reason: None, repeats: 0, tried: Set::default(), shortened: false }
    }

    /// No first choice can be asked. If that is because each lacks its key or its provider, it is as if they were down.
    async fn without_primary(call: &mut Call, skips: &mut Skips) -> Result<Self, ProxyError> {
        let reasons = std::mem::take(skips);
        if reasons.iter().all(|(_, skip)| *skip == Skip::Out) {
            let order = targets(&call.route.rules, Class::ServiceUnavailable).to_vec();
            if let Some(backend) = pick(call, &order, call.route.without_key(), 0, skips).await {
                return Ok(Self { reason: Some(Class::ServiceUnavailable), ..Self::at(backend) });
            }
        }
        Err(nobody(call, &reasons))
    }

    /// After a failed attempt: waits and stays, moves on, or gives up with the error for the application.
    pub(super) async fn after(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        mut failure: Box<Failure>,
        settle: &mut Settle,
    ) -> Result<(), ProxyError> {
        settle.failed();
        if let Some(waste) = failure.wasted.take() {
            settle.wasted(self.backend, &waste);
        }
        let mut skips = Skips::new();
        let now = clock::now();
        let left = call.left(now);
        if left.is_zero() {
            return Err(self.exhausted(call, *failure, &skips));
        }
        if let Some(pause) = self.pause(call, &failure, left, runtime.roll()) {
            settle.wait(now);
            tokio::time::sleep(pause).await;
            settle.go_on(clock::now());
            self.repeats += 1;
            return Ok(());
        }
        self.tried.insert(self.backend);
        let moved = match failure.class {
            Class::ContextWindowExceeded => self.after_overflow(call, failure.fault.window, &mut skips).await,
            class => {
                let order = targets(&call.route.rules, class).to_vec();
                self.move_on(call, &order, class, 0, &mut skips).await
            }
        };
        if moved { Ok(()) } else { Err(self.exhausted(call, *failure, &skips)) }
    }

    /// How long to wait before the same backend gets another try. None: it does not.
    fn pause(&self, call: &Call, failure: &Failure, left: Duration, roll: u64) -> Option<Duration> {
        if failure.silent {
            return None;
        }
        let failure = retry::Failure {
            class: failure.class,
            repeats: self.repeats.saturating_add(call.retried),
            retry_after: failure.retry_after,
            left,
        };
        match call.route.retries.after(&failure, roll) {
            Verdict::After(pause) => Some(pause),
            Verdict::Stop(_) => None,
        }
    }

    /// To the first of `order` that can serve the call. False: nobody can.
    async fn move_on(
        &mut self,
        call: &mut Call,
        order: &[usize],
        class: Class,
        larger_than: u64,
        skips: &mut Skips,
    ) -> bool {
        let out = self.tried.union(call.route.without_key());
        let Some(backend) = pick(call, order, out, larger_than, skips).await else { return false };
        self.backend = backend;
        self.repeats = 0;
        self.reason.get_or_insert(class);
        true
    }

    /// Before any attempt: the prompt does not fit the first choice's window.
    async fn make_room(&mut self, call: &mut Call, window: u64, skips: &mut Skips) -> Result<(), Option<DoesNotFit>> {
        let mode = call.route.on_exceeded;
        if matches!(mode, OnExceeded::LargerModel | OnExceeded::Hybrid) && self.move_to_larger(call, 0, skips).await {
            return Ok(());
        }
        if matches!(mode, OnExceeded::Truncate | OnExceeded::Hybrid) {
            let room = window.saturating_sub(call.demand().output.of(window));
            return truncate::fit(call, self.backend, room).await.map_err(Some);
        }
        Err(None)
    }

    /// A provider said that the prompt does not fit, whatever was known of its window.
    async fn after_overflow(&mut self, call: &mut Call, learnt: Option<u64>, skips: &mut Skips) -> bool {
        let mode = call.route.on_exceeded;
        let moved = match mode {
            // What the route's own rule says, in its order: refusing is for prompts that are known to be too long.
            OnExceeded::Reject => {
                let order = targets(&call.route.rules, Class::ContextWindowExceeded).to_vec();
                self.move_on(call, &order, Class::ContextWindowExceeded, learnt.unwrap_or(0), skips).await
            }
            OnExceeded::LargerModel | OnExceeded::Hybrid => self.move_to_larger(call, learnt.unwrap_or(0), skips).await,
            OnExceeded::Truncate => false,
        };
        if moved || self.shortened || !matches!(mode, OnExceeded::Truncate | OnExceeded::Hybrid) {
            return moved;
        }
        let room = self.room(call, learnt).await;
        self.shortened = truncate::fit(call, self.backend, room).await.is_ok();
        self.shortened
    }

    /// To the smallest window that is large enough.
    async fn move_to_larger(&mut self, call: &mut Call, larger_than: u64, skips: &mut Skips) -> bool {
        let route = Arc::clone(&call.route);
        let order = by_window(&route.candidates, targets(&route.rules, Class::ContextWindowExceeded));
        self.move_on(call, &order, Class::ContextWindowExceeded, larger_than, skips).await
    }

    /// What to shorten to when a provider said that a prompt is too long which was believed to fit, or nobody knew.
    async fn room(&self, call: &mut Call, learnt: Option<u64>) -> u64 {
        let counted = truncate::counted(call, self.backend).await;
        let window = learnt.or(call.route.candidates[self.backend].window).unwrap_or(u64::MAX);
        let room = window.saturating_sub(call.demand().output.of(window));
        if counted.tokens > room && counted.exact {
            return room;
        }
        // The provider counts more than we do, by an unknown factor: a quarter off is more than tokenizers differ.
        room.min(counted.tokens) / 4 * 3
    }

    fn exhausted(&self, call: &Call, failure: Failure, skips: &Skips) -> ProxyError {
        let Failure { class, fault, retry_after, headers, silent: _, wasted: _ } = failure;
        ProxyError::Upstream(Box::new(Exhausted {
            route: call.route.name.clone(),
            backend: call.route.backends[self.backend].name.clone(),
            class,
            fault,
            attempts: self.attempts,
            skipped: describe(&call.route, skips.iter().filter(|(index, _)| !self.tried.contains(*index))),
            unruled: !call.route.rules.iter().any(|rule| rule.on.contains(class)),
            retry_after,
            headers,
        }))
    }
}

/// `big takes no images, small takes 8192 tokens`.
fn describe<'a>(route: &Route, skips: impl Iterator<Item = &'a (usize, Skip)>) -> String {
    let reason = |(index, skip): &(usize, Skip)| {
        let name = &route.backends[*index].name;
        match skip {
            Skip::TooLong { window, .. } | Skip::NotLarger { window } => format!("{name} takes {window} tokens"),
            Skip::NoTools => format!("{name} takes no tools"),
            Skip::NoImages => format!("{name} takes no images"),
            Skip::NoJsonSchema => format!("{name} takes no JSON schema"),
            Skip::TooExpensive { worst, max } => format!("{name} can cost up to ${worst}, more than ${max}"),
            Skip::NoPrice => format!("{name} has no known price"),
            Skip::Out => format!("{name} has no key"),
        }
    };
    skips.map(reason).collect::<Vec<_>>().join(", ")
}

/// No first choice can serve the call, and its length is not why.
fn nobody(call: &Call, skips: &Skips) -> ProxyError {
    if call.route.primaries.is_empty() {
        return ProxyError::NoBackend { route: call.route.name.clone() };
    }
    if skips.iter().all(|(_, skip)| *skip == Skip::Out) {
        return ProxyError::Credentials { providers: call.route.providers_without_key() };
    }
    if let Some(max) = call.route.max_cost.filter(|_| skips.iter().any(|(_, skip)| is_about_cost(*skip))) {
        return too_expensive(call, max, skips);
    }
    ProxyError::NoCandidate { model: call.model.clone(), reasons: describe(&call.route, skips.iter()) }
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
        reasons: describe(&call.route, skips.iter()),
    }
}

fn context_length(call: &Call, backend: usize, skips: &Skips, tried: Option<Option<DoesNotFit>>) -> ProxyError {
    let window = call.route.candidates[backend].window.unwrap_or(u64::MAX);
    let output = call.demand().output.of(window);
    let room = window.saturating_sub(output);
    let prompt = call.sizes.counted[call.route.candidates[backend].tokenizer].map_or(call.sizes.lower, |it| it.tokens);
    let fits = prompt <= window && room < prompt;
    let larger = describe(&call.route, skips.iter());
    let advice = match (call.route.on_exceeded, tried.flatten()) {
        (OnExceeded::Reject, _) => {
            " (its FallbackPolicy can help: set contextWindow.onExceeded to LargerModel, Truncate or Hybrid)".to_owned()
        }
        (_, Some(DoesNotFit { needs })) => {
            format!(
                ", and the messages that must stay need {needs} (lower contextWindow.truncate.keepLast in its FallbackPolicy)"
            )
        }
        _ if larger.is_empty() => {
            " and its FallbackPolicy has no backend with a larger window (add one to the rule for \
             ContextWindowExceeded in spec.fallbacks, or set contextWindow.onExceeded: Truncate)"
                .to_owned()
        }
        _ => format!(
            " and no backend its FallbackPolicy names has room: {larger} (add one, or set contextWindow.onExceeded: Hybrid)"
        ),
    };
    ProxyError::ContextLength {
        prompt,
        output: if fits { output } else { 0 },
        model: call.model.clone(),
        window,
        advice,
    }
}
