//! The messages of a request, taken apart and measured, and put together again with fewer of them.
//!
//! All of it is work for a thread that may block: a conversation that is too long is a long one.

mod items;
mod pairs;
mod part;
mod text;

use serde_json::{Value, json};
use spillway_policy::{
    fallback::Sizes,
    truncate::{self, DoesNotFit, Fate, Message, Part, Rule},
};
use spillway_providers::{
    Api, Body, loose, respelt,
    tokens::{self, Encoding},
};

use super::{count, truncate::Why};

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

/// A message of what is left of a conversation.
pub(super) enum Left {
    /// As it came, to the last digit: by its place.
    Kept(usize),
    /// What has become of the one in this place.
    Changed(usize, Value),
    New(Value),
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

/// Whether what this API is asked is a conversation, which can be shortened.
pub(super) const fn is_one(api: Api) -> bool {
    matches!(api, Api::ChatCompletions | Api::Messages | Api::Responses)
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
        let raw = body.get_bytes(key)?;
        let messages = match raw.first()? {
            b'[' => body.elements(key).into_iter().map(loose).collect::<Option<Vec<Value>>>()?,
            b'"' if api == Api::Responses => vec![json!({"role": "user", "content": loose(raw)?})],
            _ => return None,
        };
        let parts: Vec<Part> = match api {
            Api::Responses => items::parts(&messages),
            _ => part::parts(&messages),
        };
        let counts = match raw.first()? {
            b'[' => tokens::count_parts(api, &body.elements(key), encoding, goes_on),
            _ => messages.iter().map(|message| tokens::count_message(api, message, encoding, goes_on)).collect(),
        };
        let measure = |(tokens, part)| Message { part, tokens, least: tokens };
        let sizes: Vec<Message> = counts.into_iter().zip(parts).map(measure).collect();
        let inside = sizes.iter().fold(0u64, |sum, message| sum.saturating_add(message.tokens));
        // What its messages come to is remembered.
        let counted = tokens::count_while(api, &body, encoding, goes_on).tokens;
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

    /// Why [`Self::fit`] says no.
    pub(super) fn why(&self, room: u64, rule: Rule) -> Why {
        let room = self.ours(room);
        if self.fixed >= room {
            return Why::Fixed(scaled(self.fixed, self.believed, self.counted));
        }
        let fits = |(keep_last, keep_system): &(bool, bool)| {
            let rule = Rule {
                keep_last: if *keep_last { 1 } else { rule.keep_last },
                keep_system: rule.keep_system && !keep_system,
                ..rule
            };
            truncate::fit(&self.sizes, self.fixed, room, rule).is_ok()
        };
        let changes = [(true, false), (false, true), (true, true)];
        let helps = changes.into_iter().find(fits);
        helps.map_or(Why::Messages, |(keep_last, keep_system)| Why::Rule { keep_last, keep_system })
    }

    /// Leaves out and cuts what was decided on.
    pub(super) fn shorten(mut self, fates: &[Fate], goes_on: GoesOn<'_>) -> Shortened {
        let changed = fates.iter().filter(|fate| **fate != Fate::Stay).count();
        let mut tokens = self.fixed;
        let mut left = Vec::with_capacity(self.messages.len());
        for (index, (size, fate)) in self.sizes.iter().zip(fates).enumerate() {
            left.push(match fate {
                Fate::Drop => continue,
                Fate::Stay => {
                    tokens += size.tokens;
                    Left::Kept(index)
                }
                Fate::Cut(to) => {
                    let mut message = std::mem::take(&mut self.messages[index]);
                    tokens += cut(self.api, &mut message, *to, self.encoding, goes_on);
                    Left::Changed(index, message)
                }
            });
        }
        self.written(&left, tokens, changed)
    }

    /// The same for messages that take the place of its own and have so many tokens, `fixed` included.
    pub(super) fn written(self, left: &[Left], tokens: u64, changed: usize) -> Shortened {
        let raw = self.body.elements(self.key);
        let write = |left: &Left| match left {
            Left::Kept(index) => {
                raw.get(*index).map_or_else(|| self.messages[*index].to_string().into(), |raw| raw.to_vec())
            }
            Left::Changed(index, now) => {
                raw.get(*index).map_or_else(|| now.to_string().into(), |raw| respelt(raw, now))
            }
            Left::New(message) => message.to_string().into(),
        };
        let written: Vec<Vec<u8>> = left.iter().map(write).collect();
        let written = [b"[", written.join(&b","[..]).as_slice(), b"]"].concat();
        let mut body = self.body;
        body.set_raw(self.key, written.into(), left.len());
        Shortened {
            sizes: count::bounds(self.api, &body),
            body,
            changed: u32::try_from(changed).unwrap_or(u32::MAX),
            tokens: scaled(tokens, self.believed, self.counted),
        }
    }

    /// A message of it that has not come like that.
    pub(super) fn measure(&self, message: &Value, goes_on: GoesOn<'_>) -> u64 {
        tokens::count_message(self.api, message, self.encoding, goes_on)
    }
}

/// `number` by `to` over `from`.
fn scaled(number: u64, to: u64, from: u64) -> u64 {
    let scaled = u128::from(number) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
