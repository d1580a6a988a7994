use std::time::Duration;

use http::Response;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpListener;

use super::*;

mod cluster;

const NAME: &str = "spillway.spillway-system.svc";

fn tls(clock: Clock) -> Tls {
    Tls::new(Authority::generate(clock.wall()).unwrap(), [NAME.to_owned(), "127.0.0.1".to_owned()], clock).unwrap()
}

async fn listen(config: Arc<ServerConfig>, stop: CancellationToken) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hello = |_request, _ending| async { Response::new(full("hello")) };
    (port, tokio::spawn(serve(listener, config, Limits::default(), hello, stop)))
}

fn client(ca_pem: &str) -> reqwest::ClientBuilder {
    let roots = rustls_pki_types::CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    let mut store = rustls::RootCertStore::empty();
    store.add(roots).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config)
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_and_another_is_not() {
    let tls = tls(Clock::system());
    let stop = CancellationToken::new();
    let (port, server) = listen(tls.sidecar_config(), stop.clone()).await;
    let url = format!("https://127.0.0.1:{port}/");
    let answer = client(&tls.ca_pem()).build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "hello");

    let other = Authority::generate(Clock::system().wall()).unwrap();
    assert!(client(other.cert_pem()).build().unwrap().get(&url).send().await.is_err());
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn the_sidecar_port_speaks_nothing_older_than_tls_1_3() {
    let tls = tls(Clock::system());
    let stop = CancellationToken::new();
    let root = rustls_pki_types::CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    for (config, accepts) in [(tls.sidecar_config(), false), (tls.webhook_config(), true)] {
        let (port, _server) = listen(config, stop.clone()).await;
        let old = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(old).build().unwrap();
        let answer = client.get(format!("https://127.0.0.1:{port}/")).send().await;
        assert_eq!(answer.is_ok(), accepts);
    }
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let tls = tls(Clock::starting_at("2026-11-21T00:00:00Z".parse().unwrap()));
    let rows = [(0, false), (15, false), (2, true), (0, false), (16, true)];
    for (hours, renewed) in rows {
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        assert_eq!(tls.renew_if_due().unwrap(), renewed, "after {hours} h more");
    }
}

#[test]
fn a_stored_authority_is_read_back_and_a_broken_one_is_refused() {
    let now = Clock::system().wall();
    let stored = Authority::generate(now).unwrap();
    let read = Authority::from_pem(stored.cert_pem(), stored.key_pem()).unwrap();
    assert_eq!(read.cert_pem(), stored.cert_pem());

    let other = Authority::generate(now).unwrap();
    let rows = [
        ("", stored.key_pem(), "tls.crt is not a certificate in PEM format"),
        (stored.cert_pem(), "", "tls.key is not a private key in PEM format"),
        (stored.cert_pem(), other.key_pem(), "tls.key is not the key of tls.crt"),
    ];
    for (cert, key, reason) in rows {
        let error = Authority::from_pem(cert, key).unwrap_err().to_string();
        assert_eq!(error, format!("the certificate authority is unusable: {reason}"));
    }
    assert!(!format!("{stored:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn a_certificate_of_a_stored_authority_is_trusted_and_an_adopted_one_serves_at_once() {
    let clock = Clock::system();
    let first = tls(clock);
    let stored = Authority::generate(clock.wall()).unwrap();
    let stored = Authority::from_pem(stored.cert_pem(), stored.key_pem()).unwrap();
    let pem = stored.cert_pem().to_owned();
    let stop = CancellationToken::new();
    let (port, _server) = listen(first.sidecar_config(), stop.clone()).await;
    first.adopt(stored).unwrap();
    let client = client(&pem).resolve(NAME, ([127, 0, 0, 1], port).into()).build().unwrap();
    let answer = client.get(format!("https://{NAME}:{port}/")).send().await.unwrap();
    assert!(answer.status().is_success());
    stop.cancel();
}
