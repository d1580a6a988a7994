//! What a sidecar would do with a request, hop by hop. Which backend can serve is decided by the code that sidecars decide
//! with; what comes after what is their order of asking: first choices, larger windows, rules.

use std::collections::BTreeSet;

use spillway_expression::{Expression, Subject, Value};
use spillway_policy::{
    NanoUsd, balance,
    fallback::{self, Able, Attached, Candidate, Counted, Demand, Output, Question, Set, Sizes, Skip},
};
use spillway_wire as wire;

use super::candidate::candidate;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) tokens: u64,
    pub(super) output: Option<u64>,
    pub(super) tools: bool,
    pub(super) images: bool,
    pub(super) schema: bool,
    pub(super) stream: bool,
}

/// A backend that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) backend: usize,
    /// Why it is passed over. None: it can serve.
    pub(super) skip: Option<Skip>,
}

/// Backends that are looked at together, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) when: When,
    pub(super) hops: Vec<Hop>,
}

/// When a step is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    First,
    /// The prompt is too long for every first choice.
    TooLong,
    /// It may fit whoever's answer is limited to what is left of its window.
    Lower,
    /// The one that was asked failed with one of these, and its retries are spent.
    Failed(Vec<wire::ErrorClass>),
}

/// What the application gets, if nobody fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answer(usize),
    /// From this backend, with the request's own limit lowered to so many tokens.
    Lowered(usize, u64),
    /// From this backend, once the prompt is shortened to so many tokens.
    Shortened(usize, u64),
    TooLong(usize),
    Nobody,
}

/// All of it.
pub(super) struct Plan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) demand: Demand,
    sizes: Sizes,
    pub(super) steps: Vec<Step>,
    pub(super) outcome: Outcome,
    /// Fields of requests that expressions look at and nobody gave.
    pub(super) assumed: BTreeSet<&'static str>,
}

/// A request on its way through a route.
struct Walk<'a> {
    route: &'a wire::Route,
    candidates: Vec<Candidate>,
    demand: Demand,
    sizes: Sizes,
    tokens: u64,
    unwanted: Set,
    unclear: Set,
}

/// An estimate of a prompt may be short of what the provider counts by this part of it, and a token has so many bytes.
const DOUBT: u64 = 8;
const BYTES_PER_TOKEN: u64 = 4;

/// Makes the plan. `kind` says of what type a provider is.
pub(super) fn plan<'a>(route: &'a wire::Route, kind: impl Fn(&str) -> &'a str, asked: &Asked) -> Plan {
    let candidates = route.backends.iter().map(|backend| candidate(backend, kind(&backend.provider))).collect();
    let sizes = sizes(asked);
    let output = output(route, asked);
    let Asked { tools, images, schema: json_schema, .. } = *asked;
    let demand = Demand { output, tools, images, json_schema, ..Demand::default() };
    let (unwanted, unclear, assumed) = judge(route, asked, output);
    let walk = Walk { route, candidates, demand, sizes, tokens: asked.tokens, unwanted, unclear };
    let (steps, outcome) = walk.steps();
    Plan { candidates: walk.candidates, demand, sizes, steps, outcome, assumed }
}

/// A prompt of so many tokens as a sidecar finds it: counted where the tokenizer is known, and estimated otherwise.
fn sizes(asked: &Asked) -> Sizes {
    let counted = |exact| Some(Counted { tokens: asked.tokens, exact: exact && !asked.images });
    let attached = Attached { images: u64::from(asked.images), ..Attached::default() };
    // The first two are OpenAI's, whose template is known to the token.
    let counted = std::array::from_fn(|tokenizer| counted(tokenizer < 2));
    Sizes { attached, counted, ..Sizes::bounds(0, asked.tokens.saturating_mul(BYTES_PER_TOKEN)) }
}

/// Tokens kept for the answer: what the route sets, what the request asks for, what the route adds, or its reserve.
fn output(route: &wire::Route, asked: &Asked) -> Output {
    let field = |fields: &wire::Map<serde_json::Value>| {
        ["max_completion_tokens", "max_tokens"].into_iter().find_map(|name| fields.get(name)?.as_u64())
    };
    let given = field(&route.request.set).or(asked.output).or_else(|| field(&route.request.defaults));
    given.map_or(Output::Reserve(route.context_window.reserve_output_tokens), Output::Asked)
}

/// What the expressions of `when` say, and what they looked at that nobody gave.
fn judge(route: &wire::Route, asked: &Asked, output: Output) -> (Set, Set, BTreeSet<&'static str>) {
    let (mut unwanted, mut unclear, mut assumed) = (Set::default(), Set::default(), BTreeSet::new());
    for (index, backend) in route.backends.iter().enumerate() {
        let Some(when) = &backend.when else { continue };
        let Ok(expression) = Expression::compile(Subject::Request, when) else { continue };
        let answer = expression.is_true(|field| match field {
            "tokens" => Value::Int(asked.tokens),
            "maxTokens" => Value::Int(if let Output::Asked(tokens) = output { tokens } else { 0 }),
            "hasTools" => Value::Bool(asked.tools),
            "hasImages" => Value::Bool(asked.images),
            "hasJsonSchema" => Value::Bool(asked.schema),
            "stream" => Value::Bool(asked.stream),
            "model" => Value::Text(route.models.first().cloned().unwrap_or_default()),
            field => {
                assumed.insert(field);
                match field {
                    "messages" => Value::Int(1),
                    "hour" | "weekday" => Value::Int(0),
                    "headers" => Value::Headers(Vec::new()),
                    _ => Value::Text(String::new()),
                }
            }
        });
        match answer {
            Ok(true) => {}
            Ok(false) => unwanted.insert(index),
            Err(_) => unclear.insert(index),
        }
    }
    (unwanted, unclear, assumed)
}

// === impl Walk ===

impl Walk<'_> {
    fn steps(&self) -> (Vec<Step>, Outcome) {
        let (mut able, hops) = self.first();
        let mut steps = vec![Step { when: When::First, hops }];
        if let wire::Strategy::LeastCost = self.route.strategy {
            balance::by_cost(&mut able, |index| self.worst(index));
        }
        if let Some(first) = able.first() {
            steps.extend(self.after(*first));
            return (steps, Outcome::Answer(*first));
        }
        let too_long = |hop: &Hop| match hop.skip {
            Some(Skip::TooLong { window, .. }) => Some((hop.backend, window)),
            _ => None,
        };
        let Some((overflowed, window)) = steps[0].hops.iter().find_map(too_long) else {
            return (steps, Outcome::Nobody);
        };
        let outcome = self.make_room(overflowed, window, &mut steps);
        (steps, outcome)
    }

    /// The first choices: those that can serve come first, in the order in which they are asked.
    fn first(&self) -> (Vec<usize>, Vec<Hop>) {
        let order: Vec<usize> = fallback::primaries(&self.candidates).collect();
        let hops = self.look(&order, Set::default(), self.demand);
        (hops.iter().filter(|hop| hop.skip.is_none()).map(|hop| hop.backend).collect(), hops)
    }

    /// The prompt is too long for all that could be asked first: a larger model, a lower limit, fewer messages.
    fn make_room(&self, overflowed: usize, window: u64, steps: &mut Vec<Step>) -> Outcome {
        use wire::OnExceeded::{Hybrid, LargerModel, Reject};
        let mode = self.route.context_window.on_exceeded;
        let looks_for_more = matches!(mode, LargerModel | Hybrid);
        if looks_for_more && let Some(found) = self.try_all(&self.larger(), self.demand, When::TooLong, steps) {
            steps.extend(self.after(found));
            return Outcome::Answer(found);
        }
        let lowered = self.lower_limit(looks_for_more, steps);
        if let Some(Outcome::Lowered(found, _)) = lowered {
            steps.extend(self.after(found));
        } else if !matches!(mode, Reject | LargerModel) {
            steps.extend(self.after(overflowed));
            let reserve = self.route.context_window.reserve_output_tokens;
            // An answer is left all that it asked for, where that is half of the window or less.
            let output = match self.demand.output {
                Output::Asked(asked) if asked > window / 2 => Output::AtLeast { asked, reserve },
                output => output,
            };
            return Outcome::Shortened(overflowed, window.saturating_sub(output.of(window)));
        }
        lowered.unwrap_or_else(|| self.doubtful(overflowed, steps))
    }

    /// It fits nobody by an estimate: whoever has the largest window that it may fit decides.
    fn doubtful(&self, overflowed: usize, steps: &mut Vec<Step>) -> Outcome {
        let window = |hop: &Hop| match hop.skip {
            Some(Skip::TooLong { window, certain: false, .. }) => Some((hop.backend, window)),
            _ => None,
        };
        let found = steps.iter().flat_map(|step| &step.hops).filter_map(window);
        let Some((found, _)) = found.rev().max_by_key(|(_, window)| *window) else {
            return Outcome::TooLong(overflowed);
        };
        steps.extend(self.after(found));
        Outcome::Answer(found)
    }

    /// A request that sets a limit may fit with a lower one. None: it sets none, or nobody takes it even so.
    fn lower_limit(&self, looks_for_more: bool, steps: &mut Vec<Step>) -> Option<Outcome> {
        let Output::Asked(asked) = self.demand.output else { return None };
        let output = Output::AtLeast { asked, reserve: self.route.context_window.reserve_output_tokens };
        let demand = Demand { output, ..self.demand };
        let primaries: Vec<usize> = fallback::primaries(&self.candidates).collect();
        let larger = if looks_for_more { self.larger() } else { Vec::new() };
        let mut orders = [primaries, larger].into_iter().filter(|order| !order.is_empty());
        let found = orders.find_map(|order| self.try_all(&order, demand, When::Lower, steps))?;
        let candidate = &self.candidates[found];
        let is_exact = self.sizes.counted[candidate.tokenizer].is_some_and(|counted| counted.exact);
        let prompt = self.tokens + if is_exact { 0 } else { self.tokens / DOUBT };
        let room = candidate.window.unwrap_or(u64::MAX);
        let room = room.saturating_sub(prompt).max(demand.output.of(room));
        Some(Outcome::Lowered(found, room.min(asked)))
    }

    /// A step in which all of these are looked at, and who of them is asked.
    fn try_all(&self, order: &[usize], demand: Demand, when: When, steps: &mut Vec<Step>) -> Option<usize> {
        let hops = self.look(order, Set::default(), demand);
        let found = hops.iter().find(|hop| hop.skip.is_none()).map(|hop| hop.backend);
        steps.push(Step { when, hops });
        found
    }

    /// Whom the rule for prompts that are too long names, the smallest window first.
    fn larger(&self) -> Vec<usize> {
        let rule = self.route.fallbacks.iter().find(|rule| rule.on.contains(&wire::ErrorClass::ContextWindowExceeded));
        let named = rule.map_or_else(Vec::new, |rule| self.named(&rule.to));
        self.question(Set::default(), self.demand).by_window(&named)
    }

    /// Where each rule leads once `failed` has failed. Of several rules for a class the first decides.
    fn after(&self, failed: usize) -> Vec<Step> {
        const OVERFLOW: wire::ErrorClass = wire::ErrorClass::ContextWindowExceeded;
        let mut out = Set::default();
        out.insert(failed);
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for rule in &self.route.fallbacks {
            let on: Vec<wire::ErrorClass> = rule.on.iter().copied().filter(|class| seen.insert(*class)).collect();
            if on.contains(&OVERFLOW) {
                steps.push(Step {
                    when: When::Failed(vec![OVERFLOW]),
                    hops: self.look(&self.after_overflow(rule), out, self.demand),
                });
            }
            let on: Vec<wire::ErrorClass> = on.into_iter().filter(|class| *class != OVERFLOW).collect();
            if !on.is_empty() {
                steps.push(Step { when: When::Failed(on), hops: self.look(&self.named(&rule.to), out, self.demand) });
            }
        }
        steps
    }

    /// A provider says that the prompt is too long, whatever was known of its window.
    fn after_overflow(&self, rule: &wire::FallbackRule) -> Vec<usize> {
        match self.route.context_window.on_exceeded {
            wire::OnExceeded::Reject => self.named(&rule.to),
            wire::OnExceeded::LargerModel | wire::OnExceeded::Hybrid => self.larger(),
            wire::OnExceeded::Truncate | wire::OnExceeded::Summarize => Vec::new(),
        }
    }

    fn named(&self, names: &[String]) -> Vec<usize> {
        let find = |name: &String| self.route.backends.iter().position(|backend| backend.name == *name);
        names.iter().filter_map(find).collect()
    }

    /// Asks of each in turn whether it can serve.
    fn look(&self, order: &[usize], out: Set, demand: Demand) -> Vec<Hop> {
        let question = self.question(out, demand);
        let mut hops = Vec::with_capacity(order.len());
        for index in order {
            let mut skipped = None;
            let able = question.able(&[*index], |_, skip| skipped = Some(skip));
            debug_assert!(able.iter().all(|Able { certain, .. }| *certain), "the prompt is counted");
            hops.push(Hop { backend: *index, skip: skipped });
        }
        hops
    }

    fn question(&self, out: Set, demand: Demand) -> Question<'_> {
        Question {
            candidates: &self.candidates,
            learnt: &[],
            told: &[],
            demand,
            sizes: &self.sizes,
            out,
            open: Set::default(),
            denied: Set::default(),
            unwanted: self.unwanted,
            unclear: self.unclear,
            larger_than: 0,
            max_cost: self.route.max_cost_nanos.map(NanoUsd),
        }
    }

    fn worst(&self, index: usize) -> Option<NanoUsd> {
        self.candidates.get(index)?.worst(self.tokens, &self.demand)
    }
}

// === impl Plan ===

impl Plan {
    /// The most that the request can cost at a backend. None: nobody knows.
    pub(super) fn worst(&self, index: usize) -> Option<NanoUsd> {
        let candidate = self.candidates.get(index)?;
        candidate.worst(self.sizes.most(candidate)?, &self.demand)
    }
}
