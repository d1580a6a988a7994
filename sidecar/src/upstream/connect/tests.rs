use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[test]
fn one_allowed_address_is_enough_and_only_that_one_is_used() {
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    let rule = AddressRule::default();
    let mixed = ["10.0.0.1", "1.1.1.1"].map(parse);
    assert_eq!(allowed(&mixed, &rule), Ok(vec![parse("1.1.1.1")]));
    assert_eq!(allowed(&mixed[..1], &rule), Err(Refused::Private(mixed[0])));
    assert_eq!(allowed(&[], &rule), Ok(vec![]));
}

#[tokio::test]
async fn a_private_address_is_refused_before_a_connection_is_tried() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = peer(false, "127.0.0.1", port);
    let second = Duration::from_secs(1);
    let error = Dialer::new().connect(&to, None, &AddressRule::default(), second).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    assert!(futures::poll!(std::pin::pin!(listener.accept())).is_pending());
}

fn peer(encrypted: bool, host: &str, port: u16) -> Peer {
    Peer { encrypted, host: host.into(), port }
}

/// A server with a certificate for `localhost` that nobody else trusts, and what trusts it.
async fn a_tls_server() -> (u16, RootCertStore) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(acceptor.accept(stream));
        }
    });
    (port, roots)
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_made_out_to_the_host() {
    let (port, roots) = a_tls_server().await;
    let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let rows = [
        (Dialer::trusting(roots.clone()), "localhost", "ok"),
        (Dialer::trusting(roots), "127.0.0.1", "certificate"),
        (Dialer::new(), "localhost", "certificate"),
    ];
    for (dialer, host, want) in rows {
        let connected = dialer.connect(&peer(true, host, port), None, &rule, Duration::from_secs(5)).await;
        let got = connected.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert!(got.contains(want), "{host}: {got}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let to = peer(true, "127.0.0.1", port);
    let error = Dialer::new().connect(&to, None, &rule, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}

/// A proxy that answers each CONNECT with this, and then leads to the port that was asked for, on loopback.
async fn a_proxy(answer: &'static str) -> (Peer, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let port: u16 = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
            tell.send(head).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut onward = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut onward).await });
            }
        }
    });
    (peer(false, "127.0.0.1", port), told)
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_name_and_the_certificate_is_still_the_providers() {
    let (port, roots) = a_tls_server().await;
    let (proxy, mut asked) = a_proxy("HTTP/1.1 200 Connection established\r\nvia: p\r\n\r\n").await;
    let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let dialer = Dialer::trusting(roots);
    let second = Duration::from_secs(5);
    let to = peer(true, "localhost", port);
    assert!(dialer.connect(&to, Some(&proxy), &rule, second).await.is_ok());
    let head = asked.recv().await.unwrap();
    assert_eq!(head, format!("CONNECT localhost:{port} HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n"));
    // The proxy leads to the same server, which is not who was asked for.
    let error = dialer.connect(&peer(true, "other.example", port), Some(&proxy), &rule, second).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_may_not_be_asked_is_named() {
    let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let strict = AddressRule::default();
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n";
    let rows = [
        (refusal, &rule, "api.example", "refused CONNECT to api.example:443: 407"),
        ("HTTP/1.1 200 OK\r\n\r\nsurprise", &rule, "api.example", "said more than an answer to CONNECT"),
        ("SSH-2.0-x\r\n\r\n", &rule, "api.example", "is no HTTP proxy"),
        (refusal, &strict, "api.example", "cannot be used: \"127.0.0.1\" may not be connected to"),
        (refusal, &rule, "10.0.0.1", "\"10.0.0.1\" may not be connected to, nor asked for at proxy http://127.0.0.1:"),
        (refusal, &rule, "169.254.169.254", "link-local"),
    ];
    for (answer, rule, host, want) in rows {
        let (proxy, _asked) = a_proxy(answer).await;
        let to = peer(true, host, 443);
        let error = Dialer::new().connect(&to, Some(&proxy), rule, Duration::from_secs(5)).await.unwrap_err();
        let text = crate::chain::Chain(&error).to_string();
        assert!(text.contains(want), "{text}");
    }
}

#[tokio::test]
async fn a_closed_port_is_tried_past_to_the_next_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let addresses = ["127.0.0.2", "127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
    assert!(race(&addresses, port).await.is_ok());
    assert!(race(&addresses[..1], port).await.is_err());
    assert!(race(&[], port).await.is_err());
}
