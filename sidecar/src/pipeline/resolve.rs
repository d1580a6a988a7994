//! Which route serves the model that was asked for, and the request as that route changes it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::Value;
use spillway_policy::{
    Tier,
    fallback::{Demand, Measure, Output, Question, Set, Sizes},
};
use spillway_providers::{Api, Body, Need, Pass, Surcharges, pass::Bill, read, tokens::Turns};

use super::{
    accept::Accepted,
    count,
    hint::{self, Hints},
    items,
    pass::{self, Passing},
    reserve::Rights,
    settle::{Settle, Told},
    when::{Wanted, Words},
};
use crate::{
    bill, clock,
    error::ProxyError,
    runtime::{Generation, Heavy, LARGE, RequestRules, Route, Runtime, unix},
};

/// A value takes as long to read, translate and write as so many bytes of a text.
const VALUE_WORK: u64 = 64;

/// A request with its route: what the stages below work on.
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) route: Arc<Route>,
    pub(super) body: Body,
    /// What is done to a large body is done aside.
    heavy: Option<Heavy>,
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
    /// What they read of a large body.
    pub(super) words: Option<Words>,
    /// What the application decides for it.
    pub(super) hints: Hints,
    /// What makes it dearer than its length. Only looked for where cost decides.
    surcharges: Surcharges,
    /// Messages that were left out, or cut.
    pub(super) truncated: u32,
    /// What stands for some of them.
    pub(super) summary: Option<Told>,
    /// Its own limit for the answer may be lowered where it fits then.
    pub(super) lowers_limit: bool,
    /// Whoever cannot call several tools at once is passed over.
    pub(super) strict_tools: bool,
    /// Windows of the route's backends that proved smaller than the config says.
    pub(super) learnt: Vec<(usize, u64)>,
    /// The prompt's tokens by the word of these backends' providers.
    pub(super) told: Vec<(usize, u64)>,
    /// The prompt as such words are remembered, once somebody has looked for them.
    pub(super) turns: Option<Arc<Turns>>,
    /// For their word, and not yet booked.
    pub(super) waited: Duration,
    pub(super) runtime: Arc<Runtime>,
    /// The application's own, for policies to look at.
    pub(super) headers: HeaderMap,
    pub(super) forwarded: Vec<(HeaderName, HeaderValue)>,
    /// Retries the application's SDK has made of this request: they count against the route's.
    pub(super) retried: u32,
    /// For everything until the answer, or a stream's first content.
    pub(super) deadline: Instant,
    /// What it may cost, and whom that counts for.
    pub(super) rights: Rights,
}

/// A request's fields, and what they say.
struct Read {
    body: Body,
    need: Need,
    model: String,
    route: Arc<Route>,
    sizes: Sizes,
    surcharges: Surcharges,
    words: Option<Words>,
}

pub(super) async fn call(
    generation: &Arc<Generation>,
    api: Api,
    accepted: &mut Accepted,
    settle: &mut Settle,
) -> Result<Call, ProxyError> {
    let (passing, heavy, read) = understand(generation, api, accepted, settle).await?;
    let Read { body, need, model, route, sizes, surcharges, words } = read;
    let hints = hint::read(&route, &accepted.headers)?;
    let given = [accepted.patience.timeout, hints.timeout].into_iter().flatten();
    let timeout = given.fold(route.request.timeout, Duration::min);
    let goes_on = need.kept.as_ref().map(|_| Pass::STORED_RESPONSE);
    let pass = passing.as_ref().map(|passing| passing.pass).or(goes_on);
    let unable = pass.map(|pass| pass::unable(pass, &route, hints.backend)).unwrap_or_default();
    let learnt = route.learnt_windows(clock::now());
    let counts = api.is_billed() && !route.budgets.is_empty();
    let dues = if counts { route.dues(&accepted.headers, unix()) } else { Vec::new() };
    settle.routed(&route, need.stream, &sizes);
    settle.asks(need.pieces);
    Ok(Call {
        api,
        route,
        body,
        heavy,
        passing,
        unable,
        need,
        model,
        sizes,
        wanted: Wanted::default(),
        words,
        hints,
        surcharges,
        truncated: 0,
        summary: None,
        lowers_limit: false,
        strict_tools: false,
        learnt,
        told: Vec::new(),
        turns: None,
        waited: Duration::ZERO,
        runtime: settle.runtime(),
        headers: std::mem::take(&mut accepted.headers),
        forwarded: std::mem::take(&mut accepted.forwarded),
        retried: accepted.patience.retries,
        deadline: clock::after(settle.started(), timeout),
        rights: Rights::new(dues),
    })
}

/// Reads the body, and finds its route.
async fn understand(
    generation: &Arc<Generation>,
    api: Api,
    accepted: &mut Accepted,
    settle: &Settle,
) -> Result<(Option<Arc<Passing>>, Option<Heavy>, Read), ProxyError> {
    let runtime = settle.runtime();
    let size = accepted.body.len() as u64;
    // Whose route it is shows only in the body.
    let (started, hangs_up) = (settle.started(), accepted.patience.timeout.unwrap_or(Duration::MAX));
    let until = || clock::after(started, generation.patience().min(hangs_up));
    let begun_by = if size > LARGE { until() } else { started };
    let (bytes, uri) = (accepted.body.clone(), accepted.uri.clone());
    let content_type = accepted.headers.get(header::CONTENT_TYPE).cloned();
    let parted = runtime.aside.work(size, begun_by, move || taken_apart(api, bytes, &uri, content_type.as_ref()));
    let (passing, body) = parted.await??;
    accepted.weigh(&body)?;
    let kept = match &passing {
        Some(passing) if passing.is_kept() => Some(Arc::clone(passing.route(generation, &accepted.headers)?)),
        None if api == Api::Responses && body.get_bytes("model").is_none() => {
            pass::keeping(generation, &accepted.headers)?.map(Arc::clone)
        }
        _ => None,
    };
    let is_heavy = size + body.values() as u64 * VALUE_WORK > LARGE;
    let heavy = is_heavy.then(|| runtime.aside.heavy(accepted.take_hold(&runtime)));
    let understood = {
        let (generation, runtime) = (Arc::clone(generation), Arc::clone(&runtime));
        move || {
            let mut body = body;
            items::fill(&runtime.items, api, &mut body);
            let read = understood(&generation, api, body, kept, size)?;
            let words = if is_heavy { Words::of(&read.route, api, &read.body) } else { None };
            Ok::<_, ProxyError>(Read { words, ..read })
        }
    };
    let read = match &heavy {
        None => understood()?,
        Some(heavy) => heavy.run(until(), understood).await??,
    };
    Ok((passing, heavy, read))
}

/// The request's fields, and what there is beside them.
fn taken_apart(
    api: Api,
    bytes: Bytes,
    uri: &Uri,
    content_type: Option<&HeaderValue>,
) -> Result<(Option<Arc<Passing>>, Body), ProxyError> {
    let Api::Pass(pass) = api else { return Ok((None, Body::parse(bytes)?)) };
    let (passing, fields) = Passing::read(pass, uri, content_type, bytes)?;
    Ok((Some(Arc::new(passing)), fields))
}

/// What a request asks for, and of which route; `kept`: of this one, which it did not name by its model.
fn understood(
    generation: &Generation,
    api: Api,
    mut body: Body,
    kept: Option<Arc<Route>>,
    size: u64,
) -> Result<Read, ProxyError> {
    // Whoever asks for a model that is not here learns that first, whatever else is wrong.
    let unknown = |model| ProxyError::UnknownModel { model, known: generation.known_in_words() };
    let mut need = read(api, &body).map_err(|bad| match body.value("model") {
        Some(Value::String(model)) if generation.route(&model).is_none() => unknown(model),
        _ => bad.into(),
    })?;
    let model = std::mem::take(&mut need.model);
    let route = match (kept, &need.kept) {
        (Some(route), _) => route,
        (None, Some(why)) if model.is_empty() => return Err(why.clone().into()),
        (None, _) => Arc::clone(generation.route(&model).ok_or_else(|| unknown(model.clone()))?),
    };
    pass::may_go_on(&route, need.kept.as_ref())?;
    if size > route.request.max_body_bytes {
        return Err(ProxyError::TooLarge { size: Some(size), limit: route.request.max_body_bytes });
    }
    if api.takes_rules() && apply(&route.request, api, &mut body) {
        need = read(api, &body)?;
    }
    // What has no prompt is never too long.
    let sizes = if api.has_prompt() { count::bounds(api, &body) } else { Sizes::bounds(0, 0) };
    let surcharges = surcharges(&route, &body);
    Ok(Read { body, need, model, route, sizes, surcharges, words: None })
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
    /// What is done to its body is done aside.
    pub(super) const fn is_heavy(&self) -> bool {
        self.heavy.is_some()
    }

    /// Does work on the body: aside where that takes long, on a copy that stays when nobody waits for it any more.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ProxyError> {
        let Some(heavy) = &self.heavy else { return Ok(work(self)) };
        let copy = self.copy(self.deadline);
        Box::pin(heavy.run(self.deadline, move || work(&copy))).await
    }

    /// What every candidate must be able to do.
    pub(super) fn demand(&self) -> Demand {
        let Need {
            max_output_tokens, thought, choices, tools, images, image_urls, json_schema, ref hosted_tool, ..
        } = self.need;
        // What may be thought is part of the answer: a limit that leaves nothing beside that is refused.
        let reserve = self.route.window.reserve_output.max(if thought > 0 { thought.saturating_add(1) } else { 0 });
        let output = match (max_output_tokens, self.api) {
            (_, Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_)) => Output::Asked(0),
            (Some(asked), _) if self.lowers_limit => Output::AtLeast { asked, reserve },
            (Some(tokens), _) => Output::Asked(tokens),
            (None, _) => Output::Reserve(reserve),
        };
        let more_choices = choices.saturating_sub(1);
        let hosted_tools = hosted_tool.is_some();
        let measure = match self.api {
            Api::Pass(pass) if pass.bill != Bill::Later => Measure::Pieces(self.need.pieces.map(bill::counted)),
            api if api.has_prompt() => Measure::Tokens,
            _ => Measure::Nothing,
        };
        let Surcharges { cache_writes, audio, tier, regional, beside } = self.surcharges;
        let (tier, beside) = (tier.map_or(Tier::Standard, bill::served), bill::beside(beside));
        let parallel_tools = self.strict_tools;
        let able = Demand { output, tools, parallel_tools, images, json_schema, hosted_tools, ..Demand::default() };
        Demand {
            image_urls,
            more_choices,
            cache_writes,
            audio,
            tier,
            regional,
            beside,
            measure,
            unable: self.unable,
            ..able
        }
    }

    /// Who can serve it, apart from those that are out, or left alone for a while.
    pub(super) fn question(&self, out: Set, open: Set, larger_than: u64) -> Question<'_> {
        let Route { candidates, max_cost, .. } = &*self.route;
        let Wanted { unwanted, unclear, .. } = self.wanted;
        let (demand, sizes, max_cost) = (self.demand(), &self.sizes, max_cost.filter(|_| self.api.is_billed()));
        let (learnt, told, denied) = (&*self.learnt, &*self.told, self.rights.denied());
        Question {
            candidates,
            learnt,
            told,
            demand,
            sizes,
            out,
            open,
            denied,
            unwanted,
            unclear,
            larger_than,
            max_cost,
        }
    }

    /// One backend is asked, once.
    pub(super) fn is_once(&self) -> bool {
        self.api == Api::CountTokens || self.passing.as_ref().is_some_and(|passing| passing.is_kept())
    }

    /// The same request, to be sent to somebody else at the same time.
    pub(super) fn copy(&self, deadline: Instant) -> Self {
        let Self { api, route, body, heavy, passing, unable, need, model, sizes, wanted, words, .. } = self;
        let Self {
            hints, surcharges, truncated, summary, lowers_limit, learnt, told, turns, runtime, forwarded, ..
        } = self;
        Self {
            api: *api,
            route: Arc::clone(route),
            body: body.clone(),
            heavy: heavy.clone(),
            passing: passing.clone(),
            unable: *unable,
            need: need.clone(),
            model: model.clone(),
            sizes: *sizes,
            wanted: *wanted,
            words: words.clone(),
            hints: *hints,
            surcharges: *surcharges,
            truncated: *truncated,
            summary: *summary,
            lowers_limit: *lowers_limit,
            strict_tools: false,
            learnt: learnt.clone(),
            told: told.clone(),
            turns: turns.clone(),
            waited: Duration::ZERO,
            runtime: Arc::clone(runtime),
            headers: HeaderMap::new(),
            forwarded: forwarded.clone(),
            retried: 0,
            deadline,
            rights: self.rights.copy(),
        }
    }

    /// Another request that this one needs an answer to first.
    pub(super) fn errand(&self, body: Body, need: Need, deadline: Instant) -> Self {
        let api = Api::ChatCompletions;
        let (sizes, surcharges) = (count::bounds(api, &body), Surcharges::default());
        let (unable, wanted, hints) = (Set::default(), Wanted::default(), Hints::default());
        let (truncated, summary, lowers_limit) = (0, None, false);
        let mut copy = self.copy(deadline);
        copy.forget_told();
        Self { api, body, need, sizes, surcharges, unable, wanted, hints, truncated, summary, lowers_limit, ..copy }
    }

    /// The prompt has become another one.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
        self.turns = None;
    }

    /// How long until the deadline.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}
