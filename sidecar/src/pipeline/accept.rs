//! The body, whole: every decision after this one may need to read it, and a retry needs to send it again.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use spillway_providers::{Api, BadRequest, Body, pass::ModelIn};

use super::pieces::Pieces;
use crate::{
    error::ProxyError,
    runtime::{Hold, Runtime},
};

/// A request that has arrived.
pub(super) struct Accepted {
    pub(super) body: Bytes,
    pub(super) uri: Uri,
    /// As they came, keys and cookies included: nothing of them is sent or logged that is not on a list.
    pub(super) headers: HeaderMap,
    /// What of the application's headers goes to the provider.
    pub(super) forwarded: Vec<(HeaderName, HeaderValue)>,
    pub(super) patience: Patience,
    /// Where the body is in the budget of bytes.
    held: Hold,
}

/// What an SDK says of its own retries and timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// Retries it has made of this very request.
    pub(super) retries: u32,
    /// When it hangs up.
    pub(super) timeout: Option<Duration>,
}

const MEMORY: &str = "memory for request bodies";

/// A client that sends nothing of its body for this long has gone.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// Within a pod, time for all that is usual.
const DISCARD: Duration = Duration::from_secs(1);

/// Features an application may switch on at the provider, and the trace it is part of. Everything else stays here: keys
/// and cookies, and whatever was meant for somebody else.
const FORWARDED: [&str; 5] = ["openai-beta", "anthropic-beta", "anthropic-version", "traceparent", "tracestate"];

impl Accepted {
    /// Books the memory that working on so many values takes: a small text can hold millions of them.
    pub(super) fn weigh(&mut self, body: &Body) -> Result<(), ProxyError> {
        let (total, limit) = (self.body.len() as u64 + body.memory(), self.held.limit());
        if total > limit {
            return Err(ProxyError::TooManyValues { values: body.values(), bytes: total, limit });
        }
        if self.held.grow_to(total) { Ok(()) } else { Err(ProxyError::Overloaded { what: MEMORY, limit }) }
    }

    /// What was booked, for somebody who keeps it longer.
    pub(super) fn take_hold(&mut self, runtime: &Runtime) -> Hold {
        std::mem::replace(&mut self.held, runtime.memory.hold())
    }
}

/// Reads the body, after what its head says has been checked.
pub(super) async fn body(
    runtime: &Runtime,
    api: Api,
    limit: u64,
    request: Request<Incoming>,
) -> Result<Accepted, ProxyError> {
    let (head, incoming) = request.into_parts();
    check_type(api, &head.headers)?;
    let mut held = runtime.memory.hold();
    let body = collect(incoming, limit, &mut held).await?;
    let (forwarded, patience) = (forwarded(&head.headers), patience(&head.headers));
    // A form is taken apart and written anew, and for a moment is there twice.
    let is_form = matches!(api, Api::Pass(pass) if pass.model == ModelIn::Form);
    if is_form && !held.grow(body.len() as u64) {
        return Err(ProxyError::Overloaded { what: MEMORY, limit: held.limit() });
    }
    Ok(Accepted { body, uri: head.uri, headers: head.headers, forwarded, patience, held })
}

/// What a body may be.
const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data";

fn check_type(api: Api, headers: &HeaderMap) -> Result<(), ProxyError> {
    let text =
        |name| headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (wanted, required): (&'static [&'static str], bool) = match api {
        Api::Pass(pass) if pass.model == ModelIn::Form => (&[FORM], true),
        // A request for a list has no body, and nothing to say of it.
        Api::Pass(pass) if pass.kept().is_some() => (&[JSON, FORM], false),
        _ => (&[JSON], true),
    };
    let found = text(header::CONTENT_TYPE);
    let is_right = found.as_deref().map_or(!required, |found| wanted.iter().any(|wanted| is(wanted, found)));
    if !is_right {
        return Err(ProxyError::ContentType { found: found.unwrap_or_default(), wanted: wanted.join(" or ") });
    }
    match text(header::CONTENT_ENCODING) {
        Some(found) if found != "identity" => Err(ProxyError::ContentEncoding { found }),
        _ => Ok(()),
    }
}

fn is(wanted: &str, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

/// Reads a body that nobody wants. An answer that leaves before its request has arrived is often lost: closing a
/// connection with unread bytes resets it, and the other side drops what it has not read yet.
pub(crate) async fn discard<B: hyper::body::Body + Unpin>(mut body: B) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    // Who sends for longer than that has to live with it.
    _ = tokio::time::timeout(DISCARD, all).await;
}

async fn collect(mut incoming: Incoming, limit: u64, held: &mut Hold) -> Result<Bytes, ProxyError> {
    let kept = keep(&mut incoming, limit, held).await;
    if let Err(ProxyError::TooLarge { .. } | ProxyError::Overloaded { .. }) = &kept {
        discard(incoming).await;
    }
    kept
}

async fn keep(incoming: &mut Incoming, limit: u64, held: &mut Hold) -> Result<Bytes, ProxyError> {
    let too_large = |size| Err(ProxyError::TooLarge { size, limit });
    // Refused by its announced length before a byte of it is kept.
    let announced = incoming.size_hint().exact();
    if announced.is_some_and(|size| size > limit) {
        return too_large(announced);
    }
    let mut pieces = Pieces::expecting(announced);
    while !incoming.is_end_stream() {
        let frame = match tokio::time::timeout(BODY_IDLE, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Ok(None) => break,
            Err(_) => return Err(ProxyError::Incomplete { reason: format!("nothing came for {BODY_IDLE:?}") }),
        };
        let Ok(data) = frame.into_data() else { continue };
        let total = (pieces.len() + data.len()) as u64;
        if total > limit {
            return too_large(None);
        }
        if !held.grow_to(total) {
            return Err(ProxyError::Overloaded { what: MEMORY, limit: held.limit() });
        }
        pieces.push(data);
    }
    Ok(pieces.join())
}

/// A body that ends too early may have been cut on its way; one whose chunks are none was written so.
fn broken(error: &hyper::Error) -> ProxyError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.filter(|cause| matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)) {
        Some(cause) => {
            let message = format!(
                "request body is not chunked as its transfer-encoding says: {cause} (each chunk begins with its size in \
                 hexadecimal; or send a content-length instead)"
            );
            BadRequest { param: None, message }.into()
        }
        None => ProxyError::Incomplete { reason: error.to_string() },
    }
}

fn forwarded(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let named = |name: &&'static str| headers.get(*name).map(|value| (HeaderName::from_static(name), value.clone()));
    FORWARDED.iter().filter_map(named).collect()
}

fn patience(headers: &HeaderMap) -> Patience {
    let number = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let seconds = number("x-stainless-timeout").and_then(|text| text.parse::<f64>().ok());
    Patience {
        retries: number("x-stainless-retry-count").and_then(|text| text.parse().ok()).unwrap_or(0),
        timeout: seconds.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

#[cfg(test)]
mod tests {
    use spillway_providers::pass::{Found, Pass};

    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        rows.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_plain_json_is_taken() {
        let rows: [(&[(&str, &str)], bool); 6] = [
            (&[("content-type", "application/json")], true),
            (&[("content-type", "Application/JSON; charset=utf-8")], true),
            (&[("content-type", "text/plain")], false),
            (&[], false),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
            (&[("content-type", "application/json"), ("content-encoding", "gzip")], false),
        ];
        for (rows, want) in rows {
            assert_eq!(check_type(Api::ChatCompletions, &headers(rows)).is_ok(), want, "{rows:?}");
        }
    }

    #[test]
    fn a_form_is_taken_where_a_form_belongs_and_nothing_where_nothing_is_needed() {
        let rows = [
            ("POST", "/v1/audio/transcriptions", Some("multipart/form-data; boundary=b"), true),
            ("POST", "/v1/audio/transcriptions", Some("application/json"), false),
            ("POST", "/v1/audio/speech", Some("multipart/form-data; boundary=b"), false),
            ("POST", "/v1/files", Some("multipart/form-data; boundary=b"), true),
            ("POST", "/v1/batches", Some("application/json"), true),
            ("POST", "/v1/files", Some("text/plain"), false),
            ("GET", "/v1/files", None, true),
        ];
        for (method, path, given, want) in rows {
            let Found::Pass(pass) = Pass::find(method, path) else { panic!("{path}") };
            let given = given.map(|given| ("content-type", given));
            let headers = headers(given.as_slice());
            assert_eq!(check_type(Api::Pass(pass), &headers).is_ok(), want, "{method} {path} {given:?}");
        }
    }

    #[test]
    fn nothing_but_the_list_is_forwarded() {
        let given = headers(&[("authorization", "Bearer app"), ("cookie", "a=b"), ("openai-beta", "assistants=v2")]);
        assert_eq!(forwarded(&given), [("openai-beta".parse().unwrap(), HeaderValue::from_static("assistants=v2"))]);
    }

    #[test]
    fn an_sdk_says_when_it_hangs_up_and_nonsense_is_ignored() {
        let rows = [("600.0", Some(600)), ("-1", None), ("NaN", None), ("1e300", None), ("soon", None)];
        for (text, want) in rows {
            let found = patience(&headers(&[("x-stainless-timeout", text), ("x-stainless-retry-count", "2")]));
            assert_eq!(found, Patience { retries: 2, timeout: want.map(Duration::from_secs) }, "{text}");
        }
    }
}
