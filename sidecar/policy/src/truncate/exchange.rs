//! A conversation as a row of exchanges: what the user says, and the steps that answer it.

use super::{Message, Part, Rule, stays};

/// A question and what came of it. What comes before the first question is an exchange without one; a system message is one
/// that nothing comes of.
#[derive(Default)]
pub(super) struct Exchange {
    pub(super) opener: Option<usize>,
    pub(super) steps: Vec<Step>,
    opener_stays: bool,
}

/// Messages that go together: an answer, or a call with its results.
pub(super) struct Step {
    pub(super) messages: Vec<usize>,
    pub(super) stays: bool,
    calls: bool,
}

/// In the order in which they begin.
pub(super) fn exchanges(messages: &[Message], rule: Rule) -> Vec<Exchange> {
    let mut found: Vec<Exchange> = Vec::new();
    // Where steps belong: a system message may stand between a question and its answer.
    let mut open: Option<usize> = None;
    for (index, message) in messages.iter().enumerate() {
        let stays = stays(messages, index, rule);
        match (message.part, open) {
            (Part::User | Part::System, _) => {
                open = if message.part == Part::User { Some(found.len()) } else { open };
                found.push(Exchange { opener: Some(index), steps: Vec::new(), opener_stays: stays });
            }
            (part, Some(open)) => found[open].step(index, part, stays),
            (part, None) => {
                open = Some(found.len());
                let mut exchange = Exchange::default();
                exchange.step(index, part, stays);
                found.push(exchange);
            }
        }
    }
    found
}

// === impl Exchange ===

impl Exchange {
    fn step(&mut self, index: usize, part: Part, stays: bool) {
        match self.steps.last_mut() {
            Some(step) if part == Part::Result && step.calls => {
                step.messages.push(index);
                step.stays |= stays;
            }
            _ => self.steps.push(Step { messages: vec![index], stays, calls: part == Part::Call }),
        }
    }

    /// Something of it may not be left out.
    pub(super) fn stays(&self) -> bool {
        self.opener_stays || self.steps.iter().any(|step| step.stays)
    }
}
