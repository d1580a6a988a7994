//! A control plane on a directory of files, seen from its sidecar's end of the wire.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{path::Path, sync::Arc, time::Duration};

use futures::StreamExt;
use secrecy::SecretString;
use serde_json::json;
use spillway_operator::{
    app::{
        local::{self, Local, Plan},
        tasks::Tasks,
    },
    pods::PodEntry,
    source::{Directory, Files},
};
use spillway_wire::{Down, Snapshot, paths};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Polling files takes half a second, a push a tenth; the rest is for a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a-token-for-this-test";

fn route(model: &str) -> String {
    format!(
        "apiVersion: spillway.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: chat, namespace: shop}}\n\
         spec:\n  backends: [{{name: a, providerRef: {{name: p}}, model: {model}}}]\n"
    )
}

const PROVIDER: &str = "apiVersion: spillway.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: p, namespace: shop}\n\
                        spec: {type: OpenAI, credentials: {none: {}}}\n";

async fn start(folder: &Path) -> (Local, JoinHandle<anyhow::Result<()>>, CancellationToken) {
    let directory = Directory::new(vec![folder.to_owned()], "shop");
    let pod = PodEntry {
        uid: "dev".into(),
        namespace: "shop".into(),
        name: "app".into(),
        labels: Default::default(),
        workload: "Process/app".into(),
        job: None,
        terminating: false,
        running: true,
    };
    let plan = Plan {
        files: Arc::new(Files::new(directory, Vec::new(), Vec::new())),
        allowed_private_ranges: vec!["127.0.0.0/8".into()],
        sidecar_addr: ([127, 0, 0, 1], 0).into(),
        token: SecretString::from(TOKEN),
        pod,
    };
    let mut tasks = Tasks::new(CancellationToken::new());
    let stop = tasks.stop();
    let local = local::start(plan, &mut tasks).await.unwrap();
    (local, tokio::spawn(tasks.run()), stop)
}

fn client(local: &Local) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(local.ca_pem.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([ca]).build().unwrap()
}

async fn subscribe(local: &Local, token: &str) -> reqwest::Response {
    let url = format!("https://localhost:{}{}", local.addr.port(), paths::SUBSCRIBE);
    let body = json!({"protocol": 1, "version": "0.1.0", "boot": "b1"});
    client(local).post(url).bearer_auth(token).json(&body).send().await.unwrap()
}

/// The next snapshot on the stream for which `wanted` holds.
async fn snapshot(lines: &mut (impl StreamExt<Item = String> + Unpin), wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let next = async {
        while let Some(line) = lines.next().await {
            if let Ok(Down::Snapshot { snapshot }) = serde_json::from_str(&line)
                && wanted(&snapshot)
            {
                return *snapshot;
            }
        }
        panic!("the stream ended")
    };
    timeout(PATIENCE, next).await.expect("the snapshot comes in time")
}

fn lines(response: reqwest::Response) -> impl StreamExt<Item = String> + Unpin {
    let chunks = response.bytes_stream().map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap());
    let lines = chunks.scan(String::new(), |rest, chunk| {
        rest.push_str(&chunk);
        let mut complete: Vec<String> = rest.split('\n').map(str::to_owned).collect();
        *rest = complete.pop().unwrap_or_default();
        std::future::ready(Some(futures::stream::iter(complete)))
    });
    Box::pin(lines.flatten())
}

#[tokio::test]
async fn files_reach_the_sidecar_and_so_do_their_edits() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("provider.yaml"), PROVIDER).unwrap();
    std::fs::write(folder.path().join("route.yaml"), route("gpt-4o-mini")).unwrap();
    let (local, running, stop) = start(folder.path()).await;
    let mut stream = lines(subscribe(&local, TOKEN).await);
    let first = snapshot(&mut stream, |snapshot| !snapshot.routes.is_empty()).await;
    assert_eq!(first.routes["shop/chat"].backends[0].model.name, "gpt-4o-mini");
    assert_eq!(first.egress.allowed_private_ranges, ["127.0.0.0/8"]);

    let report = json!({"boot": "b1", "sequence": 1, "ack": {"running": first.revision}});
    let url = format!("https://localhost:{}{}", local.addr.port(), paths::REPORT);
    let answer = client(&local).post(url).bearer_auth(TOKEN).json(&report).send().await.unwrap();
    assert_eq!(answer.status(), 204);

    std::fs::write(folder.path().join("route.yaml"), route("gpt-4o")).unwrap();
    let second = snapshot(&mut stream, |snapshot| snapshot.revision != first.revision).await;
    assert_eq!(second.routes["shop/chat"].backends[0].model.name, "gpt-4o");
    stop.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn another_token_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (local, _running, stop) = start(folder.path()).await;
    assert_eq!(subscribe(&local, "guess").await.status(), 401);
    stop.cancel();
}
