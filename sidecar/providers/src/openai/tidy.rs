//! Answers of the family, in the words OpenAI's own clients were written for.
//!
//! Most answers are; they are looked at as bytes and go on untouched. What is straightened: content as a list (Mistral's
//! thinking), reasons to stop that no client knows, calls that "stop", and counts in other places.

use serde_json::{Map, Value, json};

use super::answer::Told;
use crate::body::value_after;
use crate::{Body, Usage};

/// Straightens an answer, or a chunk of one, that says this of its usage. True: it did.
pub(crate) fn tidy(body: &mut Body, told: Option<&Told>) -> bool {
    let choices = choices(body);
    let usage = told.filter(|_| body.get_bytes("usage").is_some_and(|raw| raw.starts_with(b"{"))).and_then(usage);
    if let Some(choices) = &choices {
        body.set("choices", choices);
    }
    if let Some(usage) = &usage {
        body.set("usage", usage);
    }
    choices.is_some() || usage.is_some()
}

fn choices(body: &Body) -> Option<Value> {
    let raw = body.get_bytes("choices")?;
    if raw == b"null" {
        return Some(json!([]));
    }
    if !Signs::of(raw).any() {
        return None;
    }
    let mut choices: Vec<Value> = serde_json::from_slice(raw).ok()?;
    let mut changed = false;
    for choice in &mut choices {
        changed |= reason(choice);
        for key in ["message", "delta"] {
            changed |= choice.get_mut(key).and_then(Value::as_object_mut).is_some_and(content);
        }
    }
    changed.then(|| choices.into())
}

/// What speaks for an answer that has to be straightened. A text may hold the same words: false is certain, true is not.
#[derive(Default)]
struct Signs {
    list: bool,
    reason: bool,
    message: bool,
    calls: bool,
    stop: bool,
}

// === impl Signs ===

impl Signs {
    /// All in one pass: an answer may be long, and mostly has none.
    fn of(raw: &[u8]) -> Self {
        let mut signs = Self::default();
        for at in memchr::memchr_iter(b'"', raw) {
            let rest = raw.get(at + 1..).unwrap_or_default();
            match rest.first() {
                Some(b'c') => {
                    let value = rest.strip_prefix(b"content\"").and_then(value_after);
                    signs.list |= value.is_some_and(|value| value.starts_with(b"["));
                }
                Some(b'e') => signs.reason |= rest.starts_with(b"eos\""),
                Some(b'm') => {
                    signs.reason |= rest.starts_with(b"model_length\"");
                    signs.message |= rest.starts_with(b"message\"");
                }
                Some(b's') => signs.stop |= rest.starts_with(b"stop\""),
                Some(b't') => signs.calls |= rest.starts_with(b"tool_calls\""),
                _ => {}
            }
        }
        signs
    }

    fn any(&self) -> bool {
        self.list || self.reason || (self.message && self.calls && self.stop)
    }
}

/// Why it ended.
fn reason(choice: &mut Value) -> bool {
    let calls = choice["message"]["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let known = match choice["finish_reason"].as_str() {
        Some("eos") => "stop",
        Some("model_length") => "length",
        Some("stop") if calls => "tool_calls",
        _ => return false,
    };
    choice["finish_reason"] = known.into();
    true
}

/// A list of texts and thoughts as a string of each.
fn content(message: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else { return false };
    let (mut text, mut thoughts) = (String::new(), String::new());
    for part in parts {
        if let Some(piece) = part["text"].as_str() {
            text.push_str(piece);
        }
        for inner in part["thinking"].as_array().into_iter().flatten() {
            thoughts.push_str(inner["text"].as_str().unwrap_or_default());
        }
    }
    message.insert("content".into(), text.into());
    if !thoughts.is_empty() {
        message.insert("reasoning_content".into(), thoughts.into());
    }
    true
}

/// Counts where OpenAI has them: reasoning within the answer's tokens, and what came from a cache beside the prompt's.
fn usage(told: &Told) -> Option<Value> {
    let Told { value, usage: Usage { output, cache_read, .. } } = told;
    let short = value["completion_tokens"].as_u64().is_some_and(|counted| counted < *output);
    let beside = *cache_read > 0 && value.get("prompt_tokens_details").is_none_or(Value::is_null);
    if !short && !beside {
        return None;
    }
    let mut usage = value.clone();
    if short {
        usage["completion_tokens"] = (*output).into();
    }
    if beside {
        usage["prompt_tokens_details"] = json!({"cached_tokens": cache_read});
    }
    Some(usage)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn tidied(value: &Value) -> Option<Value> {
        let mut body = Body::parse_answer(Bytes::from(value.to_string())).unwrap();
        let told = Told::of(&body);
        tidy(&mut body, told.as_ref()).then(|| serde_json::from_slice(&body.to_bytes()).unwrap())
    }

    #[test]
    fn what_no_client_expects_is_straightened() {
        let list =
            json!([{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]);
        let rows = [
            (
                json!({"choices": [{"message": {"content": list}, "finish_reason": "stop"}]}),
                json!({"choices": [{"message": {"content": "b", "reasoning_content": "a"}, "finish_reason": "stop"}]}),
            ),
            (
                json!({"choices": [{"delta": {"content": list}}]}),
                json!({"choices": [{"delta": {"content": "b", "reasoning_content": "a"}}]}),
            ),
            (json!({"choices": null, "usage": {}}), json!({"choices": [], "usage": {}})),
            (json!({"choices": [{"finish_reason": "eos"}]}), json!({"choices": [{"finish_reason": "stop"}]})),
            (
                json!({"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "stop"}]}),
                json!({"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}]}),
            ),
            (
                json!({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}}),
                json!({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4,
                    "prompt_tokens_details": {"cached_tokens": 4}}}),
            ),
        ];
        for (value, want) in rows {
            assert_eq!(tidied(&value), Some(want), "{value}");
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let rows = [
            json!({"choices": [{"message": {"content": "\"thinking\" \"eos\""}, "finish_reason": "stop"}]}),
            json!({"choices": [{"message": {"content": "x", "tool_calls": []}, "finish_reason": "stop"}]}),
            json!({"choices": "eos", "usage": 7}),
            json!({"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8,
                "completion_tokens_details": {"reasoning_tokens": 4}}}),
        ];
        for value in rows {
            assert_eq!(tidied(&value), None, "{value}");
        }
    }
}
