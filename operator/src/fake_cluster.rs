//! An API server for tests: objects by path, versions, conflicts, and nothing else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The objects, by the path they are read from. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct FakeCluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    versions: u64,
    /// `METHOD /path` of everything that changed something.
    writes: Vec<String>,
}

impl FakeCluster {
    /// Starts serving, and gives a client of it.
    pub(crate) async fn start(&self) -> kube::Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cluster = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let cluster = cluster.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let cluster = cluster.clone();
                        async move { Ok::<_, Infallible>(cluster.answer(request).await) }
                    });
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Puts an object there, as someone else would.
    pub(crate) fn set(&self, path: &str, object: Value) {
        self.state.lock().unwrap().store(path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.state.lock().unwrap().objects.remove(path);
    }

    /// What was written since the last look.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().writes)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, answer) = self.state.lock().unwrap().act(&head.method, head.uri.path(), &body);
        let builder = Response::builder().status(status).header("content-type", "application/json");
        builder.body(Full::from(answer.to_string())).unwrap()
    }
}

impl State {
    fn act(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let known = self.objects.get(path).cloned();
        let parsed = || serde_json::from_slice::<Value>(body).unwrap();
        let answer = match (method.as_str(), known) {
            ("GET", Some(object)) => return (StatusCode::OK, object),
            ("POST", _) => {
                let object = parsed();
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return refused(StatusCode::CONFLICT, "AlreadyExists");
                }
                self.writes.push(format!("POST {path}"));
                return (StatusCode::CREATED, self.store(&path, object));
            }
            ("PUT", Some(known)) => {
                let object = parsed();
                if object["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"] {
                    return refused(StatusCode::CONFLICT, "Conflict");
                }
                self.store(path, object)
            }
            ("PATCH", Some(mut object)) => {
                let patch: json_patch::Patch = serde_json::from_slice(body).unwrap();
                json_patch::patch(&mut object, &patch).unwrap();
                self.store(path, object)
            }
            _ => return refused(StatusCode::NOT_FOUND, "NotFound"),
        };
        self.writes.push(format!("{method} {path}"));
        (StatusCode::OK, answer)
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.versions += 1;
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn refused(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    let code = status.as_u16();
    (
        status,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": code}),
    )
}
