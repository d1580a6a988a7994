//! JSON, one message a line, over a simulated connection.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(super) struct Reader(Lines<BufReader<OwnedReadHalf>>);
pub(super) struct Writer(OwnedWriteHalf);

pub(super) fn split(stream: TcpStream) -> (Reader, Writer) {
    let (read, write) = stream.into_split();
    (Reader(BufReader::new(read).lines()), Writer(write))
}

impl Reader {
    /// None: the other end is gone.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line = self.0.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

impl Writer {
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.0.write_all(&crate::quota::line(message)).await
    }
}
