//! The HTTP face of the sidecar port: a few paths, all POST, all with a bearer token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::json;
use spillway_wire::{Delivery, PROTOCOL, QuotaDelivery, QuotaReport, Report, Subscribe, paths};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Publisher;
use super::auth::{Authenticator, Refusal};
use super::session::Session;
use super::stream::Stream;
use crate::metrics::Metrics;
use crate::quota::{self, Bank};
use crate::tls::{Body, Limits, Tls, full, serve};
use crate::usage::Intake;

/// A report of four thousand lines.
const MAX_BODY_BYTES: usize = 1 << 20;
/// A batch of reports, or one that was as large as it may be and has its sender's name on it now.
const MAX_RELAY_BYTES: usize = 2 << 20;
/// A report of the rights of ten thousand values of a header.
const MAX_QUOTA_BYTES: usize = 4 << 20;
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// A boot's name is a short random string.
const MAX_BOOT_BYTES: usize = 128;

const PATHS: [&str; 6] =
    [paths::SUBSCRIBE, paths::REPORT, paths::QUOTA, paths::RELAY, paths::RELAY_QUOTA, paths::RIGHTS];

/// Everything the sidecar port needs.
pub struct Endpoint {
    pub publisher: Publisher,
    pub authenticator: Authenticator,
    pub intake: Intake,
    pub bank: Bank,
    pub tls: Tls,
    pub metrics: Metrics,
}

/// Why a request is not served, worded for whoever reads the sidecar's log.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no {0} here (known: {known})", known = PATHS.join(", "))]
    NotFound(String),
    #[error("{0} is sent by POST")]
    Method(String),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {} s", BODY_PATIENCE.as_secs())]
    Slow,
    #[error("the body does not parse: {0}")]
    Body(serde_json::Error),
    #[error("{0}")]
    Content(String),
    #[error("this replica does not lead")]
    NotLeading,
}

// === impl Endpoint ===

impl Endpoint {
    /// Serves sidecars and replicas until `stop`; streams end with their connections.
    pub async fn serve(self, listener: TcpListener, limits: Limits, stop: CancellationToken) {
        let endpoint = Arc::new(self);
        let config = endpoint.tls.sidecar_config();
        let handler = move |request, closing| {
            let endpoint = endpoint.clone();
            async move { endpoint.answer(request, closing).await }
        };
        serve(listener, config, limits, handler, stop).await;
    }

    async fn answer(&self, request: Request<Incoming>, closing: CancellationToken) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match self.route(request, closing).await {
            Ok(response) => response,
            Err(problem) => {
                let status = problem.status();
                self.metrics.refused.with_label_values(&[status.as_str()]).inc();
                tracing::info!(path, status = status.as_u16(), %problem, "a request on the sidecar port was refused");
                problem.response()
            }
        }
    }

    async fn route(&self, request: Request<Incoming>, closing: CancellationToken) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if !PATHS.contains(&path) {
            return Err(Problem::NotFound(path.chars().take(64).collect()));
        }
        if head.method != Method::POST {
            return Err(Problem::Method(path.to_owned()));
        }
        match path {
            paths::SUBSCRIBE => self.subscribe(&head.headers, body, closing).await,
            paths::REPORT => self.report(&head.headers, body).await,
            paths::QUOTA => self.quota(&head.headers, body).await,
            paths::RELAY_QUOTA => self.relay_quota(&head.headers, body).await,
            paths::RIGHTS => self.rights(&head.headers, closing).await,
            _ => self.relay(&head.headers, body).await,
        }
    }

    async fn subscribe(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        closing: CancellationToken,
    ) -> Result<Response<Body>, Problem> {
        let caller = self.authenticator.sidecar(headers).await?;
        let subscribe: Subscribe = read(body, MAX_BODY_BYTES).await?;
        let identity = caller.identity;
        if caller.terminating {
            let (namespace, pod) = (identity.namespace, identity.pod);
            return Err(Refusal::Terminating { namespace, pod }.into());
        }
        if subscribe.protocol != PROTOCOL {
            let theirs = subscribe.protocol;
            let fix = if theirs > PROTOCOL { "upgrade the operator" } else { "restart the pod for a newer sidecar" };
            return Err(Problem::Content(format!(
                "the sidecar speaks protocol {theirs}, the operator {PROTOCOL} (fix: {fix})"
            )));
        }
        if subscribe.boot.is_empty() || subscribe.boot.len() > MAX_BOOT_BYTES {
            return Err(Problem::Content(format!(
                "boot has {} bytes, 1 to {MAX_BOOT_BYTES} are accepted",
                subscribe.boot.len()
            )));
        }
        let Some(slot) = self.publisher.open(&identity, &subscribe) else {
            return Err(Refusal::UnknownPod { namespace: identity.namespace, pod: identity.pod }.into());
        };
        tracing::info!(
            namespace = identity.namespace,
            pod = identity.pod,
            version = subscribe.version,
            "a sidecar subscribed"
        );
        let stream = Stream {
            slot,
            session: Session::new(&subscribe),
            authority: self.tls.authority(),
            expires: caller.expires,
            closing,
            metrics: self.metrics.clone(),
        };
        let response = Response::builder().header(header::CONTENT_TYPE, "application/x-ndjson");
        Ok(response.body(stream.spawn()).expect("the header is valid"))
    }

    async fn report(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Problem> {
        let caller = self.authenticator.sidecar(headers).await?;
        let report: Report = read(body, MAX_BODY_BYTES).await?;
        let mut delivery = Delivery { from: caller.identity, report };
        self.intake.receive(&mut delivery).map_err(|bad| Problem::Content(bad.to_string()))?;
        self.publisher.record(&delivery);
        Ok(no_content())
    }

    async fn quota(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Problem> {
        let caller = self.authenticator.sidecar(headers).await?;
        let report: QuotaReport = read(body, MAX_QUOTA_BYTES).await?;
        let delivery = QuotaDelivery { from: caller.identity, report };
        self.bank.receive(delivery).map_err(|bad| Problem::Content(bad.to_string()))?;
        Ok(no_content())
    }

    async fn relay_quota(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Problem> {
        self.authenticator.replica(headers).await?;
        if !self.bank.is_leading() {
            return Err(Problem::NotLeading);
        }
        let deliveries: Vec<QuotaDelivery> = read(body, MAX_RELAY_BYTES + MAX_QUOTA_BYTES).await?;
        for delivery in deliveries {
            if let Err(bad) = self.bank.receive_relayed(&delivery) {
                tracing::warn!(pod = delivery.from.pod, %bad, "a relayed report is not taken");
            }
        }
        Ok(no_content())
    }

    async fn rights(&self, headers: &HeaderMap, closing: CancellationToken) -> Result<Response<Body>, Problem> {
        self.authenticator.replica(headers).await?;
        if !self.bank.is_leading() {
            return Err(Problem::NotLeading);
        }
        let response = Response::builder().header(header::CONTENT_TYPE, "application/x-ndjson");
        Ok(response.body(quota::stream(&self.bank, closing)).expect("the header is valid"))
    }

    async fn relay(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Problem> {
        self.authenticator.replica(headers).await?;
        if !self.intake.is_leading() {
            return Err(Problem::NotLeading);
        }
        let deliveries: Vec<Delivery> = read(body, MAX_RELAY_BYTES).await?;
        for mut delivery in deliveries {
            // One bad report must not hold up the others; its sender was told already.
            match self.intake.receive_relayed(&mut delivery) {
                Ok(()) => self.publisher.record(&delivery),
                Err(bad) => tracing::warn!(pod = delivery.from.pod, %bad, "a relayed report is not booked"),
            }
        }
        Ok(no_content())
    }
}

async fn read<T: DeserializeOwned>(body: Incoming, limit: usize) -> Result<T, Problem> {
    let bytes = match timeout(BODY_PATIENCE, Limited::new(body, limit).collect()).await {
        Err(_) => return Err(Problem::Slow),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Problem::TooLarge(limit)),
        Ok(Err(error)) => return Err(Problem::Content(format!("the body could not be read: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    serde_json::from_slice(&bytes).map_err(Problem::Body)
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

// === impl Problem ===

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) | Self::Content(_) => StatusCode::BAD_REQUEST,
            Self::NotLeading => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    fn response(&self) -> Response<Body> {
        let body = json!({"error": {"message": self.to_string()}}).to_string();
        let mut response = Response::new(full(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}
