//! One config, ready to run: names looked up, headers built, units converted. Immutable; a request keeps the one it began
//! with.

mod glob;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use spillway_expression::Expression;
use spillway_policy::{
    NanoUsd, PiecePrices, Price, breaker, fallback,
    retry::{self, budget},
};
use spillway_providers::{Abilities, Fault, Speech, Unsupported, pass::Kept, tokens::Encoding};
use spillway_wire::{AuthScheme, Dialect, Hint, Map, SchemaCheck, Snapshot};

pub(crate) use glob::Glob;

use super::{
    budgets::RouteBudget,
    fleet::FleetLimit,
    gate::Gate,
    keys::KeySlot,
    limits::LimitRule,
    live::{BackendState, ModelState, ProviderState, RouteState},
    rights::Rights,
    window::WindowRule,
};
use crate::{bill::Unnamed, identity::Identity, secrets, upstream::Upstream, usage::Series};

/// More names than this do not help the person who misspelt one.
const KNOWN_NAMES: usize = 20;

/// A config in use.
#[derive(Debug)]
pub struct Generation {
    /// What it was made of: its revision, and what `/debug/config` shows.
    pub snapshot: Arc<Snapshot>,
    pub(crate) exact: HashMap<String, Arc<Route>>,
    /// Longer globs first.
    pub(crate) globs: Vec<(Glob, Arc<Route>)>,
    pub(crate) routes: Vec<Arc<Route>>,
    pub(crate) providers: Map<Arc<Provider>>,
    /// The largest that any route takes: no body is buffered beyond it before its route is known.
    pub(crate) max_body_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Route {
    /// `namespace/name`.
    pub(crate) name: String,
    pub(crate) header: HeaderValue,
    pub(crate) backends: Vec<Backend>,
    /// The same backends in the same order, as far as choosing needs to know them.
    pub(crate) candidates: Vec<fallback::Candidate>,
    /// First choices, in the user's order; which one is asked first is the strategy's business.
    pub(crate) primaries: Vec<usize>,
    pub(crate) strategy: Strategy,
    /// An answer of which this is true is not good enough.
    pub(crate) escalate: Option<Arc<Expression>>,
    /// Who gets copies.
    pub(crate) shadows: Vec<usize>,
    /// What one request may cost at most.
    pub(crate) max_cost: Option<NanoUsd>,
    /// Requests with one value of this header stay with one backend.
    pub(crate) affinity: Option<HeaderName>,
    pub(crate) rules: Vec<fallback::Rule>,
    pub(crate) retries: retry::Rule,
    pub(crate) budget: Option<budget::Rule>,
    /// None: no backend is ever left alone for failing.
    pub(crate) breaker: Option<breaker::Rule>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) window: WindowRule,
    /// Its FallbackPolicy, `namespace/name`.
    pub(crate) policy: Option<String>,
    pub(crate) request: RequestRules,
    pub(crate) first_token_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) hold: HoldRule,
    /// Of one piece of content in a row. 0: any number.
    pub(crate) max_repeats: u32,
    pub(crate) limits: Vec<LimitRule>,
    /// Those that every sidecar counts towards.
    pub(crate) fleet: Vec<FleetLimit>,
    /// What becomes of answers that have not the form their request asked for.
    pub(crate) schema: SchemaCheck,
    /// What its requests cost counts towards each of these.
    pub(crate) budgets: Vec<RouteBudget>,
    /// Where their rights come from.
    pub(crate) rights: Arc<Rights>,
    pub(crate) state: Arc<RouteState>,
}

/// Which of the first choices is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Priority,
    Weighted,
    LeastCost,
    LeastLatency,
    LeastBusy,
    Cascade,
}

/// How long streams are held back. Whichever bound is reached first ends it; without any, the first content does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HoldRule {
    /// Of content.
    pub(crate) bytes: Option<u64>,
    /// Since the first content.
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct RequestRules {
    pub(crate) defaults: Map<serde_json::Value>,
    pub(crate) set: Map<serde_json::Value>,
    pub(crate) unsupported: Unsupported,
    /// What an application may decide for a single request.
    pub(crate) hints: Vec<Hint>,
    /// What of that which a provider keeps for its account an application may ask for.
    pub(crate) pass_through: Vec<Kept>,
    pub(crate) max_body_bytes: u64,
    pub(crate) timeout: Duration,
}

/// When a second backend is asked although the first one may still answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hedge {
    pub(crate) after: Duration,
    /// The share of requests that may be asked twice.
    pub(crate) max_ratio_ppm: u32,
}

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) header: HeaderValue,
    pub(crate) provider: Arc<Provider>,
    /// How the model is spoken to.
    pub(crate) speech: Speech,
    /// The provider's name of the model.
    pub(crate) model: String,
    pub(crate) model_header: HeaderValue,
    pub(crate) max_output_tokens: Option<u64>,
    /// It takes no JSON schema for its answer, and can call a tool that takes one.
    pub(crate) schema_by_tool: bool,
    pub(crate) abilities: Abilities,
    /// Its share under strategy Weighted.
    pub(crate) weight: u32,
    /// Of a shadow: the share of requests it gets a copy of.
    pub(crate) shadow_ppm: u32,
    /// It is for requests of which this is true. None: for all.
    pub(crate) when: Option<Arc<Expression>>,
    pub(crate) encoding: Encoding,
    pub(crate) price: Option<Price>,
    pub(crate) pieces: PiecePrices,
    pub(crate) unnamed: Unnamed,
    pub(crate) series: Arc<Series>,
    pub(crate) state: Arc<BackendState>,
    /// Shared with every backend of the same model at the same provider.
    pub(crate) model_state: ModelState,
    /// Whether a key may be asked for the model, for each of the provider's keys, where it has several.
    pub(crate) quotas: Vec<Arc<Gate>>,
}

#[derive(Debug)]
pub(crate) struct Provider {
    /// `namespace/name`.
    pub(crate) name: String,
    pub(crate) header: HeaderValue,
    pub(crate) kind: String,
    pub(crate) dialect: Dialect,
    pub(crate) api_version: Option<String>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) auth: AuthScheme,
    /// Which region requests are signed for, where they are.
    pub(crate) region: String,
    /// What short-lived keys are fetched with. None: its keys are sent as they are.
    pub(crate) identity: Option<Arc<Identity>>,
    /// In the order in which they stand in for each other. None: the provider takes no key.
    pub(crate) keys: Vec<Arc<KeySlot>>,
    pub(crate) set: HeaderMap,
    pub(crate) remove: Vec<HeaderName>,
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
    /// None: its health is not judged.
    pub(crate) health: Option<breaker::Rule>,
    /// It is judged by requests, and not by its checks alone.
    pub(crate) passive: bool,
    pub(crate) check: Option<Check>,
    /// What its account allows the whole fleet.
    pub(crate) quota: Option<FleetLimit>,
    pub(crate) state: Arc<ProviderState>,
}

/// A request that is made only to see whether a provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) path: String,
    pub(crate) interval: Duration,
}

// === impl Generation ===

impl Generation {
    /// What the most patient route gives a request.
    pub(crate) fn patience(&self) -> Duration {
        self.routes.iter().map(|route| route.request.timeout).max().unwrap_or_default()
    }

    /// Exact names before globs, longer globs before shorter ones.
    pub(crate) fn route(&self, model: &str) -> Option<&Arc<Route>> {
        self.exact
            .get(model)
            .or_else(|| self.globs.iter().find(|(glob, _)| glob.matches(model)).map(|(_, route)| route))
    }

    /// Names without a glob, sorted.
    pub(crate) fn exact_names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.exact.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// What an application may ask for: exact names, then globs.
    pub(crate) fn known(&self) -> Vec<&str> {
        self.exact_names().chain(self.globs.iter().map(|(glob, _)| glob.0.as_str())).collect()
    }

    /// The same for the person who misspelt one of them.
    pub(crate) fn known_in_words(&self) -> String {
        let names = self.known();
        let listed = names.iter().take(KNOWN_NAMES).copied().collect::<Vec<_>>().join(", ");
        match names.len().checked_sub(KNOWN_NAMES) {
            _ if names.is_empty() => "none, no ModelRoute selects this pod".to_owned(),
            None | Some(0) => listed,
            Some(more) => format!("{listed} and {more} more, see GET /v1/models"),
        }
    }
}

// === impl Route ===

impl Route {
    /// What a request can cost decides who gets it.
    pub(crate) fn compares_cost(&self) -> bool {
        self.max_cost.is_some() || self.strategy == Strategy::LeastCost || !self.budgets.is_empty()
    }

    /// Which backends have no key yet. They are passed over until it comes.
    pub(crate) fn without_key(&self) -> fallback::Set {
        let mut out = fallback::Set::default();
        let keyless = self.backends.iter().enumerate().filter(|(_, backend)| !backend.provider.has_key());
        keyless.for_each(|(index, _)| out.insert(index));
        out
    }

    /// What a backend takes, as far as that is known by now.
    pub(crate) fn window(&self, index: usize, now: Instant) -> Option<u64> {
        let (backend, candidate) = (self.backends.get(index)?, self.candidates.get(index)?);
        backend.model_state.window.window(candidate.window, now).or(candidate.window)
    }

    /// Windows of its backends that have proved smaller than the config says.
    pub(crate) fn learnt_windows(&self, now: Instant) -> Vec<(usize, u64)> {
        let both = self.backends.iter().zip(&self.candidates).enumerate();
        both.filter_map(|(index, (backend, candidate))| {
            Some((index, backend.model_state.window.window(candidate.window, now)?))
        })
        .collect()
    }

    /// The providers behind them, for a message.
    pub(crate) fn providers_without_key(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for backend in &self.backends {
            if !backend.provider.has_key() && !names.contains(&backend.provider.name.as_str()) {
                names.push(&backend.provider.name);
            }
        }
        names.join(", ")
    }
}

// === impl Strategy ===

impl Strategy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "Priority",
            Self::Weighted => "Weighted",
            Self::LeastCost => "LeastCost",
            Self::LeastLatency => "LeastLatency",
            Self::LeastBusy => "LeastBusy",
            Self::Cascade => "Cascade",
        }
    }
}

// === impl HoldRule ===

impl HoldRule {
    pub(crate) const fn is_none(&self) -> bool {
        self.bytes.is_none() && self.duration.is_none()
    }
}

// === impl Backend ===

impl Backend {
    /// Whether requests in the words of the Responses API go there as they are.
    pub(crate) fn has_responses(&self) -> bool {
        self.speech.has_responses(self.provider.api_version.as_deref())
    }
}

// === impl Provider ===

impl Provider {
    /// Some key is there, or none is needed.
    pub(crate) fn has_key(&self) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|slot| slot.is_set())
    }

    /// Takes the keys out of a provider's words. What looks like some key is gone already; this is about these very ones.
    pub(crate) fn scrub(&self, fault: &mut Fault) {
        let Fault { message, code, details, .. } = fault;
        let details = details.iter_mut().flat_map(|details| details.param.iter_mut().chain(&mut details.inner));
        for text in std::iter::once(message).chain(code).chain(details) {
            if let Some(clean) = self.taken_out_of(text) {
                *text = clean;
            }
        }
    }

    /// The text without the keys, and without what they were exchanged for. None: there is nothing of them in it.
    pub(crate) fn taken_out_of(&self, text: &str) -> Option<String> {
        let keys = secrets::taken_out_of(text, &self.keys, |key, text| key.taken_out_of(text));
        let tokens = self.identity.as_ref().and_then(|it| it.taken_out_of(keys.as_deref().unwrap_or(text)));
        tokens.or(keys)
    }

    /// The header that carries a key. None: it has not come yet, or it is a document that keys are fetched with.
    pub(crate) fn authorization(&self, slot: &KeySlot) -> Option<(HeaderName, HeaderValue)> {
        if self.identity.is_some() && slot.document().is_some() {
            return None;
        }
        let name = match self.auth {
            AuthScheme::Bearer | AuthScheme::SigV4 => http::header::AUTHORIZATION,
            AuthScheme::XApiKey => HeaderName::from_static("x-api-key"),
            AuthScheme::ApiKey => HeaderName::from_static("api-key"),
            AuthScheme::GoogApiKey => HeaderName::from_static("x-goog-api-key"),
            AuthScheme::None => return None,
        };
        Some((name, slot.header(self.auth)?))
    }
}
