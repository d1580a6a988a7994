//! The end of a request: what it used is added up, its line is logged. Exactly once, however it ends.
//!
//! A guard: whoever holds it says what happened; dropped without a word, the application has gone away, and what was
//! under way by then is charged by estimate.

mod checked;
mod fitting;
mod held;
mod price;
mod tell;
mod totals;
mod waste;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use spillway_policy::{Class, NanoUsd, Usage, fallback::Sizes};
use spillway_providers::{Api, Pieces};

pub(super) use fitting::Told;
pub(super) use waste::Waste;

use super::{
    attempt::{Ended, Kept, Measured, Outcome as Attempted},
    count,
    fallback::Plan,
    limit::Passage,
    progress::Progress,
    resolve::Call,
};
use crate::{
    bill,
    clock::{self, Day},
    record::Outcome,
    runtime::{Backend, Failed, Place, Route, Runtime},
};
use fitting::Fitting;
use held::Held;
use waste::{Aside, at_least};

/// What is known so far.
#[must_use = "dropping it settles the request as abandoned"]
pub(super) struct Settle {
    place: Place,
    api: Api,
    id: String,
    started: Instant,
    day: Day,
    route: Option<Arc<Route>>,
    stream: bool,
    /// The prompt, for when nobody says what it came to.
    sizes: Sizes,
    /// How much the request asks for of what is billed by the piece.
    asked: Option<Pieces>,
    backend: Option<usize>,
    attempts: u32,
    reason: Option<&'static str>,
    fitting: Fitting,
    /// A provider has the request, or had it and answered: it may bill.
    billed: bool,
    usage: Option<Usage>,
    /// The same as the provider wrote it.
    reported: Option<spillway_providers::Usage>,
    output_bytes: u64,
    skipped: u32,
    /// What the check of the last answer's form said.
    schema: Option<&'static str>,
    /// What attempts cost whose answers nobody got.
    wasted: NanoUsd,
    /// Spent waiting for providers, until the answer's head.
    waited: Duration,
    /// What of it was for rights.
    stalled: Duration,
    waiting_since: Option<Instant>,
    overhead: Option<Duration>,
    first_token: Option<Duration>,
    /// What it took of the route's limits.
    pub(super) passage: Passage,
    /// Of the attempt whose answer is not here yet.
    under_way: Option<Arc<Progress>>,
    /// A second backend that is being asked at this moment.
    beside: Option<(usize, Arc<Progress>)>,
    hedged: bool,
    /// An answer that was not good enough, for as long as there is no better one.
    aside: Option<Aside>,
    /// Of the attempt whose answer is on its way.
    kept: Option<Kept>,
    /// What attempts have set aside that are not settled.
    held: Held,
    /// The budget that had no room for the request as it was.
    over_budget: Option<String>,
    end: Option<End>,
}

struct End {
    outcome: Outcome,
    status: u16,
    error: Option<String>,
    class: Option<Class>,
}

/// Nobody is there any more to see a status; this is what proxies log then.
const CLIENT_LEFT: u16 = 499;

// === impl Settle ===

impl Settle {
    pub(super) fn begin(place: Place, api: Api) -> Self {
        let id = place.runtime().request_id();
        Self {
            place,
            api,
            id,
            started: clock::now(),
            day: clock::today(),
            route: None,
            stream: false,
            sizes: Sizes::bounds(0, 0),
            asked: None,
            backend: None,
            attempts: 0,
            reason: None,
            fitting: Fitting::default(),
            billed: false,
            usage: None,
            reported: None,
            output_bytes: 0,
            skipped: 0,
            schema: None,
            wasted: NanoUsd::default(),
            waited: Duration::ZERO,
            stalled: Duration::ZERO,
            waiting_since: None,
            overhead: None,
            first_token: None,
            passage: Passage::default(),
            under_way: None,
            beside: None,
            hedged: false,
            aside: None,
            kept: None,
            held: Held::default(),
            over_budget: None,
            end: None,
        }
    }

    pub(super) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(self.place.runtime())
    }

    pub(super) const fn api(&self) -> Api {
        self.api
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The budget that had no room for the request as it was.
    pub(super) fn over_budget(&self) -> Option<&str> {
        self.over_budget.as_deref()
    }

    /// Why the first choice was not the last.
    pub(super) const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.route.as_deref()
    }

    /// The backend of the last attempt.
    pub(super) fn backend(&self) -> Option<&Backend> {
        self.route.as_ref()?.backends.get(self.backend?)
    }

    /// The request has a route.
    pub(super) fn routed(&mut self, route: &Arc<Route>, stream: bool, sizes: &Sizes) {
        self.route = Some(Arc::clone(route));
        self.stream = stream;
        self.sizes = *sizes;
    }

    /// An attempt begins.
    pub(super) fn attempt(&mut self, plan: &Plan, call: &Call, progress: &Arc<Progress>, now: Instant) {
        self.backend = Some(plan.backend);
        self.attempts = plan.attempts;
        let reason = || match (plan.escalated, plan.downgraded) {
            (true, _) => Some("Escalated"),
            (false, true) => Some("BudgetExhausted"),
            (false, false) => None,
        };
        self.reason = plan.reason.map(Class::as_str).or_else(reason);
        self.over_budget = call.rights.spared.map(|budget| call.route.budgets[budget].budget.name.clone());
        self.waited += call.rights.waited.saturating_sub(self.stalled);
        self.stalled = call.rights.waited;
        self.sizes = call.sizes;
        self.fitting.begin(call, plan.backend);
        self.billed = true;
        self.under_way = Some(Arc::clone(progress));
        self.wait(now);
    }

    /// A second backend is asked beside the first.
    pub(super) fn beside(&mut self, backend: usize, attempts: u32, progress: &Arc<Progress>) {
        self.beside = Some((backend, Arc::clone(progress)));
        self.hedged = true;
        self.attempts = attempts;
    }

    /// One of the two has failed, and the other one is waited for.
    pub(super) fn left_to(&mut self, other: usize, failed: Ended) {
        let under_way = self.beside.take().filter(|beside| beside.0 == other).map(|beside| beside.1);
        let under_way = under_way.or_else(|| self.under_way.take());
        self.ended(failed);
        self.alone(other);
        self.under_way = under_way;
        self.wait(clock::now());
    }

    /// Only this one is still asked, or has answered.
    pub(super) fn alone(&mut self, backend: usize) {
        self.backend = Some(backend);
        self.beside = None;
        self.billed = true;
    }

    pub(super) const fn hedged(&self) -> bool {
        self.hedged
    }

    /// From now on nothing happens here but waiting.
    pub(super) const fn wait(&mut self, now: Instant) {
        self.waiting_since = Some(now);
    }

    /// The wait is over.
    pub(super) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// A provider was waited for before it was asked for an answer.
    pub(super) fn waited_for(&mut self, time: Duration) {
        self.waited += time;
    }

    /// An attempt is over, or its answer has begun.
    pub(super) fn ended(&mut self, ended: Ended) -> Attempted {
        let Ended { index, mut outcome, measured: Measured { usage, output_bytes }, dropped, kept } = ended;
        self.fitting.dropped = dropped;
        self.go_on(clock::now());
        self.under_way = None;
        match &mut outcome {
            Attempted::Answered(_) => {
                self.used(usage);
                if usage.is_none() && self.api == Api::Embeddings {
                    self.usage = Some(self.estimate(0));
                }
                self.seen(output_bytes);
                self.kept = kept;
            }
            Attempted::Failed(failure) => {
                self.billed = false;
                match failure.wasted.take() {
                    Some(waste) => self.wasted(index, &waste),
                    None => self.charge(index, None, 0),
                }
            }
            // The provider has answered, and there was no room for it.
            Attempted::Refused(_) => {
                self.billed = false;
                self.wasted(index, &Waste { usage, output_bytes });
            }
        }
        outcome
    }

    /// What the provider billed.
    pub(super) fn used(&mut self, usage: Option<spillway_providers::Usage>) {
        if let Some(usage) = usage {
            self.usage = bill::tokens(usage);
            self.reported = Some(usage);
        }
    }

    /// What the provider said it billed for the answer at hand.
    pub(super) const fn usage(&self) -> Option<spillway_providers::Usage> {
        self.reported
    }

    /// How much of an answer has gone by.
    pub(super) const fn seen(&mut self, output_bytes: u64) {
        self.output_bytes = output_bytes;
    }

    /// Events of a stream that nobody could read and that were left out.
    pub(super) const fn skipped(&mut self, events: u32) {
        self.skipped = events;
    }

    /// The first content of a stream is here.
    pub(super) fn first_content(&mut self, now: Instant) {
        self.first_token = Some(now.saturating_duration_since(self.started));
    }

    /// What was spent here and not waiting, from the request's head to the answer's. Fixed by the first call.
    pub(super) fn overhead(&mut self, now: Instant) -> Duration {
        let waited = self.waited;
        *self.overhead.get_or_insert(now.saturating_duration_since(self.started).saturating_sub(waited))
    }

    /// What the request cost, answers that nobody got included, where usage and price are known.
    pub(super) fn cost(&self) -> Option<NanoUsd> {
        Some(self.own_cost()? + self.wasted + self.fitting.cost)
    }

    /// It ended well.
    pub(super) fn answered(&mut self, status: u16) {
        self.fitted(clock::now());
        if let Some(Kept { admission, _busy }) = self.kept.take() {
            admission.completed();
        }
        self.end = Some(End { outcome: Outcome::Answered, status, error: None, class: None });
    }

    /// The application got an error.
    pub(super) fn refused(&mut self, status: u16, code: String, class: Option<Class>) {
        self.billed = false;
        self.end = Some(End { outcome: Outcome::Failed, status, error: Some(code), class });
    }

    /// The stream broke after its first content.
    pub(super) fn cut(&mut self, code: &str, class: Class) {
        let seen = self.estimate(self.output_bytes).output;
        self.usage = self.usage.map(|usage| at_least(usage, seen));
        if let Some(Kept { admission, _busy }) = self.kept.take() {
            let failed = Failed::with(class);
            admission.failed(&failed, self.place.runtime().roll());
        }
        let end = End { outcome: Outcome::Cut, status: 200, error: Some(code.to_owned()), class: Some(class) };
        self.end = Some(end);
    }

    /// Ours, where the provider did not say.
    fn estimate(&self, output_bytes: u64) -> Usage {
        Usage { input: count::guess(&self.sizes), output: count::guess_output(output_bytes), ..Usage::default() }
    }

    /// What is still under way ends with the request.
    fn break_off(&mut self, now: Instant) {
        self.go_on(now);
        if let Some((other, progress)) = self.beside.take() {
            self.wasted(other, &progress.waste());
        }
        if let Some(progress) = self.under_way.take() {
            self.left(&progress.waste());
        }
        self.drop_aside();
        self.drop_summary();
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        let now = clock::now();
        self.break_off(now);
        // What is not billed by the token has no number of tokens to guess.
        if self.usage.is_none() && self.billed && self.api.has_prompt() {
            self.usage = Some(self.estimate(self.output_bytes));
        }
        let usage_estimated = self.usage.is_some() && self.reported.is_none();
        let (overhead, cost) = (self.overhead(now), self.own_cost());
        self.settle_own(cost);
        // A request that was never sent is none; a failed one was a request that used nothing.
        let tokens = self.usage.map_or(0, |usage| usage.input.saturating_add(usage.output));
        self.passage.end((self.attempts > 0).then_some(tokens));
        let end = self.end.take();
        let end = end.unwrap_or(End { outcome: Outcome::ClientLeft, status: CLIENT_LEFT, error: None, class: None });
        self.add_up(end.outcome, self.usage.as_ref(), cost);
        self.tell(&end, (cost, usage_estimated), (now, overhead));
    }
}
