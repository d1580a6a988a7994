use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::keys::Published;
use super::*;
use crate::clock::Clock;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const NOW: i64 = 1_795_219_200; // 2026-11-21

/// An API server with keys that can change.
#[derive(Clone, Default)]
struct Cluster {
    jwks: Arc<Mutex<Option<Vec<Value>>>>,
    asked: Arc<AtomicUsize>,
    reviewed: Arc<AtomicUsize>,
    pods: Ready,
}

/// An index whose first list is complete, and empty.
#[derive(Clone)]
struct Ready(Pods);

impl Default for Ready {
    fn default() -> Self {
        Self(Pods::fixed([]))
    }
}

struct Signer {
    kid: &'static str,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        Self { kid, key, jwk: serde_json::to_value(jwk).unwrap() }
    }

    fn sign(&self, edit: impl FnOnce(&mut Value)) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.to_owned());
        encode(&header, &claims(edit), &self.key).unwrap()
    }
}

fn claims(edit: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "aud": ["spillway"], "iss": ISSUER, "exp": NOW + 3600, "nbf": NOW, "iat": NOW, "sub": "system:serviceaccount:shop:default",
        "kubernetes.io": {"namespace": "shop", "pod": {"name": "web-1", "uid": "u1"},
                          "serviceaccount": {"name": "default", "uid": "s1"}},
    });
    edit(&mut claims);
    claims
}

impl Cluster {
    fn lists(self, signers: &[&Signer]) -> Self {
        *self.jwks.lock().unwrap() = Some(signers.iter().map(|signer| signer.jwk.clone()).collect());
        self
    }

    fn with_pod(self) -> Self {
        self.pods.0.update(|index| index.insert(pod()));
        self
    }

    fn authenticator(&self) -> Authenticator {
        let (keys, reviews) = (self.clone(), self.clone());
        let api = ApiServer::from_fns(
            move |()| {
                keys.asked.fetch_add(1, Ordering::Relaxed);
                let listed = keys.jwks.lock().unwrap().clone();
                let answer = listed.ok_or("connection refused".to_owned()).map(|keys| {
                    let configuration = json!({"issuer": ISSUER}).to_string();
                    Published::parse(&configuration, &json!({"keys": keys}).to_string()).unwrap()
                });
                async move { answer }.boxed()
            },
            move |_token| {
                reviews.reviewed.fetch_add(1, Ordering::Relaxed);
                let [namespace, service_account, pod, pod_uid] = ["shop", "default", "web-1", "u1"].map(str::to_owned);
                async move { Ok(Claims { namespace, service_account, pod, pod_uid }) }.boxed()
            },
        );
        let clock = Clock::starting_at(jiff::Timestamp::from_second(NOW).unwrap());
        Authenticator::cluster(
            TokenVerifier::new(api, clock),
            self.pods.0.clone(),
            "spillway-system/spillway".to_owned(),
        )
    }
}

fn pod() -> PodEntry {
    PodEntry {
        uid: "u1".into(),
        namespace: "shop".into(),
        name: "web-1".into(),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        workload: "Deployment/web".into(),
        job: None,
        terminating: false,
        running: true,
    }
}

fn headers(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
}

#[tokio::test(start_paused = true)]
async fn a_good_token_gives_the_identity_the_api_server_knows() {
    let signer = Signer::new("k1");
    let cluster = Cluster::default().lists(&[&signer]).with_pod();
    let caller = cluster.authenticator().sidecar(&headers(&signer.sign(|_| {}))).await.unwrap();
    let [namespace, pod, uid, workload] = ["shop", "web-1", "u1", "Deployment/web"].map(str::to_owned);
    assert_eq!(caller.identity, SidecarIdentity { namespace, pod, uid, workload, ..SidecarIdentity::default() });
    assert_eq!(caller.expires.unwrap(), tokio::time::Instant::now().into_std() + Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_refused_for_what_is_wrong_with_it() {
    let (signer, stranger) = (Signer::new("k1"), Signer::new("k2"));
    let forger = Signer { kid: "k1", ..Signer::new("k2") };
    let authenticator = Cluster::default().lists(&[&signer]).with_pod().authenticator();
    let rows = [
        ("another audience", signer.sign(|c| c["aud"] = json!(["vault"])), Refusal::Audience),
        ("another issuer", signer.sign(|c| c["iss"] = json!("https://elsewhere")), Refusal::Issuer(ISSUER.to_owned())),
        ("expired", signer.sign(|c| c["exp"] = json!(NOW - 61)), Refusal::Expired(61)),
        ("not yet valid", signer.sign(|c| c["nbf"] = json!(NOW + 61)), Refusal::NotYetValid(61)),
        ("no expiry", signer.sign(|c| c["exp"] = json!(null)), Refusal::Malformed("its content does not parse")),
        ("bound to nothing", signer.sign(|c| c["kubernetes.io"]["pod"] = json!(null)), Refusal::NotBound),
        ("a user's token", signer.sign(|c| c["kubernetes.io"] = json!(null)), Refusal::NotBound),
        ("a key nobody lists", stranger.sign(|_| {}), Refusal::UnknownKey("k2".into())),
        ("a forged key id", forger.sign(|_| {}), Refusal::Signature),
        ("another pod's name", signer.sign(|c| c["kubernetes.io"]["pod"]["name"] = json!("web-2")), unknown("web-2")),
    ];
    for (row, token, refusal) in rows {
        assert_eq!(authenticator.sidecar(&headers(&token)).await.unwrap_err(), refusal, "{row}");
        assert!(!refusal.to_string().contains(&token[..20]), "{row}");
    }
    let late_but_fine = signer.sign(|c| c["exp"] = json!(NOW - 59));
    authenticator.sidecar(&headers(&late_but_fine)).await.unwrap();
}

fn unknown(pod: &str) -> Refusal {
    Refusal::UnknownPod { namespace: "shop".into(), pod: pod.into() }
}

#[tokio::test(start_paused = true)]
async fn weak_and_broken_tokens_are_refused_before_any_key_is_looked_at() {
    let signer = Signer::new("k1");
    let cluster = Cluster::default().lists(&[&signer]);
    let authenticator = cluster.authenticator();
    let good = signer.sign(|_| {});
    let body = &good[good.find('.').unwrap()..];
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.kid = Some("k1".into());
    let hmac = encode(&hmac, &claims(|_| {}), &EncodingKey::from_secret(b"guess")).unwrap();
    let keyless = encode(&Header::new(Algorithm::ES256), &claims(|_| {}), &signer.key).unwrap();
    let unparsable = "its header does not parse or names no usable algorithm";
    let rows = [
        ("alg none", format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ{body}"), Refusal::Malformed(unparsable)),
        ("alg HS256", hmac, Refusal::Algorithm("HS256".into())),
        ("no kid", keyless, Refusal::Malformed("its header names no key")),
        ("not a token", "secret".into(), Refusal::Malformed(unparsable)),
        ("endless", "x".repeat(20_000), Refusal::Malformed("it has more than 16384 bytes")),
    ];
    for (row, token, refusal) in rows {
        assert_eq!(authenticator.sidecar(&headers(&token)).await.unwrap_err(), refusal, "{row}");
    }
    for value in ["", "Basic abc", "Bearer ", "Bearer"] {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(authenticator.sidecar(&headers).await.unwrap_err(), Refusal::Missing, "{value:?}");
    }
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_every_thirty_seconds_at_most_and_old_keys_stay() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let cluster = Cluster::default().lists(&[&old]).with_pod();
    let authenticator = cluster.authenticator();
    authenticator.sidecar(&headers(&old.sign(|_| {}))).await.unwrap();
    let cluster = cluster.lists(&[&new]);
    for _ in 0..100 {
        authenticator.sidecar(&headers(&new.sign(|_| {}))).await.unwrap_err();
    }
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(30)).await;
    authenticator.sidecar(&headers(&new.sign(|_| {}))).await.unwrap();
    authenticator.sidecar(&headers(&old.sign(|_| {}))).await.unwrap();
    assert_eq!(cluster.asked.load(Ordering::Relaxed), 2);

    *cluster.jwks.lock().unwrap() = None;
    authenticator.sidecar(&headers(&new.sign(|_| {}))).await.unwrap();
    assert_eq!(cluster.reviewed.load(Ordering::Relaxed), 0, "with keys at hand the API server may be away");
}

#[tokio::test(start_paused = true)]
async fn the_api_server_is_asked_about_the_token_only_while_there_are_no_keys() {
    let signer = Signer::new("k1");
    let cluster = Cluster::default().with_pod();
    let authenticator = cluster.authenticator();
    let token = headers(&signer.sign(|_| {}));
    authenticator.sidecar(&token).await.unwrap();
    authenticator.sidecar(&token).await.unwrap();
    assert_eq!(cluster.reviewed.load(Ordering::Relaxed), 2);
    let cluster = cluster.lists(&[&signer]);
    tokio::time::advance(Duration::from_secs(31)).await;
    authenticator.sidecar(&token).await.unwrap();
    assert_eq!(cluster.reviewed.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_watch_has_not_brought_yet_is_waited_for_and_a_gone_one_is_refused() {
    let signer = Signer::new("k1");
    let cluster = Cluster::default().lists(&[&signer]);
    let authenticator = Arc::new(cluster.authenticator());
    let token = headers(&signer.sign(|_| {}));
    let early = tokio::spawn({
        let (authenticator, token) = (authenticator.clone(), token.clone());
        async move { authenticator.sidecar(&token).await }
    });
    tokio::time::advance(Duration::from_secs(2)).await;
    cluster.pods.0.update(|index| index.insert(pod()));
    assert_eq!(early.await.unwrap().unwrap().identity.pod, "web-1");

    cluster.pods.0.update(|index| index.remove("u1"));
    let asked = tokio::time::Instant::now();
    assert_eq!(authenticator.sidecar(&token).await.unwrap_err(), unknown("web-1"));
    assert_eq!(asked.elapsed(), POD_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn only_the_operators_own_account_is_a_replica() {
    let signer = Signer::new("k1");
    let authenticator = Cluster::default().lists(&[&signer]).authenticator();
    let operator = signer.sign(|c| {
        c["kubernetes.io"]["namespace"] = json!("spillway-system");
        c["kubernetes.io"]["serviceaccount"]["name"] = json!("spillway");
    });
    authenticator.replica(&headers(&operator)).await.unwrap();
    let sidecar = authenticator.replica(&headers(&signer.sign(|_| {}))).await.unwrap_err();
    assert_eq!(sidecar, Refusal::NotAReplica("shop/default".into()));
    assert_eq!(sidecar.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_fixed_token_stands_for_one_pod_and_for_no_replica() {
    let authenticator = Authenticator::fixed(&SecretString::from("secret".to_owned()), pod());
    assert_eq!(authenticator.sidecar(&headers("secret")).await.unwrap().identity.uid, "u1");
    assert_eq!(authenticator.sidecar(&headers("secreT")).await.unwrap_err(), Refusal::NotTheToken);
    assert_eq!(authenticator.replica(&headers("secret")).await.unwrap_err(), Refusal::NotTheToken);
}
