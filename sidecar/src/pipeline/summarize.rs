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
    truncate::{self, Part},
};
use tokio::time::timeout_at;

use super::{
    conversation::{Conversation, GoesOn, Left, Shortened, told},
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
    /// At which step each message goes. None: it stays.
    goes: Vec<Option<u64>>,
    /// Those up to this one are taken.
    step: u64,
    key: SummaryKey,
    /// Steps before it, the last first.
    earlier: Vec<(SummaryKey, u64)>,
}

/// What a plan is made for.
struct Wanted {
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
    let room = rooms.last().copied().unwrap_or(0);
    let plan = plan(call, backend, believed, (room, rule)).await.ok_or("nothing_to_leave_out")?;
    let now = clock::now();
    let until = clock::after(now, (call.left(now) / 2).min(LONGEST));
    settle.wait(now);
    let asked = timeout_at(until.into(), runtime.summaries.get(&plan.key, clock::now)).await;
    settle.go_on(clock::now());
    let (plan, summary, how) = match asked.map_err(|_| "late")? {
        Waited::Failed => return Err("failed_before"),
        Waited::Made(summary) => (plan, summary, "found"),
        Waited::Mine(making) => {
            let before = plan.earlier.iter().find_map(|(key, step)| Some((runtime.summaries.find(key)?, *step)));
            let most = rule.max_tokens;
            let asking = move |call: &Call| {
                let words = plan.words(before.as_ref().map(|(summary, step)| (&**summary, *step)));
                (call::request(call, most, &words, until), plan)
            };
            let (request, plan) = call.aside(asking).await.map_err(|_| "late")?;
            match call::write(runtime, request?, settle, rule.backend, until).await {
                Ok(summary) => (plan, making.made(summary), "made"),
                Err(why) => {
                    making.failed(clock::now());
                    return Err(why);
                }
            }
        }
    };
    let (encoding, tokens) = (call.route.backends[backend].encoding, summary.tokens);
    let telling = move |goes_on: &dyn Fn() -> bool| plan.told_by(&summary, goes_on);
    let shortened = count::heavy(call, encoding, telling).await.ok_or("failed")?;
    if shortened.tokens > room {
        return Err("too_long");
    }
    take(call, backend, shortened, believed.exact);
    call.summary = Some(Told { tokens, how });
    Ok(how)
}

/// None: there is nothing that could be summarized, or not enough of it.
async fn plan(call: &Call, backend: usize, believed: Counted, (room, rule): (u64, &SummaryRule)) -> Option<Plan> {
    let writer = &call.route.backends[rule.backend];
    let author = format!("{}/{}/{}", writer.provider.name, writer.model, rule.max_tokens);
    let wanted = Wanted { window: call.window(backend).unwrap_or(believed.tokens), room, rule: *rule, author };
    let (api, body, encoding) = (call.api, call.body.clone(), call.route.backends[backend].encoding);
    let plan = move |goes_on: &dyn Fn() -> bool| {
        let conversation = Conversation::read(api, body, encoding, believed.tokens, goes_on)?;
        Plan::new(conversation, &wanted, goes_on)
    };
    count::heavy(call, encoding, plan).await.flatten()
}

// === impl Plan ===

impl Plan {
    /// None: even with all that may go in a summary it does not fit, or nobody waits for it any more.
    fn new(conversation: Conversation, wanted: &Wanted, goes_on: GoesOn<'_>) -> Option<Self> {
        let Wanted { window, room, rule, author } = wanted;
        let sizes = &conversation.sizes;
        let total = sizes.iter().fold(conversation.fixed, |sum, message| sum.saturating_add(message.tokens));
        let summary = rule.max_tokens.saturating_add(rule.max_tokens / 4).saturating_add(AROUND);
        let too_much = total.saturating_add(summary).saturating_sub(conversation.ours(*room));
        let length = (conversation.ours(*window) / STEPS).max(1);
        let step = too_much.div_ceil(length).max(1);
        // A message goes at the first step that is past its turn.
        let turns = truncate::turns(sizes, rule.keep);
        let goes: Vec<Option<u64>> = turns.into_iter().map(|turn| Some(turn? / length + 1)).collect();
        let gone = sizes.iter().zip(&goes).filter(|(_, goes)| goes.is_some_and(|goes| goes <= step));
        if gone.fold(0u64, |sum, (message, _)| sum.saturating_add(message.tokens)) < too_much {
            return None;
        }
        let mut keys = names(author, &conversation.messages, &goes, step, goes_on)?;
        let (key, _) = keys.pop()?;
        Some(Self { key, earlier: keys.into_iter().rev().collect(), goes, step, conversation })
    }

    /// What is left out, in words. `before`: a summary of what was left out at that step.
    fn words(&self, before: Option<(&Summary, u64)>) -> String {
        let mut words = String::new();
        let mut told_before = 0;
        if let Some((summary, step)) = before {
            words.push_str(&format!("summary of what came before: {}\n\n", summary.text));
            told_before = step;
        }
        for (message, goes) in self.conversation.messages.iter().zip(&self.goes) {
            if goes.is_some_and(|goes| told_before < goes && goes <= self.step) {
                words.push_str(&told(message));
            }
        }
        words
    }

    /// The conversation with the summary in it.
    fn told_by(self, summary: &Summary, goes_on: GoesOn<'_>) -> Shortened {
        let Self { conversation, goes, step, .. } = self;
        let dropped: Vec<bool> = goes.iter().map(|goes| goes.is_some_and(|goes| goes <= step)).collect();
        let text = format!("{OPENING}{}{CLOSING}", summary.text.trim());
        let gone = dropped.iter().filter(|dropped| **dropped).count();
        let kept: Vec<usize> = (0..dropped.len()).filter(|index| !dropped[*index]).collect();
        let part = |index: usize| conversation.sizes[index].part;
        let first = kept.iter().position(|index| part(*index) != Part::System).unwrap_or(kept.len());
        let asks = kept.get(first).copied().filter(|index| part(*index) == Part::User);
        let measure = |message: &Value| conversation.measure(message, goes_on);
        let sizes = kept.iter().map(|index| conversation.sizes[*index].tokens);
        let mut tokens = sizes.fold(conversation.fixed, u64::saturating_add);
        let mut left: Vec<Left> = kept.iter().copied().map(Left::Kept).collect();
        let mut asking = asks.map(|index| (index, conversation.messages[index].clone()));
        match asking.take_if(|(_, message)| put_in_front(message, &text)) {
            Some((index, message)) => {
                tokens = tokens.saturating_sub(conversation.sizes[index].tokens).saturating_add(measure(&message));
                left[first] = Left::Changed(index, message);
            }
            None => {
                let message = json!({"role": "user", "content": text});
                tokens = tokens.saturating_add(measure(&message));
                left.insert(first, Left::New(message));
            }
        }
        conversation.written(&left, tokens, gone)
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

/// Names what is summarized at each of the last steps up to this one, and by whom: no two conversations have the same name.
/// Each name is of what is new at its step and of the name before, so that all of them take one look at the conversation.
/// None: nobody waits for it any more.
fn names(
    author: &str,
    messages: &[Value],
    goes: &[Option<u64>],
    step: u64,
    goes_on: GoesOn<'_>,
) -> Option<Vec<(SummaryKey, u64)>> {
    let mut hash = Sha256::new();
    let add = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(&mut hash, author);
    let gone = goes.iter().zip(messages).filter_map(|(goes, message)| Some(((*goes)?, message)));
    let mut gone: Vec<(u64, &Value)> = gone.filter(|(goes, _)| *goes <= step).collect();
    gone.sort_by_key(|(goes, _)| *goes);
    let mut gone = gone.into_iter().peekable();
    let mut names = Vec::new();
    for at in step.saturating_sub(EARLIER).max(1)..=step {
        while let Some((_, message)) = gone.next_if(|(goes, _)| *goes <= at) {
            if !goes_on() {
                return None;
            }
            add(&mut hash, &message.to_string());
        }
        names.push((hash.clone().finalize().into(), at));
    }
    Some(names)
}

#[cfg(test)]
mod tests;
