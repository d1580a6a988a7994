//! The request as the backend's provider wants it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use spillway_providers::{Outgoing, Target, encode};
use spillway_wire::AuthScheme;

use super::resolve::Call;
use crate::{error::ProxyError, runtime::Backend};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("spillway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Builds the provider's request from scratch: of the application's headers only a list goes along.
pub(super) fn request(call: &Call, backend: &Backend) -> Result<Request<Full<Bytes>>, ProxyError> {
    let provider = &backend.provider;
    let target = Target {
        dialect: provider.dialect,
        row: provider.row,
        api_version: provider.api_version.as_deref(),
        model: &backend.model,
        max_output_tokens: backend.max_output_tokens,
        unsupported: call.route.request.unsupported,
    };
    let Outgoing { path, headers: dialect, body, dropped } = encode(call.api, &call.body, &call.need, &target)?;
    if !dropped.is_empty() {
        tracing::debug!(route = call.route.name, backend = backend.name, ?dropped, "parameters were left out");
    }
    let place = provider.upstream.place();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = place.uri(&path);
    let headers = request.headers_mut();
    headers.reserve(12);
    headers.insert(header::HOST, place.authority().clone());
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::ACCEPT, if call.need.stream { EVENTS } else { JSON });
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in dialect.iter().copied() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in &call.forwarded {
        // The application's version is its wish where the provider speaks its dialect, and noise elsewhere.
        if headers.contains_key(name) || name != "anthropic-version" {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in &provider.set {
        headers.insert(name, value.clone());
    }
    for name in &provider.remove {
        headers.remove(name);
    }
    if let Some(slot) = &provider.key {
        let unset = || ProxyError::Credentials { providers: provider.name.clone() };
        let key = slot.header(provider.auth).ok_or_else(unset)?;
        match provider.auth {
            AuthScheme::Bearer => headers.insert(header::AUTHORIZATION, key),
            AuthScheme::XApiKey => headers.insert(HeaderName::from_static("x-api-key"), key),
            AuthScheme::GoogApiKey => headers.insert(HeaderName::from_static("x-goog-api-key"), key),
            AuthScheme::ApiKey => headers.insert(HeaderName::from_static("api-key"), key),
            AuthScheme::None => None,
        };
    }
    Ok(request)
}
