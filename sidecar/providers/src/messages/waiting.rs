//! Calls that have to wait: in Anthropic's streams one block is open at a time, and some servers write several calls at once.

use std::collections::VecDeque;

use serde_json::Value;

use crate::{Class, Fault};

/// The longest answers there are have a tenth of it.
const MAX_KEPT_BYTES: usize = 8 << 20;

/// Calls that began before the open one was complete, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    calls: VecDeque<Call>,
    kept: usize,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: u64,
    /// Its first piece, which has its name.
    pub(super) head: Value,
    pub(super) arguments: String,
}

/// How far a call's arguments are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arguments {
    depth: usize,
    begun: bool,
    quoted: bool,
    escaped: bool,
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn add(&mut self, index: u64, head: Value) -> Result<(), Fault> {
        self.kept += head.to_string().len();
        let arguments = head["function"]["arguments"].as_str().unwrap_or_default().to_owned();
        self.calls.push_back(Call { index, head, arguments });
        self.bounded()
    }

    /// Whether it was a call that waits which goes on.
    pub(super) fn extend(&mut self, index: u64, piece: &str) -> Result<bool, Fault> {
        let Some(call) = self.calls.iter_mut().find(|call| call.index == index) else { return Ok(false) };
        call.arguments.push_str(piece);
        self.kept += piece.len();
        self.bounded().map(|()| true)
    }

    pub(super) fn next(&mut self) -> Option<Call> {
        self.calls.pop_front()
    }

    fn bounded(&self) -> Result<(), Fault> {
        if self.kept <= MAX_KEPT_BYTES {
            return Ok(());
        }
        let message = format!("calls that came mixed are longer than {MAX_KEPT_BYTES} bytes");
        Err(Fault::own(Class::InternalServerError, message))
    }
}

// === impl Arguments ===

impl Arguments {
    pub(super) fn read(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quoted => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                _ if self.quoted => {}
                b'{' | b'[' => (self.depth, self.begun) = (self.depth + 1, true),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Nothing of them can be missing.
    pub(super) const fn complete(self) -> bool {
        self.begun && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_complete_when_their_object_is_closed() {
        let rows = [
            ("", false),
            ("{", false),
            ("{}", true),
            ("{\"a\":{}", false),
            ("{\"a\":\"}", false),
            ("{\"a\":\"\\\"}", false),
            ("{\"a\":\"\\\\\"}", true),
            ("{\"a\":[1,2]} ", true),
        ];
        for (text, want) in rows {
            let (mut whole, mut cut) = (Arguments::default(), Arguments::default());
            whole.read(text);
            text.chars().for_each(|piece| cut.read(&piece.to_string()));
            assert_eq!((whole.complete(), cut.complete()), (want, want), "{text}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        waiting.add(0, serde_json::json!({"function": {"arguments": "{"}})).unwrap();
        let long = "x".repeat(1 << 20);
        let refused = (0..9).find_map(|_| waiting.extend(0, &long).err());
        assert!(refused.is_some_and(|fault| fault.message.contains("longer than 8388608 bytes")));
    }
}
