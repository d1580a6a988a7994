//! The messages of a request, taken apart and measured, and put together again with fewer of them.
//!
//! All of it is work for a thread that may block: a conversation that is too long is a long one.

mod items;
mod part;
mod text;

use serde_json::{Value, json};
use spillway_policy::{
    fallback::Sizes,
    truncate::{self, DoesNotFit, Fate, Message, Part, Rule},
};
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};

use super::count;

pub(super) use text::{cut, told};

/// Whether anybody waits for it still. What is not counted by then is estimated, so that whatever is done ends soon.
pub(super) type GoesOn<'a> = &'a dyn Fn() -> bool;

/// A conversation in one of the APIs' words.
pub(super) struct Conversation {
    api: Api,
    key: &'static str,
    body: Body,
    encoding: Encoding,
    pub(super) messages: Vec<Value>,
    pub(super) sizes: Vec<Message>,
    /// What is no message: tools, framing, instructions that are a field of their own.
    pub(super) fixed: u64,
    /// What its prompt is believed to have, and what was counted of it here: an estimate may be corrected by what
    /// providers have said of others like it.
    believed: u64,
    counted: u64,
}

/// A request whose conversation has become shorter.
pub(super) struct Shortened {
    pub(super) body: Body,
    pub(super) sizes: Sizes,
    /// How many were left out, or cut.
    pub(super) changed: u32,
    /// What the prompt is believed to have now.
    pub(super) tokens: u64,
}

// === impl Conversation ===

impl Conversation {
    /// Takes a request's apart. `believed`: the tokens of its whole prompt. None: it holds none.
    pub(super) fn read(api: Api, body: Body, encoding: Encoding, believed: u64, goes_on: GoesOn<'_>) -> Option<Self> {
        let key = match api {
            Api::ChatCompletions | Api::Messages => "messages",
            Api::Responses => "input",
            Api::Completions | Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_) => return None,
        };
        let messages = match body.value(key)? {
            Value::Array(messages) => messages,
            Value::String(text) if api == Api::Responses => vec![json!({"role": "user", "content": text})],
            _ => return None,
        };
        let parts = match api {
            Api::Responses => items::parts(&messages),
            _ => messages.iter().map(part::part).collect::<Vec<Part>>(),
        };
        let measure = |(message, part)| {
            let tokens = tokens::count_message(message, encoding, goes_on);
            Message { part, tokens, least: tokens }
        };
        let sizes: Vec<Message> = messages.iter().zip(parts).map(measure).collect();
        let inside = sizes.iter().fold(0u64, |sum, message| sum.saturating_add(message.tokens));
        let counted = match encoding {
            Encoding::Estimate => tokens::count_while(api, &body, encoding, goes_on).tokens,
            Encoding::O200k | Encoding::Harmony | Encoding::Cl100k => believed,
        };
        let counted = counted.max(inside).max(1);
        let fixed = counted - inside;
        Some(Self { api, key, body, encoding, messages, sizes, fixed, believed, counted })
    }

    /// So many tokens of the provider's in ours.
    pub(super) fn ours(&self, tokens: u64) -> u64 {
        scaled(tokens, self.counted, self.believed)
    }

    /// What becomes of each message, so that the prompt has no more than `room` tokens.
    pub(super) fn fit(&mut self, room: u64, rule: Rule, goes_on: GoesOn<'_>) -> Result<Vec<Fate>, DoesNotFit> {
        let room = self.ours(room);
        let fates = truncate::fit(&self.sizes, self.fixed, room, rule);
        if fates.is_ok() {
            return fates;
        }
        // What can be cut is only looked for where something has to be.
        for (message, size) in self.messages.iter_mut().zip(&mut self.sizes) {
            size.least = text::least(message, size.tokens, self.encoding, goes_on);
        }
        let needs = |DoesNotFit { needs }| DoesNotFit { needs: scaled(needs, self.believed, self.counted) };
        truncate::fit(&self.sizes, self.fixed, room, rule).map_err(needs)
    }

    /// Leaves out and cuts what was decided on.
    pub(super) fn shorten(mut self, fates: &[Fate], goes_on: GoesOn<'_>) -> Shortened {
        let changed = fates.iter().filter(|fate| **fate != Fate::Stay).count();
        let mut tokens = self.fixed;
        let mut left = Vec::with_capacity(self.messages.len());
        let all = self.messages.drain(..).zip(&self.sizes).zip(fates);
        for ((mut message, size), fate) in all {
            match fate {
                Fate::Stay => tokens += size.tokens,
                Fate::Drop => continue,
                Fate::Cut(to) => tokens += cut(&mut message, *to, self.encoding, goes_on),
            }
            left.push(message);
        }
        self.written(left, tokens, changed)
    }

    /// The same for messages that take the place of its own and have so many tokens, `fixed` included.
    pub(super) fn written(self, messages: Vec<Value>, tokens: u64, changed: usize) -> Shortened {
        let mut body = self.body;
        body.set(self.key, &Value::Array(messages));
        Shortened {
            sizes: count::bounds(self.api, &body),
            body,
            changed: u32::try_from(changed).unwrap_or(u32::MAX),
            tokens: scaled(tokens, self.believed, self.counted),
        }
    }

    pub(super) const fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// `number` by `to` over `from`.
fn scaled(number: u64, to: u64, from: u64) -> u64 {
    let scaled = u128::from(number) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
