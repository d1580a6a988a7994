//! A summary in place of a conversation's beginning.
//!
//! What is summarized ends at steps of a quarter of the window, counted from the beginning of the conversation. So a
//! conversation that grows by a message at a time has the same beginning until it has outgrown the next step, and the summary
//! of that is found where it was left; the next summary is made of the one before and what came since. It is put in front of
//! the oldest message that stays, in the user's name: what a user once said must not become an instruction.
//!
//! Whatever goes wrong, in time or otherwise: none of it is the application's problem, and messages are left out instead.

mod call;

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spillway_policy::{
    fallback::Counted,
    truncate::{Message, Part, leave_out},
};
use spillway_providers::tokens;
use tokio::time::timeout_at;

use super::{
    conversation::{Conversation, Shortened, told},
    count,
    resolve::Call,
    settle::{Settle, Told},
    truncate::{counted, take},
};
use crate::{
    clock,
    runtime::{Runtime, Summary, SummaryKey, SummaryRule, Waited},
};

/// What part of a window a step is.
const STEPS: u64 = 4;

/// So many steps back a summary is looked for to begin with.
const EARLIER: u64 = 64;

/// What is waited for a summary at most, whatever the request's own deadline.
const LONGEST: Duration = Duration::from_secs(60);

/// In front of a summary, in the conversation.
const OPENING: &str = "[Summary of the earlier part of this conversation, which is left out here:]\n";
const CLOSING: &str = "\n[End of the summary.]\n\n";

/// What the opening and its like take in tokens, and what a tokenizer may count a summary beyond what its writer's does.
const AROUND: u64 = 48;

/// What is to be summarized, and what stays.
struct Plan {
    conversation: Conversation,
    dropped: Vec<bool>,
    key: SummaryKey,
    /// Beginnings of it, the longest first.
    earlier: Vec<(SummaryKey, Vec<bool>)>,
}

/// What a plan is made for.
struct Wanted {
    believed: Counted,
    window: u64,
    room: u64,
    rule: SummaryRule,
    /// Who writes it.
    author: String,
}

/// Puts a summary in place of the older messages, so that the prompt fits. False: the prompt is as it was.
pub(super) async fn fit(
    runtime: &Runtime,
    call: &mut Call,
    settle: &mut Settle,
    backend: usize,
    (rooms, rule): (&[u64], &SummaryRule),
) -> bool {
    let outcome = attempt(runtime, call, settle, backend, (rooms, rule)).await;
    let writer = &call.route.backends[rule.backend].name;
    runtime.telemetry.metrics.summarized(&call.route.name, writer, outcome.unwrap_or_else(|why| why));
    if let Err(why) = outcome {
        tracing::debug!(route = call.route.name, backend = writer, why, "no summary, messages are left out");
    }
    outcome.is_ok()
}

/// How the summary was come by, or why there is none.
async fn attempt(
    runtime: &Runtime,
    call: &mut Call,
    settle: &mut Settle,
    backend: usize,
    (rooms, rule): (&[u64], &SummaryRule),
) -> Result<&'static str, &'static str> {
    let believed = counted(call, backend).await;
    let writer = &call.route.backends[rule.backend];
    let wanted = Wanted {
        believed,
        window: call.window(backend).unwrap_or(believed.tokens),
        room: rooms.last().copied().unwrap_or(0),
        rule: *rule,
        author: format!("{}/{}/{}", writer.provider.name, writer.model, rule.max_tokens),
    };
    let (api, body, encoding) = (call.api, call.body.clone(), call.route.backends[backend].encoding);
    let plan = move |_: &dyn Fn() -> bool| {
        let conversation = Conversation::read(api, &body, encoding, wanted.believed.tokens)?;
        Plan::new(conversation, &wanted)
    };
    let plan = count::heavy(encoding, call.is_heavy(), count::until(call), plan).await;
    let plan = plan.flatten().ok_or("nothing_to_leave_out")?;

    let now = clock::now();
    let until = clock::after(now, (call.left(now) / 2).min(LONGEST));
    settle.wait(now);
    let asked = timeout_at(until.into(), runtime.summaries.get(&plan.key, clock::now)).await;
    settle.go_on(clock::now());
    let (summary, how) = match asked.map_err(|_| "late")? {
        Waited::Failed => return Err("failed_before"),
        Waited::Made(summary) => (summary, "found"),
        Waited::Mine(making) => {
            let before = plan.earlier.iter().find_map(|(key, dropped)| Some((runtime.summaries.find(key)?, dropped)));
            let words = plan.words(before.as_ref().map(|(summary, dropped)| (&**summary, *dropped)));
            match call::write(runtime, call, settle, rule, words, until).await {
                Ok(summary) => (making.made(summary), "made"),
                Err(why) => {
                    making.failed(clock::now());
                    return Err(why);
                }
            }
        }
    };
    let tokens = summary.tokens;
    let room = rooms.last().copied().unwrap_or(0);
    let shortened = count::heavy(encoding, call.is_heavy(), count::until(call), move |_| plan.told_by(&summary)).await;
    let shortened = shortened.ok_or("failed")?;
    if shortened.tokens > room {
        return Err("too_long");
    }
    take(call, backend, shortened, believed.exact);
    call.summary = Some(Told { tokens, how });
    Ok(how)
}

// === impl Plan ===

impl Plan {
    /// None: even with all that may go in a summary it does not fit.
    fn new(conversation: Conversation, wanted: &Wanted) -> Option<Self> {
        let Wanted { believed: _, window, room, rule, author } = wanted;
        let sizes = &conversation.sizes;
        let total = sizes.iter().fold(conversation.fixed, |sum, message| sum.saturating_add(message.tokens));
        let summary = rule.max_tokens.saturating_add(rule.max_tokens / 4).saturating_add(AROUND);
        let too_much = total.saturating_add(summary).saturating_sub(conversation.ours(*room));
        let step = (conversation.ours(*window) / STEPS).max(1);
        let steps = too_much.div_ceil(step).max(1);
        let (dropped, freed) = leave_out(sizes, steps.saturating_mul(step), rule.keep);
        if freed < too_much {
            return None;
        }
        let of = |dropped: &[bool]| hash(author, &conversation.messages, dropped);
        let earlier = (steps.saturating_sub(EARLIER).max(1)..steps).rev();
        let earlier = earlier.map(|steps| leave_out(sizes, steps * step, rule.keep).0);
        let earlier = earlier.map(|dropped| (of(&dropped), dropped)).collect();
        Some(Self { key: of(&dropped), earlier, dropped, conversation })
    }

    /// What is left out, in words. `before`: a summary of the beginning of it.
    fn words(&self, before: Option<(&Summary, &Vec<bool>)>) -> String {
        let mut words = String::new();
        if let Some((summary, _)) = before {
            words.push_str(&format!("summary of what came before: {}\n\n", summary.text));
        }
        for (index, message) in self.conversation.messages.iter().enumerate() {
            if self.dropped[index] && !before.is_some_and(|(_, told)| told[index]) {
                words.push_str(&told(message));
            }
        }
        words
    }

    /// The conversation with the summary in it.
    fn told_by(self, summary: &Summary) -> Shortened {
        let Self { mut conversation, dropped, .. } = self;
        let text = format!("{OPENING}{}{CLOSING}", summary.text.trim());
        let gone = dropped.iter().filter(|dropped| **dropped).count();
        let messages = std::mem::take(&mut conversation.messages);
        let left = messages.into_iter().zip(&conversation.sizes).zip(&dropped).filter(|(_, dropped)| !**dropped);
        let (mut left, sizes): (Vec<Value>, Vec<Message>) = left.map(|((message, size), _)| (message, *size)).unzip();
        let first = sizes.iter().position(|message| message.part != Part::System).unwrap_or(sizes.len());
        let asks = sizes.get(first).is_some_and(|message| message.part == Part::User);
        if !(asks && put_in_front(&mut left[first], &text)) {
            left.insert(first, json!({"role": "user", "content": text}));
        }
        let measure = |message| tokens::count_message(message, conversation.encoding());
        let tokens = left.iter().map(measure).fold(conversation.fixed, u64::saturating_add);
        conversation.written(left, tokens, gone)
    }
}

/// Puts a text in front of what a message says. False: it says nothing that could have something in front.
fn put_in_front(message: &mut Value, text: &str) -> bool {
    match message.get_mut("content") {
        Some(Value::String(content)) => {
            content.insert_str(0, text);
            true
        }
        Some(Value::Array(parts)) => {
            let kind = if parts.iter().any(|part| part["type"].as_str().is_some_and(|kind| kind.starts_with("input_")))
            {
                "input_text"
            } else {
                "text"
            };
            parts.insert(0, json!({"type": kind, "text": text}));
            true
        }
        _ => false,
    }
}

/// Names what is summarized, and by whom: no two conversations have the same name.
fn hash(author: &str, messages: &[Value], dropped: &[bool]) -> SummaryKey {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(author);
    for (message, _) in messages.iter().zip(dropped).filter(|(_, dropped)| **dropped) {
        add(&message.to_string());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
