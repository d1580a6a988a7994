//! The data port: HTTP/1 on loopback, bounded in every direction, and a clear word at every wrong door.

pub mod admin;
mod crowd;
mod models;
mod patience;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use spillway_providers::{
    Api,
    pass::{Found, Pass},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::ProxyError,
    pipeline::{self, REQUEST_ID, ReplyBody, error_response},
    record::RequestRecord,
    runtime::{Connected, Runtime},
};

use patience::Patient;

/// A head that takes longer than this to arrive comes from nobody who means well. It bounds idle connections too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// Out of file descriptors: a moment without new connections lets the open ones finish.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets open requests finish for up to `drain`. Returns how many connections were cut off;
/// what they used is settled by then.
pub async fn serve(
    listener: TcpListener,
    runtime: Arc<Runtime>,
    shutdown: CancellationToken,
    drain: Duration,
) -> usize {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match runtime.connected() {
                Connected::Serve(place) => {
                    let served = connection(stream, Arc::clone(&runtime), shutdown.clone(), cut.clone());
                    connections.spawn(keeping(place, served));
                }
                Connected::TurnAway(place) => {
                    tokio::spawn(keeping(place, crowd::turn_away(stream, Arc::clone(&runtime))));
                }
                Connected::Close => {}
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    runtime.end_shadows();
    // From here on new connections are refused by the system, which an SDK retries.
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_ok() {
        return 0;
    }
    let late = connections.len();
    cut.cancel();
    connections.wait().await;
    late
}

/// Does this with a place of its own.
async fn keeping<T>(place: T, work: impl Future<Output = ()>) {
    work.await;
    drop(place);
}

async fn connection(stream: TcpStream, runtime: Arc<Runtime>, shutdown: CancellationToken, cut: CancellationToken) {
    // Small frames of a stream are not to wait for an acknowledgement.
    _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&runtime), request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(Patient::new(stream)), service));
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(runtime: Arc<Runtime>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
    Ok(match Door::of(&request) {
        Ok(Door::Call(api)) => match runtime.enter() {
            // On its own: a connection whose request is turned away, or that has none, is not to have room for it.
            Ok(place) => Box::pin(pipeline::handle(place, api, request)).await,
            Err(limit) => {
                pipeline::discard(request.into_body()).await;
                let what = "the number of requests in flight";
                turn_away(&runtime, api, &ProxyError::Overloaded { what, limit: limit as u64 })
            }
        },
        Ok(Door::Models(id)) => models::answer(&runtime, shape(request.headers()), &request, id),
        Ok(Door::Options(allowed)) => pipeline::methods(&allowed),
        Err(refused) => turn_away(&runtime, refused.0, &refused.1),
    })
}

/// Refused at the door: nobody has begun to work on it, and still it is counted and logged like any other request.
fn turn_away(runtime: &Runtime, api: Api, error: &ProxyError) -> Response<ReplyBody> {
    let id = runtime.request_id();
    let shape = error.shape();
    runtime.telemetry.request(&RequestRecord::turned_away(&id, api, shape.status.as_u16(), &shape.code));
    let mut response = error_response(api, error);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What a method and a path ask for.
#[derive(Debug, PartialEq, Eq)]
enum Door<'a> {
    Call(Api),
    /// The list, or one of it.
    Models(Option<&'a str>),
    /// Which methods there are. That is all: pages of other origins get no leave here.
    Options(String),
}

/// Whose words to use, and what to say.
type Refused = Box<(Api, ProxyError)>;

impl<'a> Door<'a> {
    /// By the raw path only, once the host has been found to be us: a page in a browser must not get here by a name it
    /// made up for 127.0.0.1.
    fn of<B>(request: &'a Request<B>) -> Result<Self, Refused> {
        let (method, path) = (request.method(), request.uri().path());
        let (door, allowed) = match path {
            "/v1/chat/completions" => (Door::Call(Api::ChatCompletions), Method::POST),
            "/v1/completions" => (Door::Call(Api::Completions), Method::POST),
            "/v1/embeddings" => (Door::Call(Api::Embeddings), Method::POST),
            "/v1/messages" => (Door::Call(Api::Messages), Method::POST),
            "/v1/responses" => (Door::Call(Api::Responses), Method::POST),
            "/v1/messages/count_tokens" => (Door::Call(Api::CountTokens), Method::POST),
            "/v1/tokenize" => (Door::Call(Api::Tokenize), Method::POST),
            "/v1/models" => (Door::Models(None), Method::GET),
            _ => match path.strip_prefix("/v1/models/").filter(|id| !id.is_empty()) {
                Some(id) => (Door::Models(Some(id)), Method::GET),
                None => return Self::passed(request),
            },
        };
        let api = if let Door::Call(api) = door { api } else { shape(request.headers()) };
        check_host(request.headers()).map_err(|error| Box::new((api, error)))?;
        // HEAD is GET whose body stays here, which the HTTP library sees to.
        if *method == allowed || (*method == Method::HEAD && allowed == Method::GET) {
            return Ok(door);
        }
        let own = if allowed == Method::GET { "GET, HEAD" } else { "POST" };
        match Pass::find(method.as_str(), path) {
            Found::Pass(pass) => Ok(Door::Call(Api::Pass(pass))),
            Found::Methods(others) => Self::other_method(request, api, format!("{own}, {others}")),
            Found::Nothing => Self::other_method(request, api, own.to_owned()),
        }
    }

    /// To what is passed on as it is.
    fn passed<B>(request: &Request<B>) -> Result<Self, Refused> {
        let path = request.uri().path();
        let api = if path.starts_with("/v1/messages") { Api::Messages } else { shape(request.headers()) };
        let found = match Pass::find(request.method().as_str(), path) {
            Found::Pass(pass) => Ok(Door::Call(Api::Pass(pass))),
            Found::Methods(allowed) => Err(allowed),
            Found::Nothing => return Err(Box::new((api, ProxyError::NoSuchPath { path: path.to_owned() }))),
        };
        check_host(request.headers()).map_err(|error| Box::new((api, error)))?;
        found.or_else(|allowed| Self::other_method(request, api, allowed))
    }

    fn other_method<B>(request: &Request<B>, api: Api, allowed: String) -> Result<Self, Refused> {
        if *request.method() == Method::OPTIONS {
            return Ok(Door::Options(allowed));
        }
        let (path, method) = (request.uri().path().to_owned(), request.method().to_string());
        Err(Box::new((api, ProxyError::Method { path, method, allowed })))
    }
}

/// Whose words to use where the path does not say.
fn shape(headers: &HeaderMap) -> Api {
    if headers.contains_key("anthropic-version") { Api::Messages } else { Api::ChatCompletions }
}

fn check_host(headers: &HeaderMap) -> Result<(), ProxyError> {
    let host = headers.get(header::HOST).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    // An IPv6 address has colons of its own, inside its brackets.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &host,
    };
    if ["127.0.0.1", "localhost", "[::1]"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(ProxyError::Host { host: host.into_owned() })
}

/// `%2F` and the like. What is no escape stands for itself.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte =
            escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
