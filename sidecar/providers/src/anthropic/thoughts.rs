//! What a stream has thought, as the blocks that an application sends back with its next turn.

use serde_json::{Value, json};

/// More of a thought than this is not kept for the block that is signed.
const MAX_BYTES: usize = 1 << 20;

/// Collects the text that a signature is for: whoever adds up a stream's pieces has the whole block then.
#[derive(Debug, Default)]
pub(crate) struct Thoughts {
    /// Of the block that is not signed yet.
    text: String,
    blocks: u64,
}

// === impl Thoughts ===

impl Thoughts {
    pub(crate) fn push(&mut self, text: &str) {
        if self.text.len().saturating_add(text.len()) <= MAX_BYTES {
            self.text.push_str(text);
        }
    }

    /// The delta of a block that was signed.
    pub(crate) fn signed(&mut self, signature: &Value) -> Value {
        let text = std::mem::take(&mut self.text);
        self.delta(json!({"type": "thinking", "thinking": text, "signature": signature}))
    }

    /// The delta of a block that nobody may read.
    pub(crate) fn redacted(&mut self, data: &Value) -> Value {
        self.delta(json!({"type": "redacted_thinking", "data": data}))
    }

    /// OpenAI's clients tell the entries of a list apart by their index, and refuse two without.
    fn delta(&mut self, mut block: Value) -> Value {
        block["index"] = self.blocks.into();
        self.blocks += 1;
        json!({"thinking_blocks": [block]})
    }
}

/// Where a stream has put it among the others is the stream's alone: nobody takes it back.
pub(crate) fn without_index(mut block: Value) -> Value {
    if let Some(block) = block.as_object_mut() {
        block.shift_remove("index");
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_its_text_and_its_place() {
        let mut thoughts = Thoughts::default();
        for piece in ["one", " and more"] {
            thoughts.push(piece);
        }
        let first = json!({"type": "thinking", "thinking": "one and more", "signature": "S", "index": 0});
        assert_eq!(thoughts.signed(&"S".into()), json!({"thinking_blocks": [first]}));
        let hidden = json!({"type": "redacted_thinking", "data": "D", "index": 1});
        assert_eq!(thoughts.redacted(&"D".into()), json!({"thinking_blocks": [hidden]}));
        thoughts.push("two");
        let last = json!({"type": "thinking", "thinking": "two", "signature": "T", "index": 2});
        assert_eq!(thoughts.signed(&"T".into()), json!({"thinking_blocks": [last]}));
    }
}
