//! An operator on loopback for tests: real TLS and HTTP/2, and a test that says what it answers.

use std::{
    convert::Infallible,
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use spillway_wire::{Down, QuotaReport, Report, Subscribe, paths};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;

use super::Link;
use crate::settings::OperatorSource;

/// A CA that signs a leaf for 127.0.0.1.
pub(crate) struct Authority {
    pub(crate) pem: String,
    server: Arc<ServerConfig>,
}

pub(crate) struct FakeOperator {
    pub(crate) source: OperatorSource,
    tls: Arc<Mutex<Arc<ServerConfig>>>,
    calls: mpsc::UnboundedReceiver<Call>,
    rules: Arc<Mutex<Rules>>,
    token: tempfile::NamedTempFile,
}

/// How reports are answered.
#[derive(Clone)]
struct Rules {
    status: StatusCode,
    refused_boot: Option<String>,
}

/// What a sidecar said.
pub(crate) enum Call {
    Subscribed(Subscribed),
    Reported(Report),
    Quota(QuotaReport),
}

pub(crate) struct Subscribed {
    pub(crate) token: String,
    pub(crate) words: Subscribe,
    /// The stream; dropped, it ends.
    pub(crate) stream: mpsc::UnboundedSender<Bytes>,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into())
            .unwrap();
        server.alpn_protocols = vec![b"h2".to_vec()];
        Self { pem, server: Arc::new(server) }
    }
}

// === impl FakeOperator ===

impl FakeOperator {
    pub(crate) async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = Arc::new(Mutex::new(Arc::clone(&authority.server)));
        let rules = Arc::new(Mutex::new(Rules { status: StatusCode::NO_CONTENT, refused_boot: None }));
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(accept(listener, Arc::clone(&tls), sender, Arc::clone(&rules)));
        let token = tempfile::NamedTempFile::new().unwrap();
        let source = OperatorSource { url, ca_pem: authority.pem.clone(), token_file: token.path().to_owned() };
        let mut operator = Self { source, tls, calls, rules, token };
        operator.write_token("first-token\n");
        operator
    }

    pub(crate) fn write_token(&mut self, token: &str) {
        self.token.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut self.token).unwrap();
        self.token.write_all(token.as_bytes()).unwrap();
    }

    /// New connections are answered with another CA's certificate.
    pub(crate) fn change_authority(&self, authority: &Authority) {
        *self.tls.lock().unwrap() = Arc::clone(&authority.server);
    }

    pub(crate) fn answer_reports_with(&self, status: StatusCode) {
        self.rules.lock().unwrap().status = status;
    }

    /// Reports of this boot are wrong for ever.
    pub(crate) fn refuse_boot(&self, boot: &str) {
        self.rules.lock().unwrap().refused_boot = Some(boot.to_owned());
    }

    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::new(Link::new(&self.source, &self.source.ca_pem).unwrap())
    }

    pub(crate) async fn subscribed(&mut self) -> Subscribed {
        loop {
            if let Call::Subscribed(subscribed) = self.call().await {
                return subscribed;
            }
        }
    }

    /// The next report that `wanted` accepts.
    pub(crate) async fn report(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        loop {
            match self.call().await {
                Call::Reported(report) if wanted(&report) => return report,
                Call::Reported(_) | Call::Subscribed(_) | Call::Quota(_) => {}
            }
        }
    }

    /// The next report of rights that `wanted` accepts.
    pub(crate) async fn quota(&mut self, wanted: impl Fn(&QuotaReport) -> bool) -> QuotaReport {
        loop {
            match self.call().await {
                Call::Quota(report) if wanted(&report) => return report,
                Call::Reported(_) | Call::Subscribed(_) | Call::Quota(_) => {}
            }
        }
    }

    pub(crate) fn is_quiet(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    async fn call(&mut self) -> Call {
        tokio::time::timeout(Duration::from_secs(60), self.calls.recv()).await.expect("a sidecar calls").unwrap()
    }
}

impl Subscribed {
    pub(crate) fn send(&self, message: &Down) {
        self.send_line(&serde_json::to_string(message).unwrap());
    }

    /// In two pieces, as a network might.
    pub(crate) fn send_line(&self, line: &str) {
        let line = format!("{line}\n");
        let (first, second) = line.as_bytes().split_at(line.len() / 2);
        for piece in [first, second] {
            self.stream.send(Bytes::copy_from_slice(piece)).unwrap();
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Arc<Mutex<Arc<ServerConfig>>>,
    calls: mpsc::UnboundedSender<Call>,
    rules: Arc<Mutex<Rules>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.lock().unwrap()));
        let (calls, rules) = (calls.clone(), Arc::clone(&rules));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| answer(request, calls.clone(), rules.lock().unwrap().clone()));
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    calls: mpsc::UnboundedSender<Call>,
    rules: Rules,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let token = request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    if path == paths::SUBSCRIBE {
        let (stream, lines) = mpsc::unbounded_channel();
        let words = serde_json::from_slice(&body).unwrap();
        let _ = calls.send(Call::Subscribed(Subscribed { token, words, stream }));
        let lines = stream::unfold(lines, async |mut lines| lines.recv().await.map(|line| (line, lines)));
        return Ok(Response::new(BoxBody::new(StreamBody::new(lines.map(|line| Ok(Frame::data(line)))))));
    }
    if path == paths::QUOTA {
        let status = rules.status;
        if status == StatusCode::NO_CONTENT {
            let _ = calls.send(Call::Quota(serde_json::from_slice(&body).unwrap()));
        }
        let mut response = Response::new(BoxBody::new(http_body_util::Empty::new()));
        *response.status_mut() = status;
        return Ok(response);
    }
    assert_eq!(path, paths::REPORT);
    let report: Report = serde_json::from_slice(&body).unwrap();
    let status = if rules.refused_boot.as_ref() == Some(&report.boot) { StatusCode::BAD_REQUEST } else { rules.status };
    if status == StatusCode::NO_CONTENT {
        let _ = calls.send(Call::Reported(report));
    }
    let mut response = Response::new(BoxBody::new(http_body_util::Empty::new()));
    *response.status_mut() = status;
    Ok(response)
}
