//! An answer that comes piece by piece.

use bytes::Bytes;

use crate::{Api, Dialect, Fault, Usage};

/// Bytes for the application: one event, or a few that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Bytes,
    /// Carries answer text or a tool call: from the first such frame on, nothing can be retried.
    pub content: bool,
}

/// Turns the provider's byte stream into the application's.
#[derive(Debug)]
pub struct StreamDecoder {
    seen: u64,
}

impl StreamDecoder {
    #[must_use]
    pub fn new(_api: Api, _dialect: Dialect, _shown_model: &str, _wants_usage: bool) -> Self {
        Self { seen: 0 }
    }

    /// Takes bytes as they come. After an error nothing more is to be pushed.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), Fault> {
        self.seen += chunk.len() as u64;
        out.push(Frame { bytes: chunk, content: true });
        Ok(())
    }

    /// The provider closed the stream. A fault if it did so before the answer was complete.
    pub fn end(&mut self, _out: &mut Vec<Frame>) -> Result<(), Fault> {
        Ok(())
    }

    /// What the provider said it billed, as far as the stream has come.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        None
    }

    /// Bytes of answer text and tool arguments seen: the measure when no usage comes.
    #[must_use]
    pub fn seen_output_bytes(&self) -> u64 {
        self.seen
    }

    /// The terminal event has been seen.
    #[must_use]
    pub fn done(&self) -> bool {
        false
    }
}
