//! The authority's Secret and the webhooks, against an API server.

use serde_json::json;

use super::*;
use crate::fake_cluster::FakeCluster;

const SECRET: &str = "/api/v1/namespaces/spillway-system/secrets/spillway-ca";
const INJECT: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway-inject";
const VALIDATE: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/spillway-validate";
const NAMESPACE: &str = "spillway-system";

/// The authority that a replica starts with.
async fn replica(client: &kube::Client) -> Tls {
    let authority = load_or_create(client, NAMESPACE, Clock::system()).await.unwrap();
    Tls::new(authority, [NAME.to_owned()], Clock::system()).unwrap()
}

#[tokio::test]
async fn replicas_that_start_together_share_one_authority() {
    let cluster = FakeCluster::default();
    let client = cluster.start().await;
    let (a, b, c) = tokio::join!(replica(&client), replica(&client), replica(&client));
    assert_eq!(a.ca_pem(), b.ca_pem());
    assert_eq!(a.ca_pem(), c.ca_pem());
    assert_eq!(cluster.writes(), [format!("POST {SECRET}")]);
    assert_eq!(cluster.get(SECRET).unwrap()["type"], "kubernetes.io/tls");
}

#[tokio::test]
async fn a_deleted_or_damaged_secret_comes_back_as_it_was() {
    let cluster = FakeCluster::default();
    let client = cluster.start().await;
    let tls = replica(&client).await;
    let (before, pem) = (cluster.get(SECRET).unwrap(), tls.ca_pem());
    restore(&client, NAMESPACE, &tls).await.unwrap();
    assert_eq!(cluster.get(SECRET).unwrap(), before, "nothing was wrong");

    cluster.delete(SECRET);
    restore(&client, NAMESPACE, &tls).await.unwrap();
    assert_eq!(cluster.get(SECRET).unwrap()["data"], before["data"]);

    let mut damaged = cluster.get(SECRET).unwrap();
    damaged["data"]["tls.key"] = json!("AAAA");
    cluster.set(SECRET, damaged);
    restore(&client, NAMESPACE, &tls).await.unwrap();
    assert_eq!(cluster.get(SECRET).unwrap()["data"], before["data"]);
    assert_eq!(tls.ca_pem(), pem);
}

#[tokio::test]
async fn an_authority_that_was_replaced_on_purpose_is_adopted() {
    let (cluster, elsewhere) = (FakeCluster::default(), FakeCluster::default());
    let (client, other) = (cluster.start().await, elsewhere.start().await);
    let tls = replica(&client).await;
    let theirs = replica(&other).await.ca_pem();
    cluster.set(SECRET, elsewhere.get(SECRET).unwrap());
    let mut changes = tls.authority();
    restore(&client, NAMESPACE, &tls).await.unwrap();
    assert_eq!(tls.ca_pem(), theirs);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
}

#[tokio::test]
async fn webhooks_get_our_bundle_once_and_again_when_it_was_tampered_with() {
    let cluster = FakeCluster::default();
    let client = cluster.start().await;
    patch_webhooks(&client, "pem").await.expect("configurations that are not installed are skipped");
    let hook = |name: &str| json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"service": {"name": "s", "namespace": "n"}}});
    cluster
        .set(INJECT, json!({"metadata": {"name": "spillway-inject"}, "webhooks": [hook("a.x.dev"), hook("b.x.dev")]}));
    cluster.set(VALIDATE, json!({"metadata": {"name": "spillway-validate"}, "webhooks": [hook("c.x.dev")]}));
    patch_webhooks(&client, "pem").await.unwrap();
    assert_eq!(cluster.writes(), [format!("PATCH {INJECT}"), format!("PATCH {VALIDATE}")]);
    patch_webhooks(&client, "pem").await.unwrap();
    assert!(cluster.writes().is_empty());

    let mut tampered = cluster.get(INJECT).unwrap();
    tampered["webhooks"][1]["clientConfig"]["caBundle"] = json!("AAAA");
    cluster.set(INJECT, tampered);
    patch_webhooks(&client, "pem").await.unwrap();
    assert_eq!(cluster.get(INJECT).unwrap()["webhooks"][1]["clientConfig"]["caBundle"], "cGVt");
    assert_eq!(cluster.writes(), [format!("PATCH {INJECT}")]);
}
