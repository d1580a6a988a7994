//! Cutting texts inside messages, when no message may be left out any more.
//!
//! The longest are cut, and to one length: a file that somebody pasted goes before what somebody said of it. First those that
//! are only still there because what stays needs a question in front of it.

use super::{DoesNotFit, Fate, Message, Part, Rule, stays};

/// Cuts what stays until `needs` is at most `room`. Instructions are never cut: half of them may say the opposite.
pub(super) fn cut(
    messages: &[Message],
    fates: &mut [Fate],
    mut needs: u64,
    room: u64,
    rule: Rule,
) -> Result<(), DoesNotFit> {
    for bound in [false, true] {
        if needs <= room {
            return Ok(());
        }
        let may_be_cut = |index: &usize| {
            let Message { part, tokens, least } = messages[*index];
            part != Part::System
                && least < tokens
                && fates[*index] == Fate::Stay
                && stays(messages, *index, rule) == bound
        };
        let texts: Vec<usize> = (0..messages.len()).filter(may_be_cut).collect();
        let whole = texts.iter().fold(0u64, |sum, index| sum.saturating_add(messages[*index].tokens));
        let rest = needs.saturating_sub(whole);
        let level = level(messages, &texts, room.saturating_sub(rest));
        for index in &texts {
            let length = length(messages[*index], level);
            if length < messages[*index].tokens {
                fates[*index] = Fate::Cut(length);
            }
        }
        needs = rest.saturating_add(sum(messages, &texts, level));
    }
    if needs <= room { Ok(()) } else { Err(DoesNotFit { needs }) }
}

/// The longest that a text may be so that all of them have room. 0: not even the least of them have.
fn level(messages: &[Message], texts: &[usize], room: u64) -> u64 {
    let longest = texts.iter().map(|index| messages[*index].tokens).max().unwrap_or(0);
    let (mut fits, mut too_long) = (0, longest.saturating_add(1));
    while too_long - fits > 1 {
        let middle = fits + (too_long - fits) / 2;
        if sum(messages, texts, middle) <= room {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    fits
}

fn sum(messages: &[Message], texts: &[usize], level: u64) -> u64 {
    texts.iter().fold(0, |sum, index| sum.saturating_add(length(messages[*index], level)))
}

fn length(message: Message, level: u64) -> u64 {
    message.tokens.min(level).max(message.least)
}
