//! `GET /v1/models`: what this pod may ask for at this moment, as OpenAI's and as Anthropic's SDKs read it.
//!
//! Both kinds of entry carry what Spillway knows of the model under one key of its own, `spillway`: `context_window`,
//! `max_output_tokens`, `pricing` (US dollars per million tokens, as decimal strings; below it `longer_prompts` and `tiers`),
//! `abilities`, `deprecated_on` and `backends`. An entry promises what holds whichever first choice answers: the smallest
//! window (of what was said and what has proved true) and the shortest answer that are known, the highest price (none where one of them is unknown, which is not free),
//! abilities that all of them have, the first day on which one is gone. What each backend has is beside its name.

mod facts;
mod page;

use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use spillway_providers::Api;

use super::decoded;
use crate::{
    clock,
    error::ProxyError,
    pipeline::{ReplyBody, error_response, json_response},
    runtime::{Generation, Route, Runtime},
};

use page::Page;

/// The list, or one model, in the words of `api`.
pub(super) fn answer<B>(runtime: &Runtime, api: Api, request: &Request<B>, id: Option<&str>) -> Response<ReplyBody> {
    match body(runtime, api, request.uri().query(), id) {
        Ok(body) => json_response(StatusCode::OK, body.to_string().into()),
        Err(error) => error_response(api, &error),
    }
}

fn body(runtime: &Runtime, api: Api, query: Option<&str>, id: Option<&str>) -> Result<Value, ProxyError> {
    let generation = runtime.generation().ok_or(ProxyError::NotConfigured)?;
    let entry = if api == Api::Messages { anthropic } else { openai };
    if let Some(id) = id {
        let model = decoded(id);
        let unknown = |model| ProxyError::UnknownModel { model, known: generation.known_in_words() };
        // One name, which a glob may match.
        return entry(&generation, &model).ok_or_else(|| unknown(model));
    }
    // Globs are left out: nobody can ask for `gpt-4o*`.
    let names: Vec<&str> = generation.exact_names().collect();
    let entries = |names: &[&str]| names.iter().filter_map(|name| entry(&generation, name)).collect::<Vec<_>>();
    if api != Api::Messages {
        return Ok(json!({"object": "list", "data": entries(&names)}));
    }
    let (shown, has_more) = Page::read(query)?.of(&names);
    Ok(json!({
        "data": entries(shown), "has_more": has_more, "first_id": shown.first(), "last_id": shown.last(),
    }))
}

/// `created` is required and means nothing here.
fn openai(generation: &Generation, name: &str) -> Option<Value> {
    let route = generation.route(name)?;
    let entry = json!({"id": name, "object": "model", "created": 0, "owned_by": route.name});
    Some(with_facts(entry, generation, route))
}

/// `created_at` is required and means nothing here.
fn anthropic(generation: &Generation, name: &str) -> Option<Value> {
    let route = generation.route(name)?;
    let display = format!("{name} ({})", route.name);
    let entry = json!({"type": "model", "id": name, "display_name": display, "created_at": "1970-01-01T00:00:00Z"});
    Some(with_facts(entry, generation, route))
}

fn with_facts(mut entry: Value, generation: &Generation, route: &Route) -> Value {
    let given = generation.snapshot.routes.get(&route.name);
    let learnt = route.learnt_windows(clock::now());
    let facts = given.map(|given| facts::of(given, &generation.snapshot.providers, &learnt));
    entry["spillway"] = facts.unwrap_or_else(|| Map::new().into());
    entry
}
