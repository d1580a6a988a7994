//! Which route serves the model that was asked for, and the request as that route changes it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use spillway_policy::{
    Tier,
    fallback::{Demand, Output, Question, Set, Sizes},
};
use spillway_providers::{Api, Body, Need, Surcharges, read};

use super::{
    accept::Accepted,
    count,
    hint::{self, Hints},
    pass::Passing,
    settle::Settle,
    when::Wanted,
};
use crate::{
    bill, clock,
    error::ProxyError,
    runtime::{Generation, RequestRules, Route},
};

/// A request with its route: what the stages below work on.
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) route: Arc<Route>,
    pub(super) body: Body,
    /// Of what is passed on: what there is beside its fields.
    pub(super) passing: Option<Arc<Passing>>,
    /// Who has no such API.
    unable: Set,
    pub(super) need: Need,
    /// The name the application asked for; it is shown in the answer.
    pub(super) model: String,
    pub(super) sizes: Sizes,
    /// What the route's expressions say of it.
    pub(super) wanted: Wanted,
    /// What the application decides for it.
    pub(super) hints: Hints,
    /// What makes it dearer than its length. Only looked for where cost decides.
    surcharges: Surcharges,
    /// Messages that were left out.
    pub(super) truncated: u32,
    /// The application's own, for policies to look at.
    pub(super) headers: HeaderMap,
    pub(super) forwarded: Vec<(HeaderName, HeaderValue)>,
    /// Retries the application's SDK has made of this request: they count against the route's.
    pub(super) retried: u32,
    /// For everything until the answer, or a stream's first content.
    pub(super) deadline: Instant,
}

pub(super) async fn call(
    generation: &Generation,
    api: Api,
    accepted: &mut Accepted,
    settle: &mut Settle,
) -> Result<Call, ProxyError> {
    let size = accepted.body.len() as u64;
    let (passing, mut body) = taken_apart(api, accepted).await?;
    accepted.weigh(body.values())?;
    // Whoever asks for a model that is not here learns that first, whatever else is wrong.
    let unknown = |model| ProxyError::UnknownModel { model, known: generation.known_in_words() };
    let mut need = read(api, &body).map_err(|bad| match body.value("model") {
        Some(Value::String(model)) if generation.route(&model).is_none() => unknown(model),
        _ => bad.into(),
    })?;
    let model = std::mem::take(&mut need.model);
    let route = match &passing {
        Some(passing) if passing.is_kept() => passing.route(generation, &accepted.headers)?,
        _ => generation.route(&model).ok_or_else(|| unknown(model.clone()))?,
    };
    if size > route.request.max_body_bytes {
        return Err(ProxyError::TooLarge { size: Some(size), limit: route.request.max_body_bytes });
    }
    if api.takes_rules() && apply(&route.request, api, &mut body) {
        need = read(api, &body)?;
    }
    let hints = hint::read(route, &accepted.headers)?;
    let given = [accepted.patience.timeout, hints.timeout].into_iter().flatten();
    let timeout = given.fold(route.request.timeout, Duration::min);
    // What has no prompt is never too long.
    let sizes = if api.has_prompt() { count::bounds(api, &body) } else { Sizes::bounds(0, 0) };
    let unable = passing.as_ref().map_or_else(Set::default, |passing| passing.unable(route, hints.backend));
    let surcharges = surcharges(route, &body);
    settle.routed(route, need.stream, &sizes);
    Ok(Call {
        api,
        route: Arc::clone(route),
        body,
        passing,
        unable,
        need,
        model,
        sizes,
        wanted: Wanted::default(),
        hints,
        surcharges,
        truncated: 0,
        headers: std::mem::take(&mut accepted.headers),
        forwarded: std::mem::take(&mut accepted.forwarded),
        retried: accepted.patience.retries,
        deadline: clock::after(settle.started(), timeout),
    })
}

/// The request's fields, and what there is beside them.
async fn taken_apart(api: Api, accepted: &Accepted) -> Result<(Option<Arc<Passing>>, Body), ProxyError> {
    let Api::Pass(pass) = api else { return Ok((None, Body::parse(accepted.body.clone())?)) };
    let (passing, fields) = Passing::read(pass, accepted).await?;
    Ok((Some(Arc::new(passing)), fields))
}

/// Only looked for where cost decides.
fn surcharges(route: &Route, body: &Body) -> Surcharges {
    if route.compares_cost() { spillway_providers::surcharges(body) } else { Surcharges::default() }
}

/// The route's own fields. False: it has none.
fn apply(rules: &RequestRules, api: Api, body: &mut Body) -> bool {
    for (field, value) in rules.defaults.iter().filter(|_| api.takes_defaults()) {
        if body.get(field).is_none() {
            body.set(field, value);
        }
    }
    for (field, value) in &rules.set {
        body.set(field, value);
    }
    !(rules.defaults.is_empty() && rules.set.is_empty())
}

// === impl Call ===

impl Call {
    /// What every candidate must be able to do.
    pub(super) fn demand(&self) -> Demand {
        let Need { max_output_tokens, choices, tools, images, json_schema, ref hosted_tool, .. } = self.need;
        let output = match (max_output_tokens, self.api) {
            (_, Api::Embeddings | Api::CountTokens | Api::Pass(_)) => Output::Asked(0),
            (Some(tokens), _) => Output::Asked(tokens),
            (None, _) => Output::Reserve(self.route.reserve_output),
        };
        let more_choices = choices.saturating_sub(1);
        let hosted_tools = hosted_tool.is_some();
        let (unpriced, unable) = (!self.api.has_prompt(), self.unable);
        let Surcharges { cache_writes, audio, tier } = self.surcharges;
        let tier = tier.map_or(Tier::Standard, bill::served);
        let able = Demand { output, tools, images, json_schema, hosted_tools, ..Demand::default() };
        Demand { more_choices, cache_writes, audio, tier, unpriced, unable, ..able }
    }

    /// Who can serve it, apart from those that are out, or left alone for a while.
    pub(super) fn question(&self, out: Set, open: Set, larger_than: u64) -> Question<'_> {
        let Route { candidates, max_cost, .. } = &*self.route;
        let Wanted { unwanted, unclear, .. } = self.wanted;
        let (demand, sizes, max_cost) = (self.demand(), &self.sizes, max_cost.filter(|_| self.api.is_billed()));
        Question { candidates, demand, sizes, out, open, unwanted, unclear, larger_than, max_cost }
    }

    /// One backend is asked, once.
    pub(super) fn is_once(&self) -> bool {
        self.api == Api::CountTokens || self.passing.as_ref().is_some_and(|passing| passing.is_kept())
    }

    /// The same request, to be sent to somebody else at the same time.
    pub(super) fn copy(&self, deadline: Instant) -> Self {
        let Self { api, route, body, passing, unable, need, model, sizes, wanted, .. } = self;
        let Self { hints, surcharges, truncated, forwarded, .. } = self;
        Self {
            api: *api,
            route: Arc::clone(route),
            body: body.clone(),
            passing: passing.clone(),
            unable: *unable,
            need: need.clone(),
            model: model.clone(),
            sizes: *sizes,
            wanted: *wanted,
            hints: *hints,
            surcharges: *surcharges,
            truncated: *truncated,
            headers: HeaderMap::new(),
            forwarded: forwarded.clone(),
            retried: 0,
            deadline,
        }
    }

    /// How long until the deadline.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}
