//! How long a stream is held back, so that its failure can still be answered by another backend.

use std::time::Instant;

use spillway_providers::Frame;

use crate::{
    clock,
    runtime::{Hold, HoldRule},
};

/// What is held back of one stream.
pub(super) struct Held {
    rule: HoldRule,
    /// When the request's own time is over. Nobody else could be asked then, so nothing is gained by holding on.
    deadline: Instant,
    bytes: usize,
    first_content: Option<Instant>,
    /// The process has no memory left for more.
    full: bool,
    pub(super) memory: Hold,
}

// === impl Held ===

impl Held {
    pub(super) const fn new(rule: HoldRule, deadline: Instant, memory: Hold) -> Self {
        Self { rule, deadline, bytes: 0, first_content: None, full: false, memory }
    }

    /// Takes note of what came.
    pub(super) fn keep(&mut self, frame: &Frame) {
        self.bytes += frame.bytes.len();
        if frame.content && self.first_content.is_none() {
            self.first_content = Some(clock::now());
        }
        if !self.rule.is_none() {
            self.full |= !self.memory.grow_to(self.bytes as u64);
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn any_content(&self) -> bool {
        self.first_content.is_some()
    }

    /// When time alone ends the hold. None: not before there is content.
    pub(super) fn ends(&self) -> Option<Instant> {
        let since = self.first_content?;
        let by_rule = self.rule.duration.and_then(|duration| since.checked_add(duration));
        Some(by_rule.map_or(self.deadline, |end| end.min(self.deadline)))
    }

    /// True: the application gets it now.
    pub(super) fn is_released(&self, content_bytes: u64) -> bool {
        let Some(end) = self.ends() else { return false };
        let enough = self.rule.bytes.is_some_and(|bytes| content_bytes >= bytes);
        self.rule.is_none() || enough || self.full || clock::now() >= end
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::runtime::Memory;

    const SECOND: Duration = Duration::from_secs(1);

    fn frame(bytes: usize, content: bool) -> Frame {
        Frame { bytes: Bytes::from(vec![b'x'; bytes]), content }
    }

    #[tokio::test(start_paused = true)]
    async fn whichever_bound_is_reached_first_ends_the_hold() {
        let by = |bytes, duration| HoldRule { bytes, duration };
        // Rule, bytes of content, seconds after the first of them, released.
        let rows = [
            ("nothing is held without a rule", by(None, None), 1, 0, true),
            ("too little content", by(Some(100), None), 99, 50, false),
            ("enough content", by(Some(100), None), 100, 0, true),
            ("too early", by(None, Some(5 * SECOND)), 99, 4, false),
            ("late enough", by(None, Some(5 * SECOND)), 1, 5, true),
            ("content before time", by(Some(10), Some(5 * SECOND)), 10, 1, true),
            ("time before content", by(Some(10), Some(5 * SECOND)), 9, 5, true),
            ("the request's own time is over", by(Some(1_000), None), 1, 60, true),
            ("no memory is left", by(Some(1_000), None), 501, 0, true),
        ];
        for (row, rule, content, seconds, want) in rows {
            let memory = Memory::new(500);
            let mut held = Held::new(rule, clock::now() + 60 * SECOND, memory.hold());
            held.keep(&frame(0, false));
            assert!(!held.is_released(0) && held.ends().is_none(), "{row}: no content yet");
            held.keep(&frame(content, true));
            tokio::time::advance(seconds * SECOND).await;
            assert_eq!(held.is_released(content as u64), want, "{row}");
        }
    }
}
