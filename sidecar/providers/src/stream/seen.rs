//! What every stream has to know of what has come.

use crate::Usage;
use crate::repeats::Piece;

/// What a stream's state machine has learnt so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) usage: Option<Usage>,
    pub(crate) output_bytes: u64,
    pub(crate) done: bool,
    /// Nothing but the last event is missing.
    pub(crate) finished: bool,
    /// The content of the latest event, if it had any.
    pub(crate) piece: Option<Piece>,
    /// Events that were left out because nobody could read them.
    pub(crate) skipped: u32,
}

// === impl Seen ===

impl Seen {
    pub(crate) fn bill(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.usage = Some(self.usage.unwrap_or_default().merge(usage));
        }
    }
}
