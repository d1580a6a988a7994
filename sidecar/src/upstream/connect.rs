//! From a host name to an HTTP/1 connection: resolve, filter, connect, encrypt. Nothing is read from the environment.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    address::{AddressRule, Refused},
    resolve::Resolver,
};

/// What it takes to connect anywhere; one for the process.
#[derive(Clone)]
pub struct Dialer {
    resolver: Arc<Resolver>,
    tls: Arc<ClientConfig>,
}

/// Why there is no connection. What it says goes to the application, so it names no more than host and cause.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot resolve {host:?}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host:?} may not be connected to: {source}")]
    Refused { host: String, source: Refused },
    #[error("cannot connect to {host:?}: {source}")]
    Tcp { host: String, source: io::Error },
    #[error("TLS with {host:?} failed: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no connection to {host:?} within {}ms", .after.as_millis())]
    Timeout { host: String, after: Duration },
}

/// The answer's head of the largest provider is a tenth of this.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long one address may keep the next one waiting.
const HEAD_START: Duration = Duration::from_millis(250);

/// A peer that vanished without a word is noticed after 15 + 3 × 15 s.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

// === impl Dialer ===

impl Dialer {
    /// Trusts the public certificate authorities that are compiled in.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    fn trusting(roots: RootCertStore) -> Self {
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the TLS versions that rustls enables")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { resolver: Arc::default(), tls: Arc::new(tls) }
    }

    /// Connects within `timeout`, TLS included.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        encrypted: bool,
        rule: &AddressRule,
        timeout: Duration,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let connect = self.connect_unbounded(host, port, encrypted, rule);
        match tokio::time::timeout(timeout, connect).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::Timeout { host: host.to_owned(), after: timeout }),
        }
    }

    async fn connect_unbounded(
        &self,
        host: &str,
        port: u16,
        encrypted: bool,
        rule: &AddressRule,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let named = || host.to_owned();
        let found =
            self.resolver.lookup(host).await.map_err(|source| ConnectError::Resolve { host: named(), source })?;
        let addresses = allowed(&found, rule).map_err(|source| ConnectError::Refused { host: named(), source })?;
        let tcp = race(&addresses, port).await.map_err(|source| ConnectError::Tcp { host: named(), source })?;
        tune(&tcp).map_err(|source| ConnectError::Tcp { host: named(), source })?;
        let tls_error = |source| ConnectError::Tls { host: named(), source };
        if !encrypted {
            return handshake(tcp).await.map_err(|source| ConnectError::Tcp { host: named(), source });
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| tls_error(io::Error::other(error)))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await.map_err(tls_error)?;
        handshake(tls).await.map_err(tls_error)
    }
}

impl Default for Dialer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// The addresses that may be connected to. One allowed address is enough; a refusal is reported when there is none.
fn allowed(found: &[IpAddr], rule: &AddressRule) -> Result<Vec<IpAddr>, Refused> {
    let mut refused = None;
    let mut addresses = Vec::with_capacity(found.len());
    for address in found {
        match rule.check(*address) {
            Ok(()) => addresses.push(*address),
            Err(reason) => refused = Some(reason),
        }
    }
    match refused {
        Some(reason) if addresses.is_empty() => Err(reason),
        _ => Ok(addresses),
    }
}

/// Tries one address after the other, without waiting long for a silent one; the first connection wins.
async fn race(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut tries = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            tries.push(TcpStream::connect(SocketAddr::new(*address, port)));
        } else if tries.is_empty() {
            return Err(last);
        }
        let next = tries.next();
        let outcome =
            if waiting.len() == 0 { next.await } else { tokio::time::timeout(HEAD_START, next).await.ok().flatten() };
        match outcome {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(KEEPALIVE_PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Starts HTTP/1 on a stream. One task per connection drives it; it ends when the sender and the last body are gone.
async fn handshake<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Whoever waits for the answer gets the connection's error too; here it would be said twice.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

#[cfg(test)]
mod tests {
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
        let dialer = Dialer::new();
        let error = dialer
            .connect("127.0.0.1", port, false, &AddressRule::default(), Duration::from_secs(5))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
        assert!(futures::poll!(std::pin::pin!(listener.accept())).is_pending());
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
            let connected = dialer.connect(host, port, true, &rule, Duration::from_secs(5)).await;
            let got = connected.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
            assert!(got.contains(want), "{host}: {got}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let error = Dialer::new().connect("127.0.0.1", port, true, &rule, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
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
}
