//! Builders for what a sidecar runs, for tests that need no operator.

use spillway_wire::{
    Abilities, AuthScheme, Backend, ContextWindow, Counter, Dialect, DropOrder, Egress, ErrorClass, FallbackRule,
    Headers, Map, Model, OnExceeded, Price, Provider, ProviderTimeouts, RequestRules, Retries, Role, Route, Snapshot,
    Strategy, Streaming, Tokenizer, Truncate, Unsupported, Validation,
};

/// Every route and provider made here lives in this namespace.
pub const NAMESPACE: &str = "shop";

/// $1 per million input tokens and $10 per million output tokens: costs that can be added up in the head.
pub const PRICE: Price = Price::plain(1_000_000_000, 10_000_000_000);

/// Routes and providers, with loopback allowed because that is where providers of a test are.
#[must_use]
pub fn a_snapshot(routes: Vec<Route>, providers: Vec<(&str, Provider)>) -> Snapshot {
    Snapshot {
        revision: String::new(),
        routes: routes.into_iter().map(|route| (key(&route.name), route)).collect(),
        providers: providers.into_iter().map(|(name, provider)| (key(name), provider)).collect(),
        budgets: Map::new(),
        egress: Egress { allowed_private_ranges: vec!["127.0.0.0/8".into()] },
    }
    .seal()
}

/// A provider at `base_url` with the key called after it and timeouts a test can wait for.
#[must_use]
pub fn a_provider(name: &str, dialect: Dialect, base_url: &str) -> Provider {
    let (kind, auth) = match dialect {
        Dialect::OpenAi => ("OpenAI", AuthScheme::Bearer),
        Dialect::Anthropic => ("Anthropic", AuthScheme::XApiKey),
        Dialect::Gemini => ("Gemini", AuthScheme::GoogApiKey),
        Dialect::Cohere => ("Cohere", AuthScheme::Bearer),
        Dialect::VertexAi => ("VertexAI", AuthScheme::Bearer),
        Dialect::Ollama => ("Ollama", AuthScheme::Bearer),
        Dialect::Bedrock => ("Bedrock", AuthScheme::SigV4),
    };
    Provider {
        kind: kind.into(),
        dialect,
        api_version: None,
        region: None,
        project: None,
        base_url: base_url.into(),
        auth,
        credential: Some(key(name)),
        more_credentials: Vec::new(),
        exchange: None,
        headers: Headers::default(),
        proxy: None,
        timeouts: ProviderTimeouts { connect_ms: 1_000, first_byte_ms: 1_000, idle_ms: 1_000, total_ms: 10_000 },
        active_health: None,
        passive_health: None,
        quota: None,
    }
}

/// A primary backend called after its model.
#[must_use]
pub fn a_backend(provider: &str, model: &str) -> Backend {
    Backend {
        name: model.into(),
        provider: key(provider),
        model: a_model(model, 128_000),
        role: Role::Primary,
        weight: 1,
        when: None,
        shadow_ppm: None,
    }
}

/// The same, for fallback rules only.
#[must_use]
pub fn a_spare(provider: &str, model: &str) -> Backend {
    Backend { role: Role::Fallback, ..a_backend(provider, model) }
}

/// A model that can do everything.
#[must_use]
pub fn a_model(name: &str, window: u64) -> Model {
    Model {
        name: name.into(),
        context_window_tokens: Some(window),
        max_output_tokens: Some(4_096),
        tokenizer: Tokenizer::O200kBase,
        price: Some(PRICE),
        pieces: None,
        tools: true,
        parallel_tools: true,
        vision: true,
        json_schema: true,
        abilities: Abilities::default(),
        deprecated_on: None,
    }
}

/// A route that serves its own name, retries nothing and falls back to nobody.
#[must_use]
pub fn a_route(name: &str, backends: Vec<Backend>) -> Route {
    Route {
        namespace: NAMESPACE.into(),
        name: name.into(),
        policy: None,
        models: vec![name.into()],
        backends,
        context_window: ContextWindow {
            on_exceeded: OnExceeded::Reject,
            reserve_output_tokens: 1_024,
            truncate: Truncate { keep_system: true, keep_last: 4, order: DropOrder::OldestFirst },
            summarize: None,
            count: Counter::Local,
        },
        budgets: Vec::new(),
        fallbacks: Vec::new(),
        retries: Retries {
            attempts: 0,
            on: Vec::new(),
            backoff_base_ms: 10,
            backoff_max_ms: 50,
            honour_retry_after_ms: 2_000,
            budget: None,
        },
        request: RequestRules {
            defaults: Map::new(),
            set: Map::new(),
            unsupported: Unsupported::Drop,
            max_body_bytes: 32 * 1024 * 1024,
            timeout_ms: 10_000,
            hints: Vec::new(),
            pass_through: Vec::new(),
        },
        streaming: Streaming {
            first_token_timeout_ms: 1_000,
            idle_timeout_ms: 1_000,
            hold_bytes: 0,
            hold_ms: 0,
            max_repeats: Some(100),
        },
        strategy: Strategy::Priority,
        limits: Vec::new(),
        breaker: None,
        hedge: None,
        max_cost_nanos: None,
        affinity_header: None,
        validation: Validation::default(),
    }
}

/// A rule that sends these classes to these backends.
#[must_use]
pub fn a_rule(on: &[ErrorClass], to: &[&str]) -> FallbackRule {
    FallbackRule { on: on.to_vec(), to: to.iter().map(ToString::to_string).collect() }
}

/// `namespace/name`, as snapshots name things.
#[must_use]
pub fn key(name: &str) -> String {
    format!("{NAMESPACE}/{name}")
}
