//! HTTP over TLS: accept, serve, and end politely. Used for both TLS ports.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;

/// What handlers answer with.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Handshakes under way at once: the expensive part of a thousand sidecars coming back together.
const HANDSHAKES: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After running out of sockets there is nothing to do but wait for some to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take and live.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request.
    pub header_timeout: Duration,
    /// Between pings that prove the other end alive, and for their answers.
    pub ping: (Duration, Duration),
    /// After this time, give or take 10 %, a connection is asked to end, so that replicas share the load again after a restart.
    pub max_age: Duration,
    /// How long a connection may take to end once it was asked to.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            ping: (Duration::from_secs(10), Duration::from_secs(5)),
            max_age: Duration::from_secs(30 * 60),
            grace: Duration::from_secs(10),
        }
    }
}

/// A body that is there as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// Serves until `stop`, then until every connection has ended or its grace is over. The handler's token is
/// cancelled when its connection is to end: an endless answer ends then.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    handler: H,
    stop: CancellationToken,
) where
    H: Fn(Request<Incoming>, CancellationToken) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(tls);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let permit = handshakes.clone().acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        let Some((permit, accepted)) = stop.run_until_cancelled(next).await else { break };
        match accepted {
            Ok((stream, _)) => {
                let (acceptor, handler, ending) = (acceptor.clone(), handler.clone(), stop.child_token());
                connections.spawn(connection(stream, acceptor, permit, limits, handler, ending));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<H, F>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    permit: OwnedSemaphorePermit,
    limits: Limits,
    handler: H,
    ending: CancellationToken,
) where
    H: Fn(Request<Incoming>, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    drop(permit);
    // Port scanners and health checks of load balancers end here; they are not worth a line.
    let Ok(Ok(stream)) = handshake else { return };
    let service = service_fn(|request| {
        let answer = handler(request, ending.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let max_age = clock::jittered(limits.max_age, 0.1, clock::roll());
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ending.cancelled() => {}
        () = sleep(max_age) => ending.cancel(),
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.grace, connection).await;
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping.0)
        .keep_alive_timeout(limits.ping.1)
        .max_concurrent_streams(64)
        .max_header_list_size(32 * 1024);
    builder
}
