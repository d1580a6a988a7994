use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Clock,
    source::{Directory, Files},
    tls::Authority,
};

fn webhooks() -> Webhooks {
    let clock = Clock::system();
    let directory = Directory::new(Vec::new(), "default");
    Webhooks {
        source: Source::Directory(Arc::new(Files::new(directory, Vec::new(), Vec::new()))),
        compile: CompileSettings::default(),
        tls: Tls::new(Authority::generate(clock.wall()).unwrap(), ["localhost".to_owned()], clock).unwrap(),
        metrics: Metrics::new(),
        clock,
        injection: Injection {
            image: "sidecar:1".into(),
            pull_policy: "IfNotPresent".into(),
            operator_url: "https://spillway.spillway-system.svc:8443".into(),
            ca_pem: String::new(),
        },
    }
}

fn pod_review(annotations: Value, spec: Value) -> Bytes {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-", "annotations": annotations}, "spec": spec});
    let request = json!({"uid": "42", "kind": kind, "resource": resource, "namespace": "shop", "operation": "CREATE",
        "userInfo": {}, "dryRun": false, "object": object});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into()
}

async fn ask(path: &str, body: &Bytes) -> (StatusCode, Value) {
    let response = webhooks().route(path, body);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

#[tokio::test]
async fn a_pod_that_asks_gets_a_patch_with_the_current_ca() {
    let asks = json!({"spillway.dev/inject": "true"});
    let (status, review) = ask("/inject", &pod_review(asks, json!({"containers": [{"name": "app"}]}))).await;
    assert_eq!(
        (status, &review["response"]["uid"], &review["response"]["allowed"]),
        (StatusCode::OK, &json!("42"), &json!(true))
    );
    // The API server takes bytes as a list of numbers as well as in base64.
    let patch: Vec<u8> = serde_json::from_value(review["response"]["patch"].clone()).unwrap();
    let patch = String::from_utf8(patch).unwrap();
    assert!(patch.contains("BEGIN CERTIFICATE") && patch.contains("spillway-sidecar"), "{patch}");
}

#[tokio::test]
async fn the_path_says_whether_the_namespace_asks() {
    for (path, patched) in [("/inject", false), ("/inject/namespace", true)] {
        let (_, review) = ask(path, &pod_review(json!({}), json!({"containers": [{"name": "app"}]}))).await;
        assert_eq!(review["response"]["patch"].is_array(), patched, "{path}");
    }
}

#[tokio::test]
async fn a_pod_that_cannot_be_injected_is_denied_with_the_reason() {
    let asks = json!({"spillway.dev/inject": "true"});
    let spec = json!({"hostNetwork": true, "containers": [{"name": "app"}]});
    let (_, review) = ask("/inject", &pod_review(asks, spec)).await;
    assert_eq!(review["response"]["allowed"], false);
    let message = review["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("shop/web-") && message.contains("hostNetwork"), "{message}");
}

#[tokio::test]
async fn what_is_no_review_is_refused_and_not_a_panic() {
    for (path, body, want) in [
        ("/inject", "", StatusCode::BAD_REQUEST),
        ("/inject", "{}", StatusCode::BAD_REQUEST),
        ("/validate", "[1, 2", StatusCode::BAD_REQUEST),
        ("/validate", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, StatusCode::BAD_REQUEST),
        ("/elsewhere", "{}", StatusCode::NOT_FOUND),
    ] {
        let (status, answer) = ask(path, &Bytes::from_static(body.as_bytes())).await;
        assert_eq!(status, want, "{path} {body:?}: {answer}");
    }
}
