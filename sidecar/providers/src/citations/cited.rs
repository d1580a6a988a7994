//! What a stream cites while it tells its text.

use serde_json::{Value, json};

use super::{MAX_CITATIONS, Told, is_of_the_web, of_claude};

/// What the open block cites, which is known to be all of it when the block ends.
#[derive(Debug, Default)]
pub(crate) struct Cited {
    /// Characters of the text so far.
    said: usize,
    /// Where the block begins.
    start: usize,
    citations: Vec<Value>,
    told: Told,
}

// === impl Cited ===

impl Cited {
    /// A block begins.
    pub(crate) fn open(&mut self) {
        self.start = self.said;
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.said += text.chars().count();
    }

    /// A citation in Claude's words.
    pub(crate) fn add(&mut self, citation: &Value) {
        if is_of_the_web(citation) && self.citations.len() < MAX_CITATIONS {
            self.citations.push(json!({"type": citation["type"], "url": citation["url"], "title": citation["title"]}));
        }
    }

    /// The block ends.
    pub(crate) fn take(&mut self) -> Vec<Value> {
        let cited = std::mem::take(&mut self.citations);
        self.told.new_of(of_claude(&cited, &(self.start..self.said)))
    }
}
