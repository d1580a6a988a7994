//! Which messages of a conversation to leave out so that the rest fits.
//!
//! The oldest go first. A tool call and its results stay or go together, because every provider refuses one without the
//! other. What was told to stay stays, even if nothing fits then: a refusal is better than an answer to half a question.

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub keep_system: bool,
    /// The newest messages that are never left out. At least one is kept: an empty conversation is no question.
    pub keep_last: usize,
}

/// Even the messages that must stay need this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit {
    pub needs: u64,
}

/// Messages that stay or go together: `start..end`.
#[derive(Clone, Copy)]
struct Unit {
    start: usize,
    end: usize,
    keep: bool,
    tokens: u64,
}

/// Says for each message whether to leave it out, so that `fixed` (tools, framing: what is no message) and the rest are
/// at most `room` tokens.
pub fn drop_oldest(messages: &[Message], fixed: u64, room: u64, rule: Rule) -> Result<Vec<bool>, DoesNotFit> {
    let units = units(messages, rule);
    let mut dropped = vec![false; messages.len()];
    let mut needs = units.iter().fold(fixed, |sum, unit| sum.saturating_add(unit.tokens));
    // An answer whose question is gone helps nobody, and some providers refuse a conversation that opens with one: it
    // goes with its question, though it would fit.
    let mut orphaned = false;
    for unit in units.iter().filter(|unit| !unit.keep) {
        let opens = matches!(messages[unit.start].part, Part::User | Part::System);
        if needs <= room && (opens || !orphaned) {
            break;
        }
        dropped[unit.start..unit.end].fill(true);
        needs = needs.saturating_sub(unit.tokens);
        orphaned = true;
    }
    if needs > room { Err(DoesNotFit { needs }) } else { Ok(dropped) }
}

fn units(messages: &[Message], rule: Rule) -> Vec<Unit> {
    let protected = messages.len().saturating_sub(rule.keep_last.max(1));
    let mut units: Vec<Unit> = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let keep = index >= protected || (rule.keep_system && message.part == Part::System);
        match units.last_mut() {
            Some(call) if message.part == Part::Result && is_call(messages, call) => {
                call.end = index + 1;
                call.keep |= keep;
                call.tokens = call.tokens.saturating_add(message.tokens);
            }
            _ => units.push(Unit { start: index, end: index + 1, keep, tokens: message.tokens }),
        }
    }
    units
}

fn is_call(messages: &[Message], unit: &Unit) -> bool {
    messages[unit.start].part == Part::Call
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule { keep_system: true, keep_last: 1 };

    /// `s`ystem, `u`ser, `a`ssistant, `c`all, `r`esult: ten tokens each.
    fn conversation(letters: &str) -> Vec<Message> {
        let part = |letter| match letter {
            's' => Part::System,
            'u' => Part::User,
            'a' => Part::Assistant,
            'c' => Part::Call,
            _ => Part::Result,
        };
        letters.chars().map(|letter| Message { part: part(letter), tokens: 10 }).collect()
    }

    fn kept(letters: &str, dropped: &[bool]) -> String {
        letters.chars().zip(dropped).filter(|(_, dropped)| !**dropped).map(|(letter, _)| letter).collect()
    }

    #[test]
    fn the_oldest_go_first_and_what_belongs_together_goes_together() {
        let rows = [
            ("fits as it is", "suau", 40, RULE, Ok("suau")),
            ("the oldest question takes its answer along", "suauau", 50, RULE, Ok("suau")),
            ("system stays", "suauau", 20, RULE, Ok("su")),
            ("system goes when allowed", "suau", 30, Rule { keep_system: false, keep_last: 1 }, Ok("uau")),
            ("a call takes its results along", "ucrrau", 50, RULE, Ok("u")),
            ("a protected result protects its call", "uaucr", 30, RULE, Ok("ucr")),
            ("the newest n stay", "uauau", 30, Rule { keep_system: true, keep_last: 3 }, Ok("uau")),
            ("nothing left to leave out", "sucrr", 30, RULE, Err(40)),
            ("keep_last 0 keeps one", "uau", 10, Rule { keep_system: true, keep_last: 0 }, Ok("u")),
        ];
        for (row, letters, room, rule, want) in rows {
            let got = drop_oldest(&conversation(letters), 0, room, rule);
            let got = got.map(|dropped| kept(letters, &dropped)).map_err(|error| error.needs);
            assert_eq!(got, want.map(str::to_owned), "{row}");
        }
    }

    #[test]
    fn what_is_no_message_takes_its_room() {
        let dropped = drop_oldest(&conversation("uau"), 25, 40, RULE).map(|dropped| kept("uau", &dropped));
        assert_eq!(dropped.as_deref(), Ok("u"));
    }

    proptest! {
        #[test]
        fn the_rest_fits_and_no_result_is_parted_from_its_call(
            letters in "s?(u(cr{1,3})?a){0,8}u", fixed in 0u64..30, room in 0u64..300, last in 0usize..6, system: bool,
        ) {
            let messages = conversation(&letters);
            let rule = Rule { keep_system: system, keep_last: last };
            if let Ok(dropped) = drop_oldest(&messages, fixed, room, rule) {
                let rest = kept(&letters, &dropped);
                prop_assert!(fixed + 10 * rest.len() as u64 <= room);
                prop_assert!(!rest.contains("cu") && !rest.contains("ca") && !rest.contains("ur") && !rest.contains("sr"));
                prop_assert!(dropped.iter().rev().take(last.max(1)).all(|dropped| !dropped));
                prop_assert!(!(system && letters.starts_with('s')) || rest.starts_with('s'));
            }
        }
    }
}
