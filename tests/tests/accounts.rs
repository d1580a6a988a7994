//! How a sidecar gets to a provider and with which key, compiled by the operator: several keys, and a proxy.

use spillway_tests::client::{CHAT, Reply, chat, post, request, send};
use spillway_tests::operator::Operator;
use spillway_tests::provider::{ANSWER, Provider};
use spillway_tests::proxy::Proxy;
use spillway_tests::sidecar::Sidecar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A provider `llm` with this much more in its spec, and a route `chat` to this model.
fn resources(endpoint: &str, spec: &str, model: &str, request: &str) -> String {
    format!(
        "
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {{name: llm, namespace: shop}}
spec:
  type: OpenAICompatible
  endpoint: {endpoint}
  allowInsecure: true
  {spec}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {{name: chat, namespace: shop}}
spec:
  backends: [{{name: main, providerRef: {{name: llm}}, model: {model}}}]
  request: {{{request}}}
"
    )
}

fn secret(name: &str, value: &str, host: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: shop
  labels: {{spillway.dev/provider-key: 'true'}}
  annotations: {{spillway.dev/allowed-hosts: '{host}'}}
stringData: {{apiKey: {value}}}
"
    )
}

async fn ask(sidecar: &Sidecar) -> anyhow::Result<Reply> {
    post(sidecar.data, CHAT, &chat("chat")).await
}

fn keys(provider: &Provider) -> Vec<String> {
    provider.seen().iter().map(|seen| seen.headers.get("authorization").cloned().unwrap_or_default()).collect()
}

#[tokio::test]
async fn keys_stand_in_for_each_other_and_one_that_is_missing_is_passed_over() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let host = provider.address.to_string();
    let spec = "credentials: {secretRefs: [{name: one}, {name: two}, {name: three}]}";
    let all = |first: &str| {
        let resources = resources(&provider.base_url(), spec, "once-401", "");
        format!("{resources}{}{}", secret("one", first, &host), secret("three", "sk-three", &host))
    };
    let operator = Operator::start(&[("shop.yaml", &all("sk-one"))]).await?;
    let sidecar = operator.sidecar("app").await?;
    let reply = ask(&sidecar).await?;
    assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
    assert_eq!(reply.header("x-spillway-attempts"), "2", "{reply:?}");
    assert_eq!(ask(&sidecar).await?.header("x-spillway-attempts"), "1", "the first key rests");
    assert_eq!(keys(&provider), ["Bearer sk-one", "Bearer sk-three", "Bearer sk-three"]);
    assert!(reply.headers.values().all(|value| !value.contains("sk-")), "{reply:?}");
    let (_, metrics) = sidecar.admin_get("/metrics").await?;
    let line = "key_attempts_total{key=\"3\",outcome=\"ok\",provider=\"shop/llm\"} 2";
    assert!(metrics.contains(line) && !metrics.contains("sk-"), "{metrics}");
    let (_, page) = sidecar.admin_get("/debug/backends").await?;
    assert!(page.contains("key shop/llm") && !page.contains("sk-"), "{page}");

    operator.write("shop.yaml", &all("sk-renewed"))?;
    loop {
        // Until the new key has arrived, the third one serves.
        assert_eq!(ask(&sidecar).await?.status, 200);
        if keys(&provider).last().is_some_and(|key| key == "Bearer sk-renewed") {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_proxy_finds_names_that_nobody_else_knows() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let proxy = Proxy::leading_to(provider.address).await?;
    let spec = format!("credentials: {{none: {{}}}}\n  proxy: {{url: '{}'}}", proxy.url());
    let endpoint = "http://llm.invalid:8000/v1";
    let operator = Operator::start(&[("shop.yaml", &resources(endpoint, &spec, "well", ""))]).await?;
    let sidecar = operator.sidecar("app").await?;
    let reply = ask(&sidecar).await?;
    assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{reply:?}");
    assert_eq!(proxy.lines(), ["POST http://llm.invalid:8000/v1/chat/completions HTTP/1.1"]);
    assert_eq!(provider.seen()[0].headers["host"], "llm.invalid:8000");
    Ok(())
}

#[tokio::test]
async fn what_a_proxy_says_no_to_is_told_and_a_tunnel_is_no_reason_to_trust_its_end() -> anyhow::Result<()> {
    let stranger = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (refusing, leading) = (Proxy::refusing(407).await?, Proxy::leading_to(stranger.local_addr()?).await?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            // Not before it is spoken to: what comes with the proxy's answer would be taken for the proxy's own.
            if stream.read_u8().await.is_ok() {
                _ = stream.write_all(b"this is no TLS\r\n").await;
            }
        }
    });
    let rows = [
        (&refusing, format!("proxy {} refused CONNECT to llm.invalid:443: 407", refusing.url())),
        (&leading, "TLS with \"llm.invalid\" failed".to_owned()),
    ];
    for (proxy, want) in rows {
        let spec = format!("credentials: {{none: {{}}}}\n  proxy: {{url: '{}'}}", proxy.url());
        let resources = resources("https://llm.invalid/v1", &spec, "well", "");
        let operator = Operator::start(&[("shop.yaml", &resources)]).await?;
        let sidecar = operator.sidecar("app").await?;
        let reply = ask(&sidecar).await?;
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_unreachable"), "{reply:?}");
        assert!(reply.message().contains(&want), "{want} is not in {}", reply.message());
        assert_eq!(proxy.lines()[0], "CONNECT llm.invalid:443 HTTP/1.1");
    }
    Ok(())
}

#[tokio::test]
async fn a_hint_counts_where_the_route_allows_it() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let spec = "credentials: {none: {}}";
    let hinted = |hints: &str| resources(&provider.base_url(), spec, "hang", hints);
    let operator = Operator::start(&[("shop.yaml", &hinted("hints: [Timeout]"))]).await?;
    let sidecar = operator.sidecar("app").await?;
    let body = chat("chat").to_string();
    let rows = [
        ("x-spillway-timeout", "100ms", 504, "upstream_timeout"),
        ("x-spillway-backend", "main", 400, "invalid_request"),
    ];
    for (name, value, status, code) in rows {
        let headers = [("content-type", "application/json"), (name, value)];
        let reply = send(sidecar.data, &request("POST", CHAT, &headers, body.as_bytes())).await?;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{reply:?}");
    }
    Ok(())
}
