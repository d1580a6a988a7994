//! Which backend is next: first, after a failure, and when the prompt does not fit.

mod at_once;
mod window;

use std::time::Duration;

use spillway_policy::{
    Class,
    fallback::{Choice, Set, Skip, targets},
    retry::{self, Verdict},
};

use super::{choose, count, failure::Failure, refusal, reserve::Closed, resolve::Call, settle::Settle, when};
use crate::{
    clock,
    error::{Exhausted, ProxyError},
    runtime::{Admission, Reserved, Runtime},
};
use window::Overflow;

/// Where a request stands.
pub(super) struct Plan {
    pub(super) backend: usize,
    /// What the gates on the way to it have let through for the next attempt.
    pub(super) admission: Option<Admission>,
    /// Attempts made, on all backends together.
    pub(super) attempts: u32,
    /// Why the first choice was left.
    pub(super) reason: Option<Class>,
    /// It was left because its answer was not good enough.
    pub(super) escalated: bool,
    /// It was left because a budget had no room for it.
    pub(super) downgraded: bool,
    /// Attempts on this backend after its first, and the pause before the last of them.
    repeats: u32,
    paused: Duration,
    /// Keys of this backend's provider that were sent after its first one.
    turned: usize,
    /// The attempt was repeated because a newer key had come. Once is enough.
    rekeyed: bool,
    /// There would have been another attempt, had the route's budget not been spent.
    spent: bool,
    /// What the budget gave for an attempt that was not made after all.
    leave: bool,
    tried: Set,
    /// The prompt was shortened because a provider said it was too long. Once is enough: a provider that says so again
    /// counts in a way nobody here understands.
    shortened: bool,
}

/// Backends that were passed over, and why.
pub(super) type Skips = Vec<(usize, Skip)>;

/// A backend that can serve the request, and leave to ask it.
pub(super) type Taken = (usize, Admission);

/// The first choice.
pub(super) async fn first(runtime: &Runtime, call: &mut Call, settle: &mut Settle) -> Result<Plan, ProxyError> {
    let chosen = choose(runtime, call, settle).await;
    settle.waited_for(std::mem::take(&mut call.waited));
    chosen
}

async fn choose(runtime: &Runtime, call: &mut Call, settle: &mut Settle) -> Result<Plan, ProxyError> {
    if call.retried == 0 {
        let route = &call.route;
        route.state.request(route.hedge.map_or(0, |hedge| hedge.max_ratio_ppm), clock::now());
    }
    let mut skips = Skips::new();
    loop {
        if let Some(plan) = Plan::begun(runtime, call, &mut skips).await {
            return Ok(plan);
        }
        if !call.has_room_soon().await {
            return Box::pin(otherwise(runtime, call, settle, skips)).await;
        }
    }
}

/// Nobody can be asked with the prompt as it is, for these reasons.
async fn otherwise(
    runtime: &Runtime,
    call: &mut Call,
    settle: &mut Settle,
    mut skips: Skips,
) -> Result<Plan, ProxyError> {
    let Some((backend, ..)) = skips.iter().find_map(window::too_long) else {
        return Err(refusal::nobody(call, &skips));
    };
    let mut plan = Plan { admission: None, ..Plan::at((backend, Admission::default())) };
    let mut larger = Skips::new();
    if let Err(needs) = plan.make_room(runtime, call, settle, &mut larger).await {
        if let Some(doubtful) = window::doubtful(&skips, &larger) {
            if doubtful != backend {
                plan.backend = doubtful;
                plan.reason.get_or_insert(Class::ContextWindowExceeded);
            }
            return plan.admitted(call).await;
        }
        // Where there would be room, had somebody not to be left alone, the prompt is not what is wrong.
        let rests = skips.iter().chain(&larger).any(|(_, skip)| matches!(skip, Skip::Open | Skip::Denied));
        if !rests {
            runtime.telemetry.metrics.overflow(&call.route.name, "refused");
            return Err(refusal::context_length(call, backend, &larger, needs));
        }
        skips.append(&mut larger);
        return Err(refusal::nobody(call, &skips));
    }
    plan.admitted(call).await
}

/// The first of `order` that can serve the call and may be asked; counts the prompt if that has to be known.
async fn pick(call: &mut Call, order: &[usize], out: Set, larger_than: u64, skips: &mut Skips) -> Option<Taken> {
    let mut open = Set::default();
    when::judge(call, order);
    loop {
        skips.clear();
        let question = call.question(out, open, larger_than);
        match question.first_of(order.iter().copied(), |index, skip| skips.push((index, skip))) {
            // Asked last and of the chosen one only: whoever is admitted must be sent to.
            Choice::Take(backend) => match call.admit(backend).await {
                Ok(admission) => return Some((backend, admission)),
                Err(Closed::Gate) => open.insert(backend),
                Err(Closed::Rights) => {}
            },
            Choice::Count(backend) => Box::pin(count::count(call, backend)).await,
            Choice::Nobody => return None,
        }
    }
}

// === impl Plan ===

impl Plan {
    fn at((backend, admission): Taken) -> Self {
        Self {
            backend,
            admission: Some(admission),
            attempts: 0,
            reason: None,
            escalated: false,
            downgraded: false,
            repeats: 0,
            paused: Duration::ZERO,
            turned: 0,
            rekeyed: false,
            spent: false,
            leave: false,
            tried: Set::default(),
            shortened: false,
        }
    }

    /// At whoever can be asked now. None: nobody, as the prompt is.
    async fn begun(runtime: &Runtime, call: &mut Call, skips: &mut Skips) -> Option<Self> {
        if let Some(taken) = choose::primary(runtime, call, skips).await {
            return Some(Self::at(taken));
        }
        let down = skips.iter().any(|(_, skip)| matches!(skip, Skip::Out | Skip::Open)) || call.ready_in().is_some();
        if down && let Some(plan) = Self::without_primary(call, skips).await {
            return Some(plan);
        }
        Self::downgraded(call, skips).await
    }

    /// For one attempt that goes where it goes.
    pub(super) fn only(backend: usize, reserved: Option<Reserved>) -> Self {
        Self::at((backend, Admission::without_gates(reserved)))
    }

    /// Some first choice lacks its key or is left alone, and no other one can serve the request: it is as if they had
    /// been asked and had failed. None: nobody takes their place, and why is added to the reasons.
    async fn without_primary(call: &mut Call, reasons: &mut Skips) -> Option<Self> {
        if call.hints.no_fallback {
            return None;
        }
        let class = refusal::class(call, reasons);
        let order = targets(&call.route.rules, class).to_vec();
        let mut skips = Skips::new();
        if let Some(taken) = pick(call, &order, call.route.without_key(), 0, &mut skips).await {
            return Some(Self { reason: Some(class), ..Self::at(taken) });
        }
        skips.retain(|(index, _)| reasons.iter().all(|(known, _)| known != index));
        reasons.append(&mut skips);
        None
    }

    /// A budget has no room for any first choice, and says whom to ask then. None: it does not, or they cannot be asked.
    async fn downgraded(call: &mut Call, reasons: &mut Skips) -> Option<Self> {
        let order = call.spares();
        if order.is_empty() || call.hints.no_fallback {
            return None;
        }
        let mut skips = Skips::new();
        if let Some(taken) = pick(call, &order, call.route.without_key(), 0, &mut skips).await {
            return Some(Self { downgraded: true, ..Self::at(taken) });
        }
        skips.retain(|(index, _)| reasons.iter().all(|(known, _)| known != index));
        reasons.append(&mut skips);
        None
    }

    /// With leave to ask the backend, which may have been chosen without, and though the prompt did not fit it: what it costs
    /// nobody has asked then.
    async fn admitted(mut self, call: &mut Call) -> Result<Self, ProxyError> {
        if self.admission.is_none() {
            if call.route.max_cost.is_some() && call.counted(self.backend).is_none() {
                count::count(call, self.backend).await;
            }
            if let Some(skip) = call.question(Set::default(), Set::default(), 0).cost(self.backend) {
                return Err(refusal::nobody(call, &vec![(self.backend, skip)]));
            }
            match call.admit(self.backend).await {
                Ok(admission) => self.admission = Some(admission),
                Err(Closed::Gate) => return Err(refusal::nobody(call, &vec![(self.backend, Skip::Open)])),
                Err(Closed::Rights) => return Err(refusal::nobody(call, &vec![(self.backend, Skip::Denied)])),
            }
        }
        Ok(self)
    }

    /// After a failed attempt: waits and stays, moves on, or gives up with the error for the application.
    pub(super) async fn after(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        failure: Box<Failure>,
        settle: &mut Settle,
    ) -> Result<(), ProxyError> {
        let mut skips = Skips::new();
        call.rights.denials.clear();
        let now = clock::now();
        let left = call.left(now);
        if left.is_zero() {
            return Err(self.exhausted(call, *failure, &skips));
        }
        if failure.of_key.is_some() && self.turn_key(call).await {
            return Ok(());
        }
        if let Some(pause) = self.pause(call, &failure, left, runtime.roll())
            && self.may_add(call)
        {
            settle.wait(now);
            tokio::time::sleep(pause).await;
            settle.go_on(clock::now());
            self.repeats += 1;
            self.paused = pause;
            // Others may have failed meanwhile; then the next candidate is better than an error.
            if let Ok(admission) = call.admit(self.backend).await {
                self.admission = Some(admission);
                return Ok(());
            }
            self.leave = true;
        }
        self.tried.insert(self.backend);
        let moved = match failure.class {
            Class::ContextWindowExceeded => {
                let said = Overflow::of(&failure.fault);
                self.after_overflow(runtime, call, settle, said, &mut skips).await
            }
            class => {
                let order = targets(&call.route.rules, class).to_vec();
                self.move_on(call, &order, class, 0, &mut skips).await
            }
        };
        settle.waited_for(std::mem::take(&mut call.waited));
        if moved { Ok(()) } else { Err(self.exhausted(call, *failure, &skips)) }
    }

    /// Leave for another attempt, from the budget of all that the route adds.
    fn may_add(&mut self, call: &Call) -> bool {
        let may = std::mem::take(&mut self.leave) || call.route.state.take(call.route.budget.as_ref(), clock::now());
        self.spent |= !may;
        may
    }

    /// How long to wait before the same backend gets another try. None: it does not.
    fn pause(&mut self, call: &Call, failure: &Failure, left: Duration, roll: u64) -> Option<Duration> {
        if failure.rekeyed
            && matches!(failure.class, Class::Authentication | Class::PermissionDenied)
            && !std::mem::replace(&mut self.rekeyed, true)
        {
            return Some(Duration::ZERO);
        }
        if failure.silent {
            return None;
        }
        let failure = retry::Failure {
            class: failure.class,
            repeats: self.repeats.saturating_add(call.retried),
            paused: self.paused,
            retry_after: failure.retry_after,
            left,
        };
        let Verdict::After(pause) = call.route.retries.after(&failure, roll) else { return None };
        // Nobody waits for a gate that failures have closed. One that is paused opens when the pause is over, whoever was
        // told of it; but that is not waited for any longer than if this request had been told. A gate waits up to a fifth
        // longer than it was asked to, and those who wait for it do not come back together.
        let now = clock::now();
        let pause = match call.route.rest(self.backend, now + pause) {
            None => pause,
            Some(rest) if rest.refusal.cause.is_pause() => {
                let wait = rest.refusal.until.saturating_duration_since(now);
                if wait > retry::stagger(call.route.retries.honour_retry_after, u64::MAX) {
                    return None;
                }
                retry::stagger(wait, roll)
            }
            Some(_) => return None,
        };
        (pause < left).then_some(pause)
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
        if call.hints.no_fallback {
            return false;
        }
        let out = self.tried.union(call.route.without_key());
        // Who calls several tools at once goes first, where that was asked for; who calls them one by one is better than nobody.
        call.strict_tools = call.need.parallel_tools;
        let mut taken = pick(call, order, out, larger_than, skips).await;
        if std::mem::take(&mut call.strict_tools) && taken.is_none() {
            taken = pick(call, order, out, larger_than, skips).await;
        }
        let Some((backend, admission)) = taken else { return false };
        // Before the first attempt a move adds nothing. After an answer that was about the request it adds nothing to anybody's
        // trouble: a budget that kept prompts from a larger window would protect nobody.
        if self.attempts > 0 && class.is_trouble() && !self.may_add(call) {
            return false;
        }
        self.backend = backend;
        self.admission = Some(admission);
        (self.repeats, self.paused, self.turned) = (0, Duration::ZERO, 0);
        self.reason.get_or_insert(class);
        true
    }

    /// After an answer that was not good enough: to the next first choice, in the user's order. False: there is none, or no
    /// time for it. This is what the route is for and no failure, so it takes nothing from the budget of further attempts.
    pub(super) async fn escalate(&mut self, call: &mut Call) -> bool {
        let mut later = call.route.primaries.iter().copied().skip_while(|index| *index != self.backend);
        later.next();
        let later: Vec<usize> = later.collect();
        self.tried.insert(self.backend);
        call.rights.denials.clear();
        if later.is_empty() || call.hints.no_fallback || call.left(clock::now()).is_zero() {
            return false;
        }
        let out = self.tried.union(call.route.without_key());
        let Some((backend, admission)) = pick(call, &later, out, 0, &mut Skips::new()).await else { return false };
        self.backend = backend;
        self.admission = Some(admission);
        (self.repeats, self.paused, self.turned) = (0, Duration::ZERO, 0);
        self.escalated = true;
        true
    }

    /// The same backend once more, with a request that has grown. False: it may not be asked, or the request is too long.
    pub(super) async fn ask_again(&mut self, call: &mut Call) -> bool {
        if call.left(clock::now()).is_zero() {
            return false;
        }
        call.rights.denials.clear();
        let picked = pick(call, &[self.backend], call.route.without_key(), 0, &mut Skips::new()).await;
        self.admission = picked.map(|(_, admission)| admission);
        self.admission.is_some()
    }

    pub(super) fn exhausted(&self, call: &Call, failure: Failure, skips: &Skips) -> ProxyError {
        let Failure { class, fault, retry_after, headers, unfit, .. } = failure;
        let skipped: Skips = skips.iter().copied().filter(|(index, _)| !self.tried.contains(*index)).collect();
        if unfit {
            return refusal::unfit(call, self, fault.message, &skipped);
        }
        ProxyError::Upstream(Box::new(Exhausted {
            route: call.route.name.clone(),
            backend: call.route.backends[self.backend].name.clone(),
            model: call.route.backends[self.backend].model.clone(),
            class,
            fault,
            attempts: self.attempts,
            skipped: refusal::describe(call, &skipped),
            remedy: refusal::helps(call, class),
            spent: self.spent,
            retry_after: retry_after.or_else(|| refusal::reopening(call, &skipped)),
            headers,
        }))
    }
}
