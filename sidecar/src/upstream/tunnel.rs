//! A way through an HTTP proxy: `CONNECT`, and what the proxy says to it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a proxy gives no way through it.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("refused CONNECT to {to}: {status}")]
    Refused { to: String, status: u16 },
    #[error("is no HTTP proxy")]
    NotHttp,
    #[error("answers CONNECT with more than {MAX_HEAD_BYTES} bytes")]
    TooLong,
    /// Nobody at the provider's end speaks first: these bytes would be the proxy's own.
    #[error("said more than an answer to CONNECT")]
    TooMuch,
    #[error("closed the connection: {0}")]
    Io(#[from] io::Error),
}

/// A proxy says yes or no, and some add a line about themselves.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// Asks a proxy for a way to `authority`. After that the stream is the provider's. What takes too long is the caller's
/// business.
pub(super) async fn open<S>(stream: &mut S, authority: &str) -> Result<(), TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::with_capacity(512);
    loop {
        if let Some(end) = end(&head) {
            let status = status(&head).ok_or(TunnelError::NotHttp)?;
            return match status {
                200..=299 if end == head.len() => Ok(()),
                200..=299 => Err(TunnelError::TooMuch),
                status => Err(TunnelError::Refused { to: authority.to_owned(), status }),
            };
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Err(TunnelError::TooLong);
        }
        let room = MAX_HEAD_BYTES - head.len();
        if (&mut *stream).take(room as u64).read_buf(&mut head).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Where the head ends.
fn end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Of `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next().filter(|code| code.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(answer: &[u8]) -> String {
        let (mut ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        open(&mut ours, "api.example:443").await.map_or_else(|error| error.to_string(), |()| "open".to_owned())
    }

    #[tokio::test]
    async fn only_a_yes_and_nothing_behind_it_is_a_way_through() {
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'x'; MAX_HEAD_BYTES]].concat();
        let rows: [(&[u8], &str); 9] = [
            (b"HTTP/1.1 200 Connection established\r\n\r\n", "open"),
            (b"HTTP/1.0 200\r\nvia: p\r\n\r\n", "open"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\nblocked by policy", "refused CONNECT to api.example:443: 403"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "refused CONNECT to api.example:443: 100"),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", "said more than an answer to CONNECT"),
            (b"220 smtp.example\r\n\r\n", "is no HTTP proxy"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "is no HTTP proxy"),
            (b"HTTP/1.1 200 OK\r\n", "closed the connection: unexpected end of file"),
            (&endless, "answers CONNECT with more than 8192 bytes"),
        ];
        for (answer, want) in rows {
            assert_eq!(asked(answer).await, want, "{}", String::from_utf8_lossy(answer));
        }
    }
}
