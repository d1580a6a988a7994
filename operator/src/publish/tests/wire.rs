//! A subscriber over real TLS.

use futures::StreamExt;
use futures::stream::BoxStream;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use spillway_wire::{Credential, Down, QuotaReport, Snapshot, paths};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::lease;
use crate::publish::auth::Authenticator;
use crate::quota::Bank;
use crate::relay::Relay;
use crate::tls::{Authority, Limits, Tls};
use crate::usage::Intake;

/// Longer than anything here takes; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The sidecar port of an operator, with one pod.
struct Operator {
    url: String,
    publisher: Publisher,
    intake: Intake,
    pods: Pods,
    tls: Tls,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

/// One line at a time.
struct Lines {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    rest: Vec<u8>,
}

impl Operator {
    async fn start(limits: Limits) -> Self {
        let clock = Clock::system();
        let (publisher, pods) = publisher([pod("u1", "web")]);
        let intake = Intake::new(Relay::default(), lease::always(), Changes::default(), clock);
        let tls = Tls::new(Authority::generate(clock.wall()).unwrap(), ["127.0.0.1".to_owned()], clock).unwrap();
        let endpoint = Endpoint {
            publisher: publisher.clone(),
            authenticator: Authenticator::fixed(&SecretString::from("secret".to_owned()), pod("u1", "web")),
            intake: intake.clone(),
            bank: Bank::new(Relay::default(), lease::always(), clock),
            tls: tls.clone(),
            metrics: Metrics::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let stop = CancellationToken::new();
        let server = tokio::spawn(endpoint.serve(listener, limits, stop.clone()));
        Self { url, publisher, intake, pods, tls, stop, server }
    }

    fn client(&self) -> reqwest::Client {
        reqwest::Client::builder().no_proxy().tls_backend_preconfigured(self.tls.client_config()).build().unwrap()
    }

    async fn post(&self, client: &reqwest::Client, path: &str, body: &impl Serialize) -> reqwest::Response {
        client.post(format!("{}{path}", self.url)).bearer_auth("secret").json(body).send().await.unwrap()
    }

    async fn subscribe(&self, client: &reqwest::Client, subscribe: &Subscribe) -> Lines {
        let response = self.post(client, paths::SUBSCRIBE, subscribe).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Lines { chunks: response.bytes_stream().boxed(), rest: Vec::new() }
    }

    async fn acknowledge(&self, client: &reqwest::Client, sequence: u64, revision: &str) {
        let report = delivery("u1", "b", sequence, running(revision)).report;
        assert_eq!(self.post(client, paths::REPORT, &report).await.status(), 204);
    }
}

impl Lines {
    /// The next message. None: the stream has ended.
    async fn next(&mut self) -> Option<Down> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = timeout(PATIENCE, self.chunks.next()).await.expect("the stream says something in time")?;
            self.rest.extend(chunk.ok()?);
        }
    }

    async fn snapshot(&mut self) -> Snapshot {
        match self.next().await {
            Some(Down::Snapshot { snapshot }) => *snapshot,
            other => panic!("a snapshot was expected, and not {other:?}"),
        }
    }

    async fn credential(&mut self) -> Credential {
        match self.next().await {
            Some(Down::Credential { credential }) => credential,
            other => panic!("a credential was expected, and not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sidecar_follows_the_config_over_one_connection() {
    let operator = Operator::start(Limits::default()).await;
    operator.publisher.publish(compiled(two_routes()));
    let client = operator.client();
    let mut lines = operator.subscribe(&client, &subscribe("b", None)).await;
    assert_eq!(lines.credential().await.value.as_deref(), Some("k"));
    let first = lines.snapshot().await;
    assert_eq!(first.routes.keys().collect::<Vec<_>>(), ["shop/chat", "shop/mail"]);
    assert_eq!(first.clone().seal().revision, first.revision);

    // Two changes before the acknowledgement: only the newest is sent after it.
    operator.publisher.publish(compiled(two_routes().changed("chat")));
    operator.publisher.publish(compiled(two_routes().changed("mail")));
    operator.acknowledge(&client, 1, &first.revision).await;
    let second = lines.snapshot().await;
    assert_eq!(second.revision, revision(two_routes().changed("mail"), "web"));
    operator.acknowledge(&client, 2, &second.revision).await;
    let fleet = operator.publisher.fleets(&operator.pods.read())["shop/mail"].clone();
    assert_eq!((fleet.expected, fleet.programmed), (1, 1));

    // The Secret is deleted: the provider stays in the config, its key does not.
    let keyless = Sample::default().route("chat", "openai", Some("web")).route("mail", "openai", Some("web"));
    operator.publisher.publish(compiled(keyless.changed("mail")));
    let withdrawn = lines.credential().await;
    assert_eq!((withdrawn.key.as_str(), withdrawn.value), ("ai/openai", None));

    operator.tls.adopt(Authority::generate(Clock::system().wall()).unwrap()).unwrap();
    assert!(matches!(lines.next().await, Some(Down::Trust { ca_pem }) if ca_pem == operator.tls.ca_pem()));
}

#[tokio::test]
async fn a_sidecar_that_comes_back_is_not_sent_what_it_has() {
    let operator = Operator::start(Limits::default()).await;
    operator.publisher.publish(compiled(two_routes()));
    let client = operator.client();
    let mut lines = operator.subscribe(&client, &subscribe("b", None)).await;
    let key = lines.credential().await;
    let snapshot = lines.snapshot().await;
    let mut again = subscribe("b", Some(&snapshot.revision));
    again.credentials.insert(key.key, key.version);
    let mut second = operator.subscribe(&client, &again).await;
    assert!(lines.next().await.is_none(), "the first stream ends for the second");
    operator.publisher.publish(compiled(two_routes().changed("chat")));
    assert_eq!(second.snapshot().await.revision, revision(two_routes().changed("chat"), "web"));
}

#[tokio::test]
async fn shutting_down_ends_streams_cleanly_and_soon() {
    let operator = Operator::start(Limits::default()).await;
    let client = operator.client();
    let mut lines = operator.subscribe(&client, &subscribe("b", None)).await;
    operator.stop.cancel();
    assert!(lines.next().await.is_none());
    timeout(PATIENCE, operator.server).await.expect("no connection holds the end up").unwrap();
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_its_stream_with_it() {
    let operator = Operator::start(Limits { max_age: Duration::from_millis(300), ..Limits::default() }).await;
    operator.publisher.publish(compiled(two_routes()));
    let client = operator.client();
    let mut lines = operator.subscribe(&client, &subscribe("b", None)).await;
    while lines.next().await.is_some() {}
    operator.subscribe(&client, &subscribe("b", None)).await;
    operator.stop.cancel();
}

#[tokio::test]
async fn usage_is_booked_for_the_pod_that_was_proven_and_only_in_its_namespace() {
    let operator = Operator::start(Limits::default()).await;
    let client = operator.client();
    let today = Clock::system().today().to_string();
    let line = |route: &str| {
        json!({"boot": "b", "sequence": 1, "ack": {}, "usage": [{
            "day": today, "route": route, "backend": "main", "provider": "ai/openai", "model": "m",
            "requests": 1, "errors": 0, "input_tokens": 1, "output_tokens": 1, "cost_nanos": 7}]})
    };
    for _ in 0..3 {
        assert_eq!(operator.post(&client, paths::REPORT, &line("shop/chat")).await.status(), 204);
    }
    assert_eq!(operator.intake.by_route()["shop/chat"].day.cost_nanos, 7);
    let foreign = operator.post(&client, paths::REPORT, &line("bank/chat")).await;
    assert_eq!(foreign.status(), 400);
    let message = foreign.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, r#"the report speaks of route "bank/chat", but its pod is in namespace "shop""#);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_reason_and_the_port_stays_up() {
    let operator = Operator::start(Limits::default()).await;
    let client = operator.client();
    let at = |path: &str| client.post(format!("{}{path}", operator.url)).bearer_auth("secret");
    let newer = Subscribe { protocol: 2, ..subscribe("b", None) };
    let rows = [
        ("a wrong token", client.post(format!("{}{}", operator.url, paths::REPORT)).bearer_auth("guess"), 401),
        ("no token", client.post(format!("{}{}", operator.url, paths::SUBSCRIBE)), 401),
        ("no such path", at("/v1/secrets"), 404),
        ("a wrong method", client.get(format!("{}{}", operator.url, paths::REPORT)), 405),
        ("not JSON", at(paths::REPORT).body("{"), 400),
        ("another shape", at(paths::SUBSCRIBE).body("[]"), 400),
        ("a newer protocol", at(paths::SUBSCRIBE).json(&newer), 400),
        ("no boot", at(paths::SUBSCRIBE).json(&subscribe("", None)), 400),
        ("too much", at(paths::REPORT).body(vec![b' '; (1 << 20) + 1]), 413),
        ("a report of rights without a journal", at(paths::QUOTA).json(&QuotaReport::default()), 400),
        ("a sidecar takes nobody's rights", at(paths::RIGHTS), 401),
        ("a sidecar passes nothing on", at(paths::RELAY_QUOTA).json(&json!([])), 401),
        ("a sidecar is no replica", at(paths::RELAY).json(&json!([])), 401),
    ];
    for (row, request, status) in rows {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{row}");
        let message = answer.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty() && !message.contains("guess"), "{row}: {message}");
    }
    operator.acknowledge(&client, 1, "r").await;
}
