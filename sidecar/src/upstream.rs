//! The way to one provider: its connections, kept for the next request.
//!
//! HTTP/1 with a pool of our own. A connection goes back when the last byte of an answer was read; one that is dropped
//! earlier is closed, which is how an abandoned call is aborted at the provider. No redirects (the key would travel
//! along), no proxy from the environment, no decompression.

pub mod address;
pub mod connect;
mod resolve;
mod tunnel;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
};

use crate::clock;

use address::AddressRule;
use connect::{ConnectError, Dialer, Peer};

type Sender = SendRequest<Full<Bytes>>;

/// How long a connection whose answer has ended may take to be free again.
const NEARLY_IDLE: Duration = Duration::from_millis(20);

/// A provider's address and its idle connections.
#[derive(Debug)]
pub struct Upstream {
    place: Place,
    /// What connections go through. None: they are direct.
    proxy: Option<Peer>,
    rule: AddressRule,
    connect_timeout: Duration,
    dialer: Dialer,
    idle: Mutex<Vec<Idle>>,
}

/// Scheme, host, port and path prefix of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    peer: Peer,
    /// What the `host` header says.
    authority: HeaderValue,
    /// `/v1`: what every path begins with.
    prefix: String,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

/// Why no head of an answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or what came was no HTTP.
    #[error("connection to {host:?} failed: {source}")]
    Broken {
        host: String,
        source: hyper::Error,
        /// At least part of the request has left.
        sent: bool,
    },
    #[error("{host:?} sent nothing for {}ms", .after.as_millis())]
    Silent { host: String, after: Duration },
}

/// An answer's body. Read to its end, it gives its connection back; dropped before, it closes it.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    connection: Option<(Weak<Upstream>, Sender)>,
}

/// Providers and load balancers close idle connections after a minute or more; ours go a little before most.
const MAX_IDLE: Duration = Duration::from_secs(55);

/// More idle connections than this to one provider are not worth their memory (TLS buffers: some 30 KiB each).
const MAX_IDLE_CONNECTIONS: usize = 64;

// === impl Place ===

impl Place {
    /// Reads `https://host:port/prefix`.
    pub fn parse(base_url: &str) -> Result<Self, String> {
        let uri: Uri = base_url.parse().map_err(|error| format!("{base_url:?} is no URL: {error}"))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("{base_url:?} must begin with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{base_url:?} names no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(format!("{base_url:?} must have neither credentials nor a query"));
        }
        let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let header = HeaderValue::from_str(authority.as_str()).map_err(|error| format!("{base_url:?}: {error}"))?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let peer = Peer { encrypted, host: authority.host().to_owned(), port };
        Ok(Self { peer, authority: header, prefix })
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.peer.host
    }

    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The request target of a path below the prefix.
    #[must_use]
    pub fn uri(&self, path: &str) -> Uri {
        let target = Bytes::from([self.prefix.as_bytes(), path.as_bytes()].concat());
        // Both halves were parsed once; should they not fit together, the provider answers 404.
        Uri::from_maybe_shared(target).unwrap_or_default()
    }

    /// The request target of what is beside the API instead of in it: below the prefix without its version.
    #[must_use]
    pub fn root_uri(&self, path: &str) -> Uri {
        let prefix = self.prefix.strip_suffix("/v1").unwrap_or(&self.prefix);
        Uri::from_maybe_shared(Bytes::from([prefix.as_bytes(), path.as_bytes()].concat())).unwrap_or_default()
    }

    /// The same target with its scheme and host before it, as a proxy wants it that speaks for us.
    fn absolute(&self, target: &Uri) -> Uri {
        let text = [b"http://", self.authority.as_bytes(), target.to_string().as_bytes()].concat();
        Uri::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| target.clone())
    }
}

// === impl Upstream ===

impl Upstream {
    #[must_use]
    pub fn new(
        place: Place,
        proxy: Option<Peer>,
        rule: AddressRule,
        connect_timeout: Duration,
        dialer: Dialer,
    ) -> Self {
        Self { place, proxy, rule, connect_timeout, dialer, idle: Mutex::default() }
    }

    /// Whether this one can serve a config that asks for the given place and rules: its connections are kept then.
    #[must_use]
    pub fn serves(&self, place: &Place, proxy: Option<&Peer>, rule: &AddressRule, connect_timeout: Duration) -> bool {
        let same_way = self.place == *place && self.proxy.as_ref() == proxy;
        same_way && self.rule == *rule && self.connect_timeout == connect_timeout
    }

    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Sends a request and waits for the head of its answer: `first_byte` once connected, and never past `until`.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
        first_byte: Duration,
        until: Instant,
    ) -> Result<Response<UpstreamBody>, SendError> {
        if self.proxy.is_some() && !self.place.peer.encrypted {
            *request.uri_mut() = self.place.absolute(request.uri());
        }
        let mut pooled = self.idle().await;
        loop {
            let reused = pooled.is_some();
            let mut sender = match pooled.take() {
                Some(sender) => sender,
                None => Box::pin(self.connect(until)).await?,
            };
            let host = || self.place.peer.host.clone();
            let patience = first_byte.min(until.saturating_duration_since(clock::now()));
            match tokio::time::timeout(patience, sender.try_send_request(request)).await {
                Ok(Ok(response)) => return Ok(response.map(|incoming| self.body(incoming, sender))),
                Err(_) => return Err(SendError::Silent { host: host(), after: patience }),
                Ok(Err(mut error)) => match error.take_message() {
                    // It was closed while idle, and not a byte of the request left: a new connection, and no attempt
                    // is spent.
                    Some(unsent) if reused => request = unsent,
                    unsent => {
                        let sent = unsent.is_none();
                        return Err(SendError::Broken { host: host(), source: error.into_error(), sent });
                    }
                },
            }
        }
    }

    async fn connect(&self, until: Instant) -> Result<Sender, SendError> {
        let patience = self.connect_timeout.min(until.saturating_duration_since(clock::now()));
        Ok(self.dialer.connect(&self.place.peer, self.proxy.as_ref(), &self.rule, patience).await?)
    }

    /// The most recently used connection that still lives.
    async fn idle(&self) -> Option<Sender> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if clock::now().duration_since(idle.since) >= MAX_IDLE {
                continue;
            }
            // A connection is given back when its answer ends, a moment before its task has noticed. One that takes longer is
            // still sending: its provider answered early and does not read the rest, and may never.
            if let Ok(Ok(())) = tokio::time::timeout(NEARLY_IDLE, idle.sender.ready()).await {
                return Some(idle.sender);
            }
        }
    }

    fn give_back(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let since = clock::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest are in front; what the last in, first out order leaves unused dies there.
        let stale = idle.iter().take_while(|old| since.duration_since(old.since) >= MAX_IDLE).count();
        let surplus = (idle.len() + 1).saturating_sub(MAX_IDLE_CONNECTIONS);
        idle.drain(..stale.max(surplus));
        idle.push(Idle { sender, since });
    }

    fn body(self: &Arc<Self>, incoming: Incoming, sender: Sender) -> UpstreamBody {
        let mut body = UpstreamBody { incoming, connection: Some((Arc::downgrade(self), sender)) };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    fn finish(&mut self) {
        if let Some((upstream, sender)) = self.connection.take()
            && let Some(upstream) = upstream.upgrade()
        {
            upstream.give_back(sender);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            None => this.finish(),
            Some(Ok(_)) if this.incoming.is_end_stream() => this.finish(),
            Some(Ok(_)) => {}
            Some(Err(_)) => this.connection = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart_and_its_path_kept() {
        let rows = [
            ("https://api.openai.com/v1", "api.openai.com", 443, "/v1"),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, ""),
            ("https://[::1]:8443/a/b/", "[::1]", 8443, "/a/b"),
        ];
        for (url, host, port, prefix) in rows {
            let place = Place::parse(url).unwrap();
            assert_eq!((place.host(), place.peer.port), (host, port), "{url}");
            let target = place.uri("/embeddings?a=b");
            assert_eq!(target.to_string(), format!("{prefix}/embeddings?a=b"), "{url}");
            if let Some(rest) = url.strip_prefix("http://") {
                assert_eq!(place.absolute(&target).to_string(), format!("http://{rest}{target}"), "{url}");
            }
        }
    }

    #[test]
    fn what_is_no_plain_http_base_is_refused() {
        for url in ["ftp://a/", "/v1", "https://user:pw@a/", "https://a/v1?key=1", "https://", "a b"] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
