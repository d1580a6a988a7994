//! A plan in words, and as JSON.

use serde_json::{Value, json};
use spillway_policy::fallback::{Output, Skip};
use spillway_wire as wire;

use super::plan::{Asked, Hop, Outcome, Plan, Step, When};
use crate::compile::{CompiledRoute, RouteFacts};

/// A plan and what it is about.
pub(super) struct Told<'a> {
    pub(super) key: &'a str,
    pub(super) route: &'a CompiledRoute,
    pub(super) facts: Option<&'a RouteFacts>,
    pub(super) kinds: Vec<&'a str>,
    pub(super) asked: &'a Asked,
    pub(super) plan: &'a Plan,
}

// === impl Told ===

impl Told<'_> {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        for step in &self.plan.steps {
            text.push_str(&format!("\n{}\n", self.title(step)));
            text.push_str(&self.hops(step));
            text.push_str(&self.last_resort(step));
        }
        text.push_str(&format!("\n{}\n", self.verdict()));
        for line in self.limits() {
            text.push_str(&format!("{line}\n"));
        }
        if !self.plan.assumed.is_empty() {
            let fields = self.plan.assumed.iter().map(|field| format!("request.{field}")).collect::<Vec<_>>();
            let verb = if fields.len() == 1 { "is" } else { "are" };
            text.push_str(&format!("assumed: {} {verb} empty, which a when looks at\n", fields.join(", ")));
        }
        text
    }

    fn head(&self) -> String {
        let Asked { tokens, tools, images, schema, stream, .. } = *self.asked;
        let with = [(tools, "tools"), (images, "images"), (schema, "a JSON schema")];
        let with: Vec<&str> = with.into_iter().filter(|(given, _)| *given).map(|(_, what)| what).collect();
        let with = if with.is_empty() { String::new() } else { format!(", with {}", with.join(", ")) };
        let stream = if stream { ", streamed" } else { "" };
        let answer = match self.plan.demand.output {
            Output::Asked(tokens) | Output::AtLeast { asked: tokens, .. } => format!("up to {tokens} for the answer"),
            Output::Reserve(tokens) => format!("{tokens} kept for the answer"),
        };
        let policy = match self.facts.and_then(|facts| facts.policy.as_ref()) {
            Some(policy) => format!("FallbackPolicy {}/{policy}", self.route.namespace),
            None => "no FallbackPolicy".to_owned(),
        };
        let models = self.route.route.models.join(", ");
        format!(
            "ModelRoute {} serves {models}; {policy}; contextWindow.onExceeded: {:?}\n\
             a prompt of {tokens} tokens, {answer}{with}{stream}\n",
            self.key, self.route.route.context_window.on_exceeded
        )
    }

    fn title(&self, step: &Step) -> String {
        match &step.when {
            When::First => format!("first choices, {}:", strategy(&self.route.route.strategy)),
            When::TooLong => "larger windows, by the rule for ContextWindowExceeded, the smallest first:".to_owned(),
            When::Lower => "with a lower limit for the answer:".to_owned(),
            When::Failed(classes) => format!("if {} fails with {}:", self.taken(), words(classes)),
        }
    }

    /// The backend that is asked when nobody has failed.
    fn taken(&self) -> &str {
        match self.plan.outcome {
            Outcome::Answer(index) | Outcome::Lowered(index, _) | Outcome::Shortened(index, _) => self.name(index),
            Outcome::TooLong(_) | Outcome::Nobody => "nobody",
        }
    }

    fn name(&self, index: usize) -> &str {
        self.route.route.backends.get(index).map_or("", |backend| &backend.name)
    }

    /// What happens when none of a step's backends can serve.
    fn last_resort(&self, step: &Step) -> String {
        use wire::OnExceeded::{Hybrid, Summarize, Truncate};
        let overflow = matches!(&step.when, When::Failed(on) if on[..] == [wire::ErrorClass::ContextWindowExceeded]);
        if overflow && matches!(self.route.route.context_window.on_exceeded, Truncate | Hybrid | Summarize) {
            return format!("  else {} again, with {}\n", self.taken(), self.shortened());
        }
        let nobody = if step.hops.is_empty() { "  nobody: the error goes to the application\n" } else { "" };
        nobody.to_owned()
    }

    /// One line a backend, in columns.
    fn hops(&self, step: &Step) -> String {
        let rows: Vec<[String; 5]> = step.hops.iter().map(|hop| self.row(step, hop)).collect();
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        let line = |row: &[String; 5]| {
            let [a, b, c, d] = widths;
            let [name, model, window, cost, verdict] = row;
            format!("  {name:<a$}  {model:<b$}  {window:<c$}  {cost:<d$}  {verdict}\n")
        };
        rows.iter().map(line).collect()
    }

    fn row(&self, step: &Step, hop: &Hop) -> [String; 5] {
        let backend = &self.route.route.backends[hop.backend];
        let window = backend.model.context_window_tokens;
        let window = window.map_or_else(|| "window unknown".to_owned(), |window| format!("window {window}"));
        let cost = self.plan.worst(hop.backend);
        let cost = cost.map_or_else(|| "cost unknown".to_owned(), |cost| format!("at most ${cost}"));
        let kind = self.kinds.get(hop.backend).copied().unwrap_or_default();
        let model = format!("{kind} {}", backend.model.name);
        let verdict = match hop.skip {
            Some(skip) => format!("skipped: {}", reason(skip, self.plan.demand.output)),
            None => self.able(step, hop),
        };
        [backend.name.clone(), model, window, cost, verdict]
    }

    fn able(&self, step: &Step, hop: &Hop) -> String {
        let first = step.hops.iter().find(|hop| hop.skip.is_none()) == Some(hop);
        let taken = matches!(self.plan.outcome, Outcome::Answer(index) if index == hop.backend);
        let word = match (&step.when, &self.route.route.strategy) {
            (When::First, wire::Strategy::Weighted) => {
                return format!("can serve, weight {}", self.route.route.backends[hop.backend].weight);
            }
            (When::First, wire::Strategy::LeastLatency | wire::Strategy::LeastBusy) => "can serve",
            (When::First, wire::Strategy::LeastCost) if taken => "asked, the cheapest",
            (When::First, wire::Strategy::LeastCost) => "can serve",
            _ if first => "asked",
            _ => "next, if the one before it is left alone",
        };
        word.to_owned()
    }

    fn verdict(&self) -> String {
        let retries = self.retries();
        match self.plan.outcome {
            Outcome::Answer(index) => {
                let one_of = match self.route.route.strategy {
                    wire::Strategy::Weighted | wire::Strategy::LeastLatency | wire::Strategy::LeastBusy
                        if self.plan.steps.len() == 1 || matches!(self.plan.steps[1].when, When::Failed(_)) =>
                    {
                        ", or whichever of the first choices the strategy prefers then"
                    }
                    _ => "",
                };
                format!("answered by {}{one_of}; {retries}", self.name(index))
            }
            Outcome::Lowered(index, room) => {
                format!("answered by {} with up to {room} tokens; {retries}", self.name(index))
            }
            Outcome::Shortened(index, room) => {
                let (name, how) = (self.name(index), self.shortened());
                format!("answered by {name} with {how}, down to {room} tokens, if what stays is no longer; {retries}")
            }
            Outcome::TooLong(index) => format!("refused: {}", self.too_long(index)),
            Outcome::Nobody => "refused: no first choice can serve it, and its length is not why".to_owned(),
        }
    }

    /// How a prompt is made to fit.
    fn shortened(&self) -> String {
        let wire::ContextWindow { truncate, summarize, .. } = &self.route.route.context_window;
        if let Some(wire::Summarize { backend, keep_last, .. }) = summarize {
            return format!("a summary by {backend} in place of all but the last {keep_last} messages");
        }
        let which = match truncate.order {
            wire::DropOrder::OldestFirst => "oldest messages",
            wire::DropOrder::MiddleOut => "messages in the middle",
        };
        format!("the {which} left out and the last {} kept", truncate.keep_last)
    }

    fn too_long(&self, index: usize) -> String {
        let name = self.name(index);
        let fix = match self.route.route.context_window.on_exceeded {
            wire::OnExceeded::Reject => {
                "set contextWindow.onExceeded to LargerModel, Truncate or Hybrid in a FallbackPolicy"
            }
            _ => {
                "name a backend with a larger window in the rule for ContextWindowExceeded, or set contextWindow.onExceeded: \
                 Hybrid"
            }
        };
        format!("the prompt does not fit {name}, and nobody else may be asked (fix: {fix})")
    }

    fn retries(&self) -> String {
        let wire::Retries { attempts, on, .. } = &self.route.route.retries;
        match attempts {
            0 => "no retries".to_owned(),
            1 => format!("1 retry there on {}", words(on)),
            _ => format!("{attempts} retries there on {}", words(on)),
        }
    }

    /// What each limit makes of it.
    fn limits(&self) -> Vec<String> {
        let asked = match self.plan.demand.output {
            Output::Asked(tokens) | Output::AtLeast { asked: tokens, .. } => tokens,
            Output::Reserve(_) => 0,
        };
        let needs = self.asked.tokens.saturating_add(asked);
        self.route.route.limits.iter().map(|limit| limit_line(limit, needs)).collect()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let hop = |step: &Step, hop: &Hop| {
            let backend = &self.route.route.backends[hop.backend];
            json!({
                "backend": backend.name,
                "provider": backend.provider,
                "type": self.kinds.get(hop.backend),
                "model": backend.model.name,
                "contextWindow": backend.model.context_window_tokens,
                "worstCost": self.plan.worst(hop.backend).map(|cost| cost.to_string()),
                "skipped": hop.skip.map(|skip| json!({"reason": skip.as_str(), "message": reason(skip, self.plan.demand.output)})),
                "verdict": hop.skip.is_none().then(|| self.able(step, hop)),
            })
        };
        let step = |step: &Step| {
            let (when, on) = match &step.when {
                When::First => ("First", None),
                When::TooLong => ("TooLong", None),
                When::Lower => ("LowerLimit", None),
                When::Failed(classes) => ("Failed", Some(classes)),
            };
            let hops: Vec<Value> = step.hops.iter().map(|one| hop(step, one)).collect();
            json!({"when": when, "on": on, "hops": hops})
        };
        let (outcome, backend) = match self.plan.outcome {
            Outcome::Answer(index) => ("Answered", Some(index)),
            Outcome::Lowered(index, _) => ("LimitLowered", Some(index)),
            Outcome::Shortened(index, _) => ("Shortened", Some(index)),
            Outcome::TooLong(_) | Outcome::Nobody => ("Refused", None),
        };
        json!({
            "route": self.key,
            "policy": self.facts.and_then(|facts| facts.policy.as_ref()),
            "onExceeded": self.route.route.context_window.on_exceeded,
            "tokens": self.asked.tokens,
            "outcome": outcome,
            "backend": backend.map(|index| self.name(index)),
            "message": self.verdict(),
            "steps": self.plan.steps.iter().map(step).collect::<Vec<_>>(),
            "limits": self.limits(),
            "assumed": self.plan.assumed,
        })
    }
}

fn limit_line(limit: &wire::Limit, needs: u64) -> String {
    let wire::Limit { name, per, scope: _, requests, tokens, window_ms, burst, concurrency, queue } = limit;
    let most = tokens.map(|tokens| burst.unwrap_or(tokens));
    let amounts = [
        requests.map(|requests| format!("{requests} requests")),
        tokens.map(|tokens| format!("{tokens} tokens")),
        concurrency.map(|concurrency| format!("{concurrency} at one time")),
    ];
    let amounts: Vec<String> = amounts.into_iter().flatten().collect();
    let over = if *window_ms > 0 { format!(" in {} s", *window_ms as f64 / 1_000.0) } else { String::new() };
    let whose = match per {
        wire::LimitPer::Header(header) => format!("each value of {header}"),
        wire::LimitPer::User => "each user".to_owned(),
        other => format!("the {}", format!("{other:?}").to_lowercase()),
    };
    let line = format!("limit {name}: {}{over} for {whose}", amounts.join(" and "));
    match most.filter(|most| *most < needs) {
        Some(most) => {
            format!("{line}; refuses this for ever: it takes at least {needs} tokens, and {most} are all there are")
        }
        None if queue.is_some() => format!("{line}; waits where it is used up"),
        None => line,
    }
}

fn strategy(given: &wire::Strategy) -> String {
    match given {
        wire::Strategy::Priority => "in this order".to_owned(),
        wire::Strategy::Weighted => "by weight".to_owned(),
        wire::Strategy::LeastCost => "the cheapest worst case first".to_owned(),
        wire::Strategy::LeastLatency => "the fastest first".to_owned(),
        wire::Strategy::LeastBusy => "the least busy first".to_owned(),
        wire::Strategy::Cascade { escalate_when } => {
            format!("in this order, and on to the next one while {escalate_when}")
        }
    }
}

fn words(classes: &[wire::ErrorClass]) -> String {
    let word = |class: &wire::ErrorClass| serde_json::to_value(class).ok()?.as_str().map(str::to_owned);
    classes.iter().filter_map(word).collect::<Vec<_>>().join(", ")
}

/// Why a backend is passed over.
fn reason(skip: Skip, output: Output) -> String {
    match skip {
        Skip::TooLong { prompt, output: kept, window, certain } => {
            let rest = match output {
                Output::Asked(_) | Output::AtLeast { .. } => format!("the answer may take {kept}"),
                Output::Reserve(_) => format!("{kept} are kept for the answer"),
            };
            let estimated = if certain { "" } else { " by an estimate" };
            format!("too long{estimated}: the prompt has {prompt} tokens and {rest}, of a window of {window}")
        }
        Skip::NotLarger { window } => format!("its window of {window} tokens is no larger"),
        Skip::NoTools => "takes no tools".to_owned(),
        Skip::NoParallelTools => "calls tools one by one".to_owned(),
        Skip::NoImages => "takes no images".to_owned(),
        Skip::NoImageUrls => "fetches no images".to_owned(),
        Skip::NoJsonSchema => "takes no JSON schema".to_owned(),
        Skip::NoHostedTools => "runs no tools of its own".to_owned(),
        Skip::Unable => "has no such API".to_owned(),
        Skip::TooExpensive { worst, max } => {
            format!("can cost up to ${worst}, the route's maxCostPerRequest is ${max}")
        }
        Skip::NoPrice => "its price is unknown, and the route has a maxCostPerRequest".to_owned(),
        Skip::Unwanted => "its when is false".to_owned(),
        Skip::Unclear => "its when is neither true nor false of this".to_owned(),
        Skip::Out => "it is the one that failed".to_owned(),
        Skip::Open => "left alone".to_owned(),
        Skip::Denied => "no rights".to_owned(),
    }
}
