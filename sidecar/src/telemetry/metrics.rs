//! The metrics: OpenTelemetry's GenAI names where it has one, `spillway_sidecar_*` for the rest.
//!
//! A request looks its counters up once, by a hash of its labels; what it then does is atomic additions.

mod families;
mod limits;
mod rights;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use prometheus::{Histogram, IntCounter, IntGauge};
use spillway_policy::{Class, NanoUsd, breaker::Phase};
use spillway_providers::Api;

use self::families::Families;
pub use self::rights::BudgetFigures;
use crate::{
    clock,
    record::{Outcome, RequestRecord},
};

/// Routes × backends × operations of any sane config; whatever comes after is counted as [`OTHER`].
const MAX_SERIES: usize = 1024;
/// The label of what has no configured name.
const OTHER: &str = "other";
const OUTCOMES: [Outcome; 4] = [Outcome::Answered, Outcome::Failed, Outcome::Cut, Outcome::ClientLeft];

/// All metrics of the process. An argument, never a static.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    limits: limits::Limits,
    rights: rights::Rights,
    hasher: RandomState,
    series: Mutex<HashMap<u64, Arc<Series>>>,
    config: Mutex<Config>,
}

/// What one backend of one route counts for one operation.
#[derive(Debug)]
struct Series {
    /// In the order of [`OUTCOMES`].
    requests: [IntCounter; 4],
    cost: IntCounter,
    unpriced: IntCounter,
    input_tokens: Histogram,
    output_tokens: Histogram,
    duration: Histogram,
    first_chunk: Histogram,
}

#[derive(Debug, Default)]
struct Config {
    revision: Option<String>,
    confirmed: Option<Instant>,
}

/// Counts a stream as open until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the stream is closed"]
pub struct OpenStream(IntGauge);

#[derive(Clone, Copy)]
struct Labels<'a> {
    operation: &'static str,
    route: &'a str,
    backend: &'a str,
    provider: &'a str,
    kind: &'a str,
    model: &'a str,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new() -> Self {
        let families = Families::register();
        Self {
            limits: limits::Limits::register(&families),
            rights: rights::Rights::register(&families),
            families,
            hasher: RandomState::new(),
            series: Mutex::default(),
            config: Mutex::default(),
        }
    }

    /// Counts a request that is over.
    pub fn request(&self, record: &RequestRecord<'_>) {
        let labels = Labels::of(record);
        let series = self.series(labels);
        series.requests[OUTCOMES.iter().position(|outcome| *outcome == record.outcome).unwrap_or(0)].inc();
        self.families.overhead.observe(record.overhead.as_secs_f64());
        let duration = record.duration.as_secs_f64();
        match record.class.map(Class::as_str).or(record.error) {
            Some(error) if record.outcome != Outcome::Answered => {
                self.families.duration(labels.operation, series_kind(labels), labels.model, error).observe(duration);
            }
            _ => series.duration.observe(duration),
        }
        if let Some(first) = record.first_token {
            series.first_chunk.observe(first.as_secs_f64());
        }
        if let Some(reason) = record.fallback_reason {
            self.families.fallbacks.with_label_values(&[labels.route, reason]).inc();
        }
        if record.dropped.is_some() {
            self.families.windows.dropped.with_label_values(&[labels.route, labels.provider]).inc();
        }
        if record.skipped_events > 0 {
            let skipped = u64::from(record.skipped_events);
            self.families.skipped_events.with_label_values(&[labels.route, labels.provider]).inc_by(skipped);
        }
        if let Some(usage) = record.usage {
            series.input_tokens.observe(tokens(usage.input));
            series.output_tokens.observe(tokens(usage.output));
        }
        // What is billed by the piece has a cost and no tokens.
        if let Some(cost) = record.cost {
            series.cost.inc_by(cost.0);
        }
        if record.short || (record.cost.is_none() && record.usage.is_some()) {
            series.unpriced.inc();
        }
    }

    /// Counts one attempt at a provider, however it ended.
    pub fn attempt(&self, route: &str, provider: &str, failed: Option<Class>, took: Duration) {
        let outcome = failed.map_or("ok", Class::as_str);
        let labels = [route, provider, outcome];
        self.families.attempts.with_label_values(&labels).inc();
        self.families.upstream.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// Counts one use of one of several keys: `number` is its place in the provider's list, from 1 on.
    pub fn key_used(&self, provider: &str, number: usize, failed: Option<Class>) {
        let outcome = failed.map_or("ok", Class::as_str);
        self.families.keys.with_label_values(&[provider, &number.to_string(), outcome]).inc();
    }

    /// Counts a first choice.
    pub fn chosen(&self, route: &str, backend: &str, strategy: &str) {
        self.families.choices.with_label_values(&[route, backend, strategy]).inc();
    }

    /// Counts what an answer cost that nobody got. `place` is route, backend, provider and model, all of them configured.
    pub fn wasted(&self, place: [&str; 4], cost: NanoUsd) {
        self.families.cost.with_label_values(&place).inc_by(cost.0);
        self.families.wasted.with_label_values(&place).inc_by(cost.0);
    }

    /// Counts a prompt that did not fit, and what was done about it.
    pub fn overflow(&self, route: &str, done: &str) {
        self.families.windows.overflows.with_label_values(&[route, done]).inc();
    }

    /// Counts a summary that was wanted, and how it was come by or why it was not.
    pub fn summarized(&self, route: &str, backend: &str, outcome: &str) {
        self.families.windows.summaries.with_label_values(&[route, backend, outcome]).inc();
    }

    /// Counts a provider that was to count a prompt itself, and how it went.
    pub fn asked_to_count(&self, route: &str, backend: &str, outcome: &str) {
        self.families.windows.asked.with_label_values(&[route, backend, outcome]).inc();
    }

    /// Counts what a summary cost: under its own backend, like any answer.
    pub fn summary_cost(&self, place: [&str; 4], cost: NanoUsd) {
        self.families.cost.with_label_values(&place).inc_by(cost.0);
        self.families.windows.cost.with_label_values(&place).inc_by(cost.0);
    }

    /// A window that has proved smaller than it was said to be.
    pub(crate) fn learnt_window(&self, provider: &str, model: &str, window: u64) {
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        self.families.windows.learnt.with_label_values(&[provider, model]).set(window);
    }

    /// Counts an answer of a cascade that was not good enough, and what came of it.
    pub fn escalated(&self, route: &str, backend: &str, outcome: &str) {
        self.families.escalations.with_label_values(&[route, backend, outcome]).inc();
    }

    /// Counts an answer whose form was checked.
    pub fn checked(&self, route: &str, backend: &str, outcome: &str) {
        self.families.checks.with_label_values(&[route, backend, outcome]).inc();
    }

    /// Counts a copy for a shadow, and how it ended.
    pub fn shadow(&self, route: &str, backend: &str, outcome: &str) {
        self.families.shadows.with_label_values(&[route, backend, outcome]).inc();
    }

    /// Counts what a copy cost: under its own backend, like any answer.
    pub fn shadow_cost(&self, place: [&str; 4], cost: NanoUsd) {
        self.families.cost.with_label_values(&place).inc_by(cost.0);
    }

    /// Counts a backend that could not be the first choice.
    pub fn passed_over(&self, route: &str, backend: &str, reason: &str) {
        self.families.skips.with_label_values(&[route, backend, reason]).inc();
    }

    /// Counts a request that was asked twice. `won`: whether the second one answered first; None: nobody answered.
    pub fn hedged(&self, route: &str, won: Option<bool>) {
        let won = won.map_or("nobody", |second| if second { "second" } else { "first" });
        self.families.hedges.with_label_values(&[route, won]).inc();
    }

    /// Forgets what breakers and budgets were, before it is told anew.
    pub(crate) fn begin_gates(&self) {
        self.families.gates.state.reset();
        self.families.gates.transitions.reset();
        self.families.gates.left.reset();
        self.families.gates.refused.reset();
        self.families.windows.learnt.reset();
        self.families.gates.estimates.reset();
    }

    /// What the model of a backend makes of our estimates.
    pub(crate) fn estimates(&self, route: &str, backend: &str, per_mille: u32) {
        self.families.gates.estimates.with_label_values(&[route, backend]).set(per_mille.into());
    }

    /// What a breaker is, and how often it has become what.
    pub(crate) fn gate(&self, kind: &str, name: &str, phase: Phase, turns: [u64; 3]) {
        let state = match phase {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open => 2,
        };
        self.families.gates.state.with_label_values(&[kind, name]).set(state);
        for (to, turns) in [Phase::Closed, Phase::Open, Phase::HalfOpen].into_iter().zip(turns) {
            self.families.gates.transitions.with_label_values(&[kind, name, to.as_str()]).inc_by(turns);
        }
    }

    /// A route's budget of extra attempts: what is left of it, and how many were not made for want of it.
    pub(crate) fn budget(&self, route: &str, left: Option<u64>, refused: u64) {
        if let Some(left) = left {
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            self.families.gates.left.with_label_values(&[route]).set(left);
        }
        self.families.gates.refused.with_label_values(&[route]).inc_by(refused);
    }

    /// A stream to an application has begun.
    pub fn open_stream(&self) -> OpenStream {
        self.families.streams.inc();
        OpenStream(self.families.streams.clone())
    }

    /// The config in use, known at `now` to be what it should be.
    pub fn config(&self, revision: Option<&str>, now: Instant) {
        let mut config = self.lock_config();
        config.confirmed = Some(now);
        if config.revision.as_deref() != revision {
            self.families.config_info.reset();
            if let Some(revision) = revision {
                self.families.config_info.with_label_values(&[revision]).set(1);
            }
            config.revision = revision.map(str::to_owned);
        }
    }

    pub(super) fn render(&self, lost_lines: u64) -> String {
        if let Some(confirmed) = self.lock_config().confirmed {
            let age = clock::now().saturating_duration_since(confirmed);
            self.families.config_age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        }
        self.families.lost_lines.reset();
        self.families.lost_lines.inc_by(lost_lines);
        self.families.render()
    }

    fn series(&self, labels: Labels<'_>) -> Arc<Series> {
        let mut known = self.series.lock().expect("nothing panics while holding the series");
        let hash = self.hasher.hash_one(labels.all());
        if let Some(series) = known.get(&hash) {
            return Arc::clone(series);
        }
        let (hash, labels) = if known.len() < MAX_SERIES { (hash, labels) } else { (0, Labels::other()) };
        Arc::clone(known.entry(hash).or_insert_with(|| Arc::new(self.families.series(labels))))
    }

    fn lock_config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().expect("nothing panics while holding the config's name")
    }
}

// === impl OpenStream ===

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl Labels ===

impl<'a> Labels<'a> {
    fn of(record: &RequestRecord<'a>) -> Self {
        Self {
            operation: operation(record.api),
            route: record.route.unwrap_or(OTHER),
            backend: record.backend.unwrap_or(OTHER),
            provider: record.provider.unwrap_or(OTHER),
            kind: record.provider_kind.unwrap_or(OTHER),
            model: record.model.unwrap_or(OTHER),
        }
    }

    fn other() -> Self {
        Self { operation: OTHER, route: OTHER, backend: OTHER, provider: OTHER, kind: OTHER, model: OTHER }
    }

    fn all(self) -> [&'a str; 6] {
        [self.operation, self.route, self.backend, self.provider, self.kind, self.model]
    }
}

/// The name OpenTelemetry has for what the application called.
pub(super) fn operation(api: Api) -> &'static str {
    match api {
        Api::ChatCompletions | Api::Messages | Api::Responses => "chat",
        Api::Completions => "text_completion",
        Api::Embeddings => "embeddings",
        Api::CountTokens => "count_tokens",
        Api::Tokenize => "tokenize",
        Api::Pass(pass) => pass.operation,
    }
}

/// The name OpenTelemetry has for a provider: its own spelling where there is one, else ours in lower case.
fn series_kind(labels: Labels<'_>) -> &str {
    const RESPELT: [(&str, &str); 16] = [
        ("OpenAI", "openai"),
        ("OpenAICompatible", "openai_compatible"),
        ("Anthropic", "anthropic"),
        ("AzureOpenAI", "azure.ai.openai"),
        ("Gemini", "gcp.gemini"),
        ("VertexAI", "gcp.vertex_ai"),
        ("Bedrock", "aws.bedrock"),
        ("Mistral", "mistral_ai"),
        ("XAI", "x_ai"),
        ("Groq", "groq"),
        ("DeepSeek", "deepseek"),
        ("Perplexity", "perplexity"),
        ("Cohere", "cohere"),
        ("Together", "together"),
        ("OpenRouter", "openrouter"),
        ("Ollama", "ollama"),
    ];
    RESPELT.iter().find(|(ours, _)| *ours == labels.kind).map_or(labels.kind, |(_, theirs)| theirs)
}

#[expect(clippy::cast_precision_loss, reason = "a histogram takes floats; counts of tokens are far below 2^52")]
fn tokens(count: u64) -> f64 {
    count as f64
}
