//! The request as the backend's provider wants it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header, uri::PathAndQuery};
use http_body_util::Full;
use spillway_providers::{
    Dialect, Outgoing, Target, asked,
    counting::{self, Asking},
    encode,
    pass::Kept,
};
use spillway_wire::AuthScheme;

use super::{pass::Sent, resolve::Call};
use crate::{
    clock,
    error::ProxyError,
    runtime::{KeySlot, LARGE, Provider},
    sign::{AwsCredentials, Digest, Scope, SignError, Signed, sign},
};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("spillway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// How many parameters that were left out are told, and how long their names are. No API has longer ones; some are places in
/// a conversation.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 80;

/// Where the request goes, as its dialect needs to know it.
fn target(call: &Call, index: usize) -> Target<'_> {
    let backend = &call.route.backends[index];
    let longest = [backend.max_output_tokens, call.answer_room(index)].into_iter().flatten().min();
    Target {
        dialect: backend.speech.dialect,
        host: backend.speech.host,
        row: backend.speech.row,
        api_version: backend.provider.api_version.as_deref(),
        model: &backend.model,
        max_output_tokens: longest,
        schema_by_tool: backend.schema_by_tool,
        abilities: backend.abilities,
        unsupported: call.hints.unsupported.unwrap_or(call.route.request.unsupported),
        keeps: call.route.request.pass_through.contains(&Kept::Responses),
    }
}

/// The provider's request, and what of the application's is not in it.
pub(super) struct Made {
    pub(super) request: Request<Full<Bytes>>,
    /// Parameters that the backend does not take: their names in order, with commas between them.
    pub(super) dropped: Option<String>,
    /// A tool stands in for the form of a streamed answer.
    pub(super) stands_in: bool,
}

/// Builds the provider's request from scratch: of the application's headers only a list goes along.
pub(super) fn request(call: &Call, index: usize, key: Option<&KeySlot>) -> Result<Made, ProxyError> {
    let (method, content_type, outgoing) = written(call, index)?;
    sealed(call, index, key, (method, content_type), (outgoing, false))
}

/// What asks the provider how long the prompt is. None: it does not count.
pub(super) fn counting(call: &Call, index: usize) -> Option<Box<Asking>> {
    counting::ask(call.api, &call.body, &call.need, &target(call, index))?.ok().map(Box::new)
}

/// The request that asks so.
pub(super) fn asking(
    call: &Call,
    index: usize,
    asking: Asking,
    key: Option<&KeySlot>,
) -> Result<Request<Full<Bytes>>, ProxyError> {
    let made = sealed(call, index, key, (Method::POST, Some(JSON)), (asking.outgoing, asking.at_root))?;
    Ok(made.request)
}

/// With everything around what is said.
fn sealed(
    call: &Call,
    index: usize,
    key: Option<&KeySlot>,
    (method, content_type): (Method, Option<HeaderValue>),
    (outgoing, at_root): (Outgoing, bool),
) -> Result<Made, ProxyError> {
    let backend = &call.route.backends[index];
    let provider = &backend.provider;
    let stands_in = call.need.stream && asked(call.api, &call.body).is_some() && outgoing.stands_in();
    let Outgoing { path, headers: dialect, body, dropped } = outgoing;
    let place = provider.upstream.place();
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = method;
    *request.uri_mut() = if at_root { place.root_uri(&path) } else { place.uri(&path) };
    let headers = request.headers_mut();
    headers.reserve(12);
    headers.insert(header::HOST, place.authority().clone());
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let accept = if call.need.stream { EVENTS } else { JSON };
    headers.insert(header::ACCEPT, if call.passing.is_some() { ANYTHING } else { accept });
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in dialect.iter().copied() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in &call.forwarded {
        forward(headers, name, value, backend.speech.dialect);
    }
    for (name, value) in &provider.set {
        headers.insert(name, value.clone());
    }
    for name in &provider.remove {
        headers.remove(name);
    }
    authorize(&mut request, &body, provider, key)?;
    Ok(Made { request, dropped: named(dropped), stands_in })
}

/// Names that fit into a header. Some are the application's own words; for those that do not fit stands `...`.
fn named(mut dropped: Vec<String>) -> Option<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    let all = dropped.len();
    dropped.retain(|name| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_word));
    let more = dropped.len() < all;
    dropped.sort_unstable();
    dropped.dedup();
    let more = more || dropped.len() > MAX_NAMES;
    dropped.truncate(MAX_NAMES);
    dropped.extend(more.then(|| "...".to_owned()));
    (!dropped.is_empty()).then(|| dropped.join(","))
}

/// Says who asks: a header with the key, or a signature over the whole request. What has to be fetched first is added at the
/// very end.
fn authorize(
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    provider: &Provider,
    key: Option<&KeySlot>,
) -> Result<(), ProxyError> {
    // Whoever signs it later does so where everybody waits, and is not to read all of it there.
    if provider.identity.is_some() && provider.auth == AuthScheme::SigV4 && body.len() as u64 > LARGE {
        request.extensions_mut().insert(Digest::of(body));
    }
    if provider.keys.is_empty() {
        return Ok(());
    }
    let unusable = || ProxyError::Credentials { providers: provider.name.clone() };
    let slot = key.ok_or_else(unusable)?;
    if let (AuthScheme::SigV4, Some(key)) = (provider.auth, slot.aws()) {
        return sign_with(&key, request, body, provider).map_err(|error| {
            tracing::warn!(provider = provider.name, error = %error, "the key cannot sign requests");
            unusable()
        });
    }
    match provider.authorization(slot) {
        Some((name, key)) => drop(request.headers_mut().insert(name, key)),
        None if provider.identity.is_some() && slot.is_set() => {}
        None => return Err(unusable()),
    }
    Ok(())
}

/// Adds a signature over the whole request.
pub(super) fn sign_with(
    key: &AwsCredentials,
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    provider: &Provider,
) -> Result<(), SignError> {
    let digest = request.extensions().get::<Digest>().map_or_else(|| Digest::of(body), Digest::clone);
    let scope = Scope { region: &provider.region, service: "bedrock", at: clock::since_epoch() };
    let signed = Signed {
        method: request.method().as_str(),
        authority: provider.upstream.place().authority().to_str().unwrap_or_default(),
        target: request.uri().path_and_query().map_or("/", PathAndQuery::as_str),
        content_type: "application/json",
        digest: &digest,
    };
    let headers = sign(key, scope, signed)?;
    request.headers_mut().extend(headers);
    Ok(())
}

/// One of the application's headers. What it says to Anthropic is its wish where that is spoken, and noise elsewhere; a
/// version has its place in the body where no header names one already.
fn forward(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue, dialect: Dialect) {
    let ours = headers.get(name);
    let betas = match name.as_str() {
        "anthropic-version" if ours.is_none() => return,
        "anthropic-beta" if dialect != Dialect::Anthropic => return,
        "anthropic-beta" => ours,
        _ => None,
    };
    // Both are needed: the application's, and the one that what was translated for it needs.
    let both = betas.and_then(|ours| HeaderValue::from_bytes(&[ours.as_bytes(), b",", value.as_bytes()].concat()).ok());
    headers.insert(name, both.unwrap_or_else(|| value.clone()));
}

/// The request without its headers: translated, or as it came.
fn written(call: &Call, index: usize) -> Result<(Method, Option<HeaderValue>, Outgoing), ProxyError> {
    let target = target(call, index);
    let Some(passing) = &call.passing else {
        let (body, need) = call.limited(index);
        let outgoing = encode(call.api, &body, &need, &target)?;
        return Ok((Method::POST, Some(JSON), with_betas(outgoing, &call.forwarded, target.dialect)));
    };
    let Sent { method, path, content_type, body } = passing.sent(&call.body, &target);
    let outgoing = Outgoing { path: path.into(), headers: Cow::Borrowed(&[]), body, dropped: Vec::new() };
    Ok((method, content_type, outgoing))
}

/// What the application asks of Claude by a header, where its door has another place for that.
fn with_betas(outgoing: Outgoing, forwarded: &[(HeaderName, HeaderValue)], dialect: Dialect) -> Outgoing {
    let betas = forwarded.iter().filter(|(name, _)| dialect == Dialect::BedrockInvoke && name == "anthropic-beta");
    betas.filter_map(|(_, value)| value.to_str().ok()).fold(outgoing, Outgoing::with_betas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_in_a_line_of_bounded_length() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let many: Vec<String> = (10..40).map(|number| format!("p{number}")).collect();
        let rows = [
            (names(&[]), None),
            (names(&["seed", "logit_bias", "seed"]), Some("logit_bias,seed".to_owned())),
            (names(&["tools[0]", "input[12]", "tool_choice"]), Some("input[12],tool_choice,tools[0]".to_owned())),
            (
                names(&["messages[12].content[3].content[10].citations"]),
                Some("messages[12].content[3].content[10].citations".to_owned()),
            ),
            (names(&["a\r\nb", "", "ü", &"x".repeat(81)]), Some("...".to_owned())),
            (names(&["seed", "ü", &"x".repeat(80)]), Some(format!("seed,{},...", "x".repeat(80)))),
            (many.clone(), Some(format!("{},...", many[..16].join(",")))),
        ];
        for (dropped, want) in rows {
            assert_eq!(named(dropped.clone()), want, "{dropped:?}");
        }
    }

    #[test]
    fn what_is_asked_of_claude_by_a_header_is_in_the_body_at_bedrock() {
        let beta = (HeaderName::from_static("anthropic-beta"), HeaderValue::from_static("context-1m-2025-08-07"));
        for (dialect, want) in [
            (Dialect::BedrockInvoke, r#"{"anthropic_beta":["context-1m-2025-08-07"]}"#),
            (Dialect::Anthropic, "{}"),
            (Dialect::OpenAi, "{}"),
        ] {
            let (path, headers) = (Cow::Borrowed("/"), Cow::Borrowed([].as_slice()));
            let outgoing = Outgoing { path, headers, body: "{}".into(), dropped: Vec::new() };
            assert_eq!(with_betas(outgoing, std::slice::from_ref(&beta), dialect).body, want, "{dialect:?}");
        }
    }

    #[test]
    fn what_is_said_to_anthropic_goes_to_anthropic() {
        let rows = [
            (Dialect::Anthropic, "anthropic-beta", Some("a"), "b", Some("a,b")),
            (Dialect::Anthropic, "anthropic-beta", None, "b", Some("b")),
            (Dialect::OpenAi, "anthropic-beta", None, "b", None),
            (Dialect::Anthropic, "anthropic-version", Some("2023-06-01"), "2024-01-01", Some("2024-01-01")),
            (Dialect::Anthropic, "anthropic-version", None, "2024-01-01", None),
            (Dialect::Gemini, "traceparent", None, "00-1", Some("00-1")),
        ];
        for (dialect, name, ours, theirs, want) in rows {
            let name = HeaderName::from_static(name);
            let mut headers = HeaderMap::new();
            headers.extend(ours.map(|ours| (name.clone(), HeaderValue::from_static(ours))));
            forward(&mut headers, &name, &HeaderValue::from_static(theirs), dialect);
            let got = headers.get(&name).and_then(|value| value.to_str().ok());
            assert_eq!(got, want, "{dialect:?} {name} {ours:?}");
        }
    }
}
