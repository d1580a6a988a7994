//! Plain HTTP for probes and scrapes: `/livez`, `/readyz`, `/metrics`. Nothing here is secret, nothing here changes anything.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A probe or a scrape that cannot send its few header lines within this is gone.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// After running out of sockets there is nothing to do but wait for some to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// What is still missing before this replica can serve; empty: ready.
    pub pending: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The metrics in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Statuses as JSON, where there is no API server to ask for them.
    pub status: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// Serves until `stop`; answers under way are finished.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (pages, stop) = (pages.clone(), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = pages.answer(request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            if stop.run_until_cancelled(connection.as_mut()).await.is_none() {
                connection.as_mut().graceful_shutdown();
                let _ = time::timeout(HEADER_TIMEOUT, connection).await;
            }
        });
    }
    connections.close();
    connections.wait().await;
}

// === impl Pages ===

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n".to_owned());
        }
        match path {
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => {
                let pending = (self.pending)();
                if pending.is_empty() {
                    text(StatusCode::OK, "ok\n".to_owned())
                } else {
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", pending.join(", ")))
                }
            }
            "/metrics" => text(StatusCode::OK, (self.metrics)()),
            "/status" if let Some(status) = &self.status => text(StatusCode::OK, status()),
            _ => text(StatusCode::NOT_FOUND, "known here: /livez /readyz /metrics\n".to_owned()),
        }
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_what_is_missing_and_what_is_known() {
        let pages = |pending: &'static [&'static str]| Pages {
            pending: Arc::new(move || pending.iter().map(|name| (*name).to_owned()).collect()),
            metrics: Arc::new(|| "spillway_up 1\n".to_owned()),
            status: None,
        };
        let rows = [
            ("/livez", &["routes"][..], StatusCode::OK),
            ("/readyz", &["routes"], StatusCode::SERVICE_UNAVAILABLE),
            ("/readyz", &[], StatusCode::OK),
            ("/metrics", &[], StatusCode::OK),
            ("/secrets", &[], StatusCode::NOT_FOUND),
        ];
        for (path, pending, want) in rows {
            assert_eq!(pages(pending).answer(&Method::GET, path).status(), want, "{path} {pending:?}");
        }
        let local = Pages { status: Some(Arc::new(|| "{}".to_owned())), ..pages(&[]) };
        assert_eq!(pages(&[]).answer(&Method::GET, "/status").status(), StatusCode::NOT_FOUND);
        assert_eq!(local.answer(&Method::GET, "/status").status(), StatusCode::OK);
        assert_eq!(pages(&[]).answer(&Method::POST, "/livez").status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
