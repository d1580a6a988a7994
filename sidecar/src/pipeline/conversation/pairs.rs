//! Which messages answer which.
//!
//! A call and what answers it may have others between them: thoughts, further calls, whatever the application puts there.
//! What lies from the first to the last of them stays or goes together, as one call does with its results.

use std::collections::HashMap;

use serde_json::Value;
use spillway_policy::truncate::Part;

/// The names that a message asks under, and those that it answers.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) asks: Vec<&'a str>,
    pub(super) answers: Vec<&'a str>,
}

/// Makes results of what is glued to a call before it. `more`: how many behind it a message takes along anyway.
pub(super) fn bind<'a>(
    messages: &'a [Value],
    parts: &mut [Part],
    names: impl Fn(&'a Value) -> Names<'a>,
    more: impl Fn(&Value) -> usize,
) {
    let mut glued = 0;
    let lasts = lasts(messages, names);
    for (index, (part, last)) in parts.iter_mut().zip(lasts).enumerate() {
        // What the system says belongs to nobody, wherever it stands.
        if index > 0 && index <= glued && *part != Part::System {
            *part = Part::Result;
        }
        glued = glued.max(last).max(index + more(&messages[index]));
    }
}

/// For each message, the last one that answers it; itself, where nobody does. Applications use names again: an answer is to
/// the nearest before it.
fn lasts<'a>(messages: &'a [Value], names: impl Fn(&'a Value) -> Names<'a>) -> Vec<usize> {
    let mut lasts: Vec<usize> = (0..messages.len()).collect();
    let mut answered: HashMap<&str, usize> = HashMap::new();
    for (index, message) in messages.iter().enumerate().rev() {
        let Names { asks, answers } = names(message);
        for name in asks {
            lasts[index] = lasts[index].max(answered.remove(name).unwrap_or(index));
        }
        for name in answers {
            answered.entry(name).or_insert(index);
        }
    }
    lasts
}
