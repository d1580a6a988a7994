//! A snapshot becomes a generation, all or nothing. What cannot be run is refused with a reason that names the object;
//! whatever was in use stays in use then.

mod abilities;
mod budget;
mod expressions;
mod fleet;
mod limit;
mod rest;
mod way;

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use spillway_lower::Manner;
use spillway_policy::{NanoUsd, fallback};
use spillway_providers::{Dialect, Schemas, Speech, Unsupported, pass::Kept, row, tokens::Encoding};
use spillway_wire as wire;

use super::{
    generation::{Backend, Generation, Glob, HoldRule, Provider, RequestRules, Route, Strategy},
    keys::Keys,
    live,
    rights::Rights,
    window::WindowRule,
};
use crate::{
    bill,
    identity::Environment,
    upstream::{address::AddressRule, connect::Dialer},
    usage::{SeriesKey, UsageTable},
};

/// What outlives a generation, and is handed to the next one.
pub(crate) struct Parts<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) keys: &'a Keys,
    pub(crate) usage: &'a UsageTable,
    pub(crate) environment: &'a Arc<Environment>,
    pub(crate) rights: &'a Arc<Rights>,
    /// Its connections are kept where nothing about them changes.
    pub(crate) before: Option<&'a Generation>,
}

/// Why a snapshot cannot be run.
pub(crate) type Nack = String;

/// A streamed answer with more content than this is good enough: nobody can hold back more of it.
const CASCADE_BYTES: u64 = 1 << 20;

/// What is read of a request where no route says: enough to tell any application that its model is served by nobody.
const NO_ROUTE_BODY_BYTES: u64 = 32 << 20;

pub(crate) fn lower(snapshot: wire::Snapshot, parts: &Parts<'_>) -> Result<Generation, Nack> {
    let wire::Snapshot { revision: _, routes, providers, budgets, egress } = &snapshot;
    let rule = address_rule(egress)?;
    let mut lowered = wire::Map::new();
    for (name, provider) in providers {
        let provider = self::provider(name, provider, &rule, parts).map_err(|why| format!("provider {name}: {why}"))?;
        lowered.insert(name.clone(), Arc::new(provider));
    }
    let mut generation = Generation {
        snapshot: Arc::default(),
        exact: HashMap::new(),
        globs: Vec::new(),
        routes: Vec::with_capacity(routes.len()),
        providers: lowered,
        max_body_bytes: 0,
    };
    let lowered_budgets = budget::budgets(budgets)?;
    for (name, route) in routes {
        let failed = |why| format!("route {name}: {why}");
        let mut lowered = self::route(name, route, &generation.providers, parts).map_err(failed)?;
        lowered.budgets = budget::of_route(route, budgets, &lowered_budgets, parts.rights).map_err(failed)?;
        let lowered = Arc::new(lowered);
        for model in &route.models {
            if model.contains('*') {
                generation.globs.push((Glob(model.clone()), Arc::clone(&lowered)));
            } else {
                // The operator has settled conflicts; should one slip through, the first name in order keeps it.
                generation.exact.entry(model.clone()).or_insert_with(|| Arc::clone(&lowered));
            }
        }
        generation.max_body_bytes = generation.max_body_bytes.max(lowered.request.max_body_bytes);
        generation.routes.push(lowered);
    }
    if generation.routes.is_empty() {
        generation.max_body_bytes = NO_ROUTE_BODY_BYTES;
    }
    generation.globs.sort_by(|(a, _), (b, _)| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    generation.snapshot = Arc::new(snapshot);
    Ok(generation)
}

fn address_rule(egress: &wire::Egress) -> Result<AddressRule, Nack> {
    let wire::Egress { allowed_private_ranges } = egress;
    let parse = |range: &String| {
        range.parse::<IpNet>().map_err(|error| format!("egress.allowed_private_ranges: {range:?}: {error}"))
    };
    Ok(AddressRule::new(allowed_private_ranges.iter().map(parse).collect::<Result<_, _>>()?))
}

fn provider(name: &str, given: &wire::Provider, rule: &AddressRule, parts: &Parts<'_>) -> Result<Provider, Nack> {
    let wire::Provider {
        kind,
        dialect,
        base_url,
        api_version,
        region,
        project: _,
        auth,
        credential: _,
        more_credentials: _,
        exchange: _,
        headers,
        proxy: _,
        timeouts,
        active_health,
        passive_health,
        quota,
    } = given;
    let wire::ProviderTimeouts { connect_ms: _, first_byte_ms, idle_ms, total_ms } = *timeouts;
    let wire::Headers { set, remove } = headers;
    let (upstream, identity) = way::way(name, given, rule, parts)?;
    Ok(Provider {
        name: name.to_owned(),
        header: text_header(name)?,
        kind: kind.clone(),
        dialect: *dialect,
        api_version: api_version.clone(),
        upstream,
        auth: *auth,
        region: way::signed_for(*auth, region.as_deref())?,
        identity,
        keys: given.credentials().map(|key| parts.keys.slot(key)).collect(),
        set: way::header_map(set)?,
        remove: remove.iter().map(|header| way::header_name(header)).collect::<Result<_, _>>()?,
        first_byte: Duration::from_millis(first_byte_ms),
        idle: Duration::from_millis(idle_ms),
        total: Duration::from_millis(total_ms),
        health: rest::health(passive_health.as_ref(), active_health.as_ref()),
        passive: passive_health.is_some(),
        check: active_health.as_ref().map(rest::check),
        quota: fleet::account(name, quota.as_ref(), parts.rights),
        state: live::provider(parts.before, name, base_url),
    })
}

fn text_header(text: &str) -> Result<HeaderValue, Nack> {
    HeaderValue::from_str(text).map_err(|error| format!("{text:?} fits no header: {error}"))
}

#[expect(clippy::too_many_lines, reason = "a line for each field, twice")]
fn route(
    name: &str,
    given: &wire::Route,
    providers: &wire::Map<Arc<Provider>>,
    parts: &Parts<'_>,
) -> Result<Route, Nack> {
    let wire::Route {
        namespace: _,
        name: _,
        models: _,
        policy,
        backends,
        context_window,
        fallbacks,
        retries,
        request,
        streaming,
        strategy,
        limits,
        breaker,
        hedge,
        max_cost_nanos,
        affinity_header,
        validation: wire::Validation { schema },
        // They are added by whoever has all of them.
        budgets: _,
    } = given;
    let lowered = self::backends(name, backends, providers, parts)?;
    let candidates: Vec<_> = backends.iter().zip(&lowered).map(|(given, backend)| candidate(given, backend)).collect();
    Ok(Route {
        name: name.to_owned(),
        header: text_header(name)?,
        backends: lowered,
        primaries: fallback::primaries(&candidates).collect(),
        strategy: self::strategy(strategy),
        escalate: expressions::escalate(strategy, parts.before)?,
        shadows: shadows(backends),
        max_cost: max_cost_nanos.map(NanoUsd),
        affinity: affinity_header.as_deref().map(affinity).transpose()?,
        candidates,
        rules: fallbacks.iter().map(|rule| fallback_rule(rule, backends)).collect::<Result<_, _>>()?,
        retries: rest::retries(retries),
        budget: retries.budget.map(rest::budget),
        breaker: breaker.as_ref().map(spillway_lower::breaker),
        hedge: hedge.map(rest::hedge),
        window: WindowRule::lower(context_window, backends)?,
        policy: policy.clone(),
        request: request_rules(request),
        first_token_timeout: Duration::from_millis(streaming.first_token_timeout_ms),
        idle_timeout: Duration::from_millis(streaming.idle_timeout_ms),
        hold: hold(streaming, strategy),
        max_repeats: streaming.max_repeats.unwrap_or(0),
        limits: limit::rules(limits)?,
        fleet: fleet::limits(name, limits, parts.rights)?,
        schema: *schema,
        budgets: Vec::new(),
        rights: Arc::clone(parts.rights),
        state: live::route(parts.before, name),
    })
}

fn backends(
    route: &str,
    given: &[wire::Backend],
    providers: &wire::Map<Arc<Provider>>,
    parts: &Parts<'_>,
) -> Result<Vec<Backend>, Nack> {
    if given.len() > fallback::MAX_CANDIDATES {
        return Err(format!("has {} backends, at most {} can be served", given.len(), fallback::MAX_CANDIDATES));
    }
    let lowered = |given: &wire::Backend| {
        backend(route, given, providers, parts).map_err(|why| format!("backend {}: {why}", given.name))
    };
    given.iter().map(lowered).collect()
}

fn backend(
    route: &str,
    given: &wire::Backend,
    providers: &wire::Map<Arc<Provider>>,
    parts: &Parts<'_>,
) -> Result<Backend, Nack> {
    let wire::Backend { name, provider, model, role: _, weight, when, shadow_ppm } = given;
    let found = providers.get(provider).ok_or_else(|| format!("provider {provider} is not in the snapshot"))?;
    let key = SeriesKey {
        route: route.to_owned(),
        backend: name.clone(),
        provider: provider.clone(),
        model: model.name.clone(),
    };
    let speech = speech(found, &model.name);
    Ok(Backend {
        name: name.clone(),
        header: text_header(name)?,
        speech,
        provider: Arc::clone(found),
        model: model.name.clone(),
        model_header: text_header(&model.name)?,
        max_output_tokens: model.max_output_tokens,
        schema_by_tool: by_model(&speech) && !model.json_schema && model.tools,
        abilities: abilities::lower(&model.abilities),
        weight: *weight,
        shadow_ppm: shadow_ppm.unwrap_or(1_000_000),
        when: when.as_deref().map(|source| expressions::when(source, parts.before)).transpose()?,
        encoding: match model.tokenizer {
            wire::Tokenizer::O200kBase if spillway_lower::is_harmony(model) => Encoding::Harmony,
            wire::Tokenizer::O200kBase => Encoding::O200k,
            wire::Tokenizer::Cl100kBase => Encoding::Cl100k,
            wire::Tokenizer::Qwen2 => Encoding::Qwen,
            wire::Tokenizer::DeepSeekV3 => Encoding::DeepSeek,
            wire::Tokenizer::Tekken => Encoding::Tekken,
            wire::Tokenizer::Estimate => Encoding::Estimate,
        },
        price: model.price.as_ref().map(bill::price),
        pieces: model.pieces.as_ref().map(bill::pieces).unwrap_or_default(),
        unnamed: model.price.as_ref().map(bill::unnamed).unwrap_or_default(),
        series: parts.usage.series(key),
        state: live::backend(parts.before, route, name, (&found.state, &model.name)),
        model_state: found.state.model(provider, &model.name),
        quotas: found.keys.iter().filter(|_| found.keys.len() > 1).map(|slot| slot.quota(&model.name)).collect(),
    })
}

/// How a model is spoken to: as its provider is, or as its maker where a provider serves the models of many.
fn speech(provider: &Provider, model: &str) -> Speech {
    let own = |dialect| Speech::of(dialect, row(&provider.kind));
    match provider.dialect {
        wire::Dialect::OpenAi => own(Dialect::OpenAi),
        wire::Dialect::Anthropic => own(Dialect::Anthropic),
        wire::Dialect::Gemini => own(Dialect::Gemini),
        wire::Dialect::Cohere => own(Dialect::Cohere),
        wire::Dialect::Ollama => own(Dialect::Ollama),
        wire::Dialect::VertexAi => Speech::at_vertex(model),
        wire::Dialect::Bedrock => Speech::at_bedrock(model),
    }
}

const fn strategy(given: &wire::Strategy) -> Strategy {
    match given {
        wire::Strategy::Priority => Strategy::Priority,
        wire::Strategy::Cascade { .. } => Strategy::Cascade,
        wire::Strategy::Weighted => Strategy::Weighted,
        wire::Strategy::LeastCost => Strategy::LeastCost,
        wire::Strategy::LeastLatency => Strategy::LeastLatency,
        wire::Strategy::LeastBusy => Strategy::LeastBusy,
    }
}

fn shadows(backends: &[wire::Backend]) -> Vec<usize> {
    let is_shadow = |(_, backend): &(usize, &wire::Backend)| matches!(backend.role, wire::Role::Shadow);
    backends.iter().enumerate().filter(is_shadow).map(|(index, _)| index).collect()
}

/// How much of a stream is held back: all of it, where an answer is judged before anybody gets it.
fn hold(given: &wire::Streaming, strategy: &wire::Strategy) -> HoldRule {
    if matches!(strategy, wire::Strategy::Cascade { .. }) {
        return HoldRule { bytes: Some(CASCADE_BYTES), duration: None };
    }
    // The others are read by whoever asks for this.
    let wire::Streaming { first_token_timeout_ms: _, idle_timeout_ms: _, hold_bytes, hold_ms, max_repeats: _ } = *given;
    HoldRule {
        bytes: Some(hold_bytes).filter(|bytes| *bytes > 0),
        duration: Some(hold_ms).filter(|ms| *ms > 0).map(Duration::from_millis),
    }
}

fn affinity(header: &str) -> Result<HeaderName, Nack> {
    header.parse().map_err(|error| format!("affinity header {header:?}: {error}"))
}

/// What `spillway explain` makes of a backend as well, and what only a sidecar knows.
fn candidate(given: &wire::Backend, lowered: &Backend) -> fallback::Candidate {
    let manner = Manner {
        any_schema: !by_model(&lowered.speech),
        hosted_tools: lowered.has_responses(),
        image_urls: lowered.speech.fetches_images(&lowered.model),
        calibration: Some(Arc::clone(&lowered.state.calibration)),
    };
    spillway_lower::candidate(given, manner)
}

/// Whether a schema can be sent depends on the model.
fn by_model(speech: &Speech) -> bool {
    speech.row.schemas == Schemas::ByModel
}

fn fallback_rule(given: &wire::FallbackRule, backends: &[wire::Backend]) -> Result<fallback::Rule, Nack> {
    let wire::FallbackRule { on, to } = given;
    let find = |name: &String| {
        backends
            .iter()
            .position(|backend| backend.name == *name)
            .ok_or_else(|| format!("a fallback names backend {name}, which the route does not have"))
    };
    Ok(fallback::Rule { on: rest::classes(on), to: to.iter().map(find).collect::<Result<_, _>>()? })
}

fn request_rules(given: &wire::RequestRules) -> RequestRules {
    let wire::RequestRules { defaults, set, unsupported, max_body_bytes, timeout_ms, hints, pass_through } = given;
    let kept = |given: &wire::PassThrough| match given {
        wire::PassThrough::Files => Kept::Files,
        wire::PassThrough::Batches => Kept::Batches,
        wire::PassThrough::Responses => Kept::Responses,
        wire::PassThrough::ChatCompletions => Kept::ChatCompletions,
        wire::PassThrough::Models => Kept::Models,
    };
    RequestRules {
        hints: hints.clone(),
        pass_through: pass_through.iter().map(kept).collect(),
        defaults: defaults.clone(),
        set: set.clone(),
        unsupported: match unsupported {
            wire::Unsupported::Drop => Unsupported::Drop,
            wire::Unsupported::Reject => Unsupported::Reject,
            wire::Unsupported::Pass => Unsupported::Pass,
        },
        max_body_bytes: *max_body_bytes,
        timeout: Duration::from_millis(*timeout_ms),
    }
}

#[cfg(test)]
mod tests;
