//! The HTTPS port the API server calls: `/inject`, `/inject/namespace`, `/validate`.
//!
//! No handler calls the API server or waits for anything but the request's own body, so three seconds are plenty.

use std::{fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource,
    api::DynamicObject,
    core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use serde::de::DeserializeOwned;
use tokio::time;

use crate::{
    clock::Clock,
    gather::gather,
    inject::{self, Injection},
    metrics::Metrics,
    resources::CompileSettings,
    source::Source,
    tls::{Body, Tls, full},
    validate,
};

/// An object may have 1.5 MB, and an update carries it twice.
const BODY_BYTES: usize = 8 << 20;
/// The API server gives up after three seconds; nobody waits for an answer after that.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the webhooks decide by.
pub struct Webhooks {
    pub source: Source,
    pub compile: CompileSettings,
    pub tls: Tls,
    pub metrics: Metrics,
    pub clock: Clock,
    /// Without the CA, which may change.
    pub injection: Injection,
}

// === impl Webhooks ===

impl Webhooks {
    /// Answers one request of the API server.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if request.method() != Method::POST {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "admission reviews are sent by POST");
        }
        let path = request.uri().path().to_owned();
        let body = match time::timeout(PATIENCE, Limited::new(request.into_body(), BODY_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return refuse(StatusCode::BAD_REQUEST, &format!("the body could not be read: {error}")),
            Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        };
        self.route(&path, &body)
    }

    fn route(&self, path: &str, body: &Bytes) -> Response<Body> {
        match path {
            "/inject" => review(body, |request| self.inject(request, false)),
            "/inject/namespace" => review(body, |request| self.inject(request, true)),
            "/validate" => review(body, |request: &AdmissionRequest<DynamicObject>| self.validate(request)),
            _ => refuse(StatusCode::NOT_FOUND, "known here: /inject /inject/namespace /validate"),
        }
    }

    fn inject(&self, request: &AdmissionRequest<Pod>, namespace_asks: bool) -> AdmissionResponse {
        let injection = Injection { ca_pem: self.tls.ca_pem(), ..self.injection.clone() };
        let response = inject::review(request, namespace_asks, &injection);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let verdict = match (response.allowed, response.patch.is_some()) {
            (false, _) => "denied",
            (true, true) => "injected",
            (true, false) => "unchanged",
        };
        self.count("inject", verdict);
        // A pod of a controller has only the beginning of a name yet.
        let metadata = request.object.as_ref().map(|pod| &pod.metadata);
        let name = metadata.and_then(|metadata| metadata.name.as_ref().or(metadata.generate_name.as_ref()));
        tracing::info!(namespace, pod = name, verdict, "admission of a pod");
        response
    }

    fn validate(&self, request: &AdmissionRequest<DynamicObject>) -> AdmissionResponse {
        let today = Some(self.clock.today());
        let response = validate::review(request, || gather(&self.source, &self.compile, today).resources);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let (kind, name) = (&request.kind.kind, &request.name);
        let verdict = if response.allowed { "allowed" } else { "denied" };
        self.count("validate", verdict);
        tracing::info!(kind, namespace, name, verdict, "admission of a resource");
        response
    }

    fn count(&self, webhook: &str, verdict: &str) {
        self.metrics.admissions.with_label_values(&[webhook, verdict]).inc();
    }
}

fn review<K>(body: &Bytes, decide: impl FnOnce(&AdmissionRequest<K>) -> AdmissionResponse) -> Response<Body>
where
    K: Resource + Debug + DeserializeOwned,
{
    let read = serde_json::from_slice::<AdmissionReview<K>>(body).map_err(|error| error.to_string());
    let request: AdmissionRequest<K> =
        match read.and_then(|review| review.try_into().map_err(|_| "it has no request".to_owned())) {
            Ok(request) => request,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("this is no admission review: {error}")),
        };
    match serde_json::to_vec(&decide(&request).into_review()) {
        Ok(json) => {
            let mut response = Response::new(full(json));
            let value = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, value);
            response
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("the answer does not serialise: {error}")),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(full(format!("{message}\n")));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
