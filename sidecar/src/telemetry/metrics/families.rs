//! Names, help texts, labels and buckets: the list a dashboard is written from.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use super::{Labels, OUTCOMES, Series, series_kind};

/// The buckets OpenTelemetry asks for, so that dashboards made for other clients fit.
const OPERATION_SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const CHUNK_SECONDS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Powers of four up to four million: the largest prompts there are.
const TOKENS: [f64; 12] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// Around what it should be, some tens of microseconds.
const OVERHEAD_SECONDS: [f64; 12] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003, 0.006, 0.012, 0.05, 0.25];

#[derive(Debug)]
pub(super) struct Families {
    pub(super) registry: Registry,
    requests: IntCounterVec,
    pub(super) cost: IntCounterVec,
    pub(super) wasted: IntCounterVec,
    unpriced: IntCounterVec,
    gen_ai: GenAi,
    pub(super) attempts: IntCounterVec,
    pub(super) upstream: HistogramVec,
    pub(super) keys: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) hedges: IntCounterVec,
    pub(super) gates: Gates,
    pub(super) windows: Windows,
    pub(super) choices: IntCounterVec,
    pub(super) skips: IntCounterVec,
    pub(super) escalations: IntCounterVec,
    pub(super) checks: IntCounterVec,
    pub(super) shadows: IntCounterVec,
    pub(super) skipped_events: IntCounterVec,
    pub(super) overhead: Histogram,
    pub(super) streams: IntGauge,
    pub(super) config_info: IntGaugeVec,
    pub(super) config_age: IntGauge,
    pub(super) lost_lines: IntCounter,
}

/// What is read off breakers and budgets whenever somebody asks.
#[derive(Debug)]
pub(super) struct Gates {
    pub(super) state: IntGaugeVec,
    pub(super) transitions: IntCounterVec,
    pub(super) left: IntGaugeVec,
    pub(super) refused: IntCounterVec,
    pub(super) estimates: IntGaugeVec,
}

/// Requests that do not fit as they are: prompts a window, parameters a backend.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) overflows: IntCounterVec,
    pub(super) summaries: IntCounterVec,
    pub(super) cost: IntCounterVec,
    pub(super) asked: IntCounterVec,
    pub(super) learnt: IntGaugeVec,
    pub(super) dropped: IntCounterVec,
}

/// The families OpenTelemetry names.
#[derive(Debug)]
struct GenAi {
    token_usage: HistogramVec,
    durations: HistogramVec,
    first_chunk: HistogramVec,
}

const VALID: &str = "names and labels are constants that Prometheus allows";

// === impl Families ===

impl Families {
    pub(super) fn register() -> Self {
        let registry = Registry::new();
        let of = &registry;
        let backend = ["route", "backend", "provider", "model"];
        let request = ["route", "backend", "provider", "model", "operation", "outcome"];
        let attempt = ["route", "provider", "outcome"];
        let fallback = ["route", "reason"];
        let choice = ["route", "backend", "strategy"];
        let skip = ["route", "backend", "reason"];
        let ended = ["route", "backend", "outcome"];
        let escalated = "Answers of a cascade that were not good enough, and whether another backend was asked.";
        let checked = "Answers whose form was checked against what their request asked for, and what was found.";
        let passed_over = "Primary backends that could not be the first choice of a request, and why.";
        let keys = "Attempts with each key of a provider that has several, by their order.";
        let seconds = "Attempts at providers, until the answer's head or the failure.";
        let overhead = "Time a request spent in the sidecar itself.";
        let revision = "1 for the revision of the config in use.";
        let age = "Seconds since the source of the config last confirmed that it is current.";
        let wasted = "What of the cost went into answers that nobody got: held streams, hedges, escalations.";
        let skipped = "Events of providers' streams that held no JSON and were left out.";
        let lost = "Log lines that were left out because the output was blocked.";
        Self {
            requests: counters(of, "requests_total", "Requests of applications, by how they ended.", &request),
            cost: counters(of, "cost_nano_dollars_total", "What answers cost, in billionths of a dollar.", &backend),
            wasted: counters(of, "wasted_nano_dollars_total", wasted, &backend),
            unpriced: counters(of, "unpriced_requests_total", "Answers whose price is not fully known.", &backend),
            gen_ai: GenAi::register(of),
            attempts: counters(of, "attempts_total", "Attempts at providers, by class of failure or ok.", &attempt),
            keys: counters(of, "key_attempts_total", keys, &["provider", "key", "outcome"]),
            upstream: histograms(of, "spillway_sidecar_upstream_seconds", seconds, &attempt, &OPERATION_SECONDS),
            hedges: counters(of, "hedges_total", "Requests asked twice, by who answered first.", &["route", "won"]),
            gates: Gates::register(of),
            windows: Windows::register(of),
            fallbacks: counters(of, "fallbacks_total", "Requests that left their first choice, and why.", &fallback),
            escalations: counters(of, "escalations_total", escalated, &ended),
            checks: counters(of, "schema_checks_total", checked, &ended),
            shadows: counters(of, "shadows_total", "Copies of requests for shadows, by how they ended.", &ended),
            skips: counters(of, "backend_skips_total", passed_over, &skip),
            choices: counters(of, "route_choices_total", "First choices, by the strategy that made them.", &choice),
            skipped_events: counters(of, "stream_events_skipped_total", skipped, &["route", "provider"]),
            overhead: {
                let opts = HistogramOpts::new("spillway_sidecar_overhead_seconds", overhead);
                registered(of, Histogram::with_opts(opts.buckets(OVERHEAD_SECONDS.to_vec())))
            },
            streams: registered(of, IntGauge::with_opts(ours("streams_open", "Streams that are being sent."))),
            config_info: registered(of, IntGaugeVec::new(ours("config_info", revision), &["revision"])),
            config_age: registered(of, IntGauge::with_opts(ours("config_age_seconds", age))),
            lost_lines: registered(of, IntCounter::with_opts(ours("log_lines_lost_total", lost))),
            registry,
        }
    }

    pub(super) fn series(&self, labels: Labels<'_>) -> Series {
        let Labels { operation, route, backend, provider, model, .. } = labels;
        let kind = series_kind(labels);
        let place = [route, backend, provider, model];
        let tokens = |which| self.gen_ai.token_usage.with_label_values(&[operation, kind, model, which]);
        Series {
            requests: OUTCOMES.map(|outcome| {
                self.requests.with_label_values(&[route, backend, provider, model, operation, outcome.as_str()])
            }),
            cost: self.cost.with_label_values(&place),
            unpriced: self.unpriced.with_label_values(&place),
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            duration: self.duration(operation, kind, model, ""),
            first_chunk: self.gen_ai.first_chunk.with_label_values(&[operation, kind, model]),
        }
    }

    /// `error` is empty for an answer: Prometheus treats an empty label as an absent one.
    pub(super) fn duration(&self, operation: &str, kind: &str, model: &str, error: &str) -> Histogram {
        self.gen_ai.durations.with_label_values(&[operation, kind, model, error])
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            Ok(()) => text,
            Err(error) => format!("# metrics cannot be written: {error}\n"),
        }
    }
}

// === impl Gates ===

impl Gates {
    fn register(of: &Registry) -> Self {
        let labels = ["gate", "name"];
        let gauges = |name, help, labels: &[&str]| registered(of, IntGaugeVec::new(ours(name, help), labels));
        Self {
            state: gauges("breaker_state", "0: closed, 1: half-open, 2: open.", &labels),
            transitions: counters(
                of,
                "breaker_transitions_total",
                "Changes of a breaker's state, by the new one.",
                &["gate", "name", "to"],
            ),
            estimates: gauges(
                "token_estimate_per_mille",
                "Tokens a model finds in a prompt estimated at a thousand, as its provider reports them.",
                &["route", "backend"],
            ),
            left: gauges("retry_budget_left", "Extra attempts that a route could make now.", &["route"]),
            refused: counters(
                of,
                "retry_budget_refusals_total",
                "Attempts that were not made because the budget was spent.",
                &["route"],
            ),
        }
    }
}

// === impl Windows ===

impl Windows {
    fn register(of: &Registry) -> Self {
        let backend = ["route", "backend", "provider", "model"];
        let overflows = "Prompts that did not fit a window, by what was done about it.";
        let summaries = "Summaries that were wanted, by how they were come by or why they were not.";
        let cost = "What of the cost went into summaries.";
        let dropped = "Requests that went without some of their parameters, because the backend does not take them.";
        let asked = "Prompts that a provider was to count itself, by how that went.";
        let learnt = "Context windows that providers said to be smaller than the config says.";
        Self {
            overflows: counters(of, "overflows_total", overflows, &["route", "outcome"]),
            summaries: counters(of, "summaries_total", summaries, &["route", "backend", "outcome"]),
            asked: counters(of, "provider_counts_total", asked, &["route", "backend", "outcome"]),
            cost: counters(of, "summary_nano_dollars_total", cost, &backend),
            dropped: counters(of, "parameters_dropped_total", dropped, &["route", "provider"]),
            learnt: registered(of, IntGaugeVec::new(ours("learnt_window_tokens", learnt), &["provider", "model"])),
        }
    }
}

// === impl GenAi ===

impl GenAi {
    fn register(of: &Registry) -> Self {
        let [name, provider, model] = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
        Self {
            token_usage: histograms(
                of,
                "gen_ai_client_token_usage",
                "Tokens an answer used, as the provider billed them.",
                &[name, provider, model, "gen_ai_token_type"],
                &TOKENS,
            ),
            durations: histograms(
                of,
                "gen_ai_client_operation_duration_seconds",
                "Requests from their head to the last byte of the answer.",
                &[name, provider, model, "error_type"],
                &OPERATION_SECONDS,
            ),
            first_chunk: histograms(
                of,
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "Streams from the request's head to their first content.",
                &[name, provider, model],
                &CHUNK_SECONDS,
            ),
        }
    }
}

fn ours(name: &str, help: &str) -> Opts {
    Opts::new(format!("spillway_sidecar_{name}"), help)
}

pub(super) fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect(VALID);
    registry.register(Box::new(collector.clone())).expect("each family is registered once");
    collector
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(ours(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}
