//! Leaving out old messages, so that a prompt fits.

mod items;

use serde_json::Value;
use spillway_policy::{
    fallback::Counted,
    truncate::{DoesNotFit, Message, Part, drop_oldest},
};
use spillway_providers::{Api, tokens};

use super::{count, resolve::Call};

/// Shortens the prompt to `room` tokens, as the backend counts. Err: what has to stay needs more, or is no conversation;
/// the prompt is as it was then.
pub(super) async fn fit(call: &mut Call, backend: usize, room: u64) -> Result<(), DoesNotFit> {
    let total = counted(call, backend).await;
    let does_not_fit = DoesNotFit { needs: total.tokens };
    let key = if call.api == Api::Responses { "input" } else { "messages" };
    let messages = call.body.get(key).and_then(|raw| serde_json::from_str::<Vec<Value>>(raw).ok());
    let Some(messages) = messages else { return Err(does_not_fit) };
    let encoding = call.route.backends[backend].encoding;
    let measured = count::heavy(encoding, call.is_heavy(), count::until(call), move |_| {
        let parts = if key == "input" { items::parts(&messages) } else { messages.iter().map(part).collect() };
        let measure = |(message, part)| Message { part, tokens: tokens::count_message(message, encoding) };
        let sizes = messages.iter().zip(parts).map(measure).collect::<Vec<_>>();
        (messages, sizes)
    });
    let Some((messages, sizes)) = measured.await else { return Err(does_not_fit) };
    let inside = sizes.iter().fold(0u64, |sum, message| sum.saturating_add(message.tokens));
    let dropped = drop_oldest(&sizes, total.tokens.saturating_sub(inside), room, call.route.truncate)?;
    let gone = sizes.iter().zip(&dropped).filter(|(_, dropped)| **dropped).map(|(message, _)| message.tokens).sum();
    let kept = messages.into_iter().zip(&dropped).filter(|(_, dropped)| !**dropped).map(|(message, _)| message);
    call.body.set(key, &Value::Array(kept.collect()));
    call.truncated += u32::try_from(dropped.iter().filter(|dropped| **dropped).count()).unwrap_or(u32::MAX);
    call.sizes = count::bounds(call.api, &call.body);
    let left = Counted { tokens: total.tokens.saturating_sub(gone), exact: total.exact };
    call.sizes.counted[call.route.candidates[backend].tokenizer] = Some(left);
    Ok(())
}

/// The prompt's count by this backend's tokenizer, made now if need be.
pub(super) async fn counted(call: &mut Call, backend: usize) -> Counted {
    let tokenizer = call.route.candidates[backend].tokenizer;
    if call.sizes.counted[tokenizer].is_none() {
        count::count(call, backend).await;
    }
    call.sizes.counted[tokenizer].unwrap_or(Counted { tokens: count::guess(&call.sizes), exact: false })
}

fn part(message: &Value) -> Part {
    let has_block = |kind: &str| {
        let blocks = message["content"].as_array();
        blocks.is_some_and(|blocks| blocks.iter().any(|block| block["type"] == kind))
    };
    let calls = || {
        message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) || message["function_call"].is_object()
    };
    match message["role"].as_str().unwrap_or_default() {
        "system" | "developer" => Part::System,
        "assistant" if calls() || has_block("tool_use") => Part::Call,
        "assistant" => Part::Assistant,
        "tool" | "function" => Part::Result,
        _ if has_block("tool_result") => Part::Result,
        _ => Part::User,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_dialects_tool_calls_and_results_are_recognised() {
        let rows = [
            (json!({"role": "system", "content": "x"}), Part::System),
            (json!({"role": "developer", "content": "x"}), Part::System),
            (json!({"role": "user", "content": "x"}), Part::User),
            (json!({"role": "user", "content": [{"type": "text", "text": "x"}]}), Part::User),
            (json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}), Part::Result),
            (json!({"role": "assistant", "content": "x", "tool_calls": []}), Part::Assistant),
            (json!({"role": "assistant", "tool_calls": [{"id": "1"}]}), Part::Call),
            (json!({"role": "assistant", "function_call": {"name": "f"}}), Part::Call),
            (json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}), Part::Call),
            (json!({"role": "tool", "content": "x"}), Part::Result),
        ];
        for (message, want) in rows {
            assert_eq!(part(&message), want, "{message}");
        }
    }
}
