//! A connection whose application has to take what it is sent.
//!
//! While it takes nothing, its answer is not asked for more, so that no bound on the answer is looked at either; without a
//! bound here, an application that stopped reading would keep a provider's stream open for ever.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Longer than a person thinks at a breakpoint, and no longer than half of a provider's usual total timeout.
const LONGEST_STALL: Duration = Duration::from_secs(300);

/// A stream whose writes fail once nothing of them has been taken for five minutes.
pub(super) struct Patient<S> {
    stream: S,
    /// While a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Patient ===

impl<S> Patient<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_STALL)));
        ready!(stalled.as_mut().poll(cx));
        let message = format!("the application has read nothing for {LONGEST_STALL:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_application_may_be_slow_but_not_stop() {
        let (mut application, connection) = tokio::io::duplex(4);
        let mut connection = Patient::new(connection);
        let slow = tokio::spawn(async move {
            // Each byte a moment before it would be too late.
            for _ in 0..8 {
                tokio::time::sleep(LONGEST_STALL - Duration::from_millis(1)).await;
                application.read_u8().await.unwrap();
            }
            application
        });
        connection.write_all(b"twelve bytes").await.unwrap();
        let _open = slow.await.unwrap();
        let stopped = connection.write_all(b"more").await.unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::TimedOut, "{stopped}");
    }
}
