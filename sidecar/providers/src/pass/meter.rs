//! Reads along an answer that is passed on piece by piece.

use bytes::Bytes;
use serde_json::Value;

use super::{Bill, pieces};
use crate::Usage;
use crate::sse::Framer;

/// Remembers the usage that events of a stream tell. Whatever it cannot read it lets pass.
#[derive(Debug)]
pub struct Meter {
    bill: Bill,
    /// None: there are no events, or none of a size that can be read.
    framer: Option<Framer>,
    usage: Option<Usage>,
}

// === impl Meter ===

impl Meter {
    /// Of an answer of this type, that is billed like this.
    #[must_use]
    pub fn new(bill: Bill, content_type: &str) -> Self {
        let is_events = content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
        Self { bill, framer: is_events.then(Framer::default), usage: None }
    }

    /// Reads what goes by.
    pub fn push(&mut self, bytes: &Bytes) {
        let Some(framer) = &mut self.framer else { return };
        let (bill, mut last) = (self.bill, None);
        let pushed = framer.push(bytes.clone(), |event| {
            let data = event.data.filter(|data| memchr::memmem::find(data, b"\"usage\"").is_some());
            let value = data.and_then(|data| serde_json::from_slice::<Value>(&data).ok());
            last = value.and_then(|value| pieces::usage(bill, &|name| value.get(name).cloned(), None)).or(last);
        });
        self.usage = last.or(self.usage);
        if pushed.is_err() {
            self.framer = None;
        }
    }

    /// What the answer said it billed, so far.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
