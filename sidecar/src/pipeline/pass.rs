//! Requests that are passed on as they are: what they have instead of fields to translate, and who can take them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use spillway_policy::fallback::Set;
use spillway_providers::{BadRequest, Body, Pass, Target, pass::ModelIn};

use super::form::Form;
use crate::{
    error::ProxyError,
    runtime::{Generation, Route},
};

/// Which route a request that names no model is for: `chat`, or `shop/chat`.
const ROUTE: HeaderName = HeaderName::from_static("x-spillway-route");

/// More than any provider's id.
const MAX_ID_BYTES: usize = 256;

/// The rest of a request that is passed on.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) pass: &'static Pass,
    id: Option<String>,
    query: Option<String>,
    content: Content,
}

/// What is sent.
#[derive(Debug)]
enum Content {
    /// The request's fields.
    Fields,
    Form(Form),
    /// Nobody here has looked at it.
    Raw(Bytes, Option<HeaderValue>),
}

/// How it goes out.
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
}

// === impl Passing ===

impl Passing {
    /// Takes a request apart: its fields, and the rest.
    pub(super) fn read(
        pass: &'static Pass,
        uri: &Uri,
        content_type: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<(Self, Body), ProxyError> {
        let (content, fields) = match pass.model {
            ModelIn::Json => (Content::Fields, Body::parse(body)?),
            ModelIn::Form => {
                let (form, fields) = Form::read(content_type, body)?;
                (Content::Form(form), fields)
            }
            ModelIn::Nowhere(_) => (Content::Raw(body, content_type.cloned()), Body::default()),
        };
        let id = pass.id(uri.path()).map(crate::server::decoded);
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            let message = format!("the id in the path is longer than {MAX_ID_BYTES} bytes");
            return Err(BadRequest { param: None, message }.into());
        }
        // Some provider's gateway may take the escapes out before it looks where the path leads.
        if id.as_ref().is_some_and(|id| id.contains(['/', '\\', '%']) || id == "." || id == "..") {
            let message = "the id in the path is none: it leads to another path".to_owned();
            return Err(BadRequest { param: None, message }.into());
        }
        // Elsewhere a query means nothing.
        let query = uri.query().filter(|_| pass.kept().is_some()).map(str::to_owned);
        Ok((Self { pass, id, query, content }, fields))
    }

    /// Nobody but one backend can answer it, and what it asks for is not to be done twice.
    pub(super) fn is_kept(&self) -> bool {
        self.pass.kept().is_some()
    }

    /// As a provider gets it.
    pub(super) fn sent(&self, fields: &Body, target: &Target<'_>) -> Sent {
        let mut fields = fields.clone();
        if !self.is_kept() {
            fields.set("model", &target.model.into());
        }
        let (body, content_type) = match &self.content {
            Content::Fields => (fields.to_bytes(), Some(HeaderValue::from_static("application/json"))),
            Content::Form(form) => (form.to_bytes(&fields), form.content_type()),
            Content::Raw(bytes, content_type) => (bytes.clone(), content_type.clone()),
        };
        // Every method in the table is one.
        let method = Method::from_bytes(self.pass.method.as_bytes()).unwrap_or_default();
        Sent { method, path: self.pass.place(self.id.as_deref(), self.query.as_deref(), target), content_type, body }
    }

    /// The route of a request that names no model.
    pub(super) fn route<'a>(
        &self,
        generation: &'a Generation,
        headers: &HeaderMap,
    ) -> Result<&'a Arc<Route>, ProxyError> {
        route(self.pass, generation, headers)
    }
}

/// Which backends of a route cannot take it. What a provider keeps is with the one that was asked for, or else the first one
/// that can, and nowhere else.
pub(super) fn unable(pass: &Pass, route: &Route, asked_for: Option<usize>) -> Set {
    let keeper = asked_for.or_else(|| keeper(pass, route));
    let mut unable = Set::default();
    for (index, backend) in route.backends.iter().enumerate() {
        let is_able = pass.is_served_by(&backend.speech);
        if !is_able || (pass.kept().is_some() && keeper != Some(index)) {
            unable.insert(index);
        }
    }
    unable
}

/// The route of a request that names no model: the one its header names, or the only one that can take it.
pub(super) fn route<'a>(
    pass: &Pass,
    generation: &'a Generation,
    headers: &HeaderMap,
) -> Result<&'a Arc<Route>, ProxyError> {
    let refuse = |why| ProxyError::WhichRoute { path: pass.path.to_owned(), why };
    let names = |routes: &[&Arc<Route>]| routes.iter().map(|route| route.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = headers.get(ROUTE) {
        let wanted = String::from_utf8_lossy(wanted.as_bytes());
        let is_wanted = |route: &&Arc<Route>| {
            route.name == *wanted || route.name.split_once('/').is_some_and(|(_, name)| name == wanted)
        };
        let found: Vec<&Arc<Route>> = generation.routes.iter().filter(is_wanted).collect();
        return match found[..] {
            [route] if is_allowed(pass, route) => Ok(route),
            [route] => Err(forbidden(pass, route.name.clone())),
            [] => {
                let known = names(&generation.routes.iter().collect::<Vec<_>>());
                let wanted: String = wanted.chars().take(100).collect();
                Err(refuse(format!("header {ROUTE} says {wanted:?}, which is not here (known: {known})")))
            }
            _ => Err(refuse(format!("header {ROUTE} says {wanted:?}, which may be {}", names(&found)))),
        };
    }
    let able: Vec<&Arc<Route>> = generation.routes.iter().filter(|route| keeper(pass, route).is_some()).collect();
    let allowed: Vec<&Arc<Route>> = able.iter().copied().filter(|route| is_allowed(pass, route)).collect();
    match allowed[..] {
        [route] => Ok(route),
        [] if !able.is_empty() => Err(forbidden(pass, names(&able))),
        [] => Err(refuse("no route here has a first choice that speaks OpenAI's API".to_owned())),
        _ => Err(refuse(format!(
            "it names no model, so say which route is meant in header {ROUTE}: {}",
            names(&allowed)
        ))),
    }
}

/// The route of a response that names no model, because what the provider keeps does. None: no route has it keep anything.
pub(super) fn keeping<'a>(
    generation: &'a Generation,
    headers: &HeaderMap,
) -> Result<Option<&'a Arc<Route>>, ProxyError> {
    if generation.routes.iter().any(|route| is_allowed(Pass::STORED_RESPONSE, route)) {
        return route(Pass::STORED_RESPONSE, generation, headers).map(Some);
    }
    Ok(None)
}

/// The provider cannot tell one application from another, so it is for whoever owns the route to say.
fn is_allowed(pass: &Pass, route: &Route) -> bool {
    pass.kept().is_none_or(|kept| route.request.pass_through.contains(&kept))
}

/// Refuses what goes on from something that is kept, where the route does not have it kept. `why` it would have to be.
pub(super) fn may_go_on(route: &Route, why: Option<&BadRequest>) -> Result<(), ProxyError> {
    match why {
        Some(why) if !is_allowed(Pass::STORED_RESPONSE, route) => Err(why.clone().into()),
        _ => Ok(()),
    }
}

fn forbidden(pass: &Pass, routes: String) -> ProxyError {
    let Pass { method, path, .. } = pass;
    let value = pass.kept().map_or_else(String::new, |kept| format!("{kept:?}"));
    ProxyError::NotPassed { what: format!("{method} {path}"), routes, value }
}

fn keeper(pass: &Pass, route: &Route) -> Option<usize> {
    let is_able = |index: &&usize| pass.is_served_by(&route.backends[**index].speech);
    route.primaries.iter().find(is_able).copied()
}
