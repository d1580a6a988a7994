//! HTTP/1.1 by hand, for both ends of a test: a load generator that costs next to nothing beside what it measures,
//! and a provider that can break any rule of the protocol. Peers are our own; nothing here is fit for strangers.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept-alive connection and what was read ahead of it.
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// Everything up to the empty line.
#[derive(Clone, Debug)]
pub struct Head(Bytes);

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

// === impl Connection ===

impl Connection {
    /// Small writes leave at once: a chunk that waits for the next one would measure Nagle, not us.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(16 * 1024) })
    }

    /// The next message's head. None: the peer has closed between two messages.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(Head(self.buffer.split_to(end + 4).freeze())));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The whole body of the message whose head said `framing`.
    pub async fn body(&mut self, framing: Framing) -> io::Result<Bytes> {
        match framing {
            Framing::Length(length) => {
                self.buffer.reserve(length.saturating_sub(self.buffer.len()));
                while self.buffer.len() < length {
                    self.fill_or_fail().await?;
                }
                Ok(self.buffer.split_to(length).freeze())
            }
            Framing::Chunked => {
                let mut whole = BytesMut::new();
                while let Some(chunk) = self.chunk().await? {
                    whole.extend_from_slice(&chunk);
                }
                Ok(whole.freeze())
            }
            Framing::UntilClose => {
                while self.fill().await? > 0 {}
                Ok(self.buffer.split().freeze())
            }
        }
    }

    /// The next chunk of a chunked body. None: that was the last one.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let (line, size) = loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                break (end + 1, chunk_size(&self.buffer[..end])?);
            }
            self.fill_or_fail().await?;
        };
        while self.buffer.len() < line + size + 2 {
            self.fill_or_fail().await?;
        }
        self.buffer.advance(line);
        let chunk = self.buffer.split_to(size).freeze();
        self.buffer.advance(2);
        Ok((size > 0).then_some(chunk))
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Resolves when the peer closes; what it still sends is thrown away.
    pub async fn closed_by_peer(&mut self) {
        while let Ok(1..) = self.fill().await {
            self.buffer.clear();
        }
    }

    /// Ends the connection as a crashed process would: the peer reads a reset, not an end.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// What follows is no HTTP. Nothing of it has been read, because whoever speaks next waits for an answer.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn fill_or_fail(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

// === impl Head ===

impl Head {
    /// `POST /v1/chat/completions HTTP/1.1` or `HTTP/1.1 200 OK`.
    #[must_use]
    pub fn first_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    /// The status of an answer; 0 when this is no answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    /// Names in lower case, values as they came.
    pub fn headers(&self) -> impl Iterator<Item = (String, &str)> {
        self.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(n, v)| (n.to_ascii_lowercase(), v.trim()))
    }

    #[must_use]
    pub fn framing(&self) -> Framing {
        for line in self.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                return Framing::Length(value.trim().parse().unwrap_or_default());
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Framing::Chunked;
            }
        }
        // A request without either has no body; an answer without either ends with its connection.
        if self.first_line().starts_with("HTTP/") { Framing::UntilClose } else { Framing::Length(0) }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        std::str::from_utf8(&self.0).unwrap_or_default().split("\r\n").take_while(|line| !line.is_empty())
    }
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(line).map_err(io::Error::other)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    usize::from_str_radix(digits, 16).map_err(|error| io::Error::other(format!("chunk size {digits:?}: {error}")))
}
