//! The yardstick: a proxy of hyper's server and hyper-util's pooled client that copies bodies both ways and reads
//! nothing. What a sidecar adds beyond this is what its features cost.

use std::convert::Infallible;
use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::{Request, Response, StatusCode, header, service::service_fn};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Upstream = Client<HttpConnector, Incoming>;
type Answer = Response<Either<Incoming, http_body_util::Empty<hyper::body::Bytes>>>;

/// Serves until it is killed. Its first line of output is the address it listens on.
pub async fn serve(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(256).build(connector);
    let authority: Arc<Authority> = Arc::new(upstream.to_string().parse()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority) = (client.clone(), authority.clone());
        let service = service_fn(move |request| forward(client.clone(), authority.clone(), request));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn forward(
    client: Upstream,
    authority: Arc<Authority>,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some((*authority).clone());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::CONNECTION);
    Ok(client.request(request).await.map_or_else(
        |_| {
            let mut refused = Response::new(Either::Right(http_body_util::Empty::new()));
            *refused.status_mut() = StatusCode::BAD_GATEWAY;
            refused
        },
        |answer| answer.map(Either::Left),
    ))
}
