//! A little HTTP proxy: `CONNECT`, and requests with a whole address. It knows one name, and where that is.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};

use crate::http1::Connection;

/// A listening proxy. Its tasks end with the test's runtime.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where every name leads.
    leads_to: SocketAddr,
    refuses: Option<u16>,
    lines: Mutex<Vec<String>>,
}

impl Proxy {
    /// Leads everywhere to this address.
    pub async fn leading_to(address: SocketAddr) -> io::Result<Self> {
        Self::start(address, None).await
    }

    /// Answers everything with this status.
    pub async fn refusing(status: u16) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 1)), Some(status)).await
    }

    async fn start(leads_to: SocketAddr, refuses: Option<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { leads_to, refuses, lines: Mutex::default() });
        let proxy = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &shared).await });
            }
        });
        Ok(proxy)
    }

    /// What `spec.proxy.url` says.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of all requests so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().expect("no code panics while holding the list").clone()
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let mut client = Connection::new(stream)?;
    while let Some(head) = client.head().await? {
        let line = head.first_line().to_owned();
        shared.lines.lock().expect("no code panics while holding the list").push(line.clone());
        if let Some(status) = shared.refuses {
            client.write(format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
            continue;
        }
        let mut onward = TcpStream::connect(shared.leads_to).await?;
        if line.starts_with("CONNECT ") {
            client.write(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut client.into_stream(), &mut onward).await?;
            return Ok(());
        }
        let body = client.body(head.framing()).await?;
        let target = line.split(' ').nth(1).and_then(|url| url.strip_prefix("http://")).context("no whole address")?;
        let path = target.find('/').map_or("/", |at| &target[at..]);
        let mut request = format!("{} {path} HTTP/1.1\r\n", line.split(' ').next().unwrap_or_default());
        for (name, value) in head.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut server = Connection::new(onward)?;
        server.write(&[request.as_bytes(), b"connection: close\r\n\r\n", &body].concat()).await?;
        let answer = server.head().await?.context("no answer")?;
        let body = server.body(answer.framing()).await?;
        let status = answer.status();
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        client.write(&[head.as_bytes(), &body].concat()).await?;
    }
    Ok(())
}
