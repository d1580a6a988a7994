//! The admin port: is it alive, is it ready, what does it count, what does it run.
//!
//! It has a thread and a runtime of its own, so that probes and scrapes are answered while the data plane is busy; a
//! sidecar under load must not be taken for a dead one.

mod backends;
mod limits;
mod rights;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    runtime::{Route, Runtime},
};

/// Probes, scrapes and a curious person; more than that waits.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, and for a kept connection's next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The startup probe passes after this long even without config: the application then gets clear errors instead of
/// a pod that never starts.
const STARTUP_GRACE: Duration = Duration::from_secs(5);
/// After a failed `accept` (usually: out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const STACK_BYTES: usize = 256 << 10;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the admin port answers from.
#[derive(Debug)]
pub struct Admin {
    runtime: Arc<Runtime>,
    draining: CancellationToken,
    started: Instant,
}

// === impl Admin ===

impl Admin {
    /// `draining` is cancelled when the process has been asked to end.
    #[must_use]
    pub fn new(runtime: Arc<Runtime>, draining: CancellationToken) -> Self {
        Self { runtime, draining, started: clock::now() }
    }

    /// Serves until the process ends.
    pub fn start(self, listener: std::net::TcpListener) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let serve = move || runtime.block_on(Arc::new(self).serve(listener));
        thread::Builder::new().name("admin".into()).stack_size(STACK_BYTES).spawn(serve)?;
        Ok(())
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "admin port cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = admin.answer(&request, peer);
                    async { Ok::<_, Infallible>(answer) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 << 10);
                // A peer that speaks badly or leaves is its own problem.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
                drop(place);
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>, peer: SocketAddr) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, &TEXT, "only GET is answered here\n");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match request.uri().path() {
            "/livez" => answer(StatusCode::OK, &TEXT, "alive\n"),
            "/readyz" => verdict(self.ready()),
            "/startupz" => verdict(self.started()),
            "/metrics" => answer(StatusCode::OK, &METRICS, self.metrics()),
            "/debug/config" if is_loopback(peer.ip()) => answer(StatusCode::OK, &JSON, self.config()),
            "/debug/limits" if is_loopback(peer.ip()) => answer(StatusCode::OK, &JSON, limits::page(&self.runtime)),
            "/debug/backends" if is_loopback(peer.ip()) => answer(StatusCode::OK, &JSON, backends::page(&self.runtime)),
            "/debug/rights" if is_loopback(peer.ip()) => answer(StatusCode::OK, &JSON, rights::page(&self.runtime)),
            "/debug/config" | "/debug/limits" | "/debug/backends" | "/debug/rights" => {
                answer(StatusCode::FORBIDDEN, &TEXT, "only answered inside the pod (use kubectl exec)\n")
            }
            _ => {
                let known = "no such page (there are /livez /readyz /startupz /metrics /debug/config /debug/limits /debug/backends /debug/rights)\n";
                answer(StatusCode::NOT_FOUND, &TEXT, known)
            }
        }
    }

    /// Never asks about the operator or a provider: neither is a reason to take the pod out of service.
    fn ready(&self) -> Result<&'static str, &'static str> {
        if self.draining.is_cancelled() {
            Err("draining\n")
        } else if self.runtime.generation().is_none() {
            Err("no config yet\n")
        } else {
            Ok("ready\n")
        }
    }

    fn started(&self) -> Result<&'static str, &'static str> {
        if self.runtime.generation().is_some() {
            Ok("config is loaded\n")
        } else if clock::now().saturating_duration_since(self.started) >= STARTUP_GRACE {
            Ok("no config yet, started without\n")
        } else {
            Err("no config yet\n")
        }
    }

    fn metrics(&self) -> String {
        backends::measure(&self.runtime);
        rights::measure(&self.runtime);
        if let Some(generation) = self.runtime.generation() {
            let report = |route: &'_ Route| route.state.limits.report(0);
            let routes = generation.routes.iter().map(|route| (route.name.as_str(), report(route)));
            self.runtime.telemetry.metrics.limits(routes);
        }
        self.runtime.telemetry.render()
    }

    /// What is in use. A snapshot has no keys in it; of those only the versions are shown.
    fn config(&self) -> String {
        let snapshot = self.runtime.generation().map(|generation| Arc::clone(&generation.snapshot));
        let config = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "snapshot": snapshot.as_deref(),
            "credential_versions": self.runtime.credential_versions(),
            "degraded": self.runtime.degraded(),
        });
        format!("{config:#}\n")
    }
}

fn verdict(verdict: Result<&'static str, &'static str>) -> Response<Full<Bytes>> {
    match verdict {
        Ok(text) => answer(StatusCode::OK, &TEXT, text),
        Err(text) => answer(StatusCode::SERVICE_UNAVAILABLE, &TEXT, text),
    }
}

fn answer(status: StatusCode, kind: &HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    response
}

/// An IPv4 peer of a listener on `[::]` has a mapped address.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::{BodyExt, Empty};
    use spillway_wire::{Credential, Snapshot};

    use super::*;
    use crate::{
        runtime::Limits,
        telemetry::{Log, Telemetry},
        usage::UsageTable,
    };

    const INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn admin() -> Admin {
        let telemetry = Arc::new(Telemetry::new(Log::default(), &"off".parse().unwrap()));
        let runtime = Runtime::new(Limits::default(), telemetry, Arc::new(UsageTable::default()), 1);
        Admin::new(runtime, CancellationToken::new())
    }

    fn get(admin: &Admin, path: &str, peer: SocketAddr) -> Response<Full<Bytes>> {
        admin.answer(&Request::get(path).body(Empty::<Bytes>::new()).unwrap(), peer)
    }

    fn statuses(admin: &Admin) -> Vec<u16> {
        let paths = ["/livez", "/readyz", "/startupz"];
        paths.iter().map(|path| get(admin, path, INSIDE).status().as_u16()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_is_config_and_not_draining() {
        let admin = admin();
        assert_eq!(statuses(&admin), [200, 503, 503], "no config yet");
        tokio::time::advance(STARTUP_GRACE).await;
        assert_eq!(statuses(&admin), [200, 503, 200], "the application is let go");
        admin.runtime.apply(Snapshot::default().seal()).unwrap();
        assert_eq!(statuses(&admin), [200, 200, 200]);
        admin.draining.cancel();
        assert_eq!(statuses(&admin), [200, 503, 200]);
    }

    #[tokio::test]
    async fn config_is_shown_inside_the_pod_only_and_without_keys() {
        let admin = admin();
        let value = Some("sk-canary".to_owned());
        admin.runtime.set_credential(Credential { key: "ai/openai".into(), version: "v7".into(), value });
        admin.runtime.apply(Snapshot::default().seal()).unwrap();
        let rows = BTreeMap::from([
            ("127.0.0.1:9", 200),
            ("[::1]:9", 200),
            ("[::ffff:127.0.0.1]:9", 200),
            ("10.0.0.7:9", 403),
            ("[2001:db8::1]:9", 403),
        ]);
        for (peer, want) in rows {
            let response = get(&admin, "/debug/config", peer.parse().unwrap());
            assert_eq!(response.status().as_u16(), want, "{peer}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("canary"), "{text}");
            assert_eq!(text.contains("\"ai/openai\": \"v7\""), want == 200, "{text}");
        }
    }

    #[test]
    fn other_methods_and_pages_are_refused_in_words() {
        let admin = admin();
        let post = Request::post("/metrics").body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(admin.answer(&post, INSIDE).status(), 405);
        assert_eq!(get(&admin, "/", INSIDE).status(), 404);
        assert_eq!(get(&admin, "/metrics", INSIDE).headers()[header::CONTENT_TYPE], METRICS);
    }

    #[tokio::test]
    async fn it_answers_on_a_thread_of_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        admin().start(listener).unwrap();
        // This runtime's only thread is blocked meanwhile, as a busy data plane's would be.
        let answer = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    use std::io::{Read, Write};
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    answer
                })
                .join()
                .unwrap()
        });
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("alive\n"), "{answer}");
    }
}
