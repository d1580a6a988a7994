//! From a host name to an HTTP/1 connection: resolve, filter, connect, encrypt. Nothing is read from the environment.
//!
//! Through a proxy it is the proxy's name that is resolved and the proxy's address that is filtered; the provider's name is
//! resolved by the proxy. A provider that is given as an address is checked all the same.

use std::{
    fmt, io,
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
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    address::{AddressRule, Refused},
    resolve::Resolver,
    tunnel::{self, TunnelError},
};

/// What it takes to connect anywhere; one for the process.
#[derive(Clone)]
pub struct Dialer {
    resolver: Arc<Resolver>,
    tls: Arc<ClientConfig>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub encrypted: bool,
    /// IPv6 addresses in brackets.
    pub host: String,
    pub port: u16,
}

/// Why there is no connection. What it says goes to the application, so it names no more than host and cause.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot resolve {host:?}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host:?} may not be connected to: {source}")]
    Refused { host: String, source: Refused },
    #[error("{host:?} may not be connected to, nor asked for at proxy {proxy}: {source}")]
    RefusedBehind { host: String, proxy: Peer, source: Refused },
    #[error("cannot connect to {host:?}: {source}")]
    Tcp { host: String, source: io::Error },
    #[error("TLS with {host:?} failed: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no connection to {host:?} within {}ms", .after.as_millis())]
    Timeout { host: String, after: Duration },
    #[error("proxy {proxy} cannot be used")]
    Proxy { proxy: Peer, source: Box<Self> },
    #[error("proxy {proxy} {why}")]
    Tunnel { proxy: Peer, why: TunnelError },
}

/// A connection of any kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

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

    /// Connects within `timeout`, through the proxy if there is one, TLS included.
    pub async fn connect(
        &self,
        to: &Peer,
        proxy: Option<&Peer>,
        rule: &AddressRule,
        timeout: Duration,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let connect = async {
            match proxy {
                None => self.speak(to, self.tcp(to, rule).await?).await,
                Some(proxy) => self.connect_through(proxy, to, rule).await,
            }
        };
        match tokio::time::timeout(timeout, connect).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::Timeout { host: to.host.clone(), after: timeout }),
        }
    }

    async fn connect_through(
        &self,
        proxy: &Peer,
        to: &Peer,
        rule: &AddressRule,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        if let Ok(address) = to.name().parse() {
            let behind = |source| ConnectError::RefusedBehind { host: to.host.clone(), proxy: proxy.clone(), source };
            rule.check(address).map_err(behind)?;
        }
        let unusable = |source| ConnectError::Proxy { proxy: proxy.clone(), source: Box::new(source) };
        let mut stream = self.reach(proxy, rule).await.map_err(unusable)?;
        if to.encrypted {
            let refused = |why| ConnectError::Tunnel { proxy: proxy.clone(), why };
            tunnel::open(&mut stream, &to.authority()).await.map_err(refused)?;
        }
        self.speak(to, stream).await
    }

    /// A connection that whoever is at its other end can be told anything on.
    async fn reach(&self, to: &Peer, rule: &AddressRule) -> Result<Box<dyn Stream>, ConnectError> {
        let tcp = self.tcp(to, rule).await?;
        if to.encrypted { Ok(Box::new(self.encrypt(to, tcp).await?)) } else { Ok(Box::new(tcp)) }
    }

    async fn tcp(&self, to: &Peer, rule: &AddressRule) -> Result<TcpStream, ConnectError> {
        let named = || to.host.clone();
        let found =
            self.resolver.lookup(&to.host).await.map_err(|source| ConnectError::Resolve { host: named(), source })?;
        let addresses = allowed(&found, rule).map_err(|source| ConnectError::Refused { host: named(), source })?;
        let failed = |source| ConnectError::Tcp { host: named(), source };
        let tcp = race(&addresses, to.port).await.map_err(failed)?;
        tune(&tcp).map_err(failed)?;
        Ok(tcp)
    }

    async fn encrypt<S: Stream>(&self, to: &Peer, stream: S) -> Result<TlsStream<S>, ConnectError> {
        let failed = |source| ConnectError::Tls { host: to.host.clone(), source };
        let name = ServerName::try_from(to.name().to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(failed)
    }

    /// Starts HTTP with a provider on a connection that leads to it.
    async fn speak<S: Stream + 'static>(&self, to: &Peer, stream: S) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let named = || to.host.clone();
        if to.encrypted {
            let stream = self.encrypt(to, stream).await?;
            handshake(stream).await.map_err(|source| ConnectError::Tls { host: named(), source })
        } else {
            handshake(stream).await.map_err(|source| ConnectError::Tcp { host: named(), source })
        }
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

// === impl Peer ===

impl Peer {
    /// The host as certificates and resolvers know it: an IPv6 address without brackets.
    fn name(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.encrypted { "https" } else { "http" }, self.host, self.port)
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
async fn handshake<S: Stream + 'static>(stream: S) -> io::Result<SendRequest<Full<Bytes>>> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Whoever waits for the answer gets the connection's error too; here it would be said twice.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

#[cfg(test)]
mod tests;
