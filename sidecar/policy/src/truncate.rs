//! Which messages of a conversation to leave out so that the rest fits, and which to cut where that is not enough.
//!
//! A conversation is a row of exchanges: a question and the steps that answer it. Exchanges go as a whole, because an
//! answer whose question is gone helps nobody and some providers refuse a conversation that opens with one; of the last
//! one that has to go, only as many steps as need be. A tool call and its results are one step, because every provider
//! refuses one without the other. So what alternated before alternates afterwards, and what began with the user still does.
//!
//! What was told to stay stays. If all of that together does not fit, its longest texts are cut to one length, which is
//! all that is left to do; what cannot be cut is refused: better than an answer to half a question.

mod cut;
mod exchange;
#[cfg(test)]
mod tests;

use exchange::{Exchange, exchanges};

/// What a message is, as far as leaving it out is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `system` and `developer` messages.
    System,
    User,
    Assistant,
    /// An assistant's message that calls tools.
    Call,
    /// What a tool answered.
    Result,
}

#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub part: Part,
    pub tokens: u64,
    /// What would be left of it if all the text were cut that can be: `tokens`, where none can be.
    pub least: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub keep_system: bool,
    /// The newest messages that are never left out. At least one is kept: an empty conversation is no question.
    pub keep_last: usize,
    pub order: Order,
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    OldestFirst,
    /// The middle: how it began stays, and where it has got to.
    MiddleOut,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stay,
    Drop,
    /// Its text is cut until it has no more tokens than this.
    Cut(u64),
}

/// Even what must stay of the messages that must stay needs this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit {
    pub needs: u64,
}

/// Says for each message what becomes of it, so that `fixed` (tools, framing: what is no message) and the rest are at most
/// `room` tokens.
pub fn fit(messages: &[Message], fixed: u64, room: u64, rule: Rule) -> Result<Vec<Fate>, DoesNotFit> {
    let needs = messages.iter().fold(fixed, |sum, message| sum.saturating_add(message.tokens));
    let (dropped, freed) = leave_out(messages, needs.saturating_sub(room), rule);
    let mut fates: Vec<Fate> =
        dropped.into_iter().map(|dropped| if dropped { Fate::Drop } else { Fate::Stay }).collect();
    cut::cut(messages, &mut fates, needs.saturating_sub(freed), room, rule)?;
    Ok(fates)
}

/// Which messages to leave out to be rid of so many tokens, and how many that are: fewer where no more may go.
#[must_use]
pub fn leave_out(messages: &[Message], tokens: u64, rule: Rule) -> (Vec<bool>, u64) {
    let dropped: Vec<bool> =
        turns(messages, rule).into_iter().map(|turn| turn.is_some_and(|turn| turn < tokens)).collect();
    let gone = messages.iter().zip(&dropped).filter(|(_, dropped)| **dropped);
    let freed = gone.fold(0u64, |sum, (message, _)| sum.saturating_add(message.tokens));
    (dropped, freed)
}

/// When it is each message's turn: it goes once more than so many tokens are to go. None: it stays. So what is left out for
/// fewer tokens is part of what is left out for more.
#[must_use]
pub fn turns(messages: &[Message], rule: Rule) -> Vec<Option<u64>> {
    let mut leaving = Leaving { messages, order: rule.order, turns: vec![None; messages.len()], freed: 0 };
    let (free, bound): (Vec<Exchange>, Vec<Exchange>) =
        exchanges(messages, rule).into_iter().partition(|exchange| !exchange.stays());
    for index in rule.order.of(free.len()) {
        leaving.exchange(&free[index]);
    }
    for exchange in &bound {
        leaving.steps(exchange);
    }
    leaving.turns
}

/// Whether a message may not be left out.
fn stays(messages: &[Message], index: usize, rule: Rule) -> bool {
    let last = messages.len().saturating_sub(rule.keep_last.max(1));
    index >= last || (rule.keep_system && messages[index].part == Part::System)
}

/// Whose turn has come so far.
struct Leaving<'a> {
    messages: &'a [Message],
    order: Order,
    turns: Vec<Option<u64>>,
    /// What those have.
    freed: u64,
}

// === impl Order ===

impl Order {
    /// In which order so many go.
    fn of(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        if self == Self::MiddleOut {
            order.sort_by_key(|index| (2 * index + 1).abs_diff(count));
        }
        order
    }
}

// === impl Leaving ===

impl Leaving<'_> {
    /// Its steps one by one where one of them is left then; else all of it, for a question that nobody answered is no part of
    /// a conversation.
    fn exchange(&mut self, exchange: &Exchange) {
        let order = self.order.of(exchange.steps.len());
        let (last, first) = order.split_last().map_or((None, [].as_slice()), |(last, first)| (Some(*last), first));
        for index in first {
            self.together(exchange.steps[*index].messages.iter().copied());
        }
        let last = last.into_iter().flat_map(|index| exchange.steps[index].messages.iter().copied());
        self.together(exchange.opener.into_iter().chain(last));
    }

    /// Those of its steps that may go, one by one.
    fn steps(&mut self, exchange: &Exchange) {
        for index in self.order.of(exchange.steps.len()) {
            let step = &exchange.steps[index];
            if !step.stays {
                self.together(step.messages.iter().copied());
            }
        }
    }

    /// Messages that go at once, when what went before them was not enough.
    fn together(&mut self, messages: impl Iterator<Item = usize>) {
        let turn = self.freed;
        for index in messages {
            self.turns[index] = Some(turn);
            self.freed = self.freed.saturating_add(self.messages[index].tokens);
        }
    }
}
